//! What every algorithm promises alike.

use proptest::prelude::*;

use super::*;

mod states;

use states::{State, at, histories, lag_ns_max, meters, states};

fn admits(state: &State, word: Word, now: Moment, cost: u64) -> bool {
    matches!(state.meter.charge(word, now, cost), Outcome::Admitted { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn retry_after_is_exact_to_the_nanosecond(
        state in states(),
        share in 1..=1_000_u64,
        probe in any::<u64>(),
    ) {
        let State { meter, word, now } = state;
        let cost = (u128::from(meter.limit()) * u128::from(share) / 1_000).max(1);
        let cost = u64::try_from(cost).expect("at most the limit");
        let Outcome::Refused { retry_after_ns, .. } = meter.charge(word, now, cost) else {
            return Ok(());
        };
        if matches!(meter, Meter::InFlight(_)) {
            prop_assert_eq!(retry_after_ns, 0);
            return Ok(());
        }
        prop_assert!(retry_after_ns > 0);
        let later = |ns: u64| at(now.table_ns + ns);
        prop_assert!(admits(&state, word, later(retry_after_ns), cost));
        prop_assert!(!admits(&state, word, later(retry_after_ns - 1), cost));
        prop_assert!(!admits(&state, word, later(probe % retry_after_ns), cost));
    }

    #[test]
    fn a_cost_above_the_limit_is_refused_for_ever(state in states(), over in 1..=u64::MAX / 2) {
        let cost = state.meter.limit() + over;
        let outcome = state.meter.charge(state.word, state.now, cost);
        let never = matches!(outcome, Outcome::Refused { retry_after_ns: u64::MAX, .. });
        prop_assert!(never, "{:?}", outcome);
    }

    #[test]
    fn reset_is_the_moment_the_whole_allowance_is_back(state in states()) {
        let State { meter, word, now } = state;
        let Allowance { reset_ns, remaining } = meter.peek(word, now);
        if matches!(meter, Meter::InFlight(_)) {
            prop_assert_eq!(reset_ns, 0);
            return Ok(());
        }
        let left = |ns: u64| meter.peek(word, at(now.table_ns + ns)).remaining;
        prop_assert_eq!(left(reset_ns), meter.limit());
        if reset_ns == 0 {
            prop_assert_eq!(remaining, meter.limit());
        } else {
            prop_assert!(left(reset_ns - 1) < meter.limit());
        }
    }

    #[test]
    fn remaining_is_what_one_more_request_may_cost(state in states(), share in 0..=100_u64) {
        let State { meter, word, now } = state;
        let left = meter.peek(word, now).remaining;
        prop_assert!(admits(&state, word, now, 0));
        prop_assert!(admits(&state, word, now, left));
        prop_assert!(!admits(&state, word, now, left + 1));
        let cost = left / 100 * share;
        let Outcome::Admitted { word, remaining, reset_ns } = meter.charge(word, now, cost) else {
            return Err(TestCaseError::fail("less than remains was refused"));
        };
        prop_assert_eq!(remaining, left - cost);
        prop_assert_eq!(meter.peek(word, now), Allowance { remaining, reset_ns });
    }

    /// With no time between, a refund undoes its charge.
    #[test]
    fn a_refund_undoes_its_charge(history in histories()) {
        let (meter, word, now) = (history.meter, history.word, history.now);
        let left = meter.peek(word, now).remaining;
        let cost = (left / 2).max(1).min(left);
        if cost == 0 {
            return Ok(());
        }
        let Outcome::Admitted { word: charged, .. } = meter.charge(word, now, cost) else {
            return Err(TestCaseError::fail("less than remains was refused"));
        };
        let refunded = meter.refund(charged, now, now, cost);
        prop_assert_eq!(refunded.map(|word| meter.peek(word, now).remaining), Some(left));
    }

    /// Whatever came between: a refund never leaves more than if the charge had never been.
    #[test]
    fn a_refund_never_gives_back_too_much(history in histories(), probes in [any::<u64>(); 4]) {
        let (meter, start) = (history.meter, history.now);
        let cost = (meter.peek(history.word, start).remaining / 2).max(1);
        let Outcome::Admitted { word, .. } = meter.charge(history.word, start, cost) else {
            return Ok(());
        };
        let (mut with, mut without, mut now) = (word, history.word, start);
        for (gap_ns, cost) in history.after {
            now = at(now.table_ns + gap_ns);
            if let Outcome::Admitted { word, .. } = meter.charge(with, now, cost) {
                with = word;
                let Outcome::Admitted { word, .. } = meter.charge(without, now, cost) else {
                    return Err(TestCaseError::fail("less was charged, and it was refused"));
                };
                without = word;
            }
        }
        let refunded = meter.refund(with, start, now, cost).unwrap_or(with);
        for probe in probes {
            let then = at(now.table_ns + probe % (3 * lag_ns_max(&meter)));
            prop_assert!(
                meter.peek(refunded, then).remaining <= meter.peek(without, then).remaining
            );
        }
        // Permits can only come back by it.
        if let Meter::InFlight(_) = meter {
            prop_assert_eq!(meter.peek(refunded, now), meter.peek(without, now));
        }
    }

    #[test]
    fn what_is_settled_counts_and_is_forgotten_again(
        state in states(),
        extra in prop_oneof![1..=20_u64, any::<u64>()],
    ) {
        let State { meter, word, now } = state;
        let settled = meter.settle(word, now, extra);
        let (before, after) = (meter.peek(word, now), meter.peek(settled, now));
        if matches!(meter, Meter::InFlight(_)) {
            prop_assert_eq!(settled, word);
            return Ok(());
        }
        prop_assert_eq!(after.remaining, before.remaining.saturating_sub(extra));
        prop_assert!(after.reset_ns >= before.reset_ns);
        let then = at(now.table_ns + after.reset_ns);
        prop_assert_eq!(meter.peek(settled, then).remaining, meter.limit());
    }

    /// The same count, read by a clock that lags behind the one that counted it.
    #[test]
    fn a_lagging_clock_never_resets_a_count(history in histories(), lag in any::<u64>()) {
        let (meter, word, now) = (history.meter, history.word, history.now);
        let lag_ns = lag % (lag_ns_max(&meter) + 1);
        let then = at(now.table_ns.saturating_sub(lag_ns));
        let (lagging, leading) = (meter.peek(word, then), meter.peek(word, now));
        prop_assert!(lagging.remaining <= leading.remaining, "{:?} {:?}", lagging, leading);
        if leading.remaining < meter.limit() {
            prop_assert_ne!(meter.age(word, then), Age::Expired);
        }
    }

    #[test]
    fn an_expired_word_is_as_good_as_a_fresh_one(state in states()) {
        let State { meter, word, now } = state;
        prop_assert_eq!(meter.shape().age(word, now), Some(meter.age(word, now)));
        prop_assert_eq!(meter.shape().is_expired(word, now), meter.is_expired(word, now));
        if meter.is_expired(word, now) {
            let left = meter.peek(word, now);
            prop_assert_eq!(left, Allowance { remaining: meter.limit(), reset_ns: 0 });
        }
    }

    /// Words and times from a damaged file: nothing panics, and nobody writes the seal.
    #[test]
    fn no_arithmetic_makes_the_sealed_word(
        meter in meters(),
        bits in prop_oneof![any::<u64>(), any::<u64>().prop_map(|bits| u64::MAX - bits % 4_096)],
        times in [any::<u64>(); 4],
        cost in prop_oneof![0..=3_u64, any::<u64>()],
    ) {
        let word = Word(bits);
        prop_assume!(word != Word::SEALED);
        let now = Moment { table_ns: times[0], wall_s: times[1] };
        let then = Moment { table_ns: times[2], wall_s: times[3] };
        let charged = match meter.charge(word, now, cost) {
            Outcome::Admitted { word, .. } => word,
            Outcome::Refused { .. } => word,
        };
        let refunded = meter.refund(word, then, now, cost).unwrap_or(word);
        let (settled, throttled) =
            (meter.settle(word, now, cost), meter.throttle(word, now, cost).0);
        for word in [charged, refunded, settled, throttled, meter.holding(now, cost)] {
            prop_assert_ne!(word, Word::SEALED);
        }
        meter.peek(word, now);
        meter.age(word, now);
        prop_assert_eq!(meter.refund(Word::SEALED, then, now, cost), None);
    }

    #[test]
    fn what_counts_has_done_so_since_its_charge_or_a_step_longer(
        meter in meters(), charged_ns in any::<u32>(), later in 0..=3_000_u64,
    ) {
        // Far from the beginning of the table's time, in which no epoch comes before the first.
        let charged_ns = 3 * states::step_ns(&meter) + u64::from(charged_ns);
        let now_ns = charged_ns + states::step_ns(&meter) / 1_000 * later;
        let word = meter.holding(at(charged_ns), 1);
        let now = at(now_ns);
        let has_start = !matches!(meter, Meter::Bucket(_) | Meter::InFlight(_));
        let counting = meter.shape().counting_for_ns(word, now);
        prop_assert_eq!(counting.is_some(), has_start && !meter.is_expired(word, now));
        if let Some(counting_ns) = counting {
            // Quotas know the second.
            let elapsed_ns = (now_ns - charged_ns).saturating_sub(1_000_000_000);
            let most = now_ns - charged_ns + states::step_ns(&meter) * 31 / 30 + 1;
            prop_assert!((elapsed_ns..=most).contains(&counting_ns), "{counting_ns}");
        }
    }

    #[test]
    fn any_shape_can_be_asked(bits in any::<u64>(), low in any::<u16>(), word in 0..u64::MAX) {
        let now = at(1 << 50);
        for shape in [Shape(bits), Shape(bits & (0xFFF << 52) | u64::from(low))] {
            if let Some(age) = shape.age(Word(word), now) {
                prop_assert_eq!(shape.is_expired(Word(word), now), age == Age::Expired);
                let counting = shape.counting_for_ns(Word(word), now);
                prop_assert!(counting.is_none() || age != Age::Expired);
                prop_assert_eq!(shape.read_with(1).map(|meter| meter.shape()), Some(shape));
            }
        }
    }

    /// A limit takes another shape: nobody gets more by it than either shape would have left.
    #[test]
    fn a_changed_shape_forgets_nothing(state in states(), next in meters(), cost in 1..=5_u64) {
        let State { meter, word, now } = state;
        let carried = next.carry(meter.shape(), word, now);
        let outcome = next.charge_carried(meter.shape(), word, now, cost);
        let Some(old) = next.reader(meter.shape(), word) else {
            prop_assert_eq!(next.peek(carried, now).remaining, next.limit());
            return Ok(());
        };
        let left = old.peek(word, now).remaining;
        prop_assert_eq!(next.peek(carried, now).remaining, left);
        match outcome {
            Outcome::Admitted { word, remaining, .. } => {
                prop_assert_eq!(remaining + cost, left);
                prop_assert_eq!(next.peek(word, now).remaining, remaining);
            }
            refused @ Outcome::Refused { .. } => {
                prop_assert_eq!(refused, old.charge(word, now, cost));
            }
        }
    }
}

#[test]
fn limits_that_do_not_fit_are_named() {
    const SECOND: u64 = 1_000_000_000;
    let fault = |meter: Result<Meter, MeterError>| meter.expect_err("does not fit").to_string();
    let count = "a limit of 4294967297 does not fit: it must be 1 to 1048574";
    assert_eq!(fault(Meter::window((1 << 32) + 1, SECOND)), count);
    assert_eq!(fault(Meter::strict((1 << 32) + 1, SECOND)), count);
    assert_eq!(
        fault(Meter::strict(1, 1)),
        "a window of 1 ns does not fit: it must be 1 second to 366 days"
    );
    assert_eq!(
        fault(Meter::bucket(0, SECOND, 1)),
        "a rate of 0 does not fit: it must be at least 1, and at most 256 for a nanosecond"
    );
    assert_eq!(
        fault(Meter::bucket(1, 86_400 * SECOND, 209)),
        "a burst of 209 does not fit: it must be at least 1 and come back within 208 days"
    );
    assert_eq!(
        fault(Meter::quota(1 << 44, Period::Day)),
        "a quota of 17592186044416 does not fit: it must be 1 to 17592186044414"
    );
    assert_eq!(
        fault(Meter::in_flight(1 << 32)),
        "a limit of 4294967296 does not fit: it must be 1 to 4294967294"
    );
}

#[test]
fn windows_are_named_in_seconds_where_they_have_a_length() {
    const SECOND: u64 = 1_000_000_000;
    let window_s = |meter: Result<Meter, MeterError>| meter.expect("fits").window_s();
    assert_eq!(window_s(Meter::window(7, 60 * SECOND)), Some(60));
    assert_eq!(window_s(Meter::strict(7, 60 * SECOND)), Some(60));
    // Seven units do not divide a minute evenly; the rate as it was asked for counts.
    assert_eq!(window_s(Meter::bucket(7, 60 * SECOND, 7)), Some(60));
    assert_eq!(window_s(Meter::bucket(7, 60 * SECOND, 14)), Some(120));
    assert_eq!(window_s(Meter::quota(7, Period::Day)), Some(86_400));
    assert_eq!(window_s(Meter::quota(7, Period::Month)), None);
    assert_eq!(window_s(Meter::in_flight(7)), None);
}

/// The numbers stand in slots, and slots outlive the program that wrote them.
#[test]
fn shapes_keep_their_numbers() {
    const SECOND: u64 = 1_000_000_000;
    let shape = |meter: Result<Meter, MeterError>| meter.expect("fits").shape().0;
    assert_eq!(shape(Meter::window(7, SECOND)), SECOND);
    assert_eq!(shape(Meter::strict(5, 12 * SECOND)), (1 << 60) | (13 << 55) | SECOND);
    assert_eq!(shape(Meter::bucket(10, SECOND, 20)), (2 << 60) | (2 * SECOND));
    assert_eq!(shape(Meter::quota(7, Period::Day)), 3 << 60);
    assert_eq!(shape(Meter::quota(7, Period::Month)), (3 << 60) | (1 << 55));
    assert_eq!(shape(Meter::in_flight(7)), 4 << 60);
    assert_eq!(Shape(5 << 60).age(Word(0), at(0)), None);
    assert_eq!(Shape(5 << 60).counting_for_ns(Word(0), at(0)), None);
}
