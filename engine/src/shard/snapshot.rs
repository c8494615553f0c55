use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use crate::admission::Subjects;
use crate::metrics::{LimitCounts, ShardMetrics};
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;

/// A snapshot as one shard holds it: its reference count and the balancers' cursors stay here.
pub struct ShardSnapshot {
    shared: Arc<Snapshot>,
    cursors: Vec<Cell<usize>>,
    subjects: Arc<Subjects>,
    limit_counts: Vec<Arc<LimitCounts>>,
}

impl ShardSnapshot {
    /// What the limits of `table` count is told in `metrics`, which are this shard's.
    pub(super) fn new(
        shared: Arc<Snapshot>,
        shard: usize,
        table: &SlotTable,
        metrics: &ShardMetrics,
    ) -> Self {
        // Shards start at different backends, or a burst of first requests would all meet one.
        let cursors = shared.upstreams.iter().map(|_| Cell::new(shard)).collect();
        let limit_counts = shared.limits.iter().map(|limit| metrics.limits.of(&limit.name));
        let limit_counts = limit_counts.collect();
        let subjects = Arc::clone(shared.subjects(table));
        Self { shared, cursors, subjects, limit_counts }
    }

    /// Where the balancer of an upstream stands.
    pub fn cursor(&self, upstream: usize) -> &Cell<usize> {
        &self.cursors[upstream]
    }
}

impl ShardSnapshot {
    /// What is hashed already for the limits.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// What this shard counts for each limit, in the order of the snapshot's.
    pub fn limit_counts(&self) -> &[Arc<LimitCounts>] {
        &self.limit_counts
    }
}

impl Deref for ShardSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.shared
    }
}
