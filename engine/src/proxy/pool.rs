//! Idle keep-alive connections to backends: a stack for each backend, of one shard.
//!
//! The most recently used connection goes out first, so that a pool shrinks to what the load needs.
//! A connection is looked at before it goes out: one that the backend closed, or on which bytes
//! came unasked, is dropped (RFC 9112 section 9.3.1 leaves the race that remains to retries).

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::runtime::{Instant, Stream, Timer, Timers, Transport};
use crate::upstream::BackendId;

/// How often idle connections are looked through, at most.
const SWEEP: Duration = Duration::from_secs(1);

pub struct Pool<S> {
    /// Indexed by backend.
    idle: RefCell<Vec<Vec<Idle<S>>>>,
    sweep: Timer,
}

struct Idle<S> {
    stream: Transport<S>,
    until: Instant,
}

impl<S: Stream> Pool<S> {
    pub fn new(timers: &Timers) -> Self {
        Self { idle: RefCell::new(Vec::new()), sweep: timers.timer() }
    }

    /// The freshest connection that is still good.
    pub fn take(&self, backend: BackendId, now: Instant) -> Option<Transport<S>> {
        let mut idle = self.idle.borrow_mut();
        let stack = idle.get_mut(backend.index())?;
        while let Some(mut candidate) = stack.pop() {
            if candidate.until > now && is_quiet(&mut candidate.stream) {
                return Some(candidate.stream);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange ended cleanly; `capacity` bounds a backend's stack.
    pub fn put(
        &self,
        backend: BackendId,
        stream: Transport<S>,
        now: Instant,
        keep: Duration,
        capacity: usize,
    ) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() <= backend.index() {
            idle.resize_with(backend.index() + 1, Vec::new);
        }
        let stack = &mut idle[backend.index()];
        if stack.len() >= capacity {
            return;
        }
        stack.push(Idle { stream, until: now + keep });
        self.sweep.arm_if_disarmed(now + SWEEP);
    }

    /// Closes what stayed idle too long; never returns. Spawned once for each shard.
    pub async fn sweep<F: Fn() -> Instant>(&self, now: F) {
        loop {
            poll_fn(|cx| self.sweep.poll_expired(cx)).await;
            self.sweep.disarm();
            let now = now();
            let mut idle = self.idle.borrow_mut();
            for stack in idle.iter_mut() {
                let late = stack.extract_if(.., |entry| entry.until <= now);
                late.for_each(|entry| entry.stream.close());
            }
            if idle.iter().any(|stack| !stack.is_empty()) {
                self.sweep.arm(now + SWEEP);
            }
        }
    }
}

/// Nothing to read, not even the end. Both production runtimes know this of an idle connection
/// without a system call.
/// Nor do session tickets, which TLS consumes before it looks further, count as bytes.
fn is_quiet<S: Stream>(stream: &mut S) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    stream.poll_read(&mut cx, &mut [0; 1]).is_pending()
}
