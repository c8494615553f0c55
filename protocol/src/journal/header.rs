//! The first sector of a segment. Little-endian; what is not named is zero:
//!
//! ```text
//!  0 magic (8)    8 version (4)    12 kind (4)    16 identity (16)    32 number (8)
//! 40 sequence of the first record (8)    48 its chain (8)    56 length of the segment (8)
//! 508 CRC32C of 0..508 (4)
//! ```

use super::frame::Position;

/// A sector: no record shares it, so that nothing is ever written to it again.
pub const HEADER_BYTES: usize = 512;
/// The format that is written and read here.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"WEIRJRNL";
const CRC_AT: usize = HEADER_BYTES - 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// The ledger's: all its segments have the same.
    pub identity: [u8; 16],
    /// The segment's place in the row.
    pub number: u64,
    /// Where its first record stands.
    pub start: Position,
    /// The whole segment's length in bytes, this header among them.
    pub bytes: u64,
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes on where the one before ended.
    Continuation,
    /// A snapshot: nothing before it is needed any more.
    Snapshot,
}

/// Why a sector is no usable header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    #[error("it is not a segment of a journal")]
    NotASegment,
    #[error("it has format version {0}, this weir reads version {VERSION}")]
    OtherVersion(u32),
    #[error("its header is damaged")]
    Damaged,
}

impl Header {
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &u32::from(self.kind == Kind::Snapshot).to_le_bytes());
        put(16, &self.identity);
        put(32, &self.number.to_le_bytes());
        put(40, &self.start.sequence.to_le_bytes());
        put(48, &self.start.chain.to_le_bytes());
        put(56, &self.bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that a segment begins with; a segment shorter than that has none.
    ///
    /// # Errors
    /// Any [`HeaderFault`]. Of another version nothing but that is believed.
    pub fn decode(segment: &[u8]) -> Result<Self, HeaderFault> {
        let bytes: &[u8; HEADER_BYTES] = segment.first_chunk().ok_or(HeaderFault::NotASegment)?;
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::NotASegment);
        }
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        if bytes[CRC_AT..] != crc.to_le_bytes() {
            return Err(HeaderFault::Damaged);
        }
        let version = u32::from_le_bytes(field(bytes, 8));
        if version != VERSION {
            return Err(HeaderFault::OtherVersion(version));
        }
        Ok(Self {
            kind: match u32::from_le_bytes(field(bytes, 12)) {
                0 => Kind::Continuation,
                1 => Kind::Snapshot,
                _ => return Err(HeaderFault::Damaged),
            },
            identity: field(bytes, 16),
            number: u64::from_le_bytes(field(bytes, 32)),
            start: Position {
                sequence: u64::from_le_bytes(field(bytes, 40)),
                chain: u64::from_le_bytes(field(bytes, 48)),
            },
            bytes: u64::from_le_bytes(field(bytes, 56)),
        })
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[at + byte])
}
