//! Bounded waits.

use std::time::{Duration, Instant};

/// Enough for anything that should happen at once, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(10);

const POLL_PAUSE: Duration = Duration::from_millis(2);

/// A moment by which something must have happened.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(limit: Duration) -> Self {
        Self(now() + limit)
    }

    /// Time left, never zero, because sockets take zero for "for ever"; `None` when it has passed.
    pub fn remaining(self) -> Option<Duration> {
        let remaining = self.0.saturating_duration_since(now());
        (!remaining.is_zero()).then_some(remaining)
    }
}

/// Calls `attempt` until it returns something; `None` when `limit` passes first.
pub fn poll<T>(limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(limit);
    loop {
        if let Some(value) = attempt() {
            return Some(value);
        }
        deadline.remaining()?;
        std::thread::park_timeout(POLL_PAUSE);
    }
}

/// Lets `time` pass, as a client does that was told to come back later. Not for waiting until
/// something has happened.
pub fn as_told(time: Duration) {
    let deadline = Deadline::after(time);
    while let Some(left) = deadline.remaining() {
        std::thread::park_timeout(left);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(PATIENCE, what, condition);
}

/// Waits until `condition` holds, for at most `limit`.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn until_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let held = poll(limit, || condition().then_some(()));
    assert!(held.is_some(), "waited {limit:?} in vain: {what}");
}

/// How long `work` took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = now();
    let value = work();
    (value, now() - start)
}

#[expect(clippy::disallowed_methods, reason = "tests watch real processes in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_returns_the_first_value_or_gives_up() {
        let mut calls = 0;
        let value = poll(PATIENCE, || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(value, Some(3));
        let (nothing, took) = timed(|| poll(Duration::from_millis(20), || None::<()>));
        assert_eq!(nothing, None);
        assert!(took >= Duration::from_millis(20));
    }

    #[test]
    #[should_panic(expected = "in vain: the impossible")]
    fn a_wait_in_vain_says_for_what() {
        until_within(Duration::ZERO, "the impossible", || false);
    }
}
