use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn at_ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn advance(timers: &Timers, ms: u64) -> usize {
    let due = timers.wheel.borrow_mut().advance(at_ms(ms));
    let count = due.len();
    due.into_iter().for_each(Waker::wake);
    count
}

#[test]
fn a_deadline_moved_later_fires_once_at_the_later_time() {
    let timers = Timers::new(at_ms(0));
    let timer = timers.timer();
    let woken = Arc::new(Counter(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    let cx = Context::from_waker(&waker);
    timer.arm(at_ms(100));
    timer.arm(at_ms(300));
    assert!(timer.poll_expired(&cx).is_pending());
    assert_eq!(advance(&timers, 299), 0);
    assert_eq!(advance(&timers, 320), 1);
    assert!(timer.poll_expired(&cx).is_ready());
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_deadline_moved_earlier_fires_at_the_earlier_time() {
    let timers = Timers::new(at_ms(0));
    let timer = timers.timer();
    let cx = Context::from_waker(Waker::noop());
    timer.arm(at_ms(5_000));
    timer.arm(at_ms(50));
    assert!(timer.poll_expired(&cx).is_pending());
    assert_eq!(advance(&timers, 60), 1);
}

#[test]
fn deadlines_beyond_the_horizon_and_long_stalls_are_kept() {
    let timers = Timers::new(at_ms(0));
    let cx = Context::from_waker(Waker::noop());
    let (near, far) = (timers.timer(), timers.timer());
    near.arm(at_ms(75_000));
    far.arm(at_ms(600_000));
    assert!(near.poll_expired(&cx).is_pending() && far.poll_expired(&cx).is_pending());
    for second in 1..75 {
        assert_eq!(advance(&timers, second * 1_000), 0, "at {second} s");
    }
    assert_eq!(advance(&timers, 75_010), 1);
    // The driver was away for a long time: one look refiles, the next one fires.
    advance(&timers, 700_000);
    advance(&timers, 709_000);
    assert!(far.poll_expired(&cx).is_ready());
}

#[test]
fn a_dropped_timer_is_silent_and_its_place_is_reused() {
    let timers = Timers::new(at_ms(0));
    let cx = Context::from_waker(Waker::noop());
    let first = timers.timer();
    first.arm(at_ms(50));
    assert!(first.poll_expired(&cx).is_pending());
    drop(first);
    let second = timers.timer();
    second.arm(at_ms(500));
    assert!(second.poll_expired(&cx).is_pending());
    assert_eq!(advance(&timers, 100), 0);
    assert!(second.poll_expired(&cx).is_pending());
    assert_eq!(advance(&timers, 510), 1);
}

#[test]
fn a_deadline_that_lies_behind_fires_however_often_it_is_armed() {
    let timers = Timers::new(at_ms(0));
    let timer = timers.timer();
    let woken = Arc::new(Counter(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    let cx = Context::from_waker(&waker);
    timer.arm(at_ms(96));
    assert!(timer.poll_expired(&cx).is_pending());
    assert_eq!(advance(&timers, 96), 1);
    timer.arm(at_ms(96));
    assert!(timer.poll_expired(&cx).is_ready());
    timer.arm(at_ms(500));
    assert!(timer.poll_expired(&cx).is_pending());
    // Somebody else brings it forward: the task hears of it.
    timer.arm(at_ms(90));
    assert_eq!(woken.0.load(Ordering::Relaxed), 2);
    assert!(timer.poll_expired(&cx).is_ready());
}
