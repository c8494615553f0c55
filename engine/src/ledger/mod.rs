//! What outlives the process: the counters, and the [`journal`].
//!
//! A ledger is a folder with a `lock` file, held by `flock` for as long as anything uses the
//! counters; `counters`: a header page and the slots of the [`SlotTable`], mapped shared; and the
//! folder of the journal.
//!
//! What it promises:
//! - `kill -9` loses nothing that was counted: the counts are in the page cache when the answer
//!   leaves. A slot that was changing hands at that moment is freed at the next opening.
//! - Power loss loses what was counted since the last [`Ledger::sync`] and may keep an older count
//!   for one slot than for another, never half a slot: a slot lies within one disk sector.
//!
//! Here the file itself is the live table. Under heavy load on a large table, the kernel's
//! write-back of a mapped file now and then delays a shard by milliseconds; a live table on tmpfs
//! with checksummed copies in the file is the form that replaces this one.
//!
//! Invariant: a ledger that cannot be trusted is refused and left as it is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::{Instant, UnixNanos, os};
use crate::slots::{GROUP_SLOTS, Mapping, Recovered, SlotTable, TableClock, table_bytes};

pub mod disk;
mod error;
mod files;
mod header;
pub mod journal;

#[cfg(test)]
mod tests;

use disk::RealFolder;
pub use error::LedgerError;
use files::Counters;
use header::{Header, PAGE_BYTES};
use journal::{Journal, JournalHandle, Options, Repair, Report, Task};

/// An open ledger.
pub struct Ledger {
    dir: PathBuf,
    table: Arc<SlotTable>,
    mapping: Arc<Mapping>,
    counters: Counters,
    header: Header,
    journal: Journal,
    opening: Opening,
    sync_failed: AtomicBool,
}

/// What was found when the ledger was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The counters did not exist.
    pub created: bool,
    /// The last process closed the ledger: it was neither killed nor cut off.
    pub clean: bool,
    pub recovered: Recovered,
    pub journal: Report,
}

impl Ledger {
    /// Opens the ledger in `dir`, and creates what is missing. `slots` is a power of two; an
    /// existing ledger must have that many. `wall` and `now` are the same moment.
    pub fn open(
        dir: &Path,
        slots: usize,
        wall: UnixNanos,
        now: Instant,
    ) -> Result<Self, LedgerError> {
        file_bytes(slots).ok_or(LedgerError::Slots { slots })?;
        files::make_folder(dir)?;
        let lock = files::lock(dir)?;
        Self::open_locked(dir, slots, wall, now, lock)
    }

    /// Whether [`Ledger::take_over`] would succeed now, as far as that can be told while another
    /// process uses the ledger. `lock` is that process's.
    pub fn check_successor(dir: &Path, slots: usize, lock: &File) -> Result<(), LedgerError> {
        let bytes = file_bytes(slots).ok_or(LedgerError::Slots { slots })?;
        files::check_same_lock(dir, lock)?;
        let counters = Counters::open(dir.join("counters"))?;
        counters.check(&counters.read_header()?, slots, bytes)
    }

    /// Like [`Ledger::open`], with the lock that the last process held and still holds: no third
    /// one can come between. That process has called [`Ledger::release`].
    pub fn take_over(
        dir: &Path,
        slots: usize,
        wall: UnixNanos,
        now: Instant,
        lock: File,
    ) -> Result<Self, LedgerError> {
        files::check_same_lock(dir, &lock)?;
        files::name_holder(dir, &lock)?;
        Self::open_locked(dir, slots, wall, now, lock)
    }

    fn open_locked(
        dir: &Path,
        slots: usize,
        wall: UnixNanos,
        now: Instant,
        lock: File,
    ) -> Result<Self, LedgerError> {
        let bytes = file_bytes(slots).ok_or(LedgerError::Slots { slots })?;
        let boot_id = files::boot_id();
        let path = dir.join("counters");
        let created = if files::exists(&path)? {
            false
        } else {
            let header = Header::new(slots, wall, now, boot_id)?;
            files::create(dir, &path, bytes, &header)?;
            true
        };
        let counters = Counters::open(path)?;
        let found = counters.read_header()?;
        counters.check(&found, slots, bytes)?;
        let journal = open_journal(dir, &found)?;
        let clock = clock_of(&found, boot_id, wall, now);
        let map = counters.map()?;
        let lock = Mutex::new(Some(lock));
        let mapping = Arc::new(Mapping { map, offset: PAGE_BYTES, slots, lock });
        let (table, recovered) =
            SlotTable::over_map(Arc::clone(&mapping), found.hash_key, clock, wall, now);
        let header = Header {
            boot_id,
            clock_offset_ns: clock.offset_ns(),
            generation: found.generation.wrapping_add(1),
            clean: false,
            ..found
        };
        counters.write_header(&header)?;
        Ok(Self {
            dir: dir.to_owned(),
            table: Arc::new(table),
            mapping,
            counters,
            header,
            opening: Opening { created, clean: found.clean, recovered, journal: journal.report() },
            journal,
            sync_failed: AtomicBool::new(false),
        })
    }

