//! `quota`: so much in a day or a month of the calendar, in UTC.
//!
//! The word is the period's number since 1970 (20 bits) and what was counted in it (44). At most the
//! limit is admitted in a period; two quotas' worth may meet at its end, which is what a calendar
//! means. Unix time knows no leap seconds, nor does the calendar here.
//!
//! A clock that was set back across the end of a period finds the word one period ahead and counts
//! on in that one. A word further ahead is a forged one, or the clock was wrong by a whole period
//! before: nothing in it counts.

use thiserror::Error;

use super::meter::{Age, Allowance, Outcome, Word};

const COUNT_BITS: u32 = 44;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const PERIOD_MASK: u64 = (1 << (64 - COUNT_BITS)) - 1;

/// The largest limit: one short of what a count's 44 bits hold, so that no word is all ones.
pub const LIMIT_MAX: u64 = COUNT_MASK - 1;

const DAY_S: u64 = 86_400;
const SECOND_NS: u64 = 1_000_000_000;

/// What a quota is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Period {
    Day,
    Month,
}

/// A limit: so many units in each period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    limit: u64,
    period: Period,
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum QuotaError {
    #[error("a quota of {0} does not fit: it must be 1 to {LIMIT_MAX}")]
    Limit(u64),
}

impl Quota {
    /// `limit` units in each `period`.
    pub const fn new(limit: u64, period: Period) -> Result<Self, QuotaError> {
        if limit == 0 || limit > LIMIT_MAX {
            return Err(QuotaError::Limit(limit));
        }
        Ok(Self { limit, period })
    }

    pub const fn limit(&self) -> u64 {
        self.limit
    }

    pub const fn period(&self) -> Period {
        self.period
    }

    /// A word that has counted `used` units (at most the limit is kept) in the period of `wall_s`.
    pub fn word_at(&self, wall_s: u64, used: u64) -> Word {
        pack(self.period.number(wall_s), used.min(self.limit))
    }
}

impl Period {
    /// How many periods lie between 1970 and a Unix time.
    #[inline]
    pub const fn number(self, wall_s: u64) -> u64 {
        match self {
            Self::Day => wall_s / DAY_S,
            Self::Month => months_from_days(wall_s / DAY_S),
        }
    }

    /// The Unix time at which the period of this number begins.
    #[inline]
    pub const fn start_s(self, number: u64) -> u64 {
        match self {
            Self::Day => number.saturating_mul(DAY_S),
            Self::Month => days_from_months(number).saturating_mul(DAY_S),
        }
    }
}

/// Days from the first of March of the year 0 (proleptic Gregorian) to 1970.
const DAYS_TO_1970: u64 = 719_468;
/// Months likewise.
const MONTHS_TO_1970: u64 = 1970 * 12 - 2;

/// Whole months between 1970 and a day given by its number since then. Years are counted from
/// March, so that the leap day is a year's last, and month lengths follow `(153 m + 2) / 5`.
const fn months_from_days(days: u64) -> u64 {
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / 146_097, days % 146_097);
    // Of an era of 400 years; the leap days of its 4, 100 and 400 years are taken out.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    (era * 400 + year) * 12 + month - MONTHS_TO_1970
}

/// The number, since 1970, of a month's first day.
const fn days_from_months(months: u64) -> u64 {
    let months = months + MONTHS_TO_1970;
    let (year, month) = (months / 12, months % 12);
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 - DAYS_TO_1970
}

/// Compares a word's period with the clock's.
#[inline]
pub fn age(word: Word, quota: &Quota, wall_s: u64) -> Age {
    match quota.period.number(wall_s).wrapping_sub(word.0 >> COUNT_BITS) & PERIOD_MASK {
        0 => Age::Current,
        PERIOD_MASK => Age::Ahead(1),
        _ => Age::Expired,
    }
}

/// Asks for `cost` units at the Unix time `wall_s`.
#[inline]
pub fn charge(word: Word, quota: &Quota, wall_s: u64, cost: u64) -> Outcome {
    let view = View::new(word, quota, wall_s);
    let remaining = quota.limit.saturating_sub(view.count);
    if cost > remaining {
        let wait_ns = if cost > quota.limit { u64::MAX } else { view.ends_in_ns(wall_s) };
        return Outcome::Refused { retry_after_ns: wait_ns, reset_ns: view.reset_ns(wall_s) };
    }
    let charged = View { count: view.count + cost, ..view };
    let (word, reset_ns) = (charged.word(), charged.reset_ns(wall_s));
    Outcome::Admitted { word, remaining: remaining - cost, reset_ns }
}

/// Gives back `cost` units charged at `charged_at_s`, if the word is still in that period; else
/// `None`.
pub fn refund(word: Word, quota: &Quota, charged_at_s: u64, cost: u64) -> Option<Word> {
    let same = word != Word::SEALED && age(word, quota, charged_at_s) == Age::Current;
    (same && cost <= word.0 & COUNT_MASK).then(|| Word(word.0 - cost))
}

/// Adds `extra` units that turned out afterwards. The count saturates at [`LIMIT_MAX`].
pub fn settle(word: Word, quota: &Quota, wall_s: u64, extra: u64) -> Word {
    let view = View::new(word, quota, wall_s);
    View { count: view.count.saturating_add(extra).min(LIMIT_MAX), ..view }.word()
}

/// What is left at `wall_s`, charging nothing.
#[inline]
pub fn peek(word: Word, quota: &Quota, wall_s: u64) -> Allowance {
    let view = View::new(word, quota, wall_s);
    let remaining = quota.limit.saturating_sub(view.count);
    Allowance { remaining, reset_ns: view.reset_ns(wall_s) }
}

const fn pack(number: u64, count: u64) -> Word {
    Word((number & PERIOD_MASK) << COUNT_BITS | count)
}

/// Since when at most something in a word that is not expired has counted: the beginning of the
/// period.
pub(super) const fn counting_for_ns(quota: &Quota, wall_s: u64) -> u64 {
    let start_s = quota.period.start_s(quota.period.number(wall_s));
    wall_s.saturating_sub(start_s).saturating_mul(SECOND_NS)
}

/// A word as it counts in the period in which it is judged.
#[derive(Clone, Copy)]
struct View<'a> {
    quota: &'a Quota,
    number: u64,
    count: u64,
}

impl<'a> View<'a> {
    #[inline]
    fn new(word: Word, quota: &'a Quota, wall_s: u64) -> Self {
        assert_ne!(word, Word::SEALED, "a sealed word is not a count");
        let (number, count) = (quota.period.number(wall_s), word.0 & COUNT_MASK);
        match age(word, quota, wall_s) {
            Age::Current => Self { quota, number, count },
            Age::Ahead(by) => Self { quota, number: number + by, count },
            Age::Previous | Age::Expired => Self { quota, number, count: 0 },
        }
    }

    const fn word(&self) -> Word {
        pack(self.number, self.count)
    }

    const fn reset_ns(&self, wall_s: u64) -> u64 {
        if self.count == 0 { 0 } else { self.ends_in_ns(wall_s) }
    }

    /// To the second: that is what the wall clock is given in.
    const fn ends_in_ns(&self, wall_s: u64) -> u64 {
        let end_s = self.quota.period.start_s(self.number + 1);
        end_s.saturating_sub(wall_s).saturating_mul(SECOND_NS)
    }
}

#[cfg(test)]
mod tests;
