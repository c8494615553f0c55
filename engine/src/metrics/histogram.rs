//! Latencies in log-linear buckets, after HdrHistogram (Gil Tene): each doubling is cut into 32
//! equal parts, so a bucket is at most 1/32 as wide as its values, over eight decades.

use super::Counter;

/// Each doubling has `1 << PART_BITS` buckets.
const PART_BITS: u32 = 5;
const PARTS: usize = 1 << PART_BITS;

/// The finest bucket is `1 << UNIT_BITS` ns wide; below 1,024 ns all of them are.
const UNIT_BITS: u32 = 5;

/// Values above `1 << TOP_BITS` ns (137 s) share the last bucket.
const TOP_BITS: u32 = 37;

/// Bucket 0 to 31 are linear; then 32 for each doubling from 2^10 to 2^37 ns.
const BUCKETS: usize = PARTS * (1 + (TOP_BITS - UNIT_BITS - PART_BITS) as usize) + 1;

/// A histogram with one writing thread. 7 KiB; recording touches two cache lines of it, none of
/// them at the ends, which are for durations that do not occur, so a neighbour's line is safe.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Counter]>,
    sum_ns: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Counter::new()).collect(), sum_ns: Counter::new() }
    }
}

impl Histogram {
    /// Counts one duration in nanoseconds.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        self.buckets[index(ns)].increment();
        self.sum_ns.add(ns);
    }
}

/// The sum of some histograms, as of about one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramSnapshot {
    counts: Vec<u64>,
    sum_ns: u64,
}

impl Default for HistogramSnapshot {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], sum_ns: 0 }
    }
}

impl HistogramSnapshot {
    /// The sum of `histograms`.
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut total = Self::default();
        for histogram in histograms {
            for (sum, bucket) in total.counts.iter_mut().zip(&histogram.buckets) {
                *sum += bucket.get();
            }
            total.sum_ns = total.sum_ns.wrapping_add(histogram.sum_ns.get());
        }
        total
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// How many durations were at most `1 << bits` ns: exact, because buckets end there.
    ///
    /// # Panics
    /// When no bucket ends there: `bits` must be 10 to 37.
    pub fn count_up_to_power(&self, bits: u32) -> u64 {
        assert!((UNIT_BITS + PART_BITS..=TOP_BITS).contains(&bits), "no bucket ends at 2^{bits}");
        self.counts[..=index(1 << bits)].iter().sum()
    }

    /// The duration that a share `quantile` (0 to 1) of all stayed within, rounded up to its
    /// bucket's end: never too small, too large by 32 ns or 1/32 at most, and 137 s for
    /// anything longer. `None` while nothing was recorded.
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        let rank = rank(quantile, count);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|&count| {
            seen += count;
            count > 0 && seen >= rank
        })?;
        Some(bounds(bucket).1.min(1 << TOP_BITS))
    }
}

/// Which of `count` values, from 1, a quantile asks for (nearest rank).
fn rank(quantile: f64, count: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count is a count; a float's 53 bits are precise enough"
    )]
    // Products such as 0.55 * 200 come out a little too large, which must not round up to the next.
    let rank = (quantile.clamp(0.0, 1.0) * count as f64 * (1.0 - 1e-12)).ceil() as u64;
    rank.clamp(1, count.max(1))
}

/// The bucket whose bounds hold `ns`.
#[inline]
fn index(ns: u64) -> usize {
    // Prometheus counts `<=`, so a bucket includes its upper end and not its lower: hence less 1.
    let unit = ns.saturating_sub(1) >> UNIT_BITS;
    let Some(octave) = unit.checked_ilog2().and_then(|log| log.checked_sub(PART_BITS)) else {
        return part(unit);
    };
    (PARTS * octave as usize + part(unit >> octave)).min(BUCKETS - 1)
}

/// A number below `2 * PARTS`.
#[inline]
fn part(small: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "below 64 by the callers' shifts")]
    let part = small as usize;
    part
}

