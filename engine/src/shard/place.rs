use std::rc::Rc;

use super::Shard;
use crate::runtime::Runtime;

/// Counts a connection until dropped.
pub(super) struct Place<R: Runtime> {
    shard: Rc<Shard<R>>,
}

impl<R: Runtime> Place<R> {
    pub(super) fn taken(shard: &Rc<Shard<R>>) -> Self {
        shard.open.set(shard.open.get() + 1);
        shard.metrics.connections_open.set(shard.open.get() as u64);
        Self { shard: Rc::clone(shard) }
    }
}

impl<R: Runtime> Drop for Place<R> {
    fn drop(&mut self) {
        let open = self.shard.open.get() - 1;
        self.shard.open.set(open);
        self.shard.metrics.connections_open.set(open as u64);
        self.shard.tell_if_drained();
    }
}
