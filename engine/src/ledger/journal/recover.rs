//! Reading the segments of a journal, as far as they can be trusted.

use weir_protocol::journal::{
    Entry, HEADER_BYTES, Header, HeaderFault, Kind, Position, Scan, Verdict, scan,
};

use super::error::JournalError;
use super::segment::{is_draft, number_of};
use super::state::State;
use crate::ledger::disk::{Folder, read_all};

/// What to do with a journal that was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Refuse it.
    No,
    /// Keep what comes before the damage, and give up the rest.
    Yes,
}

/// What was found in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    pub segments: usize,
    /// Records read, those of a snapshot among them.
    pub records: u64,
    /// The number of the last one; nought when there is none.
    pub last: u64,
    /// Bytes of the last group that broke off: it was not acknowledged, or was damaged later.
    pub torn_bytes: u64,
    /// Segments that were given up, whole or in part, to repair the journal.
    pub damaged: usize,
}

/// What the segments of a journal add up to.
pub(super) struct Row {
    pub(super) state: State,
    pub(super) next: Position,
    pub(super) identity: Option<[u8; 16]>,
    /// The highest number of any.
    pub(super) newest: u64,
    /// Those that were read.
    pub(super) names: Vec<String>,
    /// Files that a later snapshot replaces, or that were never finished.
    pub(super) superseded: Vec<String>,
    /// Segments with what was given up.
    pub(super) damaged: Vec<String>,
    pub(super) report: Report,
}

/// What is told of each record while it is read. An error ends the reading.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&Entry) -> Result<(), JournalError>;

/// Reads from the newest snapshot on.
pub(super) fn read_row(
    folder: &dyn Folder,
    repair: Repair,
    tell: Tell<'_>,
) -> Result<Row, JournalError> {
    let names = folder.list().map_err(|e| JournalError::io("list", folder.path(), e))?;
    let mut superseded: Vec<String> = names.iter().filter(|n| is_draft(n)).cloned().collect();
    let mut found = Vec::new();
    for name in names {
        if let Some(number) = number_of(&name) {
            let header = read_header(folder, &name)?;
            found.push(Found { name, number, header });
        }
    }
    found.sort_unstable_by_key(|found| found.number);
    let newest = found.last().map_or(0, |found| found.number);
    let snapshot = found.iter().rposition(Found::is_snapshot).unwrap_or(0);
    superseded.extend(found.drain(..snapshot).map(|found| found.name));
    let mut reader = Reader {
        folder,
        tell,
        row: Row {
            state: State::default(),
            next: Position::START,
            identity: None,
            newest,
            names: Vec::new(),
            superseded,
            damaged: Vec::new(),
            report: Report::default(),
        },
    };
    reader.read_all(found, repair)?;
    let mut row = reader.row;
    row.report.segments = row.names.len();
    row.report.last = row.next.sequence - 1;
    row.report.damaged = row.damaged.len();
    Ok(row)
}

/// A segment by its name.
struct Found {
    name: String,
    number: u64,
    header: Result<Header, HeaderFault>,
}

impl Found {
    fn is_snapshot(&self) -> bool {
        self.header.is_ok_and(|header| header.kind == Kind::Snapshot)
    }
}

fn read_header(
    folder: &dyn Folder,
    name: &str,
) -> Result<Result<Header, HeaderFault>, JournalError> {
    let path = || folder.path().join(name);
    let mut bytes = [0; HEADER_BYTES];
    let read = folder.open(name).and_then(|file| file.read_at(&mut bytes, 0));
    let read = read.map_err(|source| JournalError::io("read", path(), source))?;
    match Header::decode(&bytes[..read]) {
        Err(fault @ HeaderFault::OtherVersion(_)) => {
            Err(JournalError::OtherVersion { path: path(), fault })
        }
        header => Ok(header),
    }
}

struct Reader<'a> {
    folder: &'a dyn Folder,
    tell: Tell<'a>,
    row: Row,
}

impl Reader<'_> {
    fn read_all(&mut self, found: Vec<Found>, repair: Repair) -> Result<(), JournalError> {
        let count = found.len();
        let mut rest = found.into_iter().enumerate();
        while let Some((at, segment)) = rest.next() {
            match self.read_segment(&segment, at == 0, at + 1 == count) {
                Err(JournalError::Damaged { .. }) if repair == Repair::Yes => {
                    self.row.damaged.push(segment.name);
                    self.row.damaged.extend(rest.map(|(_, segment)| segment.name));
                    return Ok(());
                }
                read => read?,
            }
            self.row.names.push(segment.name);
        }
        Ok(())
    }

    fn read_segment(
        &mut self,
        segment: &Found,
        is_first: bool,
        is_last: bool,
    ) -> Result<(), JournalError> {
        let path = self.folder.path().join(&segment.name);
        let damaged = |at: usize, reason: String| JournalError::Damaged {
            path: path.clone(),
            at: at as u64,
            reason,
        };
        let header = segment.header.map_err(|fault| damaged(0, fault.to_string()))?;
        let read = self.folder.open(&segment.name).and_then(|file| read_all(&*file));
        let bytes = read.map_err(|source| JournalError::io("read", path.clone(), source))?;
        let misplaced = self.misplaced(&header, segment.number, is_first, bytes.len());
        if let Some(reason) = misplaced {
            return Err(damaged(0, reason.to_owned()));
        }
        self.row.identity = Some(header.identity);
        let scan = scan(&bytes[HEADER_BYTES..], header.start);
        self.take_in(&scan)?;
        if let Verdict::Unknown { at } = scan.verdict {
            return Err(JournalError::LaterRecord { path, at: (HEADER_BYTES + at) as u64 });
        }
        if !self.row.state.is_whole() {
            return Err(damaged(HEADER_BYTES + scan.end, "its snapshot is not whole".to_owned()));
        }
        match scan.verdict {
            Verdict::Whole | Verdict::Unknown { .. } => Ok(()),
            Verdict::TornTail { at } if is_last => {
                let torn = bytes[HEADER_BYTES + at..].iter().rposition(|byte| *byte != 0);
                self.row.report.torn_bytes = torn.map_or(0, |last| last as u64 + 1);
                Ok(())
            }
            Verdict::TornTail { at } => {
                Err(damaged(HEADER_BYTES + at, "it breaks off, and another follows".to_owned()))
            }
            Verdict::Corrupt { at, good_after } => Err(damaged(
                HEADER_BYTES + at,
                format!(
                    "a record is bad or in the wrong place, and {good_after} after that are \
                         good"
                ),
            )),
        }
    }

    /// Why a segment cannot be the next one.
    fn misplaced(
        &self,
        header: &Header,
        number: u64,
        is_first: bool,
        bytes: usize,
    ) -> Option<&'static str> {
        let starts_anew = is_first && header.kind == Kind::Snapshot;
        if header.number != number {
            Some("it is another segment than its name says")
        } else if self.row.identity.is_some_and(|identity| identity != header.identity) {
            Some("it belongs to another ledger")
        } else if !starts_anew && header.start != self.row.next {
            Some("it does not go on where the one before it ends")
        } else if header.bytes != bytes as u64 {
            Some("it is not as long as its header says")
        } else {
            None
        }
    }

    fn take_in(&mut self, scan: &Scan) -> Result<(), JournalError> {
        for entry in &scan.entries {
            (self.tell)(entry)?;
            self.row.state.apply(&entry.record);
        }
        self.row.report.records += scan.entries.len() as u64;
        self.row.next = scan.next;
        Ok(())
    }
}
