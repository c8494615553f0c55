//! The file of a shard's records: a header page, then a ring that is fully allocated when it is made.
//!
//! ```text
//!  0 magic (8)   8 version (4)   12 layout (4)   16 identity (16)   32 epoch base, Unix ns (8)
//! 40 records the ring holds (8)  48 CRC32C of 0..48 (4)
//! ```
//!
//! The header stands there twice and never changes. Where the newest record is, the records tell:
//! each has a number one higher than the one before it, modulo 2^32.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::reader::RingReader;
use super::record::{RECORD_BYTES, Record, Words, field, layout, seal};
use crate::ledger::disk::reserve;
use crate::runtime::UnixNanos;

/// The header's page, before the first record.
pub(super) const PAGE_BYTES: u64 = 4096;
const COPIES_AT: [u64; 2] = [0, 2048];
const COPY_BYTES: usize = 52;
const CRC_AT: usize = 48;
const MAGIC: [u8; 8] = *b"WEIRFLIT";
const VERSION: u32 = 1;
/// How far a damaged record is looked past for one that tells where it is.
const PROBES: u64 = 64;
/// In how many of the first places there is a whole record, unless the ring is empty.
const FIRST_PROBES: u64 = 4096;

/// What the header of a ring says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of the ledger under whose secret names were hashed.
    pub identity: u128,
    /// The wall clock when the limit table's time was nought.
    pub epoch_base: UnixNanos,
    /// Records the ring holds.
    pub capacity: u64,
}

/// Why a file is no ring that this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    #[error("is not a flight recorder's ring")]
    NotARing,
    #[error("has format version {0}, this weir reads version {VERSION}")]
    OtherVersion(u32),
    #[error("lays out its records differently; use the weir that wrote it")]
    OtherLayout,
    #[error("has a damaged header")]
    Damaged,
    #[error("is not as long as its header promises")]
    WrongSize,
}

impl Header {
    fn encode(&self) -> [u8; COPY_BYTES] {
        let mut bytes = [0; COPY_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &layout().to_le_bytes());
        put(16, &self.identity.to_le_bytes());
        put(32, &self.epoch_base.0.to_le_bytes());
        put(40, &self.capacity.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; COPY_BYTES]) -> Result<Self, HeaderFault> {
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::NotARing);
        }
        // Before the checksum: another version may keep it elsewhere.
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
        Ok(Self {
            identity: u128::from_le_bytes(field(bytes, 16)),
            epoch_base: UnixNanos(u64::from_le_bytes(field(bytes, 32))),
            capacity: u64::from_le_bytes(field(bytes, 40)),
        })
    }

    /// The header of a ring, by either copy.
    pub(super) fn read(file: &File) -> io::Result<Result<Self, HeaderFault>> {
        let mut found = Err(HeaderFault::NotARing);
        for at in COPIES_AT {
            let mut copy = [0; COPY_BYTES];
            found = match file.read_exact_at(&mut copy, at) {
                Ok(()) => Self::decode(&copy),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => found,
                Err(error) => return Err(error),
            };
            if found.is_ok() {
                break;
            }
        }
        let bytes = file.metadata()?.len();
        Ok(found.and_then(|header| {
            let promised = header.capacity.checked_mul(RECORD_BYTES as u64);
            let promised = promised.and_then(|records| records.checked_add(PAGE_BYTES));
            let whole = promised == Some(bytes) && header.capacity > 0;
            whole.then_some(header).ok_or(HeaderFault::WrongSize)
        }))
    }
}

/// How many records a file of so many bytes holds.
pub(super) const fn capacity_of(bytes: u64) -> u64 {
    bytes.saturating_sub(PAGE_BYTES) / RECORD_BYTES as u64
}

/// The place and the number of the newest record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) place: u64,
    pub(super) sequence: u32,
}

/// Where the newest record is; `None` in an empty ring. Reads the first records and a few others.
pub(super) fn find_newest(file: &File, capacity: u64) -> io::Result<Option<Newest>> {
    let number = |place: u64| -> io::Result<Option<u32>> {
        let mut bytes = [0; RECORD_BYTES];
        file.read_exact_at(&mut bytes, PAGE_BYTES + place * RECORD_BYTES as u64)?;
        Ok(Record::decode(&bytes).map(|(_, sequence)| sequence))
    };
    let first = find_first(file, capacity)?;
    let Some((first, base)) = first else { return Ok(None) };
    let base = base.wrapping_sub(low(first));
    // Of the records `low..high`, `low` is of the newest round, and `high` is not or is the end.
    let (mut known, mut end) = (first, capacity);
    while end - known > 1 {
        let middle = known + (end - known) / 2;
        let mut seen = None;
        for place in middle..end.min(middle + PROBES) {
            seen = number(place)?.map(|sequence| (place, sequence));
            if seen.is_some() {
                break;
            }
        }
        match seen {
            Some((place, sequence)) if sequence == base.wrapping_add(low(place)) => known = place,
            _ => end = middle,
        }
    }
    Ok(Some(Newest { place: known, sequence: base.wrapping_add(low(known)) }))
}

