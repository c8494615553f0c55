//! Holds the bytes of bodies back, so that no more pass than limits of bytes allow.
//!
//! Bytes are charged when they are at hand and pass once they conform, so that what passes in any
//! time is at most the burst and what the rate allows in it. A body holds one buffer meanwhile, and
//! nothing more is read.

use std::rc::Rc;
use std::task::{Context, Poll};

use crate::admission::{Pacer, Tab};
use crate::runtime::{Instant, Runtime, Timer};
use crate::shard::{Shard, ShardSnapshot};

/// Whom bytes are charged to.
#[derive(Clone)]
pub(super) struct Paced {
    /// Charges so many bytes and says when they may pass; `None` is at once.
    charge: Rc<dyn Fn(u64) -> Option<Instant>>,
}

/// What holds one direction.
pub(super) struct Throttle {
    paced: Paced,
    timer: Timer,
    until: Option<Instant>,
}

impl Paced {
    /// `None` when no limit of bytes applies.
    pub(super) fn new<R: Runtime>(
        shard: &Shard<R>,
        snapshot: &ShardSnapshot,
        tab: &Tab<'_>,
    ) -> Option<Self> {
        if !tab.is_paced() {
            return None;
        }
        let runtime = shard.runtime.clone();
        let pacer = Pacer::new(tab, &shard.table, snapshot.limit_counts());
        let charge = move |bytes| pacer.charge(bytes, runtime.now());
        Some(Self { charge: Rc::new(charge) })
    }

    pub(super) fn throttle<R: Runtime>(&self, shard: &Shard<R>) -> Throttle {
        Throttle { paced: self.clone(), timer: shard.timers.timer(), until: None }
    }
}

impl Throttle {
    /// So many bytes are at hand.
    pub(super) fn charge(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if let Some(until) = (self.paced.charge)(bytes) {
            self.until = self.until.max(Some(until));
            self.timer.arm(until);
        }
    }

    /// Until when nothing may pass.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Ready when what was charged may pass: whether it was held until now.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.until.is_none() {
            return Poll::Ready(false);
        }
        self.timer.poll_expired(cx).map(|()| {
            self.timer.disarm();
            self.until = None;
            true
        })
    }
}
