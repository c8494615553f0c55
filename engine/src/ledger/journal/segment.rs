//! A segment's file: its name, how it is made, how it grows.

use std::io;

use weir_protocol::journal::{HEADER_BYTES, Header, Kind, Position};

use super::error::JournalError;
use crate::ledger::disk::{DiskFile, Folder};

/// What a segment has as its name.
pub(super) fn name_of(number: u64) -> String {
    format!("{number:08}.log")
}

/// The number of the segment of that name; `None` when it is none.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".log")?.parse().ok()?;
    (name == name_of(number)).then_some(number)
}

/// What a segment is called until it is whole.
fn draft_of(number: u64) -> String {
    format!("{number:08}.new")
}

/// Whether that is the name of a segment that was not finished.
pub(super) fn is_draft(name: &str) -> bool {
    let number = name.strip_suffix(".new").and_then(|number| number.parse().ok());
    number.is_some_and(|number| name == draft_of(number))
}

/// A segment to be made.
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) identity: [u8; 16],
    pub(super) number: u64,
    pub(super) start: Position,
    /// Its length, the header among it.
    pub(super) bytes: u64,
}

impl Draft {
    /// Allocates the segment, writes `first` after its header and syncs it.
    pub(super) fn write(self, folder: &dyn Folder, first: &[u8]) -> Result<Drafted, JournalError> {
        let name = draft_of(self.number);
        match self.write_file(folder, &name, first) {
            Ok(file) => {
                let at = (HEADER_BYTES + first.len()) as u64;
                Ok(Drafted(Segment { file, number: self.number, at, bytes: self.bytes }))
            }
            Err(source) => {
                // The first error is the one to tell; a draft that stays is removed later.
                let _ = folder.remove(&name);
                Err(JournalError::io("create", folder.path().join(&name), source))
            }
        }
    }

    fn write_file(
        &self,
        folder: &dyn Folder,
        name: &str,
        first: &[u8],
    ) -> io::Result<Box<dyn DiskFile>> {
        let Self { kind, identity, number, start, bytes } = *self;
        let header = Header { kind, identity, number, start, bytes };
        let file = folder.create(name)?;
        file.allocate(bytes)?;
        file.write_at(&[&header.encode(), first].concat(), 0)?;
        file.sync()?;
        Ok(file)
    }
}

/// A whole segment that nobody would find yet.
pub(super) struct Drafted(Segment);

impl Drafted {
    /// The name that it is to have.
    pub(super) fn name(&self) -> String {
        self.0.name()
    }

    /// Gives it its name. After an error a crash may find it or not.
    pub(super) fn publish(self, folder: &dyn Folder) -> Result<Segment, JournalError> {
        let name = self.name();
        let named = folder.rename(&draft_of(self.0.number), &name).and_then(|()| folder.sync());
        match named {
            Ok(()) => Ok(self.0),
            Err(source) => Err(JournalError::io("create", folder.path().join(name), source)),
        }
    }
}

/// A segment that this process made, and in which nothing failed.
pub(super) struct Segment {
    file: Box<dyn DiskFile>,
    number: u64,
    /// Where the next group goes.
    at: u64,
    bytes: u64,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        name_of(self.number)
    }

    /// How many bytes of records still fit.
    pub(super) const fn room(&self) -> u64 {
        self.bytes - self.at
    }

    /// Writes a group that fits, and waits until the disk has it. After an error the segment is of
    /// no more use.
    pub(super) fn append(&mut self, group: &[u8]) -> io::Result<()> {
        self.file.write_at(group, self.at)?;
        self.file.sync()?;
        self.at += group.len() as u64;
        Ok(())
    }
}
