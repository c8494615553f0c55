//! How many requests may be on their second way at once.
//!
//! Retries help while few requests fail. When many do, each retry is one more request for
//! backends that are failing already, and an outage multiplies itself. So the requests that are
//! being retried may only be a share of those in flight (the retry budget of Envoy and Finagle).
//!
//! Invariants:
//! - requests being retried never exceed what [`allows`] says at the moment one is added, over all
//!   shards together: the count is one word, moved by compare-and-swap;
//! - a request takes nothing before it fails: one that needs no retry does not touch the count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::RetryConfig;

/// Whether one more of `live` requests in flight may be retried while `retrying` are.
pub fn allows(live: u64, retrying: u32, config: &RetryConfig) -> bool {
    let share = live * u64::from(config.budget_percent) / 100;
    u64::from(retrying) < share.max(u64::from(config.floor))
}

/// The requests of one upstream that are being retried; all shards count in it, and a reload finds
/// it under the same name.
#[derive(Debug, Default)]
pub struct Retrying(AtomicU32);

impl Retrying {
    pub fn count(&self) -> u32 {
        // Relaxed, as below: the number guards no other memory.
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more until the guard is dropped, if the budget allows it.
    pub fn begin(self: &Arc<Self>, live: u64, config: &RetryConfig) -> Option<Retry> {
        // Relaxed: a compare-and-swap of one word is exact whatever the order of others.
        let counted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |retrying| {
            allows(live, retrying, config).then(|| retrying + 1)
        });
        counted.is_ok().then(|| Retry(Arc::clone(self)))
    }
}

/// A request that is being retried.
#[derive(Debug)]
pub struct Retry(Arc<Retrying>);

impl Drop for Retry {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config(budget_percent: u32, floor: u32) -> RetryConfig {
        RetryConfig { attempts: 2, budget_percent, floor }
    }

    #[test]
    fn a_share_of_the_live_but_never_less_than_the_floor() {
        let config = config(20, 3);
        let most = |live| (0..).find(|retrying| !allows(live, *retrying, &config)).unwrap();
        let table: Vec<_> = [0, 1, 15, 19, 20, 24, 25, 1000].map(|live| (live, most(live))).into();
        let expected = [(0, 3), (1, 3), (15, 3), (19, 3), (20, 4), (24, 4), (25, 5), (1000, 200)];
        assert_eq!(table, expected);
        assert!(!allows(1000, 0, &self::config(0, 0)), "nothing is nothing");
        assert!(allows(u64::from(u32::MAX), u32::MAX - 1, &self::config(100, 0)));
    }

    #[test]
    fn a_retry_that_is_over_makes_room() {
        let retrying = Arc::new(Retrying::default());
        let first = retrying.begin(0, &config(0, 1));
        assert!(first.is_some() && retrying.begin(0, &config(0, 1)).is_none());
        drop(first);
        assert!(retrying.begin(0, &config(0, 1)).is_some());
        assert_eq!(retrying.count(), 0);
    }

    #[test]
    fn threads_together_never_go_over() {
        let retrying = Arc::new(Retrying::default());
        let config = config(50, 0);
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let held: Vec<_> = (0..4).map(|_| retrying.begin(12, &config)).collect();
                        assert!(retrying.count() <= 6);
                        barrier.wait();
                        drop(held);
                        barrier.wait();
                        assert_eq!(retrying.count(), 0);
                        barrier.wait();
                    }
                });
            }
        });
    }

    proptest! {
        #[test]
        fn more_live_never_allow_less_and_more_retrying_never_allow_more(
            live in 0u64..100_000,
            retrying in 0u32..100_000,
            budget in 0u32..=100,
            floor in 0u32..1000,
        ) {
            let config = config(budget, floor);
            if allows(live, retrying + 1, &config) {
                prop_assert!(allows(live, retrying, &config));
            }
            if allows(live, retrying, &config) {
                prop_assert!(allows(live + 1, retrying, &config));
            }
        }
    }
}
