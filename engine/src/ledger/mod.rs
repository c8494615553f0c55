//! What outlives the process: the counters, and the [`journal`].
//!
//! A ledger is a folder with a `lock` file, held by `flock` for as long as anything uses the
//! counters, and `counters`: checksummed copies of the [`SlotTable`]. The table itself, the live
//! one, is a map of a file on tmpfs, so that no shard ever waits for a disk; without room there, of
//! `counters.live` in the ledger's folder. The journal has a folder of its own.
//!
//! What it promises:
//! - `kill -9` loses nothing that was counted: the live table outlives the process. A slot that was
//!   changing hands at that moment is freed at the next opening.
//! - Power loss loses what was counted since the last round of copies that the disk acknowledged,
//!   and may keep an older count for one slot than for another, never half a slot.
//! - A torn or damaged copy is noticed and reported; the one before it is used, or none.
//!
//! Invariant: a ledger that cannot be trusted is refused and left as it is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::runtime::{Instant, UnixNanos};
use crate::slots::{Mapping, Recovered, SlotTable};

mod block;
mod copies;
mod copy;
mod counters;
pub mod disk;
mod error;
mod files;
pub mod flight;
mod header;
pub mod journal;
mod lines;
mod live;
pub mod offline;
mod opening;
mod room;
mod sigbus;
mod standing;
pub mod tools;

#[cfg(test)]
mod tests;

use copies::{Copies, SLICE_BLOCKS};
use copy::Acknowledged;
use counters::Counters;
use disk::RealFolder;
pub use error::LedgerError;
use journal::{Journal, JournalHandle, Task};
use live::Live;
pub use live::{LivePlace, LiveTable};
pub use opening::{Damage, Opening, Origin};
pub use room::copies_on_write;
pub use standing::Standing;

/// What a ledger is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A power of two; an existing ledger must have that many.
    pub slots: usize,
    pub live_table: LiveTable,
    /// A folder on tmpfs.
    pub shared_memory: PathBuf,
}

impl Settings {
    /// With the host's own shared memory.
    pub fn new(slots: usize, live_table: LiveTable) -> Self {
        Self { slots, live_table, shared_memory: PathBuf::from("/dev/shm") }
    }
}

/// An open ledger.
pub struct Ledger {
    dir: PathBuf,
    table: Arc<SlotTable>,
    mapping: Arc<Mapping>,
    live: Live,
    copies: Copies,
    standing: Arc<Standing>,
    opening: Opening,
    journal: Journal,
    round: Option<Pace>,
}

/// How the round under way goes on.
#[derive(Clone, Copy)]
struct Pace {
    began: Instant,
    /// Between two slices.
    gap: Duration,
}

/// What [`Ledger::work`] came to.
pub struct Work {
    /// When it wants to be called again.
    pub next: Instant,
    /// What is different from before.
    pub news: Option<News>,
}

/// A change of state, to be told once.
#[derive(Debug)]
pub enum News {
    /// Copies cannot be brought to the disk; they are tried again, from the live table.
    Failing(LedgerError),
    /// They can again.
    Recovered,
}

impl Ledger {
    /// Opens the ledger in `dir`, and creates what is missing. `wall` and `now` are the same
    /// moment.
    pub fn open(
        dir: &Path,
        settings: &Settings,
        wall: UnixNanos,
        now: Instant,
    ) -> Result<Self, LedgerError> {
        opening::check_slots(settings.slots)?;
        let folder = real_folder(dir)?;
        let lock = files::lock(dir)?;
        Self::open_locked(dir, &folder, settings, (wall, now), lock)
    }

    /// Whether [`Ledger::take_over`] would succeed now, as far as that can be told while another
    /// process uses the ledger. `lock` is that process's.
    pub fn check_successor(dir: &Path, slots: usize, lock: &File) -> Result<(), LedgerError> {
        opening::check_slots(slots)?;
        files::check_same_lock(dir, lock)?;
        let path = dir.join(counters::NAME);
        let counters =
            Counters::open(&real_folder(dir)?)?.ok_or(LedgerError::NotALedger { path })?;
        let header = counters.read_header()?.header;
        counters.check_size(&header)?;
        counters.check_slots(&header, slots)
    }

    /// Like [`Ledger::open`], with the lock that the last process held and still holds: no third
    /// one can come between. That process has called [`Ledger::release`].
    pub fn take_over(
        dir: &Path,
        settings: &Settings,
        wall: UnixNanos,
        now: Instant,
        lock: File,
    ) -> Result<Self, LedgerError> {
        files::check_same_lock(dir, &lock)?;
        files::name_holder(dir, &lock)?;
        Self::open_locked(dir, &real_folder(dir)?, settings, (wall, now), lock)
    }

    pub fn table(&self) -> Arc<SlotTable> {
        Arc::clone(&self.table)
    }

    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    pub fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    pub fn path(&self) -> &Path {
        self.copies.counters.path()
    }

