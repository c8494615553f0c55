//! The flight recorder: what was asked, decided and answered lately, for `weir backtest`.
//!
//! ```text
//! shard ─► live ring, in a map on tmpfs ─► the thread `weir-flight` ─► flight/shard-N
//! ```
//!
//! A shard writes 64 bytes a request and never waits; a live ring that is full costs a record, which
//! is counted. The thread looks every [`INTERVAL`] and writes what it finds into a ring of its own
//! size on the disk. After a kill the live rings are still there, and the next start brings them to
//! the disk. What numbers in records mean stands in `flight/names`.
//!
//! Invariants:
//! - a live ring has one writer, which holds its file's lock, and one reader: the process that holds
//!   the ledger;
//! - nothing here stops the engine, or keeps it from starting;
//! - times are the ledger's, so that windows lie in a replay as they lay in fact.

mod drain;
mod live;
mod names;
mod reader;
mod record;
mod ring;

#[cfg(test)]
mod tests;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use drain::{Drain, FlightStats};
use live::LiveRing;
pub use live::Recorder;
pub use names::{Dictionary, Kind, Names, Numbers, route_text};
pub use reader::{ReadError, RingReader, Skipped};
pub use record::{Decision, IDENTIFIED, PREFLIGHT, RECORD_BYTES, REPORTED, Record, mapped};
pub use ring::{Header, HeaderFault};
use ring::{RingFile, capacity_of};

use crate::runtime::{Instant, UnixNanos};

/// How often live rings are looked at.
pub const INTERVAL: Duration = Duration::from_millis(100);
/// Where live rings are, where there is room: a map there is never written back.
const TMPFS: &str = "/dev/shm";
/// A wall clock that differs by more from the ledger's is the one to record.
const CLOCKS_APART_NS: u64 = 1_000_000_000;

/// Where a recorder is, and whose.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The ledger's folder.
    pub ledger: &'a Path,
    /// For live rings; the ledger's folder takes those for which there is no room.
    pub tmpfs: &'a Path,
    /// Tells this ledger's rings from others'.
    pub identity: u128,
    /// The wall clock when the table's time was nought.
    pub epoch_base: UnixNanos,
}

impl<'a> Place<'a> {
    /// Of the ledger in `ledger`.
    pub fn of(ledger: &'a Path, identity: u128, epoch_base: UnixNanos) -> Self {
        Self { ledger, tmpfs: Path::new(TMPFS), identity, epoch_base }
    }

    fn dir(&self) -> PathBuf {
        self.ledger.join("flight")
    }

    fn live_prefix(&self) -> String {
        format!("weir-{:032x}-flight-", self.identity)
    }
}

/// A moment on all clocks.
#[derive(Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    pub wall: UnixNanos,
    /// What the table's time is ahead of the runtime's.
    pub clock_offset_ns: i64,
}

/// A recorder that is ready.
pub struct Flight {
    /// One for each shard.
    pub recorders: Vec<Recorder>,
    pub drain: Drain,
    pub names: Names,
    /// Lines for the operator.
    pub told: Vec<String>,
}

impl Flight {
    /// Opens the recorder of a ledger that this process holds, with a file of `bytes` for each of
    /// `shards`. What killed processes left is brought to the files. With `succeeds`, so is what the
    /// process before this one still records.
    ///
    /// # Errors
    /// The engine then goes on without one.
    pub fn open(
        place: &Place<'_>,
        shards: usize,
        bytes: u64,
        succeeds: bool,
        at: Moment,
    ) -> io::Result<Self> {
        let dir = place.dir();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let names = Names::open(&dir)?;
        let mut told = Vec::new();
        if names.damaged() > 0 {
            told.push(format!("{} lines of {}/names are damaged", names.damaged(), dir.display()));
        }
        let header = Header {
            identity: place.identity,
            epoch_base: place.epoch_base,
            capacity: capacity_of(bytes),
        };
        let open = |n: usize| RingFile::open(&dir.join(format!("shard-{n}")), &header, &mut told);
        let files = (0..shards).map(open).collect::<io::Result<Vec<_>>>()?;
        let mut drain = Drain::new(place, header, files);
        drain.inherited = inherited(place, shards, succeeds)?;
        drain.run();
        let offset = clock_offset(place, at);
        let mut recorders = Vec::new();
        for shard in 0..shards {
            let ring = Arc::new(live_ring(place, shard, at, &mut told)?);
            drain.own.push(Arc::clone(&ring));
            recorders.push(Recorder::new(ring, offset));
        }
        Ok(Self { recorders, drain, names, told })
    }
}

/// Live rings of processes before this one, each with the file that is to have its records.
fn inherited(
    place: &Place<'_>,
    shards: usize,
    succeeds: bool,
) -> io::Result<Vec<(LiveRing, usize)>> {
    let (dir, prefix) = (place.dir(), place.live_prefix());
    let mut found = Vec::new();
    for folder in [place.tmpfs, &dir] {
        // There may be no tmpfs.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else {
                continue;
            };
            let number = rest.split('-').next().and_then(|shard| shard.parse::<usize>().ok());
            let Some(shard) = number else { continue };
            let Some(ring) = LiveRing::open(entry.path(), place.identity)? else { continue };
            // What a stranger to this process still writes is another engine's, on a copy of this
            // ledger.
            if succeeds || ring.is_abandoned()? {
                found.push((entry.path(), ring, shard % shards));
            }
        }
    }
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(found.into_iter().map(|(_, ring, file)| (ring, file)).collect())
}

fn live_ring(
    place: &Place<'_>,
    shard: usize,
    at: Moment,
    told: &mut Vec<String>,
) -> io::Result<LiveRing> {
    // Never the name of a ring that a process before this one still has.
    let name = format!("{}{shard}-{:x}", place.live_prefix(), at.now.as_nanos());
    LiveRing::create(place.tmpfs.join(&name), place.identity).or_else(|error| {
        let dir = place.dir();
        let ring = LiveRing::create(dir.join(&name), place.identity)?;
        told.push(format!(
            "no room on {} ({error}): records of shard {shard} go through a file in {}",
            place.tmpfs.display(),
            dir.display(),
        ));
        Ok(ring)
    })
}

/// What is added to the runtime's time to make the ledger's in Unix nanoseconds, wrapping; or the
/// wall clock's, where that was set after the ledger's clock was.
fn clock_offset(place: &Place<'_>, at: Moment) -> u64 {
    let now = at.now.as_nanos();
    let offset = place.epoch_base.0.wrapping_add_signed(at.clock_offset_ns);
    if now.wrapping_add(offset).abs_diff(at.wall.0) > CLOCKS_APART_NS {
        return at.wall.0.wrapping_sub(now);
    }
    offset
}
