use proptest::prelude::*;

use super::*;
use crate::limit::meter::{Meter, Moment, Outcome};
use crate::limit::quota::Period;

const RULES: LadderRules = LadderRules {
    after: 3,
    within_s: 60,
    for_s: 300,
    factor: 2,
    ceiling_s: 86_400,
    decay_s: 3_600,
};

fn ladder() -> Ladder {
    Ladder::new(RULES).expect("within the bounds")
}

fn ns(seconds: u64) -> u64 {
    seconds * SECOND_NS
}

fn told(until_s: u64, count: u64, since_s: u64) -> Strikes {
    Strikes::pack(until_s, count, since_s)
}

/// Every kind of state against every kind of refusal, at second 1,000 and told to wait 10 s.
#[test]
fn the_whole_table_of_refusals() {
    let ladder = ladder();
    let now_s = 1_000;
    let states = [
        ("nothing", Strikes::default()),
        ("told, waited", told(now_s, 0, 0)),
        ("told, early", told(now_s + 1, 0, 0)),
        ("told, long ago", told(now_s - 500, 0, 0)),
        ("told by a clock set back", told(now_s + TOLD_AHEAD_S_MAX + 1, 2, now_s)),
        ("struck once, waited", told(now_s, 1, now_s - 10)),
        ("struck once, early", told(now_s + 1, 1, now_s - 10)),
        ("struck once, early, at the edge", told(now_s + 1, 1, now_s - 60)),
        ("struck once, early, past the edge", told(now_s + 1, 1, now_s - 61)),
        ("struck once, waited too long", told(now_s, 1, now_s - 61)),
        ("struck twice, waited", told(now_s, 2, now_s - 10)),
        ("struck twice, early", told(now_s + 1, 2, now_s - 10)),
        ("struck twice, early, told more", told(now_s + 30, 1, now_s - 10)),
        ("struck twice, past the edge", told(now_s + 1, 2, now_s - 61)),
    ];
    let table: Vec<String> = states
        .iter()
        .map(|(name, before)| match ladder.refuse(*before, ns(now_s), ns(10)) {
            Refused::Noted(next) => {
                let since = if next.count() == 0 { 0 } else { now_s - next.since_s() };
                format!(
                    "{name}: told +{} struck {} since -{since}",
                    next.told_s() - now_s,
                    next.count()
                )
            }
            Refused::Out(next) => format!("{name}: out, {next:?}"),
        })
        .collect();
    let expected = [
        "nothing: told +9 struck 0 since -0",
        "told, waited: told +9 struck 0 since -0",
        "told, early: told +9 struck 1 since -0",
        "told, long ago: told +9 struck 0 since -0",
        "told by a clock set back: told +9 struck 2 since -0",
        "struck once, waited: told +9 struck 1 since -10",
        "struck once, early: told +9 struck 2 since -10",
        "struck once, early, at the edge: told +9 struck 2 since -60",
        "struck once, early, past the edge: told +9 struck 1 since -0",
        "struck once, waited too long: told +9 struck 0 since -0",
        "struck twice, waited: told +9 struck 2 since -10",
        "struck twice, early: out, Strikes(0)",
        "struck twice, early, told more: told +30 struck 2 since -10",
        "struck twice, past the edge: told +9 struck 1 since -0",
    ];
    assert_eq!(table, expected);
}