    pub fn table(&self) -> Arc<SlotTable> {
        Arc::clone(&self.table)
    }

    pub const fn opening(&self) -> Opening {
        self.opening
    }

    pub fn path(&self) -> &Path {
        self.counters.path()
    }

    /// A handle of the journal. `submit` brings tasks to where [`Ledger::serve_journal`] is called.
    pub fn journal(&self, submit: impl Fn(Task) + Send + Sync + 'static) -> JournalHandle {
        self.journal.handle(submit)
    }

    /// Does what was asked of the journal; blocks until the disk has it.
    pub fn serve_journal(&mut self, tasks: impl IntoIterator<Item = Task>) {
        self.journal.serve(tasks);
    }

    /// Brings the counts to the disk; blocks until they are there. After a failure every later call
    /// fails too: the kernel reports a lost page once and then forgets it.
    pub fn sync(&self) -> Result<(), LedgerError> {
        // Relaxed: a flag of this object's callers, which guards no other memory.
        if self.sync_failed.load(Ordering::Relaxed) {
            return Err(LedgerError::SyncFailed { path: self.path().to_owned() });
        }
        self.mapping.map.flush().map_err(|source| {
            self.sync_failed.store(true, Ordering::Relaxed);
            LedgerError::io("sync", self.path(), source)
        })
    }

    /// Syncs and marks the ledger as closed in order. Shards have stopped: what they count after
    /// this is kept, but not marked.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.release()
    }

    /// Like [`Ledger::close`], for a successor that opens it next, or for [`Ledger::resume`].
    pub fn release(&mut self) -> Result<(), LedgerError> {
        self.journal.close();
        self.sync()?;
        self.mark(true)?;
        self.table.end_tenure();
        Ok(())
    }

    /// Goes on after [`Ledger::release`], because the successor failed. It may have got as far as
    /// opening the ledger, and must be gone; nobody here may be charging.
    pub fn resume(&mut self, now: Instant) -> Result<Recovered, LedgerError> {
        files::name_holder(&self.dir, &self.lock()?)?;
        self.header.generation = self.counters.read_header()?.generation;
        let recovered = self.table.recover(now);
        self.mark(false)?;
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

    fn mark(&mut self, clean: bool) -> Result<(), LedgerError> {
        self.header.generation = self.header.generation.wrapping_add(1);
        self.header.clean = clean;
        self.counters.write_header(&self.header)
    }
}

fn open_journal(dir: &Path, header: &Header) -> Result<Journal, LedgerError> {
    let folder = RealFolder::new(dir).map_err(|source| LedgerError::io("open", dir, source))?;
    Ok(Journal::open(&folder, header.identity(), Options::new(os::now), Repair::No)?)
}

/// The size of `counters`; `None` unless the slots make a power of two of groups that fits memory.
fn file_bytes(slots: usize) -> Option<u64> {
    if !slots.is_power_of_two() || slots < GROUP_SLOTS {
        return None;
    }
    let bytes = table_bytes(slots)?.checked_add(PAGE_BYTES)?;
    i64::try_from(bytes).ok().map(i64::unsigned_abs)
}

/// Within a boot the table's clock goes on exactly; across boots the wall clock must bridge the
/// gap. Was it set back meanwhile, the table's time stands earlier than before; recovery then frees
/// what counts in the future.
fn clock_of(header: &Header, boot_id: BootId, wall: UnixNanos, now: Instant) -> TableClock {
    if boot_id == header.boot_id && boot_id != BootId::default() {
        return TableClock::with_offset_ns(header.clock_offset_ns);
    }
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    let table_ns = signed(wall.0.saturating_sub(header.epoch_base.0));
    TableClock::with_offset_ns(table_ns.saturating_sub(signed(now.as_nanos())))
}

/// The kernel's name for this boot; zeros when it does not tell.
type BootId = [u8; 16];
