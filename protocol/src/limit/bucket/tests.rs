use proptest::prelude::*;

use super::*;

/// Every admission kept with its time. Admits what leaves every interval that ends now within
/// `burst + rate * T`.
struct Oracle {
    bucket: Bucket,
    admitted: Vec<(u64, u64)>,
}

impl Oracle {
    fn admits(&self, now_ns: u64, cost: u64) -> bool {
        let mut units = u128::from(cost);
        let fits = |units: u128, passed_ns: u64| {
            let ticks = u128::from(passed_ns) * u128::from(NS_TICKS);
            units * u128::from(self.bucket.interval) <= u128::from(self.bucket.capacity) + ticks
        };
        fits(units, 0)
            && self.admitted.iter().rev().all(|&(at, cost)| {
                units += u128::from(cost);
                fits(units, now_ns - at)
            })
    }
}

fn buckets() -> impl Strategy<Value = Bucket> {
    let rates = prop_oneof![1..=20_u64, 1..=20_000_000_000_u64];
    let lengths = prop_oneof![Just(SECOND_NS), SECOND_NS..=100 * SECOND_NS];
    (rates, lengths, 1..=300_u64).prop_map(|(count, length_ns, percent)| {
        let burst = (count * percent / 100).max(1);
        Bucket::new(count, length_ns, burst).expect("within the bounds")
    })
}

/// Where time goes from one request to the next, as a share of what a bucket takes to fill.
fn gaps() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0_u64), 3 => 0..=100_u64, 1 => 900..=1_100_u64, 1 => 0..=9_000_u64]
}

fn scaled(whole: u64, thousandths: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(thousandths) / 1_000).expect("fits")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every decision is that of a counter which remembers everything and holds every interval
    /// against `burst + rate * T`; nothing that would fit is refused.
    #[test]
    fn at_most_burst_and_rate_in_any_interval(
        bucket in buckets(),
        start_ns in any::<u64>(),
        steps in prop::collection::vec((gaps(), 1..=1_000_u64), 1..80),
    ) {
        let mut oracle = Oracle { bucket, admitted: Vec::new() };
        // Ticks wrap, so any time will do.
        let mut now_ns = start_ns / 2;
        let mut word = bucket.word_at(now_ns, 0);
        for (gap, cost) in steps {
            now_ns += scaled(bucket.fill_ns, gap);
            let cost = scaled(bucket.burst, cost).max(1);
            let expected = oracle.admits(now_ns, cost);
            let outcome = charge(word, &bucket, now_ns, cost);
            prop_assert_eq!(matches!(outcome, Outcome::Admitted { .. }), expected);
            if let Outcome::Admitted { word: next, .. } = outcome {
                word = next;
                oracle.admitted.push((now_ns, cost));
            }
        }
    }

    /// Rounding costs at most a tick for each unit, and never adds.
    #[test]
    fn the_rate_is_met_to_a_tick(count in 1..=10_000_000_000_u64, length_ns in SECOND_NS..=100 * SECOND_NS) {
        let bucket = Bucket::new(count, length_ns, 1).expect("within the bounds");
        let (window, taken) = (length_ns * NS_TICKS, count * bucket.interval);
        prop_assert!(taken >= window && taken - window < count);
    }

    /// Pieces of several connections, each held back for as long as was said.
    #[test]
    fn who_waits_keeps_the_byte_rate(
        bucket in buckets(),
        steps in prop::collection::vec((gaps(), 1..=1_400_u64), 1..60),
    ) {
        let mut now_ns = SECOND_NS;
        let mut word = bucket.word_at(now_ns, 0);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        for (gap, bytes) in steps {
            now_ns += scaled(bucket.fill_ns, gap / 4);
            let bytes = scaled(bucket.burst, bytes).max(1);
            let (next, wait_ns) = throttle(word, &bucket, now_ns, bytes);
            word = next;
            passed.push((now_ns + wait_ns, bytes));
        }
        passed.sort_unstable();
        let largest = passed.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        let burst = u128::from(largest.max(bucket.burst) * bucket.interval);
        for (first, &(from_ns, _)) in passed.iter().enumerate() {
            let mut bytes = 0;
            for &(at_ns, piece) in &passed[first..] {
                bytes += u128::from(piece);
                // A nanosecond for the rounding of each wait.
                let ticks = u128::from(at_ns - from_ns + 1) * u128::from(NS_TICKS);
                prop_assert!(bytes * u128::from(bucket.interval) <= burst + ticks);
            }
        }
    }

    #[test]
    fn a_wait_is_over_when_it_says(bucket in buckets(), bytes in 1..=2_000_u64, more in 1..=2_000_u64) {
        let now_ns = SECOND_NS;
        let word = throttle(bucket.word_at(now_ns, 0), &bucket, now_ns, scaled(bucket.burst, bytes)).0;
        let (word, wait_ns) = throttle(word, &bucket, now_ns, scaled(bucket.burst, more));
        let waits = |at_ns: u64| throttle(word, &bucket, at_ns, 0).1;
        prop_assert_eq!(waits(now_ns + wait_ns), 0);
        prop_assert!(wait_ns == 0 || waits(now_ns + wait_ns - 1) == 1);
    }
}

#[test]
fn a_burst_then_the_rate() {
    // Ten a second, twenty at once.
    let bucket = Bucket::new(10, SECOND_NS, 20).expect("fits");
    let now_ns = 5 * SECOND_NS;
    let full = bucket.word_at(now_ns, 0);
    let Outcome::Admitted { word, remaining, reset_ns } = charge(full, &bucket, now_ns, 20) else {
        panic!("a burst");
    };
    assert_eq!((remaining, reset_ns), (0, 2 * SECOND_NS));
    let refused = |cost: u64| charge(word, &bucket, now_ns, cost);
    let reset_ns = 2 * SECOND_NS;
    assert_eq!(refused(1), Outcome::Refused { retry_after_ns: SECOND_NS / 10, reset_ns });
    assert_eq!(refused(20), Outcome::Refused { retry_after_ns: 2 * SECOND_NS, reset_ns });
    assert_eq!(refused(21), Outcome::Refused { retry_after_ns: u64::MAX, reset_ns });
}

#[test]
fn a_debt_is_bounded_and_believed() {
    let bucket = Bucket::new(1, SECOND_NS, 10).expect("fits");
    let now_ns = 1_000 * SECOND_NS;
    let word = settle(bucket.word_at(now_ns, 10), &bucket, now_ns, u64::MAX);
    // The burst, and 64 more.
    assert_eq!(peek(word, &bucket, now_ns).reset_ns, 65 * 10 * SECOND_NS);
    assert_eq!(age(word, &bucket, now_ns), Age::Current);
    // A clock that lags by as much again still believes it, and does not make it larger.
    let lagging_ns = now_ns - 640 * SECOND_NS;
    assert_eq!(age(word, &bucket, lagging_ns), Age::Ahead(64));
    assert_eq!(settle(word, &bucket, lagging_ns, 5), word);
    assert_eq!(age(word, &bucket, lagging_ns - 1), Age::Expired);
}

#[test]
fn a_word_is_never_the_seal() {
    let bucket = Bucket::new(1_000, SECOND_NS, 10).expect("fits");
    let now_ns = u64::MAX / NS_TICKS;
    // One tick short of where time wraps.
    let ahead = u64::MAX - ticks(now_ns);
    assert_eq!(word_of(ticks(now_ns), ahead), Word(0));
    assert_eq!(bucket.ahead(Word(0), ticks(now_ns)), ahead + 1);
}