/// The steps of a caller who is banned again as soon as a ban ends, and how they are forgotten.
#[test]
fn the_whole_table_of_bans() {
    let ladder = ladder();
    let (mut ban, mut now_s, mut lengths) = (Ban::default(), 1_000, Vec::new());
    for _ in 0..12 {
        ban = ladder.ban(ban, ns(now_s));
        lengths.push(ban.until_s() - now_s);
        now_s = ban.until_s();
    }
    let expected =
        [300, 600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 76_800, 86_400, 86_400, 86_400];
    assert_eq!(lengths, expected);
    let steps = |after_s: u64| ban.step(ns(now_s + after_s));
    assert_eq!([steps(0), steps(3_599), steps(3_600), steps(7_200)], [12, 12, 11, 10]);
    assert_eq!([steps(11 * 3_600), steps(12 * 3_600), steps(1 << 30)], [1, 0, 0]);
    assert!(!ban.is_spent(ns(now_s + 12 * 3_600 - 1)) && ban.is_spent(ns(now_s + 12 * 3_600)));
    // The next ban is as long as if there had been as many as are remembered.
    let next = ladder.ban(ban, ns(now_s + 10 * 3_600));
    assert_eq!(next.until_s() - (now_s + 10 * 3_600), 1_200);
    assert!(Ban::default().is_spent(0) && !Ban::default().is_running(0));
}

#[test]
fn rules_that_do_not_fit_are_named() {
    let fault = |rules: LadderRules| Ladder::new(rules).expect_err("does not fit");
    assert_eq!(fault(LadderRules { after: 0, ..RULES }), LadderError::After(0));
    assert_eq!(fault(LadderRules { after: 4_095, ..RULES }), LadderError::After(4_095));
    assert_eq!(fault(LadderRules { within_s: 0, ..RULES }), LadderError::Within(0));
    assert_eq!(fault(LadderRules { within_s: 86_401, ..RULES }), LadderError::Within(86_401));
    assert_eq!(fault(LadderRules { for_s: 0, ..RULES }), LadderError::For(0));
    assert_eq!(fault(LadderRules { for_s: 86_401, ..RULES }), LadderError::For(86_401));
    assert_eq!(fault(LadderRules { factor: 0, ..RULES }), LadderError::Factor(0));
    assert_eq!(fault(LadderRules { factor: 1_001, ..RULES }), LadderError::Factor(1_001));
    let year = CEILING_S_MAX + 1;
    assert_eq!(fault(LadderRules { ceiling_s: year, ..RULES }), LadderError::Ceiling(year));
    assert_eq!(fault(LadderRules { decay_s: 0, ..RULES }), LadderError::Decay(0));
    assert_eq!(fault(LadderRules { decay_s: 1 << 24, ..RULES }), LadderError::Decay(1 << 24));
}

fn meters() -> impl Strategy<Value = Meter> {
    let lengths = prop_oneof![Just(SECOND_NS), SECOND_NS..=100 * SECOND_NS];
    prop_oneof![
        (1..=9_u64, lengths.clone()).prop_map(|(limit, length_ns)| Meter::window(limit, length_ns)),
        (1..=9_u64, lengths.clone()).prop_map(|(limit, length_ns)| Meter::strict(limit, length_ns)),
        (1..=9_u64, lengths, 1..=9_u64)
            .prop_map(|(count, ns, burst)| Meter::bucket(count, ns, burst)),
        (1..=9_u64).prop_map(|limit| Meter::quota(limit, Period::Day)),
        (1..=9_u64).prop_map(|limit| Meter::quota(limit, Period::Month)),
        (1..=9_u64).prop_map(Meter::in_flight),
    ]
    .prop_map(|meter| meter.expect("within the bounds"))
}

