//! Deadlines of a shard: one bucketed wheel, driven by one task.
//!
//! A runtime's own timer costs a heap operation for each deadline, and nearly every deadline of a
//! proxy is replaced before it comes. Here a deadline is a word in a table: moving it later costs
//! a store, and the entry is looked at again only when the bucket it was filed in comes round.
//!
//! Invariants:
//! - an entry's `filed` tick is never later than the tick of its deadline, unless the wheel's
//!   horizon cut it short, so no deadline is missed;
//! - a bucket may name an entry that has moved on; `filed` tells, and the stale name is skipped;
//! - with nothing armed the driver holds no timer of the runtime at all.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Instant, Runtime};

/// A deadline fires at most this much late (plus the runtime's own delay).
const TICK_NS: u64 = 8_000_000;
const BUCKETS: usize = 1024;
const WORDS: usize = BUCKETS / 64;
const NOT_FILED: u64 = u64::MAX;

/// The timers of one shard.
#[derive(Clone)]
pub struct Timers {
    wheel: Rc<RefCell<Wheel>>,
}

/// One deadline and the task that waits for it. Dropping it forgets both.
pub struct Timer {
    wheel: Rc<RefCell<Wheel>>,
    entry: u32,
}

struct Entry {
    deadline: Instant,
    filed: u64,
    fired: bool,
    waker: Option<Waker>,
}

struct Wheel {
    entries: Vec<Entry>,
    free: Vec<u32>,
    buckets: Vec<Vec<u32>>,
    occupied: [u64; WORDS],
    /// What [`Wheel::advance`] took from the buckets; empty between calls.
    taken: Vec<(u64, u32)>,
    /// The last tick whose bucket was emptied.
    tick: u64,
    /// What the driver sleeps for; `NOT_FILED` when it sleeps without a deadline.
    driver_tick: u64,
    driver: Option<Waker>,
}

impl Timers {
    pub fn new(now: Instant) -> Self {
        let wheel = Wheel {
            entries: Vec::new(),
            free: Vec::new(),
            buckets: vec![Vec::new(); BUCKETS],
            occupied: [0; WORDS],
            taken: Vec::new(),
            tick: now.as_nanos() / TICK_NS,
            driver_tick: NOT_FILED,
            driver: None,
        };
        Self { wheel: Rc::new(RefCell::new(wheel)) }
    }

    /// A new timer, not armed.
    pub fn timer(&self) -> Timer {
        let entry = self.wheel.borrow_mut().insert();
        Timer { wheel: Rc::clone(&self.wheel), entry }
    }

