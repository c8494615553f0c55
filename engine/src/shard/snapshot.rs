use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use crate::snapshot::Snapshot;

/// A snapshot as one shard holds it: its reference count and the balancers' cursors stay here.
pub struct ShardSnapshot {
    shared: Arc<Snapshot>,
    cursors: Vec<Cell<usize>>,
}

impl ShardSnapshot {
    pub(super) fn new(shared: Arc<Snapshot>, shard: usize) -> Self {
        // Shards start at different backends, or a burst of first requests would all meet one.
        let cursors = shared.upstreams.iter().map(|_| Cell::new(shard)).collect();
        Self { shared, cursors }
    }

    /// Where the balancer of an upstream stands.
    pub fn cursor(&self, upstream: usize) -> &Cell<usize> {
        &self.cursors[upstream]
    }
}

impl Deref for ShardSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.shared
    }
}