/// The durations of a bucket in ns: above the first, at most the second. Bucket 0 has 0 too.
fn bounds(bucket: usize) -> (u64, u64) {
    if bucket >= BUCKETS - 1 {
        return (1 << TOP_BITS, u64::MAX);
    }
    let (octave, part) = match bucket / PARTS {
        0 => (0, bucket),
        nth => (nth - 1, bucket % PARTS + PARTS),
    };
    let start = |part: usize| (part as u64) << (octave + UNIT_BITS as usize);
    (start(part), start(part + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(values: &[u64]) -> HistogramSnapshot {
        let histogram = Histogram::default();
        values.iter().for_each(|&ns| histogram.record_ns(ns));
        HistogramSnapshot::of([&histogram])
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        assert_eq!(bounds(0), (0, 32));
        assert_eq!(bounds(31), (992, 1_024));
        assert_eq!(bounds(32), (1_024, 1_056));
        assert_eq!(bounds(64), (2_048, 2_112));
        for bucket in 1..BUCKETS {
            assert_eq!(bounds(bucket - 1).1, bounds(bucket).0, "bucket {bucket}");
        }
        assert_eq!(bounds(BUCKETS - 1), (1 << TOP_BITS, u64::MAX));
    }

    #[test]
    fn a_power_of_two_is_the_end_of_its_bucket() {
        for bits in 10..=TOP_BITS {
            let edge = 1_u64 << bits;
            let snapshot = with(&[edge - 1, edge, edge + 1]);
            assert_eq!(snapshot.count_up_to_power(bits), 2, "2^{bits}");
        }
    }

    #[test]
    fn several_histograms_are_summed() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record_ns(10);
        two.record_ns(10);
        two.record_ns(5_000);
        let snapshot = HistogramSnapshot::of([&one, &two]);
        assert_eq!((snapshot.count(), snapshot.sum_ns()), (3, 5_020));
        assert_eq!(snapshot.count_up_to_power(10), 2);
    }

    #[test]
    fn nothing_recorded_has_no_quantile() {
        assert_eq!(HistogramSnapshot::default().quantile_ns(0.5), None);
        assert_eq!(with(&[0]).quantile_ns(0.0), Some(32));
        assert_eq!(with(&[u64::MAX]).quantile_ns(1.0), Some(1 << TOP_BITS));
    }

    #[test]
    fn ranks_are_those_of_exact_arithmetic() {
        for thousandths in 0..=1_000_u32 {
            for count in (1..=1_000_u64).chain([999_999, 1_000_000]) {
                let exact = (u64::from(thousandths) * count).div_ceil(1_000).max(1);
                let found = rank(f64::from(thousandths) / 1_000.0, count);
                assert_eq!(found, exact, "{thousandths} of {count}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(bits in 0_u32..64, low: u64) {
            let ns = low >> bits;
            let (above, up_to) = bounds(index(ns));
            prop_assert!(ns <= up_to && (above < ns || ns == 0), "{ns} in ({above}, {up_to}]");
        }

        #[test]
        fn a_bucket_is_narrow(ns in 0_u64..=1 << TOP_BITS) {
            let (above, up_to) = bounds(index(ns));
            prop_assert!(up_to - above <= (above / 32).max(32));
        }

        #[test]
        fn a_quantile_is_the_true_one_rounded_up_a_little(
            mut values in prop::collection::vec(0_u64..1 << TOP_BITS, 1..200), thousandths in 0_u32..=1_000,
        ) {
            let estimate = with(&values).quantile_ns(f64::from(thousandths) / 1_000.0);
            values.sort_unstable();
            let rank = (thousandths as usize * values.len()).div_ceil(1_000).max(1);
            let exact = values[rank - 1];
            let estimate = estimate.expect("not empty");
            prop_assert!(estimate >= exact && estimate <= exact + (exact / 32).max(32));
        }
    }
}
