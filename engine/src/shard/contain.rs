//! What a panic may take along: a connection, or, where a shard cannot do without the task, the
//! shard, and with it the process. Nothing limps on unseen.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;

use super::Shard;
use crate::runtime::Runtime;

/// Runs a connection's task; a panic ends its connection, not the shard.
///
/// Unwinding drops what the task held: the streams reset (see [`Stream`](crate::runtime::Stream)),
/// the guards give back what they counted, and the worker goes with its exchange.
pub(super) fn contain<R: Runtime, T: Future<Output = ()>>(
    shard: &Shard<R>,
    task: T,
) -> impl Future<Output = ()> + use<R, T> {
    let metrics = Arc::clone(&shard.metrics);
    async move {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            metrics.panics.increment();
        }
    }
}

/// Runs a task that the shard cannot do without: its panic ends the shard.
pub(super) async fn essential<R: Runtime>(shard: Rc<Shard<R>>, task: impl Future<Output = ()>) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        shard.metrics.panics.increment();
        shard.broken.set(true);
        shard.wake_obey();
    }
}
