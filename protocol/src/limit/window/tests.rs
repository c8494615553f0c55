use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// What a naive counter would say: every admission kept with its time, counted anew each time.
struct Oracle {
    window: Window,
    admitted: Vec<(u64, u64)>,
}

impl Oracle {
    fn in_epoch(&self, epoch: u64) -> u128 {
        let window_ns = self.window.window_ns();
        let units = self.admitted.iter().filter(|(at, _)| at / window_ns == epoch);
        units.map(|&(_, cost)| u128::from(cost)).sum()
    }

    fn admits(&self, now_ns: u64, cost: u64) -> bool {
        let window_ns = self.window.window_ns();
        let epoch = now_ns / window_ns;
        let before = if epoch == 0 { 0 } else { self.in_epoch(epoch - 1) };
        let faded = before * u128::from(window_ns - now_ns % window_ns);
        let whole = u128::from(window_ns);
        faded + (self.in_epoch(epoch) + u128::from(cost)) * whole
            <= u128::from(self.window.limit()) * whole
    }

    /// The most units admitted in any interval `[t, t + window)`.
    fn worst_interval(&self) -> u64 {
        let window_ns = self.window.window_ns();
        let from = |start: u64| -> u64 {
            let inside = |at: u64| at >= start && at - start < window_ns;
            self.admitted.iter().filter(|(at, _)| inside(*at)).map(|(_, cost)| cost).sum()
        };
        self.admitted.iter().map(|&(at, _)| from(at)).max().unwrap_or(0)
    }
}

fn windows() -> impl Strategy<Value = Window> {
    let limits = prop_oneof![1..=20_u32, 1..=LIMIT_MAX, Just(LIMIT_MAX)];
    let lengths = prop_oneof![
        Just(SECOND),
        SECOND..=100 * SECOND,
        WINDOW_NS_MIN..=WINDOW_NS_MAX,
        Just(WINDOW_NS_MAX)
    ];
    (limits, lengths).prop_map(|(limit, ns)| Window::new(limit, ns).expect("within the bounds"))
}

/// A window, a word whose counts it could have made, and a time from two epochs before the word's
/// (a clock that lags) to three after it.
fn states() -> impl Strategy<Value = (Window, Word, u64)> {
    (windows(), 2..=1_u64 << 25, any::<u64>()).prop_flat_map(|(window, epoch, draw)| {
        let window_ns = window.window_ns();
        let epoch = 2 + epoch % (u64::MAX / 4 / window_ns);
        let now_ns = (epoch - 2) * window_ns + draw % (5 * window_ns);
        let limit = u64::from(window.limit());
        (0..=limit, 0..=limit).prop_map(move |(previous, current)| {
            (window, Word::pack(epoch, previous, current), now_ns)
        })
    })
}

