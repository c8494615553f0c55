use proptest::prelude::*;

use super::*;

/// Counts days one by one, by the rule as it is written.
fn months_day_by_day(until_year: u64) -> Vec<(u64, u64, u64, u64)> {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let length = |year: u64, month: u64| match month {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let (mut day, mut months) = (0, Vec::new());
    for year in 1970..until_year {
        for month in 1..=12 {
            months.push((year, month, day, length(year, month)));
            day += length(year, month);
        }
    }
    months
}

#[test]
fn the_calendar_agrees_with_counting_day_by_day() {
    for (number, (year, month, first, length)) in (0..).zip(months_day_by_day(2_801)) {
        assert_eq!(days_from_months(number), first, "{year}-{month}");
        for day in first..first + length {
            assert_eq!(months_from_days(day), number, "{year}-{month}, day {day}");
        }
    }
}

#[test]
fn months_begin_when_they_do() {
    let number = |year: u64, month: u64| (year - 1970) * 12 + month - 1;
    let cases = [
        (1970, 1, 0),
        (1970, 2, 2_678_400),
        (1972, 3, 68_256_000),
        (2000, 2, 949_363_200),
        (2000, 3, 951_868_800),
        (2024, 3, 1_709_251_200),
        (2026, 11, 1_793_491_200),
        (2038, 2, 2_148_595_200),
        (2100, 3, 4_107_542_400),
    ];
    for (year, month, unix_s) in cases {
        assert_eq!(Period::Month.start_s(number(year, month)), unix_s, "{year}-{month}");
        assert_eq!(Period::Month.number(unix_s), number(year, month), "{year}-{month}");
        assert_eq!(Period::Month.number(unix_s.max(1) - 1), number(year, month).max(1) - 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every admission kept with its time: a period never holds more than the quota, and nothing
    /// that would fit is refused.
    #[test]
    fn no_period_holds_more_than_the_quota(
        limit in 1..=30_u64,
        month in any::<bool>(),
        start_s in 0..=8_000_000_000_u64,
        steps in prop::collection::vec((0..=4_u64, 0..=9 * DAY_S, 1..=9_u64), 1..80),
    ) {
        let period = if month { Period::Month } else { Period::Day };
        let quota = Quota::new(limit, period).expect("fits");
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        let mut wall_s = start_s;
        let mut word = quota.word_at(wall_s, 0);
        let months = months_day_by_day(2_300);
        let number = |wall_s: u64| match period {
            Period::Day => wall_s / DAY_S,
            Period::Month => {
                let day = wall_s / DAY_S;
                months.partition_point(|(_, _, first, _)| *first <= day) as u64
            }
        };
        for (kind, gap_s, cost) in steps {
            wall_s += match kind {
                0 | 1 => 0,
                2 => gap_s / 90,
                3 => gap_s,
                // The edge of a day.
                _ => DAY_S - 1 - wall_s % DAY_S,
            };
            let inside = |at: u64| number(at) == number(wall_s);
            let used: u64 = admitted.iter().filter(|(at, _)| inside(*at)).map(|(_, c)| c).sum();
            let outcome = charge(word, &quota, wall_s, cost);
            prop_assert_eq!(matches!(outcome, Outcome::Admitted { .. }), used + cost <= limit);
            if let Outcome::Admitted { word: next, .. } = outcome {
                word = next;
                admitted.push((wall_s, cost));
            }
        }
    }
}

#[test]
fn a_clock_set_back_counts_on_in_the_period_it_left() {
    let quota = Quota::new(5, Period::Day).expect("fits");
    let midnight_s = 20_000 * DAY_S;
    let word = quota.word_at(midnight_s, 5);
    let before_s = midnight_s - 10;
    assert_eq!(age(word, &quota, before_s), Age::Ahead(1));
    // The day that it counts in ends a day and ten seconds from now.
    let waits = Outcome::Refused {
        retry_after_ns: (DAY_S + 10) * SECOND_NS,
        reset_ns: (DAY_S + 10) * SECOND_NS,
    };
    assert_eq!(charge(word, &quota, before_s, 1), waits);
    // Set back by more, it was wrong before.
    assert_eq!(age(word, &quota, before_s - DAY_S), Age::Expired);
}