/// The first whole record's place and number.
fn find_first(file: &File, capacity: u64) -> io::Result<Option<(u64, u32)>> {
    let places = usize::try_from(capacity.min(FIRST_PROBES)).map_err(io::Error::other)?;
    let mut bytes = vec![0; places * RECORD_BYTES];
    file.read_exact_at(&mut bytes, PAGE_BYTES)?;
    let numbers = bytes.chunks_exact(RECORD_BYTES).map(|bytes| Record::decode(&field(bytes, 0)));
    let mut places = (0..).zip(numbers);
    Ok(places.find_map(|(place, found)| found.map(|(_, sequence)| (place, sequence))))
}

/// Numbers are modulo 2^32.
pub(super) fn low(place: u64) -> u32 {
    u32::try_from(place & u64::from(u32::MAX)).unwrap_or(0)
}

/// A ring that is written.
pub(super) struct RingFile {
    path: PathBuf,
    file: File,
    capacity: u64,
    /// Where the next record goes, and its number.
    next: u64,
    sequence: u32,
    sealed: Vec<u8>,
}

impl RingFile {
    /// The ring at `path`, made anew where it is missing or no ring of this ledger: what stood there
    /// is then set aside under another name, and `told` hears of it. Where only the size is another,
    /// the newest records are kept.
    pub(super) fn open(path: &Path, header: &Header, told: &mut Vec<String>) -> io::Result<Self> {
        let file = match private().open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::create(path, header, |_| Ok(()));
            }
            Err(error) => return Err(error),
        };
        let found = Header::read(&file)?;
        match found {
            Ok(found) if found == *header => Self::adopt(path, file, header.capacity),
            Ok(found) if Header { capacity: header.capacity, ..found } == *header => {
                Self::create(path, header, |ring| ring.keep(path, header.capacity))
            }
            other => {
                let aside = path.with_extension("old");
                fs::rename(path, &aside)?;
                let reason = match other {
                    Ok(_) => "belongs to another ledger".to_owned(),
                    Err(fault) => fault.to_string(),
                };
                let (path_shown, aside) = (path.display(), aside.display());
                told.push(format!("{path_shown} {reason}; it is now {aside}"));
                Self::create(path, header, |_| Ok(()))
            }
        }
    }

    fn adopt(path: &Path, file: File, capacity: u64) -> io::Result<Self> {
        let (next, sequence) = match find_newest(&file, capacity)? {
            Some(newest) => ((newest.place + 1) % capacity, newest.sequence.wrapping_add(1)),
            None => (0, 0),
        };
        Ok(Self { path: path.to_owned(), file, capacity, next, sequence, sealed: Vec::new() })
    }

    /// Whole under another name first: what has the final name is never half made.
    fn create(
        path: &Path,
        header: &Header,
        fill: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<Self> {
        let draft = path.with_extension("new");
        let made = Self::create_draft(&draft, header).and_then(|mut ring| {
            fill(&mut ring)?;
            ring.file.sync_all()?;
            fs::rename(&draft, path)?;
            path.clone_into(&mut ring.path);
            Ok(ring)
        });
        if made.is_err() {
            // The first error is the one to tell; a draft that stays is replaced next time.
            let _ = fs::remove_file(&draft);
        }
        made
    }

    fn create_draft(draft: &Path, header: &Header) -> io::Result<Self> {
        let file = private().create(true).truncate(true).open(draft)?;
        reserve(&file, PAGE_BYTES + header.capacity * RECORD_BYTES as u64)?;
        for at in COPIES_AT {
            file.write_all_at(&header.encode(), at)?;
        }
        Self::adopt(draft, file, header.capacity)
    }

    /// Takes over the newest `most` records of the ring at `path`.
    fn keep(&mut self, path: &Path, most: u64) -> io::Result<()> {
        let mut old = RingReader::open(path).map_err(io::Error::other)?;
        old.skip_to_newest(most);
        while let Some(record) = old.next_record()? {
            self.append(&[record.words()])?;
        }
        Ok(())
    }

    /// Writes records behind the newest. On an error some of them may be lost; the ring goes on.
    pub(super) fn append(&mut self, records: &[Words]) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut rest = records;
        while !rest.is_empty() {
            let room = usize::try_from(self.capacity - self.next).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(rest.len().min(room));
            self.sealed.clear();
            for words in now {
                self.sealed.extend_from_slice(&seal(words, self.sequence));
                self.sequence = self.sequence.wrapping_add(1);
            }
            let at = PAGE_BYTES + self.next * RECORD_BYTES as u64;
            outcome = outcome.and(self.file.write_all_at(&self.sealed, at));
            self.next = (self.next + now.len() as u64) % self.capacity;
            rest = later;
        }
        outcome
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}
