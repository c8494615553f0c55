//! How a ledger is opened: what is found, what of it can be trusted, and what is told of it.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::copies::Copies;
use super::counters::file_bytes;
use super::disk::Folder;
use super::header::{Header, PAGE_BYTES};
use super::journal::{Journal, Options, Repair, Report};
use super::live::{Live, LivePlace, Search, live_bytes};
use super::standing::Standing;
use super::{BootId, Ledger, LedgerError, Settings, files, lines, sigbus};
use crate::runtime::{Instant, UnixNanos, os};
use crate::slots::{Mapping, Recovered, SlotTable, TableClock};

/// How many damaged blocks are named.
const NAMED_MAX: usize = 16;

/// Where the counts came from when the ledger was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// There was no ledger.
    Created,
    /// The live table that the last process left behind: nothing that it counted is missing.
    LiveTable,
    /// The copies on the disk.
    Copies,
}

/// What of the copies on the disk cannot be trusted, and was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// Blocks of which a copy is torn or damaged. An older one was used, or none.
    pub blocks: u64,
    /// The first of them: numbers of blocks in `counters`.
    pub named: Vec<u64>,
    /// Blocks that were on the disk once and of which no copy is left. They begin empty.
    pub lost: u64,
    /// How many rounds of copies the newest ones are behind, added up over all blocks. Without any
    /// of the above it says that copies are gone without a trace.
    pub older: u64,
    /// One of the header's two copies is torn or damaged. If it was the newer one, the other knows
    /// nothing of the last rounds, and `lost` and `older` may be too low.
    pub header: bool,
}

impl Damage {
    pub(super) fn note(&mut self, block: u64) {
        self.blocks += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(block);
        }
    }
}

/// What was found when the ledger was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub origin: Origin,
    /// The last process closed the ledger: it was neither killed nor cut off.
    pub clean: bool,
    pub recovered: Recovered,
    pub damage: Damage,
    /// How long ago the copies last changed, by the wall clock.
    pub copies_age: Duration,
    /// Where the live table is.
    pub live: LivePlace,
    pub journal: Report,
}

impl Opening {
    /// What an operator should know; nothing when all is as it should be.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.origin == Origin::Copies && !self.clean {
            let age = self.copies_age.as_secs();
            remarks.push(format!(
                "the ledger was not closed in order; its counts are those last brought to the \
                 disk, {age} s ago"
            ));
        }
        if self.damage != Damage::default() {
            remarks.push(self.damage.to_string());
        }
        let Recovered { damaged, future, .. } = self.recovered;
        if damaged + future > 0 {
            remarks.push(format!(
                "{damaged} damaged counters and {future} of the future were dropped"
            ));
        }
        remarks
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.header {
            f.write_str("a copy of the header is torn or damaged; ")?;
        }
        write!(f, "{} blocks of counters have a torn or damaged copy", self.blocks)?;
        if !self.named.is_empty() {
            let names: Vec<_> = self.named.iter().map(u64::to_string).collect();
            let more = if self.blocks > self.named.len() as u64 { ", …" } else { "" };
            write!(f, " ({}{more})", names.join(", "))?;
        }
        write!(f, "; {} blocks are lost and begin empty", self.lost)?;
        write!(f, "; the newest good copies are {} revisions behind", self.older)
    }
}

impl Ledger {
    pub(super) fn open_locked(
        dir: &Path,
        folder: &dyn Folder,
        settings: &Settings,
        (wall, now): (UnixNanos, Instant),
        lock: File,
    ) -> Result<Self, LedgerError> {
        let slots = settings.slots;
        check_slots(slots)?;
        let boot_id = files::boot_id();
        let (mut copies, created) = Copies::open(folder, slots, boot_id, wall, now)?;
        let found = copies.header;
        let (shared_memory, choice) = (settings.shared_memory.as_path(), settings.live_table);
        let search = Search { dir, shared_memory, choice, boot_id, header: &found };
        let left = if created { None } else { Live::find(&search) };
        let origin = match (&left, created) {
            (Some(_), _) => Origin::LiveTable,
            (None, true) => Origin::Created,
            (None, false) => Origin::Copies,
        };
        let live = left.map_or_else(|| Live::make(&search), Ok)?;
        let journal = Journal::open(folder, found.identity, Options::new(os::now), Repair::No)?;
        let map = live.map()?;
        sigbus::guard(map.as_ptr() as usize, map.len(), live.path());
        let lock = Mutex::new(Some(lock));
        let mapping = Arc::new(Mapping { map, offset: PAGE_BYTES, slots, lock });
        // After a loss of power what is there is on the disk.
        let acknowledged = if origin == Origin::LiveTable { live.acknowledged() } else { u64::MAX };
        let damage = copies.read(acknowledged, |block, body| {
            if origin == Origin::Copies {
                lines::restore(&mapping, block, body);
            }
        })?;
        let clock = clock_of(&found, boot_id, wall, now);
        let (table, recovered) =
            SlotTable::over_map(Arc::clone(&mapping), found.hash_key, clock, wall, now);
        let copies_age = Duration::from_nanos(wall.0.saturating_sub(found.written_at.0));
        let opening = Opening {
            origin,
            clean: found.clean,
            recovered,
            damage,
            copies_age,
            live: live.place().clone(),
            journal: journal.report(),
        };
        copies.header = Header { boot_id, clock_offset_ns: clock.offset_ns(), ..found };
        let mut ledger = Self {
            dir: dir.to_owned(),
            table: Arc::new(table),
            mapping,
            live,
            copies,
            standing: Arc::new(Standing::new(&opening, now)),
            opening,
            journal,
            round: None,
        };
        ledger.mark(false, wall)?;
        if origin != Origin::LiveTable {
            // Last: a kill before this leaves a table that lacks what the copies have.
            ledger.live.vouch(&boot_id, &ledger.copies.header)?;
        }
        Ok(ledger)
    }
}

/// Refuses a number of slots that makes no table.
pub(super) fn check_slots(slots: usize) -> Result<(), LedgerError> {
    let fits = file_bytes(slots).and(live_bytes(slots));
    fits.map(drop).ok_or(LedgerError::Slots { slots })
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
