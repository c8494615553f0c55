//! Recycled futures for exchanges.
//!
//! The future of an exchange is large (the parsed fields of a head, two body pumps), and an idle
//! connection has no use for one. So a connection borrows a worker for as long as an exchange
//! lasts: a future that lives on the heap for good, takes a connection from its desk, answers one
//! request, and puts the connection back. Nothing large is made or copied for a request.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::{Connection, Input, Shard};
use crate::proxy::After;
use crate::runtime::Runtime;

/// Workers kept while nobody needs them.
const KEPT_MAX: usize = 256;

/// Where a connection lies with what goes with it.
type Tray<R, T> = Cell<Option<(Box<Connection<R>>, T)>>;

/// Where a connection and its worker hand over. The connection is boxed, since it is moved from hand
/// to hand four times for each request.
pub struct Desk<R: Runtime> {
    request: Tray<R, Input>,
    result: Tray<R, After<R>>,
}

impl<R: Runtime> Desk<R> {
    fn new() -> Self {
        Self { request: Cell::new(None), result: Cell::new(None) }
    }

    /// The next connection to serve, with the first bytes of its request.
    pub async fn next(&self) -> (Box<Connection<R>>, Input) {
        // Polled by the connection's task only, and only after something was put there.
        poll_fn(|_| self.request.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    pub fn finish(&self, connection: Box<Connection<R>>, after: After<R>) {
        self.result.set(Some((connection, after)));
    }
}

/// The workers of one shard; `F` is the future of an endless run of exchanges.
pub(super) struct Workers<R: Runtime, F> {
    shard: Rc<Shard<R>>,
    work: fn(Rc<Shard<R>>, Rc<Desk<R>>) -> F,
    free: RefCell<Vec<Worker<R, F>>>,
}

struct Worker<R: Runtime, F> {
    desk: Rc<Desk<R>>,
    future: Pin<Box<F>>,
}

impl<R: Runtime, F: Future<Output = ()>> Workers<R, F> {
    pub(super) fn new(shard: Rc<Shard<R>>, work: fn(Rc<Shard<R>>, Rc<Desk<R>>) -> F) -> Self {
        Self { shard, work, free: RefCell::new(Vec::new()) }
    }

    /// One exchange of `connection`, whose request begins with `first`.
    pub(super) async fn exchange(
        &self,
        connection: Box<Connection<R>>,
        first: Input,
    ) -> (Box<Connection<R>>, After<R>) {
        let kept = self.free.borrow_mut().pop();
        let mut worker = kept.unwrap_or_else(|| self.hire());
        worker.desk.request.set(Some((connection, first)));
        let result = poll_fn(|cx| {
            // A worker never ends: it stops at its desk, which is empty again.
            let _ = worker.future.as_mut().poll(cx);
            worker.desk.result.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT_MAX {
            free.push(worker);
        }
        result
    }

    fn hire(&self) -> Worker<R, F> {
        let desk = Rc::new(Desk::new());
        let future = Box::pin((self.work)(Rc::clone(&self.shard), Rc::clone(&desk)));
        Worker { desk, future }
    }
}
