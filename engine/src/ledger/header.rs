//! The header of `counters`: two copies in one page, written alternately, so that a write cut
//! short leaves the other. Little-endian:
//!
//! ```text
//!  0 magic (8)        8 version (4)       12 layout (4)       16 slots (8)
//! 24 hash key (16)   40 epoch base, Unix ns (8)               48 boot id (16)
//! 64 clock offset (8)  72 generation (8)  80 clean (8)        88 identity (16)
//! 104 written at, Unix ns (8)  112 blocks (8)  120 revisions (8)
//! 128 CRC32C of 0..128 (4)
//! ```

use ring::rand::{SecureRandom, SystemRandom};

use super::{BootId, Identity, LedgerError};
use crate::runtime::{Instant, UnixNanos};

/// The header's page, before the first block.
pub(super) const PAGE_BYTES: usize = 4096;
/// Where the copies begin: in different sectors.
const COPIES_AT: [usize; 2] = [0, 2048];
const COPY_BYTES: usize = 132;
const CRC_AT: usize = 128;

const MAGIC: [u8; 8] = *b"WEIRLEDG";
pub(super) const VERSION: u32 = 2;
/// Whatever changes the meaning of a slot's bytes changes this text, and its checksum the layout.
const LAYOUT: &[u8] = b"64: tag word ban strikes admitted refused policy shape; groups of 8, two \
    from the tag's halves; then 64 for each: its name; words by shape: sliding window 24 20 20; \
    tags: siphash-1-3 of the subject's length-prefixed parts, mixed with the limit's seed";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) slots: u64,
    /// Secret of the tags.
    pub(super) hash_key: [u8; 16],
    /// The wall clock when the table's time was nought.
    pub(super) epoch_base: UnixNanos,
    /// The boot in which the offset holds.
    pub(super) boot_id: BootId,
    /// What the table's time is ahead of the boot's.
    pub(super) clock_offset_ns: i64,
    /// Counts the headers written; the valid copy with the higher one holds.
    pub(super) generation: u64,
    pub(super) clean: bool,
    /// Of this ledger and no other: names its live table, and is part of every block's checksum.
    pub(super) identity: Identity,
    /// When this header was written.
    pub(super) written_at: UnixNanos,
    /// Of what the disk had acknowledged before this header was written.
    pub(super) tally: Tally,
}

/// How much there is in the blocks that follow the header, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Blocks that have a copy.
    pub(super) blocks: u64,
    /// The revisions of the newest copies, added up.
    pub(super) revisions: u64,
}

/// The newest header that can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) header: Header,
    /// The other copy cannot be read, and may have been the newer one: what the disk had since is
    /// not in this one's tally.
    pub(super) damaged: bool,
}

/// Why a page holds no usable header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    NotALedger,
    OtherVersion(u32),
    OtherLayout,
    Damaged,
}

impl Header {
    /// The header of a new ledger: its time is the boot's, so that no window is cut at creation.
    pub(super) fn new(
        slots: usize,
        wall: UnixNanos,
        now: Instant,
        boot_id: BootId,
    ) -> Result<Self, LedgerError> {
        let (mut hash_key, mut identity) = ([0; 16], [0; 16]);
        let filled = [&mut hash_key, &mut identity].map(|bytes| SystemRandom::new().fill(bytes));
        if filled.iter().any(Result::is_err) {
            return Err(LedgerError::Random);
        }
        Ok(Self {
            slots: slots as u64,
            hash_key,
            epoch_base: UnixNanos(wall.0.saturating_sub(now.as_nanos())),
            boot_id,
            clock_offset_ns: 0,
            generation: 0,
            clean: true,
            identity,
            written_at: wall,
            tally: Tally::default(),
        })
    }

    /// The one that is written next, in the place of the older copy.
    pub(super) const fn next(&self, written_at: UnixNanos) -> Self {
        Self { generation: self.generation.wrapping_add(1), written_at, ..*self }
    }

