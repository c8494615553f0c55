//! How many tunnels a shard has, and when they must end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::metrics::ShardMetrics;

/// The tunnels of one shard, and the requests that may become some.
pub struct Tunnels {
    places: Rc<Places>,
}

struct Places {
    taken: Cell<usize>,
    open: Cell<usize>,
    cut: Cell<bool>,
    last_closed: RefCell<Option<Waker>>,
    metrics: Arc<ShardMetrics>,
}

/// The right to one tunnel, given back when dropped.
pub struct TunnelPlace {
    places: Rc<Places>,
    open: bool,
}

impl Tunnels {
    pub fn new(metrics: Arc<ShardMetrics>) -> Self {
        let places = Places {
            taken: Cell::new(0),
            open: Cell::new(0),
            cut: Cell::new(false),
            last_closed: RefCell::new(None),
            metrics,
        };
        Self { places: Rc::new(places) }
    }

    /// A place for a request that asks for a tunnel, unless `most` are taken.
    pub fn reserve(&self, most: usize) -> Option<TunnelPlace> {
        let places = &self.places;
        if places.taken.get() >= most {
            places.metrics.tunnels_refused.increment();
            return None;
        }
        places.taken.set(places.taken.get() + 1);
        Some(TunnelPlace { places: Rc::clone(places), open: false })
    }

    /// Whether open tunnels must end now.
    pub fn are_cut(&self) -> bool {
        self.places.cut.get()
    }

    /// Has open tunnels end when they are next polled.
    pub fn cut(&self) {
        self.places.cut.set(true);
    }

    /// Ready when none is open.
    pub fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        if self.places.open.get() == 0 {
            return Poll::Ready(());
        }
        *self.places.last_closed.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl TunnelPlace {
    /// The tunnel is there.
    pub fn open(&mut self) {
        assert!(!self.open, "a tunnel opens once");
        self.open = true;
        self.places.metrics.tunnels_opened.increment();
        self.places.set_open(self.places.open.get() + 1);
    }
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        let places = &self.places;
        places.taken.set(places.taken.get() - 1);
        if self.open {
            places.set_open(places.open.get() - 1);
        }
    }
}

impl Places {
    fn set_open(&self, open: usize) {
        self.open.set(open);
        self.metrics.tunnels_open.set(open as u64);
        if open == 0
            && let Some(waker) = self.last_closed.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let metrics = Arc::new(ShardMetrics::default());
        let tunnels = Tunnels::new(Arc::clone(&metrics));
        let mut first = tunnels.reserve(2).expect("room");
        let second = tunnels.reserve(2).expect("room");
        assert!(tunnels.reserve(2).is_none(), "a handshake takes a place too");
        assert_eq!((metrics.tunnels_refused.get(), metrics.tunnels_open.get()), (1, 0));
        let cx = Context::from_waker(Waker::noop());
        assert!(tunnels.poll_closed(&cx).is_ready(), "a handshake is no tunnel");
        first.open();
        assert_eq!((metrics.tunnels_opened.get(), metrics.tunnels_open.get()), (1, 1));
        assert!(tunnels.poll_closed(&cx).is_pending());
        drop(second);
        assert!(tunnels.reserve(2).is_some());
        drop(first);
        assert!(tunnels.poll_closed(&cx).is_ready());
        assert_eq!(metrics.tunnels_open.get(), 0);
    }
}
