use std::rc::Rc;

use super::{Claim, Shard};
use crate::runtime::Runtime;

/// Counts a connection until dropped.
pub(super) struct Place<R: Runtime> {
    shard: Rc<Shard<R>>,
    /// Its count for the client's address, where it has one.
    pub(super) claim: Option<Claim>,
}

impl<R: Runtime> Place<R> {
    pub(super) fn taken(shard: &Rc<Shard<R>>) -> Self {
        shard.open.set(shard.open.get() + 1);
        shard.metrics.connections_open.set(shard.open.get() as u64);
        Self { shard: Rc::clone(shard), claim: None }
    }
}

impl<R: Runtime> Drop for Place<R> {
    fn drop(&mut self) {
        if let (Some(claim), Some(addresses)) = (self.claim.take(), self.shard.addresses.get()) {
            addresses.leave(claim);
        }
        let open = self.shard.open.get() - 1;
        self.shard.open.set(open);
        self.shard.metrics.connections_open.set(open as u64);
        self.shard.tell_if_drained();
        self.shard.tell_if_settled();
    }
}
