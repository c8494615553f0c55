//! Meters of every kind, and words that they can have come to.

use proptest::prelude::*;

use super::super::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// A word and a time at which it is asked, also by a clock that lags.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) meter: Meter,
    pub(super) word: Word,
    pub(super) now: Moment,
}

/// A word, the time of its last change, and what might come after: gaps and costs.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) meter: Meter,
    pub(super) word: Word,
    pub(super) now: Moment,
    pub(super) after: Vec<(u64, u64)>,
}

/// The table's time runs beside the wall clock, which began 19,000 days earlier.
pub(super) fn at(table_ns: u64) -> Moment {
    Moment { table_ns, wall_s: 19_000 * 86_400 + table_ns / SECOND }
}

pub(super) fn meters() -> impl Strategy<Value = Meter> {
    let limits = prop_oneof![1..=20_u64, 1..=1_048_574_u64, Just(1_048_574_u64)];
    let lengths =
        prop_oneof![Just(SECOND), SECOND..=100 * SECOND, SECOND..=366 * DAY, Just(366 * DAY),];
    let rates = prop_oneof![1..=20_u64, 1..=10_000_000_000_u64];
    let large = prop_oneof![1..=20_u64, 1..=(1_u64 << 44) - 2];
    let periods = prop_oneof![Just(Period::Day), Just(Period::Month)];
    prop_oneof![
        (limits.clone(), lengths.clone()).prop_map(|(limit, ns)| Meter::window(limit, ns)),
        (limits, lengths.clone()).prop_map(|(limit, ns)| Meter::strict(limit, ns)),
        (rates, lengths, 1..=100_u64).prop_map(|(count, ns, percent)| {
            // What takes longer than a bucket may to fill is cut down.
            let burst = (count / 50 * percent).max(1);
            Meter::bucket(count, ns.min(100 * DAY), burst)
        }),
        (large, periods).prop_map(|(limit, period)| Meter::quota(limit, period)),
        (1..=u64::from(u32::MAX - 1)).prop_map(Meter::in_flight),
    ]
    .prop_map(|meter| meter.expect("within the bounds"))
}

/// What time is cut into.
pub(super) fn step_ns(meter: &Meter) -> u64 {
    match meter {
        Meter::Window(window) => window.window_ns(),
        Meter::Strict(strict) => strict.sub_ns(),
        Meter::Bucket(bucket) => bucket.fill_ns(),
        Meter::Quota(quota) if quota.period() == Period::Day => DAY,
        Meter::Quota(_) => 30 * DAY,
        Meter::InFlight(_) => SECOND,
    }
}

/// By how much a clock may lag and still be right about the count.
pub(super) fn lag_ns_max(meter: &Meter) -> u64 {
    match meter {
        Meter::Window(_) | Meter::Strict(_) => 64 * step_ns(meter),
        Meter::Bucket(_) => (64 * step_ns(meter)).clamp(64 * SECOND, 52 * DAY),
        // The shortest month.
        Meter::Quota(quota) if quota.period() == Period::Month => 28 * DAY,
        Meter::Quota(_) | Meter::InFlight(_) => step_ns(meter),
    }
}

/// Mostly none at all: what an adversary would do.
fn gaps() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0_u64), 2 => 0..=400_u64, 1 => 0..=3_000_u64]
}

fn costs() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1_u64), 1..=400_u64, 900..=1_000_u64]
}

fn scaled(whole: u64, thousandths: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(thousandths) / 1_000).unwrap_or(u64::MAX)
}

pub(super) fn histories() -> impl Strategy<Value = History> {
    let steps = || prop::collection::vec((gaps(), costs()), 0..12);
    let epochs = prop_oneof![Just((1_u64 << 24) - 2), 70..=1_u64 << 25];
    (meters(), epochs, any::<u64>(), steps(), steps()).prop_map(
        |(meter, epoch, draw, before, after)| {
            let length_ns = step_ns(&meter);
            // Room above for a hundred lengths; quotas know whole seconds.
            let (whole, most) = (matches!(meter, Meter::Quota(_)), u64::MAX / 4);
            let align = |ns: u64| if whole { ns / SECOND * SECOND } else { ns };
            let start_ns = epoch.min(most / length_ns) * length_ns + draw % length_ns;
            // A bucket left alone for too long seems ahead again.
            let gap_ns_max = if matches!(meter, Meter::Bucket(_)) { 100 * DAY } else { most };
            let scale = |(gap, cost): (u64, u64)| {
                let gap_ns = align(scaled(length_ns, gap).min(gap_ns_max));
                (gap_ns, scaled(meter.limit(), cost).max(1))
            };
            let mut now = at(align(start_ns));
            let mut word = meter.fresh(now);
            for (index, (gap_ns, cost)) in before.into_iter().map(scale).enumerate() {
                now = at(now.table_ns + gap_ns);
                match meter.charge(word, now, cost) {
                    Outcome::Admitted { word: next, .. } => word = next,
                    // Now and then a debt.
                    Outcome::Refused { .. } if index % 4 == 0 => {
                        word = meter.settle(word, now, cost);
                    }
                    Outcome::Refused { .. } => {}
                }
            }
            let after = after.into_iter().map(scale).collect();
            History { meter, word, now, after }
        },
    )
}

pub(super) fn states() -> impl Strategy<Value = State> {
    (histories(), any::<u64>(), prop_oneof![Just(0_u64), 0..=3_000_u64, Just(u64::MAX)]).prop_map(
        |(History { meter, word, now, .. }, draw, later)| {
            let table_ns = match later {
                u64::MAX => now.table_ns.saturating_sub(draw % lag_ns_max(&meter)),
                later if matches!(meter, Meter::Bucket(_)) => {
                    now.table_ns + scaled(step_ns(&meter), later).min(200 * DAY)
                }
                later => now.table_ns + scaled(step_ns(&meter), later),
            };
            let whole = matches!(meter, Meter::Quota(_));
            let table_ns = if whole { table_ns / SECOND * SECOND } else { table_ns };
            State { meter, word, now: at(table_ns) }
        },
    )
}
