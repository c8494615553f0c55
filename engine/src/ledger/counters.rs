//! The file `counters`: a page with the header, then the blocks of slots and those of names, each
//! with its two places. All of it goes through [`DiskFile`], so that it runs on a disk that fails.

use std::io;
use std::path::{Path, PathBuf};

use super::block::{
    self, BLOCK_LINES, BODY_BYTES, Body, Found, Label, Place, RECORD_BYTES, Record,
};
use super::disk::{DiskFile, Folder};
use super::header::{Chosen, Header, HeaderFault, PAGE_BYTES};
use super::{Identity, LedgerError};
use crate::slots::GROUP_SLOTS;

pub(super) const NAME: &str = "counters";
/// What is not whole yet.
const DRAFT: &str = "counters.new";

pub(super) struct Counters {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

/// The newest copy of a block, and what was wrong with its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    /// `None`: there is none, or none that can be trusted.
    pub(super) label: Option<Label>,
    /// A place holds what it should not, so that an older copy, or none, was used.
    pub(super) damaged: bool,
}

impl Counters {
    /// Makes `counters` whole under another name first: what has the final name is never half made.
    pub(super) fn create(folder: &dyn Folder, header: &Header) -> Result<Self, LedgerError> {
        let path = folder.path().join(NAME);
        let slots = usize::try_from(header.slots).unwrap_or(usize::MAX);
        let bytes = file_bytes(slots).ok_or(LedgerError::Slots { slots })?;
        let made = create_draft(folder, bytes, header).and_then(|()| {
            let placed = folder.rename(DRAFT, NAME).and_then(|()| folder.sync());
            let opened = placed.and_then(|()| folder.open(NAME));
            opened.map_err(|source| LedgerError::io("create", &path, source))
        });
        if made.is_err() {
            // The first error is the one to tell; a draft that stays is replaced next time.
            let _ = folder.remove(DRAFT);
        }
        Ok(Self { file: made?, path })
    }

