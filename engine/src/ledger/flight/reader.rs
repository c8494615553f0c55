//! Reads a ring from its oldest record to its newest, also while an engine writes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{RECORD_BYTES, Record};
use super::ring::{Header, HeaderFault, Newest, PAGE_BYTES, find_newest, low};

/// Records that are read at once: 256 KiB.
const CHUNK_RECORDS: u64 = 4096;

/// Why a ring cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} {fault}", path.display())]
    Header { path: PathBuf, fault: HeaderFault },
}

/// What was found besides records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Their checksum is wrong, or they are older than their neighbours.
    pub damaged: u64,
    /// Their place got a newer one since the reading began.
    pub overwritten: u64,
}

/// A ring that is read once.
pub struct RingReader {
    path: PathBuf,
    file: File,
    header: Header,
    /// `None` in an empty ring.
    newest: Option<Newest>,
    /// How many places have been read, from the one behind the newest record on.
    read: u64,
    chunk: Vec<u8>,
    /// Of the next record in the chunk.
    at: usize,
    skipped: Skipped,
}

impl RingReader {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let header = Header::read(&file).map_err(failed)?;
        let header = header.map_err(|fault| ReadError::Header { path: path.to_owned(), fault })?;
        let newest = find_newest(&file, header.capacity).map_err(failed)?;
        let (chunk, skipped) = Default::default();
        Ok(Self { path: path.to_owned(), file, header, newest, read: 0, chunk, at: 0, skipped })
    }

    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What has been skipped so far.
    pub const fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// How many records there are at most.
    pub fn records_max(&self) -> u64 {
        if self.newest.is_some() { self.header.capacity } else { 0 }
    }

    /// Leaves out all but the newest `most` places. Before the first record is asked for.
    pub(super) fn skip_to_newest(&mut self, most: u64) {
        self.read = self.header.capacity.saturating_sub(most);
    }

    /// The next record; `None` after the newest.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        let Some(newest) = self.newest else { return Ok(None) };
        loop {
            if self.at == self.chunk.len() && !self.fill(newest)? {
                return Ok(None);
            }
            let mut bytes = [0; RECORD_BYTES];
            bytes.copy_from_slice(&self.chunk[self.at..self.at + RECORD_BYTES]);
            self.at += RECORD_BYTES;
            // The newest is the last of them, the one before it has a number one lower, and so on.
            let left = (self.chunk.len() - self.at) / RECORD_BYTES;
            let behind = self.header.capacity - self.read + left as u64;
            let expected = newest.sequence.wrapping_sub(low(behind));
            match Record::decode(&bytes) {
                Some((record, sequence)) if sequence == expected => return Ok(Some(record)),
                Some((_, sequence)) if sequence.wrapping_sub(expected) < 1 << 31 => {
                    self.skipped.overwritten += 1;
                }
                None if bytes == [0; RECORD_BYTES] => {}
                _ => self.skipped.damaged += 1,
            }
        }
    }

    /// Reads on; `false` at the end.
    fn fill(&mut self, newest: Newest) -> io::Result<bool> {
        let capacity = self.header.capacity;
        if self.read == capacity {
            return Ok(false);
        }
        let place = (newest.place + 1 + self.read) % capacity;
        let records = CHUNK_RECORDS.min(capacity - self.read).min(capacity - place);
        let bytes = usize::try_from(records).map_err(io::Error::other)? * RECORD_BYTES;
        self.chunk.resize(bytes, 0);
        self.at = 0;
        let from = PAGE_BYTES + place * RECORD_BYTES as u64;
        self.file.read_exact_at(&mut self.chunk, from)?;
        self.read += records;
        Ok(true)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}