    /// Wakes every task that waits on a timer, so that it can notice something else (a drain).
    pub fn wake_all(&self) {
        let mut wheel = self.wheel.borrow_mut();
        let wakers: Vec<_> = wheel.entries.iter_mut().filter_map(|e| e.waker.take()).collect();
        drop(wheel);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Fires deadlines as they come; never returns. Spawned once for each shard.
    pub async fn drive<R: Runtime>(self, runtime: R) {
        loop {
            let due = self.wheel.borrow_mut().advance(runtime.now());
            due.into_iter().for_each(Waker::wake);
            let next = self.wheel.borrow_mut().plan();
            let deadline = match next {
                NOT_FILED => Instant::NEVER,
                tick => Instant::from_nanos(tick.saturating_mul(TICK_NS)),
            };
            self.sleep(&runtime, next, deadline).await;
        }
    }

    /// Until `deadline`, or until something is armed that comes before `planned`.
    async fn sleep<R: Runtime>(&self, runtime: &R, planned: u64, deadline: Instant) {
        let mut sleep =
            (deadline != Instant::NEVER).then(|| Box::pin(runtime.sleep_until(deadline)));
        let wait = std::future::poll_fn(|cx| {
            let mut wheel = self.wheel.borrow_mut();
            if wheel.driver_tick < planned {
                return Poll::Ready(());
            }
            wheel.driver = Some(cx.waker().clone());
            drop(wheel);
            sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
        });
        pin!(wait).await;
    }
}

impl Timer {
    /// Sets the deadline, in place of an earlier one. [`Instant::NEVER`] disarms.
    pub fn arm(&self, deadline: Instant) {
        let waker = self.wheel.borrow_mut().arm(self.entry, deadline);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn disarm(&self) {
        self.arm(Instant::NEVER);
    }

    pub fn arm_if_disarmed(&self, deadline: Instant) {
        let armed = self.wheel.borrow().entries[self.entry as usize].deadline != Instant::NEVER;
        if !armed {
            self.arm(deadline);
        }
    }

    /// Ready once the deadline has passed; otherwise the task is woken when it does.
    pub fn poll_expired(&self, cx: &Context<'_>) -> Poll<()> {
        let mut wheel = self.wheel.borrow_mut();
        let entry = &mut wheel.entries[self.entry as usize];
        if entry.fired {
            return Poll::Ready(());
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => entry.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.wheel.borrow_mut().remove(self.entry);
    }
}

impl Wheel {
    fn insert(&mut self) -> u32 {
        let fresh = Entry { deadline: Instant::NEVER, filed: NOT_FILED, fired: false, waker: None };
        if let Some(id) = self.free.pop() {
            self.entries[id as usize] = fresh;
            return id;
        }
        self.entries.push(fresh);
        u32::try_from(self.entries.len() - 1).expect("fewer timers than 2^32")
    }

    fn remove(&mut self, id: u32) {
        let entry = &mut self.entries[id as usize];
        entry.filed = NOT_FILED;
        entry.deadline = Instant::NEVER;
        entry.waker = None;
        self.free.push(id);
    }

    /// Returns the driver's waker when it must look again, or the task's when the deadline lies
    /// behind: whoever arms a timer over and over must not put off what has come.
    fn arm(&mut self, id: u32, deadline: Instant) -> Option<Waker> {
        let entry = &mut self.entries[id as usize];
        entry.deadline = deadline;
        let due = tick_of(deadline);
        entry.fired = due <= self.tick;
        if entry.fired {
            return entry.waker.take();
        }
        if due == NOT_FILED || entry.filed <= due {
            return None;
        }
        let filed = self.file(id, due);
        if filed < self.driver_tick {
            self.driver_tick = filed;
            return self.driver.take();
        }
        None
    }

    /// Puts an entry in the bucket of `due`, or of the horizon when that is nearer.
    fn file(&mut self, id: u32, due: u64) -> u64 {
        let tick = due.clamp(self.tick + 1, self.tick + BUCKETS as u64 - 1);
        self.entries[id as usize].filed = tick;
        let bucket = bucket_of(tick);
        self.buckets[bucket].push(id);
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        tick
    }

    /// Empties the buckets up to `now`; returns the tasks whose deadlines have come.
    fn advance(&mut self, now: Instant) -> Vec<Waker> {
        let from = self.tick;
        self.tick = self.tick.max(now.as_nanos() / TICK_NS);
        // Everything filed lies within one turn of the wheel, however late the driver is. All
        // buckets are emptied before anything is filed again, or it might land in one of them.
        for tick in from + 1..=self.tick.min(from + BUCKETS as u64) {
            self.take_bucket(tick);
        }
        let mut taken = std::mem::take(&mut self.taken);
        let due = taken.drain(..).filter_map(|(tick, id)| self.look_at(tick, id)).collect();
        self.taken = taken;
        due
    }

    fn take_bucket(&mut self, tick: u64) {
        let bucket = bucket_of(tick);
        self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        self.taken.extend(self.buckets[bucket].drain(..).map(|id| (tick, id)));
    }

    /// An entry that was named in the bucket of `tick`: fires it, files it again or passes it over.
    fn look_at(&mut self, tick: u64, id: u32) -> Option<Waker> {
        let entry = &mut self.entries[id as usize];
        if entry.filed != tick {
            return None;
        }
        entry.filed = NOT_FILED;
        let due = tick_of(entry.deadline);
        if due <= self.tick {
            entry.fired = true;
            return entry.waker.take();
        }
        if due != NOT_FILED {
            self.file(id, due);
        }
        None
    }

    /// The next tick with something filed, which the driver is about to sleep for.
    fn plan(&mut self) -> u64 {
        let next = (1..BUCKETS as u64).map(|ahead| self.tick + ahead).find(|tick| {
            let bucket = bucket_of(*tick);
            self.occupied[bucket / 64] & (1 << (bucket % 64)) != 0
        });
        self.driver_tick = next.unwrap_or(NOT_FILED);
        self.driver_tick
    }
}

/// The first tick that is not before `deadline`.
fn tick_of(deadline: Instant) -> u64 {
    if deadline == Instant::NEVER { NOT_FILED } else { deadline.as_nanos().div_ceil(TICK_NS) }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of BUCKETS")]
fn bucket_of(tick: u64) -> usize {
    (tick % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests;