    /// `None` when there is no such file.
    pub(super) fn open(folder: &dyn Folder) -> Result<Option<Self>, LedgerError> {
        let path = folder.path().join(NAME);
        match folder.open(NAME) {
            Ok(file) => Ok(Some(Self { path, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LedgerError::io("open", &path, source)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read_header(&self) -> Result<Chosen, LedgerError> {
        let mut page = [0; PAGE_BYTES];
        // A file cut short reads as zeros.
        self.file.read_at(&mut page, 0).map_err(|source| self.failed("read", source))?;
        let path = || self.path.clone();
        Header::choose(&page).map_err(|fault| match fault {
            HeaderFault::NotALedger => LedgerError::NotALedger { path: path() },
            HeaderFault::OtherVersion(found) => LedgerError::OtherVersion { path: path(), found },
            HeaderFault::OtherLayout => LedgerError::OtherLayout { path: path() },
            HeaderFault::Damaged => LedgerError::Damaged { path: path() },
        })
    }

    /// Refuses a file that is not as long as its header says.
    pub(super) fn check_size(&self, header: &Header) -> Result<(), LedgerError> {
        let found = self.file.size().map_err(|source| self.failed("look at", source))?;
        let path = self.path.clone();
        match usize::try_from(header.slots).ok().and_then(file_bytes) {
            None => Err(LedgerError::Damaged { path }),
            Some(expected) if found != expected => {
                Err(LedgerError::WrongSize { path, found, expected })
            }
            Some(_) => Ok(()),
        }
    }

    /// Refuses a ledger that is not as large as configured.
    pub(super) fn check_slots(&self, header: &Header, slots: usize) -> Result<(), LedgerError> {
        if header.slots == slots as u64 {
            return Ok(());
        }
        let path = self.path.clone();
        Err(LedgerError::OtherSlots { path, found: header.slots, configured: slots })
    }

    /// Writes a copy of the header, which the next [`Counters::sync`] brings to the disk.
    pub(super) fn write_header(&self, header: &Header) -> Result<(), LedgerError> {
        let written = self.file.write_at(&header.encode(), header.copy_at() as u64);
        written.map_err(|source| self.failed("write", source))
    }

    /// Waits until the disk has what was written.
    pub(super) fn sync(&self) -> Result<(), LedgerError> {
        self.file.sync().map_err(|source| self.failed("sync", source))
    }

    pub(super) fn write_block(
        &self,
        identity: &Identity,
        label: Label,
        body: &Body,
    ) -> Result<(), LedgerError> {
        let record = block::encode(identity, label, body);
        self.write_record(label.block, label.place(), &record)
    }

    /// Puts a record where it was in another file.
    pub(super) fn write_record(
        &self,
        block: u64,
        place: Place,
        record: &Record,
    ) -> Result<(), LedgerError> {
        let written = self.file.write_at(record, record_at(block, place));
        written.map_err(|source| self.failed("write", source))
    }

    /// The newest copy of a block that can be trusted, in `body`: zeros when there is none.
    pub(super) fn read_block(
        &self,
        identity: &Identity,
        block: u64,
        body: &mut Body,
    ) -> Result<Newest, LedgerError> {
        let mut records = [[0; RECORD_BYTES]; 2];
        let mut found = [Found::Empty; 2];
        for ((place, record), found) in Place::BOTH.into_iter().zip(&mut records).zip(&mut found) {
            *found = self.read_place(identity, block, place, record)?;
        }
        let (newest, record) = choose(found);
        match record {
            Some(at) => body.copy_from_slice(&records[at][..BODY_BYTES]),
            None => body.fill(0),
        }
        Ok(newest)
    }

    /// What stands in one place of a block.
    pub(super) fn read_place(
        &self,
        identity: &Identity,
        block: u64,
        place: Place,
        record: &mut Record,
    ) -> Result<Found, LedgerError> {
        let read = self.file.read_at(record, record_at(block, place));
        let read = read.map_err(|source| self.failed("read", source))?;
        // A file that was cut short while in use.
        record[read..].fill(0);
        Ok(block::decode(identity, block, place, record))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> LedgerError {
        LedgerError::io(action, &self.path, source)
    }
}

/// What two places say together, and which of them has the copy that holds.
fn choose(found: [Found; 2]) -> (Newest, Option<usize>) {
    let whole = |label, damaged, at| (Newest { label: Some(label), damaged }, Some(at));
    match found {
        [Found::Whole(first), Found::Whole(second)] => {
            // Revisions follow on each other; anything else was not written by a copier.
            let damaged = first.revision.abs_diff(second.revision) != 1;
            if first.revision > second.revision {
                whole(first, damaged, 0)
            } else {
                whole(second, damaged, 1)
            }
        }
        // The first revision has none before it.
        [Found::Empty, Found::Whole(label)] if label.revision == 1 => whole(label, false, 1),
        [Found::Whole(label), _] => whole(label, true, 0),
        [_, Found::Whole(label)] => whole(label, true, 1),
        [Found::Empty, Found::Empty] => (Newest { label: None, damaged: false }, None),
        _ => (Newest { label: None, damaged: true }, None),
    }
}

fn create_draft(folder: &dyn Folder, bytes: u64, header: &Header) -> Result<(), LedgerError> {
    let path = folder.path().join(DRAFT);
    let failed = |source| LedgerError::io("create", &path, source);
    let file = folder.create(DRAFT).map_err(failed)?;
    // All of it now: copies must not find a full disk.
    file.allocate(bytes).map_err(|source| LedgerError::NoRoom {
        path: path.clone(),
        bytes,
        source,
    })?;
    let written = file.write_at(&header.encode(), header.copy_at() as u64);
    written.and_then(|()| file.sync()).map_err(failed)
}

/// How many blocks the slots make, and their names as many again.
pub(super) const fn slot_blocks(slots: usize) -> u64 {
    slots.div_ceil(BLOCK_LINES) as u64
}

/// The size of `counters`; `None` unless the slots make a power of two of groups that fits memory.
pub(super) fn file_bytes(slots: usize) -> Option<u64> {
    if !slots.is_power_of_two() || slots < GROUP_SLOTS {
        return None;
    }
    let places = slot_blocks(slots).checked_mul(2 * Place::BOTH.len() as u64)?;
    let bytes = places.checked_mul(RECORD_BYTES as u64)?.checked_add(PAGE_BYTES as u64)?;
    i64::try_from(bytes).ok().map(i64::unsigned_abs)
}

const fn record_at(block: u64, place: Place) -> u64 {
    let place = match place {
        Place::First => 0,
        Place::Second => 1,
    };
    PAGE_BYTES as u64 + (block * 2 + place) * RECORD_BYTES as u64
}
