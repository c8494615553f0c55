//! How long a client may keep the gateway waiting for one body.
//!
//! A bound on the time between two bytes holds nobody who sends, or takes, one byte just before
//! it ends. So waiting for the client is bounded in sum as well: a while of grace, and further
//! time for the bytes that moved. What the backend is waited for does not count: a stream of
//! events may be as slow as its source.

use std::time::Duration;

use crate::runtime::Instant;

/// The time spent on waiting for a client. Pure: callers bring the time.
#[derive(Debug)]
pub(super) struct Pace {
    grace: Duration,
    /// Bytes a second; zero for any.
    rate_min: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(grace: Duration, rate_min: u64) -> Self {
        Self { grace, rate_min, waited: Duration::ZERO, waiting_since: None }
    }

    /// Whether the client is waited for from `now` on, after `bytes` have moved. Returns when that
    /// will have lasted too long, or has: the moment stays where it is when it lies behind.
    pub(super) fn deadline(&mut self, now: Instant, waiting: bool, bytes: u64) -> Instant {
        if self.rate_min == 0 {
            return Instant::NEVER;
        }
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.since(since);
        }
        if !waiting {
            return Instant::NEVER;
        }
        self.waiting_since = Some(now);
        let earned_ms = bytes.saturating_mul(1000) / self.rate_min;
        let allowed = self.grace.saturating_add(Duration::from_millis(earned_ms));
        let over = self.waited.saturating_sub(allowed);
        if over.is_zero() { now + (allowed - self.waited) } else { now.before(over) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_byte_now_and_then_buys_little_time() {
        let mut pace = Pace::new(Duration::from_secs(30), 1);
        assert_eq!(pace.deadline(at(100), true, 0), at(130));
        // A byte each 29 s earns one second each.
        assert_eq!(pace.deadline(at(129), true, 1), at(131));
        assert_eq!(pace.deadline(at(131), true, 1), at(131), "over");
        assert_eq!(pace.deadline(at(140), true, 1), at(131));
        assert_eq!(pace.deadline(at(150), true, 3), at(133));
    }

    #[test]
    fn whoever_keeps_the_rate_goes_on_for_ever() {
        let mut pace = Pace::new(Duration::from_secs(10), 100);
        for second in 0..100_000 {
            assert_eq!(pace.deadline(at(second), true, second * 100), at(second + 10));
        }
    }

    #[test]
    fn time_in_which_nobody_waits_for_the_client_is_not_counted() {
        let mut pace = Pace::new(Duration::from_secs(10), 1000);
        assert_eq!(pace.deadline(at(0), true, 0), at(10));
        assert_eq!(pace.deadline(at(4), false, 0), Instant::NEVER);
        assert_eq!(pace.deadline(at(5000), true, 0), at(5006));
        assert_eq!(pace.deadline(at(5001), true, 2000), at(5008));
    }

    #[test]
    fn without_a_rate_there_is_no_bound() {
        let mut pace = Pace::new(Duration::ZERO, 0);
        assert_eq!(pace.deadline(at(5), true, 0), Instant::NEVER);
        assert_eq!(Pace::new(Duration::MAX, 1).deadline(at(5), true, u64::MAX), Instant::NEVER);
    }
}
