use super::record::Record;
use crate::wire;

/// Before a record's body.
const PREFIX_BYTES: usize = 24;
/// Largest body of a record.
pub const RECORD_BYTES_MAX: usize = 64 << 10;
/// Largest frame.
pub const FRAME_BYTES_MAX: usize = PREFIX_BYTES + RECORD_BYTES_MAX;
/// In the length: the first record of a group.
const FIRST: u32 = 1 << 31;

/// Where the next record goes in the row of all records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its number, from 1.
    pub sequence: u64,
    /// A hash of the frame before it.
    pub chain: u64,
}

impl Position {
    /// Before anything was written.
    pub const START: Self = Self { sequence: 1, chain: 0 };

    /// After `frame`, which stands here. Half a million records a second would take half a million
    /// years to the last number.
    fn after(self, frame: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, frame);
        let chain = std::array::from_fn(|byte| digest.as_ref()[byte]);
        Self { sequence: self.sequence.saturating_add(1), chain: u64::from_le_bytes(chain) }
    }
}

/// A record's place in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    First,
    Later,
}

/// Why a record cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record has {0} bytes; at most {RECORD_BYTES_MAX} are allowed")]
    TooLarge(usize),
    #[error("the record cannot be written: {0}")]
    Unwritable(String),
}

/// Appends a record's frame to `bytes` and moves the position past it.
///
/// # Errors
/// Any [`RecordError`]; then bytes and position are as they were.
pub fn append(
    bytes: &mut Vec<u8>,
    position: &mut Position,
    record: &Record,
    place: Place,
) -> Result<(), RecordError> {
    let start = bytes.len();
    let written = append_frame(bytes, start, *position, record, place);
    match &written {
        Ok(()) => *position = position.after(&bytes[start..]),
        Err(_) => bytes.truncate(start),
    }
    written
}

fn append_frame(
    bytes: &mut Vec<u8>,
    start: usize,
    position: Position,
    record: &Record,
    place: Place,
) -> Result<(), RecordError> {
    bytes.resize(start + PREFIX_BYTES, 0);
    let length = wire::encode_to(record, bytes).map_err(RecordError::Unwritable)?;
    let field = u32::try_from(length).ok().filter(|_| length <= RECORD_BYTES_MAX);
    let field = field.ok_or(RecordError::TooLarge(length))?;
    let frame = &mut bytes[start..];
    let first = if place == Place::First { FIRST } else { 0 };
    frame[..4].copy_from_slice(&(field | first).to_le_bytes());
    frame[8..16].copy_from_slice(&position.sequence.to_le_bytes());
    frame[16..24].copy_from_slice(&position.chain.to_le_bytes());
    let crc = checksum(frame);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Of everything but the checksum's own place.
fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub sequence: u64,
    /// Where its frame begins.
    pub at: usize,
    pub record: Record,
}

/// What was found in the records of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Those before anything that is bad.
    pub entries: Vec<Entry>,
    /// Where the last of them ends.
    pub end: usize,
    /// What would come after it.
    pub next: Position,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Behind the records there are zeros only.
    Whole,
    /// At `at` the last group breaks off, as a loss of power may leave it: it was not acknowledged,
    /// or was damaged later.
    TornTail { at: usize },
    /// What is at `at` was changed after it was written, or stands in the wrong place. `good_after`
    /// counts the frames from there on whose checksum is right.
    Corrupt { at: usize, good_after: usize },
    /// The record at `at` is whole and in its place, but of a kind that a later weir writes.
    Unknown { at: usize },
}

/// Reads the records of a segment: what follows its header. The first is to stand at `start`.
#[must_use]
pub fn scan(bytes: &[u8], start: Position) -> Scan {
    let mut scan = Scan { entries: Vec::new(), end: 0, next: start, verdict: Verdict::Whole };
    loop {
        let (at, rest) = (scan.end, &bytes[scan.end..]);
        let Some(frame) = Frame::read(rest) else {
            if rest.iter().any(|byte| *byte != 0) {
                scan.verdict = judge(bytes, at, scan.next);
            }
            return scan;
        };
        if frame.sequence != scan.next.sequence || frame.chain != scan.next.chain {
            scan.verdict = judge(bytes, at, scan.next);
            return scan;
        }
        match wire::decode(frame.body()) {
            Ok((record, used)) if used == frame.body().len() => {
                scan.entries.push(Entry { sequence: frame.sequence, at, record });
            }
            _ => {
                scan.verdict = Verdict::Unknown { at };
                return scan;
            }
        }
        scan.end += frame.bytes.len();
        scan.next = scan.next.after(frame.bytes);
    }
}

/// A frame whose checksum is right.
struct Frame<'a> {
    bytes: &'a [u8],
    place: Place,
    sequence: u64,
    chain: u64,
}

impl<'a> Frame<'a> {
    /// The one that `bytes` begin with.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let field = u32::from_le_bytes(*bytes.first_chunk()?);
        let length = usize::try_from(field & !FIRST).ok()?;
        if length == 0 || length > RECORD_BYTES_MAX {
            return None;
        }
        let bytes = bytes.get(..PREFIX_BYTES + length)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        if bytes[4..8] != checksum(bytes).to_le_bytes() {
            return None;
        }
        let place = if field & FIRST == 0 { Place::Later } else { Place::First };
        Some(Self { bytes, place, sequence: word(8), chain: word(16) })
    }

    fn body(&self) -> &'a [u8] {
        &self.bytes[PREFIX_BYTES..]
    }
}

/// What it means that there is no record of position `expected` at `at`, but other bytes than
/// zeros.
///
/// A torn group leaves nothing but later records of its own: what stands at `at` itself, comes
/// before in the row or begins a group was not written by that.
fn judge(bytes: &[u8], at: usize, expected: Position) -> Verdict {
    let (mut look, mut good_after, mut torn) = (at, 0, true);
    while look < bytes.len() {
        let Some(frame) = Frame::read(&bytes[look..]) else {
            look += 1;
            continue;
        };
        good_after += 1;
        torn &= look > at && frame.sequence > expected.sequence && frame.place == Place::Later;
        look += frame.bytes.len();
    }
    if torn { Verdict::TornTail { at } } else { Verdict::Corrupt { at, good_after } }
}
