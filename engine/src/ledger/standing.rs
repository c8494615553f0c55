//! What the ledger's thread tells others: numbers that it alone writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Opening;
use crate::runtime::Instant;

/// How it stands with the copies on the disk. Relaxed atomics throughout: they guard no memory.
#[derive(Debug)]
pub struct Standing {
    interval_ns: AtomicU64,
    /// Everything counted before this moment is on the disk.
    synced_ns: AtomicU64,
    latency_ns: AtomicU64,
    syncs: AtomicU64,
    failures: AtomicU64,
    blocks_written: AtomicU64,
    failing: AtomicBool,
    live: &'static str,
    damaged_blocks: u64,
    lost_blocks: u64,
}

/// The interval until the configuration says another.
const INTERVAL: Duration = Duration::from_secs(1);

impl Standing {
    pub(super) fn new(opening: &Opening, now: Instant) -> Self {
        Self {
            interval_ns: AtomicU64::new(nanos(INTERVAL)),
            synced_ns: AtomicU64::new(now.as_nanos()),
            latency_ns: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            blocks_written: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            live: opening.live.name(),
            damaged_blocks: opening.damage.blocks,
            lost_blocks: opening.damage.lost,
        }
    }

    /// How much a power loss may cost; obeyed from the next round on.
    pub fn set_interval(&self, interval: Duration) {
        self.interval_ns.store(nanos(interval), Ordering::Relaxed);
    }

    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval_ns.load(Ordering::Relaxed))
    }

    /// How much would be lost if the power failed now.
    pub fn sync_age(&self, now: Instant) -> Duration {
        now.since(Instant::from_nanos(self.synced_ns.load(Ordering::Relaxed)))
    }

    /// How long the disk took for the last round that wrote something.
    pub fn sync_latency(&self) -> Duration {
        Duration::from_nanos(self.latency_ns.load(Ordering::Relaxed))
    }

    /// Rounds that wrote something and were acknowledged.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Rounds that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Blocks that were written and acknowledged.
    pub fn blocks_written(&self) -> u64 {
        self.blocks_written.load(Ordering::Relaxed)
    }

    /// Whether the last round failed.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// `tmpfs` or `file`.
    pub const fn live(&self) -> &'static str {
        self.live
    }

    /// Blocks with a damaged copy, found at the opening.
    pub const fn damaged_blocks(&self) -> u64 {
        self.damaged_blocks
    }

    /// Blocks without any copy left, found at the opening.
    pub const fn lost_blocks(&self) -> u64 {
        self.lost_blocks
    }

    pub(super) fn note_synced(&self, began: Instant) {
        self.synced_ns.store(began.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn note_written(&self, blocks: usize, latency: Duration) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.blocks_written.fetch_add(blocks as u64, Ordering::Relaxed);
        self.latency_ns.store(nanos(latency), Ordering::Relaxed);
    }

    /// Whether that is a change.
    pub(super) fn note_failing(&self, failing: bool) -> bool {
        if failing {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.failing.swap(failing, Ordering::Relaxed) != failing
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
