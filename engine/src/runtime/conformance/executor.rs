//! Tasks, timers, clocks.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{pause, within};
use crate::runtime::{Instant, Runtime};

/// Sleepers wake in the order of their deadlines, none early, none very late.
pub(super) async fn sleep_order<R: Runtime>(runtime: &R) {
    let begun = runtime.now();
    let order: Rc<RefCell<Vec<u64>>> = Rc::default();
    for millis in [30, 10, 20, 0, 40] {
        let (runtime, order) = (runtime.clone(), Rc::clone(&order));
        runtime.clone().spawn(async move {
            let deadline = begun + Duration::from_millis(millis);
            runtime.sleep_until(deadline).await;
            let late = runtime.now().since(deadline);
            assert!(runtime.now() >= deadline, "woken early");
            assert!(late < Duration::from_secs(1), "{late:?} late");
            order.borrow_mut().push(millis);
        });
    }
    while order.borrow().len() < 5 {
        pause(runtime, 5).await;
    }
    assert_eq!(*order.borrow(), [0, 10, 20, 30, 40]);
    runtime.sleep_until(Instant::default()).await;
    let never =
        within(runtime, Duration::from_millis(5), runtime.sleep_until(Instant::NEVER)).await;
    assert!(never.is_none());
}

/// A spawned task runs by itself and wakes another.
pub(super) async fn spawned_wake_up<R: Runtime>(runtime: &R) {
    let done = Rc::new(Cell::new(false));
    let waiter: Rc<Cell<Option<Waker>>> = Rc::default();
    let (task_done, task_waiter) = (Rc::clone(&done), Rc::clone(&waiter));
    let clock = runtime.clone();
    runtime.spawn(async move {
        pause(&clock, 5).await;
        task_done.set(true);
        if let Some(waker) = task_waiter.take() {
            waker.wake();
        }
    });
    poll_fn(|cx| {
        waiter.set(Some(cx.waker().clone()));
        if done.get() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The clock moves while time passes, and random bytes differ.
pub(super) async fn clocks_and_randomness<R: Runtime>(runtime: &R) {
    let (monotonic, wall) = (runtime.now(), runtime.wall());
    pause(runtime, 50).await;
    assert!(runtime.now().since(monotonic) >= Duration::from_millis(50));
    // NTP may slew the wall clock, but not by half.
    assert!(runtime.wall().0 - wall.0 >= 25_000_000, "the wall clock stands");
    let (mut first, mut second) = ([0; 32], [0; 32]);
    runtime.fill_random(&mut first);
    runtime.fill_random(&mut second);
    assert_ne!(first, second);
    assert_ne!(first, [0; 32]);
}