    /// Where its flight recorder is.
    pub fn flight(&self) -> flight::Place<'_> {
        let header::Header { identity, epoch_base, .. } = self.copies.header;
        flight::Place::of(&self.dir, u128::from_be_bytes(identity), epoch_base)
    }

    /// A handle of the journal. `submit` brings tasks to where [`Ledger::serve_journal`] is called.
    pub fn journal(&self, submit: impl Fn(Task) + Send + Sync + 'static) -> JournalHandle {
        self.journal.handle(submit)
    }

    /// Does what was asked of the journal; blocks until the disk has it.
    pub fn serve_journal(&mut self, tasks: impl IntoIterator<Item = Task>) {
        self.journal.serve(tasks);
    }

    /// Does the next slice of the work of bringing counts to the disk. A round of slices begins so
    /// early that, if the disk takes as long as the last time, nothing stays off it for longer than
    /// [`Standing::interval`]. After a failure serving goes on, and the next round writes anew what
    /// is in doubt.
    pub fn work(&mut self, now: fn() -> Instant, wall: UnixNanos) -> Work {
        let pace = self.round.unwrap_or_else(|| self.begin(now()));
        self.round = Some(pace);
        match self.step(wall) {
            Ok(true) => return Work { next: after(now(), pace.gap), news: None },
            Ok(false) => {}
            Err(error) => return self.failed(pace, error),
        }
        let writing_since = now();
        match self.finish(wall) {
            Ok(acknowledged) => self.succeeded(pace, acknowledged, writing_since, now()),
            Err(error) => self.failed(pace, error),
        }
    }

    /// Brings all counts to the disk; blocks until they are there.
    pub fn sync(&mut self, wall: UnixNanos) -> Result<(), LedgerError> {
        if !self.copies.is_under_way() {
            self.copies.begin(&*self.table);
        } else if let Some(pace) = self.round.take() {
            // What that round has looked at already may have changed since.
            while self.step(wall)? {}
            self.finish(wall)?;
            self.standing.note_synced(pace.began);
            self.copies.begin(&*self.table);
        }
        while self.step(wall)? {}
        self.finish(wall).map(drop)
    }

    /// Syncs, marks the ledger as closed in order, and gives the live table's memory back. Shards
    /// have stopped: what they count after this is lost.
    pub fn close(mut self, wall: UnixNanos) -> Result<(), LedgerError> {
        self.journal.close();
        self.sync(wall)?;
        self.mark(true, wall)?;
        self.live.remove()
    }

    /// Makes the ledger ready for a successor that opens it next, or for [`Ledger::resume`].
    pub fn release(&mut self, wall: UnixNanos) -> Result<(), LedgerError> {
        self.journal.close();
        self.sync(wall)?;
        self.mark(true, wall)?;
        self.table.end_tenure();
        self.live.unlock()
    }

    /// Goes on after [`Ledger::release`], because the successor failed. It may have got as far as
    /// opening the ledger, and must be gone; nobody here may be charging.
    pub fn resume(&mut self, wall: UnixNanos, now: Instant) -> Result<Recovered, LedgerError> {
        files::name_holder(&self.dir, &self.lock()?)?;
        self.live.lock()?;
        self.copies.read_again(self.live.acknowledged())?;
        let recovered = self.table.recover(now);
        self.mark(false, wall)?;
        self.journal.reopen()?;
        Ok(recovered)
    }

    /// Leaves the ledger to a successor, which holds the lock as well: from here on its death
    /// frees it.
    pub fn give_up(self) {
        self.mapping.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A copy of the lock, which holds it too.
    pub fn lock(&self) -> Result<File, LedgerError> {
        let lock = self.mapping.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = lock.as_ref().expect("given up with the ledger only");
        lock.try_clone().map_err(|source| LedgerError::io("copy the lock of", &self.dir, source))
    }

    fn begin(&mut self, now: Instant) -> Pace {
        let slices = self.copies.begin(&*self.table).div_ceil(SLICE_BLOCKS);
        let slices = u32::try_from(slices.max(1)).unwrap_or(u32::MAX);
        Pace { began: now, gap: self.standing.interval() / 4 / slices }
    }

    fn step(&mut self, wall: UnixNanos) -> Result<bool, LedgerError> {
        let Self { table, copies, live, .. } = self;
        copies.step(&**table, wall, |generation| live.announce(generation))
    }

    fn finish(&mut self, wall: UnixNanos) -> Result<Acknowledged, LedgerError> {
        let Self { table, copies, live, .. } = self;
        let finished = copies.finish(&**table, wall, |generation| live.announce(generation))?;
        live.acknowledge(copies.header.generation);
        Ok(finished)
    }

    fn mark(&mut self, clean: bool, wall: UnixNanos) -> Result<(), LedgerError> {
        let Self { copies, live, .. } = self;
        copies.mark(clean, wall, |generation| live.announce(generation))?;
        live.acknowledge(copies.header.generation);
        Ok(())
    }

    fn succeeded(
        &mut self,
        pace: Pace,
        acknowledged: Acknowledged,
        writing_since: Instant,
        now: Instant,
    ) -> Work {
        self.round = None;
        let Acknowledged { written, complete } = acknowledged;
        if complete {
            self.standing.note_synced(pace.began);
        }
        if written > 0 {
            self.standing.note_written(written, now.since(writing_since));
        }
        let news = self.standing.note_failing(false).then_some(News::Recovered);
        let interval = self.standing.interval();
        let took = now.since(pace.began).min(interval * 3 / 4);
        Work { next: after(pace.began, interval.saturating_sub(took)), news }
    }

    fn failed(&mut self, pace: Pace, error: LedgerError) -> Work {
        self.round = None;
        let news = self.standing.note_failing(true).then_some(News::Failing(error));
        Work { next: after(pace.began, self.standing.interval()), news }
    }
}

/// Made for its owner only, unless it is there.
fn real_folder(dir: &Path) -> Result<RealFolder, LedgerError> {
    RealFolder::new(dir).map_err(|source| LedgerError::io("create", dir, source))
}

fn after(moment: Instant, span: Duration) -> Instant {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(moment.as_nanos().saturating_add(span))
}

/// The kernel's name for this boot; zeros when it does not tell.
type BootId = [u8; 16];

/// A ledger's own name.
type Identity = [u8; 16];
