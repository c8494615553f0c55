//! `weir backtest`: recorded requests, sent through another configuration's limits.
//!
//! ```text
//! flight/shard-* ─► merged by time ─► re-decided by the slot table's own arithmetic ─► tallied
//! ```
//!
//! Memory is bounded whatever the records: a heap for each ring, a slot table that is made larger
//! (and everything begun anew) when it is full, and tallies of the keys that were or would be
//! refused most.

mod merge;
mod redecide;
mod report;
mod subject;
mod tally;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::ledger::flight::{Dictionary, ReadError, RingReader};
use crate::runtime::os;
use crate::snapshot::{self, Limit, SnapshotError};
use merge::Merge;
use redecide::Redecision;
pub use report::Report;
use tally::Tally;

/// Slots of the first table.
const SLOTS: usize = 1 << 20;
/// And of the largest: 4 GiB, of which the system gives what is used.
const SLOTS_MAX: usize = 1 << 25;
/// Records between two words to whoever watches.
const PROGRESS: u64 = 1 << 20;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    #[error("cannot read {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} has no ring of a flight recorder, no shard-0 or the like", path.display())]
    NoRings { path: PathBuf },
    #[error(transparent)]
    Ring(#[from] ReadError),
    #[error("{} and {} are of different ledgers", one.display(), other.display())]
    Mixed { one: PathBuf, other: PathBuf },
    #[error("a record cannot be read: {0}")]
    Record(io::Error),
    #[error(transparent)]
    Limit(#[from] SnapshotError),
}

/// Sends the records in `dir` through the limits of `config`. `progress` hears how many records are
/// done of at most how many.
///
/// # Errors
/// Where records cannot be read. Damaged ones are counted and left out.
pub fn run(
    dir: &Path,
    config: &Config,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, BacktestError> {
    let dictionary = Dictionary::read(dir)
        .map_err(|source| BacktestError::Folder { path: dir.to_owned(), source })?;
    let limits = snapshot::compile_limits(config)?;
    let mut seed = [0; 16];
    os::fill_random(&mut seed);
    let mut slots = SLOTS;
    loop {
        let replay = Replay { dir, config, limits: &limits, dictionary: &dictionary };
        let report = replay.run(slots, seed, &mut progress)?;
        if report.table_full == 0 || slots >= SLOTS_MAX {
            return Ok(report);
        }
        slots *= 32;
    }
}

/// Writes how far it is, on one line that is written over.
pub fn show_progress(out: &mut impl Write, done: u64, most: u64) {
    // Whoever watches may have stopped watching.
    let _ = write!(out, "\r{done} of at most {most} records");
    let _ = if done == most { writeln!(out) } else { out.flush() };
}

#[derive(Clone, Copy)]
struct Replay<'r> {
    dir: &'r Path,
    config: &'r Config,
    limits: &'r [Limit],
    dictionary: &'r Dictionary,
}

impl Replay<'_> {
    fn run(
        &self,
        slots: usize,
        seed: [u8; 16],
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<Report, BacktestError> {
        let rings = rings(self.dir)?;
        let epoch_base = rings[0].header().epoch_base;
        let most = rings.iter().map(RingReader::records_max).sum();
        let mut redecision =
            Redecision::new(self.config, self.limits, self.dictionary, slots, seed, epoch_base);
        let mut tally = Tally::new(self.limits.len());
        let mut merge = Merge::new(rings).map_err(BacktestError::Record)?;
        while let Some(record) = merge.next_record().map_err(BacktestError::Record)? {
            let verdict = redecision.decide(&record);
            tally.note(&record, redecision.limit_of(&record), &verdict, redecision.steps());
            // A larger table will be needed, whatever comes.
            if redecision.table_full > 0 && slots < SLOTS_MAX {
                break;
            }
            if tally.records.is_multiple_of(PROGRESS) {
                progress(tally.records, most);
            }
        }
        if redecision.table_full == 0 {
            progress(most, most);
        }
        Ok(Report::new(self, &redecision, tally, &merge))
    }
}

/// The rings in a folder, in the order of their shards.
fn rings(dir: &Path) -> Result<Vec<RingReader>, BacktestError> {
    let failed = |source| BacktestError::Folder { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("shard-"));
        if let Some(shard) = number.and_then(|number| number.parse::<u32>().ok()) {
            found.push((shard, dir.join(name)));
        }
    }
    found.sort_unstable();
    let rings: Result<Vec<_>, _> = found.iter().map(|(_, path)| RingReader::open(path)).collect();
    let rings = rings?;
    let Some(first) = rings.first() else {
        return Err(BacktestError::NoRings { path: dir.to_owned() });
    };
    let stranger = rings.iter().find(|ring| ring.header().identity != first.header().identity);
    match stranger {
        Some(ring) => Err(BacktestError::Mixed {
            one: first.path().to_owned(),
            other: ring.path().to_owned(),
        }),
        None => Ok(rings),
    }
}
