//! A block of the live table as it stands in `counters`: 64 lines of 64 bytes, and a trailer that
//! tells what they are and proves them. Little-endian:
//!
//! ```text
//!    0 lines (4096)     4096 block (8)    4104 generation (8)   4112 revision (8)
//! 4120 length (4)       4124 zeros        4604 CRC32C of the ledger's identity and 0..4604 (4)
//! ```
//!
//! A block has two places. Its revisions, counted from 1, go to them in turn, so that the one
//! before stays until the next is on the disk.

use super::Identity;
use super::disk::SECTOR_BYTES;

/// A slot, or a name.
pub(super) const LINE_BYTES: usize = 64;
pub(super) const BLOCK_LINES: usize = 64;
pub(super) const BODY_BYTES: usize = BLOCK_LINES * LINE_BYTES;
pub(super) const RECORD_BYTES: usize = BODY_BYTES + SECTOR_BYTES;
const CRC_AT: usize = RECORD_BYTES - 4;

pub(super) type Body = [u8; BODY_BYTES];
pub(super) type Record = [u8; RECORD_BYTES];

/// What a record says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    /// Counted from the first block of slots; those of names follow.
    pub(super) block: u64,
    /// That of the header it was written with.
    pub(super) generation: u64,
    pub(super) revision: u64,
}

impl Label {
    /// Which of the block's two places it goes to.
    pub(super) const fn place(&self) -> Place {
        Place::of(self.revision)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Second,
}

impl Place {
    pub(super) const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub(super) const fn of(revision: u64) -> Self {
        if revision.is_multiple_of(2) { Self::First } else { Self::Second }
    }
}

/// What stands in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Zeros: nothing was ever written there.
    Empty,
    Whole(Label),
    /// Torn, flipped, or of another block, place or ledger.
    Damaged,
}

pub(super) fn encode(identity: &Identity, label: Label, body: &Body) -> Record {
    let mut record = [0; RECORD_BYTES];
    let mut put = |at: usize, field: &[u8]| record[at..at + field.len()].copy_from_slice(field);
    put(0, body);
    put(BODY_BYTES, &label.block.to_le_bytes());
    put(BODY_BYTES + 8, &label.generation.to_le_bytes());
    put(BODY_BYTES + 16, &label.revision.to_le_bytes());
    put(BODY_BYTES + 24, &length().to_le_bytes());
    let crc = checksum(identity, &record);
    record[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    record
}

/// What `record` is, which was read from `place` of `block`.
pub(super) fn decode(identity: &Identity, block: u64, place: Place, record: &Record) -> Found {
    if checksum(identity, record).to_le_bytes() != record[CRC_AT..] {
        let empty = record.iter().all(|&byte| byte == 0);
        return if empty { Found::Empty } else { Found::Damaged };
    }
    let number = |at: usize| u64::from_le_bytes(field(record, BODY_BYTES + at));
    let label = Label { block: number(0), generation: number(8), revision: number(16) };
    let fits = label.block == block
        && label.revision > 0
        && label.place() == place
        && field(record, BODY_BYTES + 24) == length().to_le_bytes();
    if fits { Found::Whole(label) } else { Found::Damaged }
}

/// Of the lines. They always fill a block, a small table's with zeros at the end.
fn length() -> u32 {
    u32::try_from(BODY_BYTES).unwrap_or(u32::MAX)
}

fn checksum(identity: &Identity, record: &Record) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(identity), &record[..CRC_AT])
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// Tells a body from what it was before: never 0, and never the same after one word changed. Two
/// bodies that differ in more share one with a probability of about 2^-63.
pub(super) fn fingerprint(body: &Body) -> u64 {
    let words = body.chunks_exact(8).map(|word| u64::from_le_bytes(field(word, 0)));
    // Each step is a bijection of what came before (an odd factor; 2^64 divided by the golden
    // ratio), so that a difference in one word lasts to the end.
    let mixed = words
        .fold(1, |sum: u64, word| (sum.rotate_left(29) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed.max(1)
}
