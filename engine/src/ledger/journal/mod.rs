//! The journal: what must survive a loss of power before it is acknowledged.
//!
//! A folder of segments, `00000001.log` and so on, in the format of [`weir_protocol::journal`].
//! Records that come together are written as one group and synced once; then each is applied to the
//! [`State`], by the same function as when they are read again.
//!
//! Invariants:
//! - a record is acknowledged after a successful sync of a file in which nothing ever failed;
//! - a process appends to segments only that it made itself, and begins with a snapshot: what an
//!   earlier one wrote and may have failed to sync is believed as far as it can be read, but
//!   nothing acknowledged rests on it;
//! - after a failed write or sync the segment is closed for ever, and the next append begins with a
//!   snapshot in a new one. What failed was not acknowledged; it may still be found after a crash;
//! - a segment has its final name once it is whole and synced, and replaces others only after the
//!   disk has that name;
//! - reading changes nothing: a journal that cannot be trusted is refused and left as it is.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use weir_protocol::journal::{HEADER_BYTES, Kind, Place, Position, Record, append};

use super::disk::Folder;
use crate::runtime::Instant;

mod error;
mod handle;
mod metrics;
mod recover;
mod segment;
mod state;
mod tools;

#[cfg(test)]
mod tests;

pub use error::{AppendError, JournalError};
pub use handle::{Append, JournalHandle, Task};
pub use metrics::JournalMetrics;
pub use recover::{Repair, Report};
use recover::{Row, read_row};
use segment::{Draft, Segment};
pub use state::State;
pub use tools::{backup, compact, dump, repair, verify};

/// The journal's folder in the ledger's.
const FOLDER: &str = "journal";

/// The largest group that is waited for together: it delays the first one in it.
const GROUP_BYTES_MAX: u64 = 1 << 20;

/// How large a journal may become, and whose time it takes.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The length of a segment, which is allocated when it is made. One that begins with a snapshot
    /// is longer by that.
    pub segment_bytes: u64,
    /// With more segments than these a snapshot takes their place.
    pub segments_max: usize,
    /// For the latency of syncs.
    pub clock: fn() -> Instant,
}

impl Options {
    /// 4 MiB for each of at most eight segments.
    #[must_use]
    pub const fn new(clock: fn() -> Instant) -> Self {
        Self { segment_bytes: 4 << 20, segments_max: 8, clock }
    }

    /// What fits an empty segment, and does not wait for long.
    fn group_bytes_max(&self) -> u64 {
        self.segment_bytes.saturating_sub(HEADER_BYTES as u64).min(GROUP_BYTES_MAX)
    }
}

/// What its handles see of a journal.
#[derive(Debug, Default)]
struct Shared {
    /// Written by the ledger's thread, read by the control plane; no shard takes it.
    state: RwLock<State>,
    metrics: JournalMetrics,
}

impl Shared {
    /// What it guards stays whole if a reader panicked.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An open journal.
pub struct Journal {
    folder: Arc<dyn Folder>,
    options: Options,
    identity: [u8; 16],
    shared: Arc<Shared>,
    /// Where the next record goes.
    next: Position,
    /// The segment that this process writes to; none before its first append, and after a failure.
    active: Option<Segment>,
    /// The highest number that a segment may have.
    newest: u64,
    /// How many segments would be read.
    segments: usize,
    /// Files that the next snapshot replaces, or that an earlier one has.
    replaced: Vec<String>,
    /// Files that cannot be read, which the next snapshot sets aside.
    damaged: Vec<String>,
    report: Report,
    open: bool,
}

impl Journal {
    /// Opens the journal in a ledger's folder. A new one gets the identity `fresh`, an existing one
    /// keeps its own.
    ///
    /// # Errors
    /// Any [`JournalError`]; with [`Repair::No`] those of a journal that was damaged as well.
    pub fn open(
        ledger: &dyn Folder,
        fresh: [u8; 16],
        options: Options,
        repair: Repair,
    ) -> Result<Self, JournalError> {
        let failed = |source| JournalError::io("create", ledger.path().join(FOLDER), source);
        let folder = ledger.folder(FOLDER).map_err(failed)?;
        ledger.sync().map_err(failed)?;
        let mut journal = Self {
            folder,
            options,
            identity: fresh,
            shared: Arc::default(),
            next: Position::START,
            active: None,
            newest: 0,
            segments: 0,
            replaced: Vec::new(),
            damaged: Vec::new(),
            report: Report::default(),
            open: false,
        };
        journal.read(repair)?;
        Ok(journal)
    }

    fn read(&mut self, repair: Repair) -> Result<(), JournalError> {
        let row = read_row(&*self.folder, repair, &mut |_| Ok(()))?;
        let Row { state, next, identity, newest, mut names, mut superseded, damaged, report } = row;
        self.shared.change(|shared| *shared = state);
        (self.next, self.newest, self.report) = (next, newest, report);
        self.identity = identity.unwrap_or(self.identity);
        self.segments = names.len();
        names.append(&mut superseded);
        (self.replaced, self.damaged, self.active, self.open) = (names, damaged, None, true);
        self.shared.metrics.segments.set(self.segments as u64);
        Ok(())
    }

    /// What was found when it was opened.
    #[must_use]
    pub const fn report(&self) -> Report {
        self.report
    }

    /// The ledger's, which all segments have.
    #[must_use]
    pub const fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path()
    }

