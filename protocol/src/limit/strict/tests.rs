use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Every admission kept with its time, counted anew each time.
struct Oracle {
    strict: Strict,
    admitted: Vec<(u64, u64)>,
}

impl Oracle {
    /// What the formula says: the sub-windows of now and of the `k - 1` before it.
    fn admits(&self, now_ns: u64, cost: u64) -> bool {
        let sub = |ns: u64| ns / self.strict.sub_ns;
        let live = |at: u64| sub(at) + self.strict.counters() > sub(now_ns);
        let used: u64 = self.admitted.iter().filter(|(at, _)| live(*at)).map(|(_, c)| c).sum();
        used + cost <= u64::from(self.strict.limit)
    }

    /// The most units admitted in any interval `[t, t + window)`.
    fn worst_interval(&self) -> u64 {
        let from = |start: u64| -> u64 {
            let inside = |at: u64| at >= start && at - start < self.strict.window_ns;
            self.admitted.iter().filter(|(at, _)| inside(*at)).map(|(_, cost)| cost).sum()
        };
        self.admitted.iter().map(|&(at, _)| from(at)).max().unwrap_or(0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every decision is that of a counter which remembers everything, and no interval of the
    /// window's length ever holds more than the limit.
    #[test]
    fn never_more_than_the_limit_in_any_interval(
        limit in prop_oneof![1..=12_u64, 1..=9_000_u64],
        length_ns in SECOND..=3 * SECOND,
        start_epoch in prop_oneof![Just(0_u64), Just((1 << 24) - 2), 0..1_u64 << 26],
        steps in prop::collection::vec((0..=5_u64, 0..=1_000_u64, -1..=1_i64, 1..=1_000_u64), 1..80),
    ) {
        let strict = Strict::new(limit, length_ns).expect("within the bounds");
        let mut oracle = Oracle { strict, admitted: Vec::new() };
        let mut now_ns = start_epoch * strict.sub_ns;
        let mut word = strict.word_at(now_ns, 0);
        for (kind, gap, nudge, cost) in steps {
            now_ns = match kind {
                // Bursts, pauses, and the edges of sub-windows and of windows.
                0..=2 => now_ns,
                3 => now_ns + strict.sub_ns * gap / 300,
                4 => (now_ns.next_multiple_of(strict.sub_ns)).saturating_add_signed(nudge).max(now_ns),
                _ => (now_ns + length_ns).saturating_add_signed(nudge),
            };
            let cost = (limit * cost / 2_000).max(1);
            let outcome = charge(word, &strict, now_ns, cost);
            let expected = oracle.admits(now_ns, cost);
            prop_assert_eq!(matches!(outcome, Outcome::Admitted { .. }), expected);
            if let Outcome::Admitted { word: next, .. } = outcome {
                word = next;
                oracle.admitted.push((now_ns, cost));
            }
        }
        prop_assert!(oracle.worst_interval() <= limit);
    }

    /// Who always asks gets `(k - 1) / k` of the rate, but for the rounding of a sub-window.
    #[test]
    fn saturation_yields_the_promised_share(
        limit in 1..=60_u64,
        length_ns in SECOND..=3 * SECOND,
        windows in 1..=30_u64,
    ) {
        let strict = Strict::new(limit, length_ns).expect("within the bounds");
        let (start_ns, mut now_ns, mut admitted) = (7 * length_ns, 7 * length_ns, 0);
        let mut word = strict.word_at(now_ns, 0);
        let k = strict.counters();
        let end_ns = start_ns + windows * k * length_ns;
        while now_ns < end_ns {
            match charge(word, &strict, now_ns, 1) {
                Outcome::Admitted { word: next, .. } => (word, admitted) = (next, admitted + 1),
                Outcome::Refused { retry_after_ns, .. } => now_ns += retry_after_ns,
            }
        }
        let cycles = (end_ns - start_ns) / (k * strict.sub_ns);
        prop_assert!(admitted >= cycles * limit, "{} in {} cycles", admitted, cycles);
        let (part, whole) = strict.saturation();
        prop_assert_eq!((part, whole), (k - 1, k));
    }

    /// Shards whose clocks differ: the word's epoch never goes back and no sum exceeds the limit.
    #[test]
    fn a_lagging_clock_counts_in_the_later_epoch(
        limit in 1..=10_u64,
        steps in prop::collection::vec((0..400_000_000_u64, 0..=64_u64), 1..100),
    ) {
        let strict = Strict::new(limit, SECOND).expect("within the bounds");
        let mut ahead_ns = 100 * SECOND;
        let mut word = strict.word_at(ahead_ns, 0);
        for (gap, lag) in steps {
            ahead_ns += gap;
            for lag in [0, lag] {
                let before = word;
                let lagging_ns = (epoch_of(before) - lag) * strict.sub_ns;
                let now_ns = if lag == 0 { ahead_ns } else { lagging_ns };
                if let Outcome::Admitted { word: next, .. } = charge(before, &strict, now_ns, 1) {
                    word = next;
                    prop_assert!(epoch_of(word) >= epoch_of(before));
                    prop_assert!(strict.sum(word.0 & COUNTERS_MASK) <= limit);
                }
            }
        }
    }
}

#[test]
fn as_many_counters_as_fit() {
    let counters = |limit: u64| Strict::new(limit, SECOND).expect("fits").saturation();
    assert_eq!(counters(1), (15, 16));
    assert_eq!(counters(3), (15, 16));
    assert_eq!(counters(5), (12, 13));
    assert_eq!(counters(20), (7, 8));
    assert_eq!(counters(100), (4, 5));
    assert_eq!(counters(1_000), (3, 4));
    assert_eq!(counters(8_191), (2, 3));
    assert_eq!(counters(8_192), (1, 2));
    assert_eq!(counters(1_048_574), (1, 2));
}

#[test]
fn the_oldest_counters_go_first() {
    // Four counters, each for 20 s.
    let strict = Strict::new(1_000, 60 * SECOND).expect("fits");
    let admit = |word: Word, at_s: u64, cost: u64| match charge(word, &strict, at_s * SECOND, cost)
    {
        Outcome::Admitted { word, .. } => word,
        Outcome::Refused { .. } => panic!("{cost} at {at_s} s"),
    };
    let word = admit(admit(admit(strict.word_at(0, 0), 5, 300), 30, 500), 45, 200);
    let refused = |at_s: u64, cost: u64| match charge(word, &strict, at_s * SECOND, cost) {
        Outcome::Admitted { .. } => panic!("{cost} at {at_s} s"),
        Outcome::Refused { retry_after_ns, reset_ns } => {
            (at_s + retry_after_ns / SECOND, at_s + reset_ns / SECOND)
        }
    };
    assert_eq!([refused(45, 1), refused(45, 300)], [(80, 120); 2]);
    assert_eq!([refused(45, 301), refused(79, 800)], [(100, 120); 2]);
    assert_eq!(refused(45, 801), (120, 120));
    assert_eq!(peek(word, &strict, 100 * SECOND).remaining, 800);
}
