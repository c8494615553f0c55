//! Recycled allocations for futures of one type.
//!
//! The future of an exchange is large (parsed fields, two body pumps) and an idle connection has
//! none. So it is not part of the connection's own future but lives in a box of its own, which
//! goes back to the shard when the connection falls idle.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;

/// Boxes kept while nobody uses them.
const KEPT_MAX: usize = 256;

pub(super) struct FuturePool<F> {
    free: RefCell<Vec<Pin<Box<Option<F>>>>>,
}

impl<F> Default for FuturePool<F> {
    fn default() -> Self {
        Self { free: RefCell::new(Vec::new()) }
    }
}

impl<F: Future> FuturePool<F> {
    /// Runs the future that `make` returns, in a recycled box.
    pub(super) async fn run(&self, make: impl FnOnce() -> F) -> F::Output {
        let kept = self.free.borrow_mut().pop();
        let mut place = kept.unwrap_or_else(|| Box::pin(None));
        place.as_mut().set(Some(make()));
        let output = poll_fn(|cx| {
            let future = place.as_mut().as_pin_mut();
            future.expect("the future was put there above").poll(cx)
        })
        .await;
        place.as_mut().set(None);
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT_MAX {
            free.push(place);
        }
        output
    }
}