    /// Looks at what the records add up to.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes records as one group, and waits until the disk has them. Returns the number of the
    /// first.
    ///
    /// # Errors
    /// Any [`AppendError`]: none of them was acknowledged, and none is in the state.
    pub fn append(&mut self, records: &[&Record]) -> Result<u64, AppendError> {
        if !self.open {
            return Err(AppendError::Closed);
        }
        let written = self.append_group(records);
        let metrics = &self.shared.metrics;
        match &written {
            Ok(_) => metrics.records.add(records.len() as u64),
            Err(_) => metrics.failures.increment(),
        }
        written
    }

    fn append_group(&mut self, records: &[&Record]) -> Result<u64, AppendError> {
        let start = self.next;
        let (mut bytes, mut next) = encode(records, start)?;
        if bytes.len() as u64 > self.options.group_bytes_max() {
            return Err(AppendError::TooLarge(bytes.len() as u64));
        }
        let mut segment = self.take_segment(bytes.len() as u64)?;
        if self.next != start {
            // A snapshot came in between. It changes no record's length.
            (bytes, next) = encode(records, self.next)?;
        }
        let first = self.next.sequence;
        let begin = (self.options.clock)();
        segment.append(&bytes).map_err(|error| {
            AppendError::of(&JournalError::io("write", self.path().join(segment.name()), error))
        })?;
        let metrics = &self.shared.metrics;
        metrics.synced(bytes.len(), (self.options.clock)().since(begin));
        self.active = Some(segment);
        self.next = next;
        self.shared.change(|state| records.iter().for_each(|record| state.apply(record)));
        Ok(first)
    }

    /// The segment for a group of so many bytes. It is put back when the group is safe in it.
    fn take_segment(&mut self, bytes: u64) -> Result<Segment, AppendError> {
        let fits = self.active.as_ref().is_some_and(|segment| segment.room() >= bytes);
        if !fits {
            let begun = match self.active.is_some() && self.segments < self.options.segments_max {
                true => self.roll_over(),
                false => self.compact(),
            };
            begun.map_err(|error| AppendError::of(&error))?;
        }
        self.active.take().ok_or(AppendError::Closed)
    }

    /// Goes on in a new segment; the ones before it stay.
    fn roll_over(&mut self) -> Result<(), JournalError> {
        let segment = self.begin(Kind::Continuation, &[], self.next)?;
        self.replaced.push(segment.name());
        self.segments += 1;
        self.active = Some(segment);
        self.shared.metrics.segments.set(self.segments as u64);
        Ok(())
    }

    /// Puts a snapshot of the state in the place of all segments.
    ///
    /// # Errors
    /// Any [`JournalError`]. Nothing is lost then, and the next append tries again if it has to.
    pub fn compact(&mut self) -> Result<(), JournalError> {
        if !self.open {
            return Err(JournalError::Closed { path: self.path() });
        }
        let records = self.shared.change(|state| {
            state.forget_expired();
            state.snapshot()
        });
        let (bytes, next) = encode(&records.iter().collect::<Vec<_>>(), self.next)
            .map_err(|error| JournalError::Snapshot { reason: error.to_string() })?;
        let segment = self.begin(Kind::Snapshot, &bytes, self.next)?;
        self.next = next;
        let replaced = std::mem::replace(&mut self.replaced, vec![segment.name()]);
        (self.segments, self.active) = (1, Some(segment));
        self.shared.metrics.segments.set(1);
        self.clear_away(replaced);
        Ok(())
    }

    /// A new segment under its final name, which the disk has.
    fn begin(
        &mut self,
        kind: Kind,
        first: &[u8],
        start: Position,
    ) -> Result<Segment, JournalError> {
        self.newest += 1;
        let bytes = self.options.segment_bytes + first.len() as u64;
        let draft = Draft { kind, identity: self.identity, number: self.newest, start, bytes };
        let began = (self.options.clock)();
        // Until here the old segment goes on if this fails.
        let drafted = draft.write(&*self.folder, first)?;
        // From here on it does not: a crash may find either.
        self.active = None;
        self.replaced.push(drafted.name());
        let segment = drafted.publish(&*self.folder)?;
        self.replaced.pop();
        let written = first.len() + HEADER_BYTES;
        self.shared.metrics.synced(written, (self.options.clock)().since(began));
        Ok(segment)
    }

    /// What cannot be removed now is tried again with the next snapshot; until then it takes up
    /// room and nothing else.
    fn clear_away(&mut self, replaced: Vec<String>) {
        for name in std::mem::take(&mut self.damaged) {
            if self.folder.rename(&name, &format!("{name}.damaged")).is_err() {
                self.damaged.push(name);
            }
        }
        for name in replaced {
            match self.folder.remove(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => self.replaced.push(name),
                _ => {}
            }
        }
        // A name that comes back after a crash is that of a segment before the snapshot.
        let _ = self.folder.sync();
    }

    /// Lets go of the files, for another process. What is appended from now on is refused.
    pub fn close(&mut self) {
        (self.active, self.open) = (None, false);
    }

    /// Goes on after [`Journal::close`], with what another process may have written meanwhile.
    ///
    /// # Errors
    /// Any [`JournalError`]; then it stays closed.
    pub fn reopen(&mut self) -> Result<(), JournalError> {
        self.read(Repair::No)
    }
}

/// The records' frames as one group that stands at `position`, and where the next one would.
fn encode(records: &[&Record], position: Position) -> Result<(Vec<u8>, Position), AppendError> {
    let (mut bytes, mut next, mut place) = (Vec::new(), position, Place::First);
    for record in records {
        append(&mut bytes, &mut next, record, place)?;
        place = Place::Later;
    }
    Ok((bytes, next))
}