/// As the wall clock and a shard's have it.
fn moment(now_ns: u64, lag_ns: u64) -> Moment {
    let table_ns = now_ns - lag_ns;
    Moment { table_ns, wall_s: 1_700_000_000 + table_ns / SECOND_NS }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any limit, any costs, any arrivals but one kind: none before the time that the last refusal
    /// named has passed. Shards' clocks differ; the strictest ladder there is finds nothing.
    #[test]
    fn who_waits_as_told_is_never_banned(
        meter in meters(),
        start_ns in SECOND_NS..1 << 60,
        steps in prop::collection::vec((0..=3_u64, 0..=SECOND_NS, 1..=9_u64, 0..=GRACE_NS), 1..120),
        decay_s in 1..=DECAY_S_MAX,
    ) {
        let rules = LadderRules { after: 1, within_s: WITHIN_S_MAX, decay_s, ..RULES };
        let ladder = Ladder::new(rules).expect("within the bounds");
        let (mut now_ns, mut strikes) = (start_ns, Strikes::default());
        let mut word = meter.fresh(moment(now_ns, 0));
        for (kind, gap_ns, cost, lag_ns) in steps {
            now_ns += if kind == 0 { gap_ns } else { 0 };
            let now = moment(now_ns, lag_ns);
            match meter.charge(word, now, cost.min(meter.limit())) {
                Outcome::Admitted { word: next, .. } => word = next,
                Outcome::Refused { retry_after_ns, .. } => {
                    let refused = ladder.refuse(strikes, now.table_ns, retry_after_ns);
                    let Refused::Noted(next) = refused else {
                        return Err(TestCaseError::fail("banned though it waited"));
                    };
                    prop_assert_eq!(next.count(), 0);
                    strikes = next;
                    now_ns += ns(retry_after_s(retry_after_ns));
                }
            }
        }
    }

    /// Who does not wait is banned, by just as many strikes as it says.
    #[test]
    fn who_keeps_asking_is_banned(after in 1..=20_u32, gap_ns in 0..=SECOND_NS, start_ns in SECOND_NS..1 << 60) {
        let rules = LadderRules { after, ..RULES };
        let ladder = Ladder::new(rules).expect("within the bounds");
        let meter = Meter::window(1, ns(3_600)).expect("within the bounds");
        // Used up for an hour and more, so that every request is an early one.
        let word = meter.holding(moment(start_ns, 0), 1);
        let mut strikes = Strikes::default();
        for count in 0..=u64::from(after) {
            let now_ns = start_ns + count * gap_ns;
            let Outcome::Refused { retry_after_ns, .. } = meter.charge(word, moment(now_ns, 0), 1)
            else {
                return Err(TestCaseError::fail("admitted beyond the limit"));
            };
            match ladder.refuse(strikes, now_ns, retry_after_ns) {
                Refused::Noted(next) => {
                    prop_assert!(count < u64::from(after));
                    prop_assert_eq!(next.count(), count);
                    strikes = next;
                }
                Refused::Out(next) => {
                    prop_assert_eq!(count, u64::from(after));
                    prop_assert_eq!(next, Strikes::default());
                }
            }
        }
    }

    /// Whatever stands in the words and whenever it is asked: nothing panics, a running ban stays as
    /// it is, and a new one runs from now for the length of its step.
    #[test]
    fn words_never_lose_a_running_ban(
        bits in any::<u64>(),
        now_ns in prop_oneof![any::<u64>(), 0..=(1_u64 << 32) * SECOND_NS],
        wait_ns in any::<u64>(),
    ) {
        let ladder = ladder();
        let before = Ban(bits);
        let after = ladder.ban(before, now_ns);
        if before.is_running(now_ns) {
            prop_assert_eq!(after, before);
        } else if now_ns / SECOND_NS < u64::from(u32::MAX) {
            prop_assert!(after.is_running(now_ns));
            let length_s = ladder.length_s(before.step(now_ns));
            let until_s = (now_ns.div_ceil(SECOND_NS) + length_s).min(u64::from(u32::MAX));
            prop_assert_eq!(after.until_s(), until_s);
            prop_assert_eq!(after.step(now_ns), (before.step(now_ns) + 1).min(STEP_MAX));
            prop_assert!(!after.is_running(now_ns + after.remaining_ns(now_ns)));
            prop_assert!(after.is_running(now_ns + after.remaining_ns(now_ns) - 1));
        }
        match ladder.refuse(Strikes(bits), now_ns, wait_ns) {
            Refused::Noted(next) => prop_assert!(next.count() <= Strikes(bits).count().max(1) + 1),
            Refused::Out(next) => prop_assert_eq!(next, Strikes::default()),
        }
    }
}