fn admits(word: Word, window: &Window, now_ns: u64, cost: u64) -> bool {
    matches!(charge(word, window, now_ns, cost), Outcome::Admitted { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every decision equals that of a counter that remembers every request; hence it never
    /// refuses what the full weight of both epochs would leave room for. And no interval of one
    /// window's length holds more than twice the limit.
    #[test]
    fn decides_like_a_counter_that_remembers_everything(
        limit in 1..=12_u32,
        start_epoch in prop_oneof![Just(0_u64), Just((1 << 24) - 2), 0..1_u64 << 26],
        steps in prop::collection::vec((0..700_000_000_u64, 1..=3_u64), 1..80),
    ) {
        let window = Window::new(limit, SECOND).expect("within the bounds");
        let mut oracle = Oracle { window, admitted: Vec::new() };
        let mut now_ns = start_epoch * SECOND;
        let mut word = window.word_at(now_ns, 0);
        for (gap, cost) in steps {
            // Many requests at one moment, then a pause: what an adversary would do.
            now_ns += if gap < 400_000_000 { 0 } else { gap };
            let outcome = charge(word, &window, now_ns, cost);
            let expected = oracle.admits(now_ns, cost);
            prop_assert_eq!(matches!(outcome, Outcome::Admitted { .. }), expected);
            if let Outcome::Admitted { word: next, .. } = outcome {
                word = next;
                oracle.admitted.push((now_ns, cost));
            }
        }
        prop_assert!(oracle.worst_interval() <= 2 * u64::from(limit));
    }

    /// What turns out afterwards counts like what was asked for, beyond the limit too.
    #[test]
    fn what_is_settled_counts_as_if_it_had_been_admitted(
        limit in 1..=12_u32,
        steps in prop::collection::vec((0..700_000_000_u64, 1..=30_u64, any::<bool>()), 1..80),
    ) {
        let window = Window::new(limit, SECOND).expect("within the bounds");
        let mut oracle = Oracle { window, admitted: Vec::new() };
        let (mut now_ns, mut settled) = (5 * SECOND, 0);
        let mut word = window.word_at(now_ns, 0);
        for (gap, cost, afterwards) in steps {
            now_ns += if gap < 400_000_000 { 0 } else { gap };
            if afterwards {
                word = settle(word, &window, now_ns, cost);
                oracle.admitted.push((now_ns, cost));
                settled += cost;
                continue;
            }
            let outcome = charge(word, &window, now_ns, 1);
            prop_assert_eq!(matches!(outcome, Outcome::Admitted { .. }), oracle.admits(now_ns, 1));
            if let Outcome::Admitted { word: next, .. } = outcome {
                word = next;
                oracle.admitted.push((now_ns, 1));
            }
        }
        prop_assert!(oracle.worst_interval() <= 2 * u64::from(limit) + settled);
    }

    #[test]
    fn retry_after_is_exact_to_the_nanosecond(
        (window, word, now_ns) in states(),
        share in 0.0..=1.0_f64,
        probe in any::<u64>(),
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of it")]
        let cost = ((f64::from(window.limit()) * share) as u64).max(1);
        let Outcome::Refused { retry_after_ns, .. } = charge(word, &window, now_ns, cost) else {
            return Ok(());
        };
        prop_assert!(retry_after_ns > 0);
        prop_assert!(admits(word, &window, now_ns + retry_after_ns, cost));
        prop_assert!(!admits(word, &window, now_ns + retry_after_ns - 1, cost));
        prop_assert!(!admits(word, &window, now_ns + probe % retry_after_ns, cost));
    }

    #[test]
    fn reset_is_the_moment_the_whole_allowance_is_back((window, word, now_ns) in states()) {
        let Allowance { reset_ns, remaining } = peek(word, &window, now_ns);
        let at = |ns: u64| peek(word, &window, ns).remaining;
        prop_assert_eq!(at(now_ns + reset_ns), u64::from(window.limit()));
        if reset_ns == 0 {
            prop_assert_eq!(remaining, u64::from(window.limit()));
        } else {
            prop_assert!(at(now_ns + reset_ns - 1) < u64::from(window.limit()));
        }
    }

    #[test]
    fn remaining_is_what_one_more_request_may_cost((window, word, now_ns) in states()) {
        let left = peek(word, &window, now_ns).remaining;
        let over = peek(word, &window, now_ns + 1).remaining;
        prop_assert!(over >= left);
        prop_assert!(left == 0 || admits(word, &window, now_ns, left));
        prop_assert!(!admits(word, &window, now_ns, left + 1));
        if let Outcome::Admitted { remaining, .. } = charge(word, &window, now_ns, left.min(1)) {
            prop_assert_eq!(remaining, left.saturating_sub(1));
        }
    }

    #[test]
    fn a_refund_undoes_its_charge((window, word, now_ns) in states(), later in 0..2_u64) {
        let Outcome::Admitted { word: charged, .. } = charge(word, &window, now_ns, 1) else {
            return Ok(());
        };
        // Before the refund comes, the word may have rotated once.
        let then_ns = now_ns + later * window.window_ns();
        let rotated = View::new(charged, &window, then_ns).word();
        let Some(refunded) = refund(rotated, &window, now_ns, 1) else {
            // Only a charge of a lagging clock may be beyond the reach of its refund.
            prop_assert!(matches!(age(word, &window, now_ns), Age::Ahead(_)));
            return Ok(());
        };
        if !matches!(age(word, &window, now_ns), Age::Ahead(_)) {
            prop_assert_eq!(refunded, View::new(View::new(word, &window, now_ns).word(), &window, then_ns).word());
        }
    }

    /// Shards whose clocks differ by less than a window: no epoch of the word ever counts more
    /// than the limit, nothing that was admitted is forgotten while it weighs, and the word's
    /// epoch never goes back.
    #[test]
    fn a_lagging_clock_never_resets_a_count(
        limit in 1..=10_u32,
        steps in prop::collection::vec((0..400_000_000_u64, 0..3 * SECOND), 1..100),
    ) {
        let window = Window::new(limit, SECOND).expect("within the bounds");
        let mut ahead_ns = 100 * SECOND;
        let mut word = window.word_at(ahead_ns, 0);
        for (gap, lag) in steps {
            ahead_ns += gap;
            let now_ns = ahead_ns - lag;
            let before = word;
            if let Outcome::Admitted { word: next, .. } = charge(word, &window, now_ns, 1) {
                word = next;
                prop_assert!(word.epoch() >= before.epoch());
                prop_assert!(word.current() <= u64::from(limit));
                if word.epoch() == before.epoch() {
                    prop_assert_eq!(word.current(), before.current() + 1);
                }
            }
        }
    }

    #[test]
    fn no_arithmetic_makes_the_sealed_word(
        (window, _, now_ns) in states(),
        bits in any::<u64>(),
        cost in 0..=u64::from(LIMIT_MAX),
    ) {
        let word = Word(bits | 0xFFFF_FF00_0000_0000);
        prop_assume!(word != Word::SEALED);
        if let Outcome::Admitted { word, .. } = charge(word, &window, now_ns, cost) {
            prop_assert_ne!(word, Word::SEALED);
        }
    }
}

#[test]
fn the_previous_window_fades_linearly() {
    let window = Window::new(100, 60 * SECOND).expect("within the bounds");
    let word = Word::pack(7, 80, 30);
    let at = |elapsed_s: u64| peek(word, &window, (7 * 60 + elapsed_s) * SECOND).remaining;
    assert_eq!([at(0), at(15), at(30), at(45), at(59)], [0, 10, 30, 50, 68]);
    // One epoch on, the 30 are previous; two epochs on, nothing is left of them.
    assert_eq!([at(60), at(90), at(120), at(600)], [70, 85, 100, 100]);
}

#[test]
fn refusals_say_when_to_come_back() {
    let window = Window::new(5, 60 * SECOND).expect("within the bounds");
    let now_ns = 10 * 60 * SECOND + 20 * SECOND;
    // Five in this epoch: one of them has faded 12 s into the next.
    let full = Word::pack(10, 0, 5);
    let expected = Outcome::Refused { retry_after_ns: 52 * SECOND, reset_ns: 100 * SECOND };
    assert_eq!(charge(full, &window, now_ns, 1), expected);
    // A cost above the limit is never admitted.
    let never = Outcome::Refused { retry_after_ns: u64::MAX, reset_ns: 100 * SECOND };
    assert_eq!(charge(full, &window, now_ns, 6), never);
}

#[test]
fn ages_wrap_with_the_epoch() {
    let window = Window::new(5, SECOND).expect("within the bounds");
    let last = EPOCH_MASK;
    let at = |word_epoch: u64, now_epoch: u64| {
        age(Word::pack(word_epoch, 1, 1), &window, now_epoch * SECOND)
    };
    assert_eq!(at(last, last), Age::Current);
    assert_eq!(at(last, last + 1), Age::Previous);
    assert_eq!(at(last, last + 2), Age::Expired);
    assert_eq!(at(0, last), Age::Ahead(1));
    assert_eq!(at(AHEAD_MAX, 0), Age::Ahead(AHEAD_MAX));
    assert_eq!(at(AHEAD_MAX + 1, 0), Age::Expired);
    assert!(is_expired(Word::pack(3, 5, 5), &window, 5 * SECOND));
}

#[test]
fn bounds_are_refused_by_name() {
    assert_eq!(Window::new(0, SECOND), Err(WindowError::Limit(0)));
    assert_eq!(
        Window::new(LIMIT_MAX + 1, SECOND),
        Err(WindowError::Limit(u64::from(LIMIT_MAX) + 1))
    );
    assert_eq!(Window::new(1, SECOND - 1), Err(WindowError::Length(SECOND - 1)));
    assert_eq!(Window::new(1, WINDOW_NS_MAX + 1), Err(WindowError::Length(WINDOW_NS_MAX + 1)));
    assert!(Window::new(LIMIT_MAX, WINDOW_NS_MAX).is_ok());
}

#[test]
#[should_panic(expected = "a sealed word is not a count")]
fn a_sealed_word_is_never_counted() {
    let window = Window::new(5, SECOND).expect("within the bounds");
    let _ = charge(Word::SEALED, &window, 0, 1);
}