    /// The other copy of a header that was written to one place only: older, and otherwise the same.
    pub(super) const fn before(&self) -> Self {
        Self { generation: self.generation.saturating_sub(1), ..*self }
    }

    /// Where this header goes: in the place of the older copy.
    pub(super) const fn copy_at(&self) -> usize {
        COPIES_AT[if self.generation.is_multiple_of(2) { 0 } else { 1 }]
    }

    pub(super) fn encode(&self) -> [u8; COPY_BYTES] {
        let mut bytes = [0; COPY_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &layout().to_le_bytes());
        put(16, &self.slots.to_le_bytes());
        put(24, &self.hash_key);
        put(40, &self.epoch_base.0.to_le_bytes());
        put(48, &self.boot_id);
        put(64, &self.clock_offset_ns.to_le_bytes());
        put(72, &self.generation.to_le_bytes());
        put(80, &u64::from(self.clean).to_le_bytes());
        put(88, &self.identity);
        put(104, &self.written_at.0.to_le_bytes());
        put(112, &self.tally.blocks.to_le_bytes());
        put(120, &self.tally.revisions.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that holds, of the two in a page.
    pub(super) fn choose(page: &[u8; PAGE_BYTES]) -> Result<Chosen, HeaderFault> {
        let copies = COPIES_AT.map(|at| &page[at..at + COPY_BYTES]);
        let alone = |header: Self, other: &[u8]| {
            let never_written = header.generation == 0 && other.iter().all(|&byte| byte == 0);
            Chosen { header, damaged: !never_written }
        };
        match copies.map(decode) {
            [Ok(first), Ok(second)] => {
                let header = if second.generation > first.generation { second } else { first };
                Ok(Chosen { header, damaged: false })
            }
            [Ok(first), Err(_)] => Ok(alone(first, copies[1])),
            [Err(_), Ok(second)] => Ok(alone(second, copies[0])),
            [Err(first), Err(second)] => Err(worse(first, second)),
        }
    }
}

/// What two unusable copies say together.
fn worse(first: HeaderFault, second: HeaderFault) -> HeaderFault {
    use HeaderFault::NotALedger;
    match (first, second) {
        // A new ledger's second copy is blank.
        (fault, NotALedger) | (NotALedger, fault) => fault,
        (first, second) if first == second => first,
        _ => HeaderFault::Damaged,
    }
}

/// Version before checksum: another version may keep its checksum elsewhere.
fn decode(bytes: &[u8]) -> Result<Header, HeaderFault> {
    if bytes[..8] != MAGIC {
        return Err(HeaderFault::NotALedger);
    }
    let version = u32::from_le_bytes(field(bytes, 8));
    if version != VERSION {
        return Err(HeaderFault::OtherVersion(version));
    }
    if crc32c::crc32c(&bytes[..CRC_AT]) != u32::from_le_bytes(field(bytes, CRC_AT)) {
        return Err(HeaderFault::Damaged);
    }
    if u32::from_le_bytes(field(bytes, 12)) != layout() {
        return Err(HeaderFault::OtherLayout);
    }
    Ok(Header {
        slots: u64::from_le_bytes(field(bytes, 16)),
        hash_key: field(bytes, 24),
        epoch_base: UnixNanos(u64::from_le_bytes(field(bytes, 40))),
        boot_id: field(bytes, 48),
        clock_offset_ns: i64::from_le_bytes(field(bytes, 64)),
        generation: u64::from_le_bytes(field(bytes, 72)),
        clean: u64::from_le_bytes(field(bytes, 80)) == 1,
        identity: field(bytes, 88),
        written_at: UnixNanos(u64::from_le_bytes(field(bytes, 104))),
        tally: Tally {
            blocks: u64::from_le_bytes(field(bytes, 112)),
            revisions: u64::from_le_bytes(field(bytes, 120)),
        },
    })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

pub(super) fn layout() -> u32 {
    crc32c::crc32c(LAYOUT)
}
