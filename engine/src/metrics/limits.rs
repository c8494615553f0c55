//! What one shard counts for each limit, by name: a reload changes the limits, and what they have
//! counted stays.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::{Counter, Family, Kind, ShardMetrics};

/// Picks one counter of a limit.
type Pick = fn(&LimitCounts) -> &Counter;

/// What is told of each limit: name, help, and where it is kept.
const COUNTERS: [(&str, &str, Pick); 5] = [
    ("limit_admitted", "Charges that a limit admitted, dry runs included.", |l| &l.admitted),
    ("limit_refused", "Requests that a limit refused.", |l| &l.refused),
    ("limit_would_refuse", "Requests that a limit in dry run would have refused.", |l| {
        &l.would_refuse
    }),
    ("limit_table_full", "Charges that met a full slot table.", |l| &l.table_full),
    ("limit_banned", "Requests of callers whom a limit had banned.", |l| &l.banned),
];

/// What one shard counts for one limit.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct LimitCounts {
    /// Charges that were admitted, dry runs included.
    pub admitted: Counter,
    /// Requests that were refused.
    pub refused: Counter,
    /// Requests that would have been, had the limit not run dry.
    pub would_refuse: Counter,
    /// Charges that met a full slot table, whatever the limit made of it.
    pub table_full: Counter,
    /// Requests of callers whom the limit had banned.
    pub banned: Counter,
    /// Nanoseconds for which bytes were held back.
    pub delayed_ns: Counter,
}

/// The counts of every limit there has been. A list that only grows, so that its one writer and its
/// readers need no lock: the writer appends when it takes a configuration up.
#[derive(Debug, Default)]
pub struct LimitMetrics {
    first: OnceLock<Box<Named>>,
}

#[derive(Debug)]
struct Named {
    name: String,
    counts: Arc<LimitCounts>,
    next: OnceLock<Box<Named>>,
}

impl LimitMetrics {
    /// The counts of the limit called `name`, which are made if need be.
    pub fn of(&self, name: &str) -> Arc<LimitCounts> {
        let mut place = &self.first;
        loop {
            let made = || {
                let next = OnceLock::new();
                Box::new(Named { name: name.to_owned(), counts: Arc::default(), next })
            };
            let named = place.get_or_init(made);
            if named.name == name {
                return Arc::clone(&named.counts);
            }
            place = &named.next;
        }
    }

    /// Every limit with its counts, in the order in which they first came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LimitCounts)> {
        let first = self.first.get();
        std::iter::successors(first, |named| named.next.get())
            .map(|named| (named.name.as_str(), &*named.counts))
    }

    /// One number of all limits together.
    pub fn sum(&self, pick: impl Fn(&LimitCounts) -> &Counter) -> u64 {
        self.iter().map(|(_, counts)| pick(counts).get()).sum()
    }
}

/// All limits that the shards have had, by name.
fn names(shards: &[Arc<ShardMetrics>]) -> Vec<&str> {
    let mut names: Vec<&str> =
        shards.iter().flat_map(|shard| shard.limits.iter().map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn sum_of(shards: &[Arc<ShardMetrics>], name: &str, pick: Pick) -> u64 {
    let all = shards.iter().flat_map(|shard| shard.limits.iter());
    all.filter(|(own, _)| *own == name).map(|(_, counts)| pick(counts).get()).sum()
}

/// A sample of each limit in each family.
pub(super) fn families(shards: &[Arc<ShardMetrics>]) -> Vec<Family> {
    let names = names(shards);
    let counted = COUNTERS.iter().map(|(name, help, pick)| {
        let family = Family::new(Kind::Counter, &format!("weir_{name}_total"), help);
        let with = |family: Family, limit: &&str| {
            family.with(&[("limit", *limit)], sum_of(shards, limit, *pick))
        };
        names.iter().fold(family, with)
    });
    let name = "weir_limit_delayed_seconds_total";
    let delayed = Family::new(Kind::Counter, name, "Time for which a limit held bytes back.");
    let delayed = names.iter().fold(delayed, |family, limit| {
        let delayed = Duration::from_nanos(sum_of(shards, limit, |l| &l.delayed_ns));
        family.with_value("", &[("limit", *limit)], delayed.as_secs_f64())
    });
    counted.chain([delayed]).collect()
}

/// All limits together.
pub(super) fn sums(shards: &[Arc<ShardMetrics>]) -> impl Iterator<Item = (String, Value)> {
    COUNTERS.iter().map(|(name, _, pick)| {
        let sum: u64 = shards.iter().map(|shard| shard.limits.sum(pick)).sum();
        ((*name).to_owned(), sum.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_with_their_names() {
        let metrics = LimitMetrics::default();
        metrics.of("a").admitted.add(2);
        metrics.of("b").refused.increment();
        metrics.of("a").admitted.increment();
        let seen: Vec<_> =
            metrics.iter().map(|(name, c)| (name, c.admitted.get(), c.refused.get())).collect();
        assert_eq!(seen, [("a", 3, 0), ("b", 0, 1)]);
        assert_eq!(metrics.sum(|counts| &counts.admitted), 3);
    }
}
