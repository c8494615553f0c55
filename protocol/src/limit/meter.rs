//! One limit's arithmetic behind one name, whatever its algorithm: what a slot table needs.

use thiserror::Error;

use super::bucket::{self, Bucket, BucketError};
use super::in_flight::{self, InFlight, InFlightError};
use super::quota::{self, Period, Quota, QuotaError};
pub use super::shape::Shape;
use super::strict::{self, Strict, StrictError};
use super::window::{self, Window, WindowError};

/// The state of one counter. What its bits mean depends on the [`Shape`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(pub u64);

impl Word {
    /// All ones: the counter is changing hands. No arithmetic produces it.
    pub const SEALED: Self = Self(u64::MAX);
}

/// When something is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Nanoseconds since a base of the caller's.
    pub table_ns: u64,
    /// Unix time in seconds: quotas follow the calendar.
    pub wall_s: u64,
}

/// What became of a request. Times are nanoseconds from the moment of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The word to write in place of the one that was read.
    Admitted { word: Word, remaining: u64, reset_ns: u64 },
    /// Nothing is written. `retry_after_ns` is exact: the same cost is admitted at that moment and
    /// not 1 ns earlier, if nobody else is until then; `u64::MAX` when the cost exceeds the limit.
    /// Quotas know it to the second; permits come free when somebody is done, which they tell by
    /// nought.
    Refused { retry_after_ns: u64, reset_ns: u64 },
}

/// What a counter has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// What one more request may cost.
    pub remaining: u64,
    /// Nanoseconds until the whole allowance is back, if nothing more is charged.
    pub reset_ns: u64,
}

/// Where a word stands against the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// Later by so many epochs, few enough to be believed: the clock lags.
    Ahead(u64),
    Current,
    /// Of an earlier epoch, and some of it still counts.
    Previous,
    /// Nothing in it counts any more (or it is implausibly far ahead).
    Expired,
}

/// A limit: how much, in what time, counted how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meter {
    Window(Window),
    Strict(Strict),
    Bucket(Bucket),
    Quota(Quota),
    InFlight(InFlight),
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MeterError {
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Strict(#[from] StrictError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Quota(#[from] QuotaError),
    #[error(transparent)]
    InFlight(#[from] InFlightError),
}

impl Meter {
    /// `limit` units in a window of `window_ns` nanoseconds, by `sliding_window`.
    pub fn window(limit: u64, window_ns: u64) -> Result<Self, MeterError> {
        let narrow = u32::try_from(limit).map_err(|_| WindowError::Limit(limit))?;
        Ok(Self::Window(Window::new(narrow, window_ns)?))
    }

    /// `limit` units in any interval of `window_ns` nanoseconds, by `strict`.
    pub fn strict(limit: u64, window_ns: u64) -> Result<Self, MeterError> {
        Ok(Self::Strict(Strict::new(limit, window_ns)?))
    }

    /// `count` units in `window_ns` nanoseconds, `burst` of them at once, by `token_bucket`.
    pub fn bucket(count: u64, window_ns: u64, burst: u64) -> Result<Self, MeterError> {
        Ok(Self::Bucket(Bucket::new(count, window_ns, burst)?))
    }

    /// `limit` units in each day or month, by `quota`.
    pub fn quota(limit: u64, period: Period) -> Result<Self, MeterError> {
        Ok(Self::Quota(Quota::new(limit, period)?))
    }

    /// `limit` at once, by `concurrency`.
    pub fn in_flight(limit: u64) -> Result<Self, MeterError> {
        Ok(Self::InFlight(InFlight::new(limit)?))
    }

    /// Asks for `cost` units. The word must not be sealed. A cost of nought is always admitted.
    #[inline]
    pub fn charge(&self, word: Word, now: Moment, cost: u64) -> Outcome {
        match self {
            Self::Window(window) => window::charge(word, window, now.table_ns, cost),
            Self::Strict(strict) => strict::charge(word, strict, now.table_ns, cost),
            Self::Bucket(bucket) => bucket::charge(word, bucket, now.table_ns, cost),
            Self::Quota(quota) => quota::charge(word, quota, now.wall_s, cost),
            Self::InFlight(in_flight) => in_flight::charge(word, in_flight, cost),
        }
    }

    /// The same for who holds no lock over the counter. `None`: the word counts nothing, so another
    /// key may get the counter and come to an equal one. Times and numbered changes never recur.
    #[inline]
    pub fn charge_live(&self, word: Word, now: Moment, cost: u64) -> Option<Outcome> {
        match self {
            Self::Window(window) => window::charge_live(word, window, now.table_ns, cost),
            _ => self.charge_live_otherwise(word, now, cost),
        }
    }

    #[inline(never)]
    fn charge_live_otherwise(&self, word: Word, now: Moment, cost: u64) -> Option<Outcome> {
        let unique = matches!(self, Self::Bucket(_) | Self::InFlight(_));
        (unique || !self.is_expired(word, now)).then(|| self.charge(word, now, cost))
    }

    /// Asks for `cost` units of a counter whose word was written in another shape: what still counts
    /// there is carried over, or who has two limits could empty a counter by using the other one.
    /// Until something is admitted the old shape stands.
    pub fn charge_carried(&self, shape: Shape, word: Word, now: Moment, cost: u64) -> Outcome {
        let Some(old) = self.reader(shape, word) else {
            return self.charge(self.fresh(now), now, cost);
        };
        let judged = old.charge(word, now, cost);
        let Outcome::Admitted { remaining, .. } = judged else {
            return judged;
        };
        let word = self.holding(now, self.limit() - remaining);
        let Allowance { remaining, reset_ns } = self.peek(word, now);
        Outcome::Admitted { word, remaining, reset_ns }
    }

    /// The word of this shape that counts what still counts in one of another, up to the limit.
    pub fn carry(&self, shape: Shape, word: Word, now: Moment) -> Word {
        let used = |old: Meter| self.limit() - old.peek(word, now).remaining;
        self.holding(now, self.reader(shape, word).map_or(0, used))
    }

    /// What reads a word of another shape against this limit. Permits are not carried in or out:
    /// their release would not find them.
    fn reader(&self, shape: Shape, word: Word) -> Option<Self> {
        let permits = shape.dies_with_process() || self.shape().dies_with_process();
        if permits || word == Word::SEALED { None } else { shape.read_with(self.limit()) }
    }

    /// Counts `bytes` in any case, and says for how many nanoseconds a bucket holds them back.
    #[inline]
    pub fn throttle(&self, word: Word, now: Moment, bytes: u64) -> (Word, u64) {
        match self {
            Self::Bucket(bucket) => bucket::throttle(word, bucket, now.table_ns, bytes),
            Self::Window(_) | Self::Strict(_) | Self::Quota(_) | Self::InFlight(_) => {
                (self.settle(word, now, bytes), 0)
            }
        }
    }

    /// Gives back `cost` units that were charged at `charged_at`, or less; `None`: the charge no
    /// longer weighs, and there is nothing to write. This is how permits are released.
    pub fn refund(&self, word: Word, charged_at: Moment, now: Moment, cost: u64) -> Option<Word> {
        let (then_ns, now_ns) = (charged_at.table_ns, now.table_ns);
        match self {
            Self::Window(window) => window::refund(word, window, then_ns, cost),
            Self::Strict(strict) => strict::refund(word, strict, then_ns, cost),
            Self::Bucket(bucket) => bucket::refund(word, bucket, then_ns, now_ns, cost),
            Self::Quota(quota) => quota::refund(word, quota, charged_at.wall_s, cost),
            Self::InFlight(_) => in_flight::release(word, cost),
        }
    }

    /// Adds `extra` units that turned out afterwards. The count may exceed the limit and saturates
    /// where its bits end. Permits are no cost: theirs stay as they are.
    pub fn settle(&self, word: Word, now: Moment, extra: u64) -> Word {
        match self {
            Self::Window(window) => window::settle(word, window, now.table_ns, extra),
            Self::Strict(strict) => strict::settle(word, strict, now.table_ns, extra),
            Self::Bucket(bucket) => bucket::settle(word, bucket, now.table_ns, extra),
            Self::Quota(quota) => quota::settle(word, quota, now.wall_s, extra),
            Self::InFlight(_) => word,
        }
    }

    /// What is left, charging nothing.
    #[inline]
    pub fn peek(&self, word: Word, now: Moment) -> Allowance {
        match self {
            Self::Window(window) => window::peek(word, window, now.table_ns),
            Self::Strict(strict) => strict::peek(word, strict, now.table_ns),
            Self::Bucket(bucket) => bucket::peek(word, bucket, now.table_ns),
            Self::Quota(quota) => quota::peek(word, quota, now.wall_s),
            Self::InFlight(in_flight) => in_flight::peek(word, in_flight),
        }
    }

    /// The word of a counter that has counted nothing.
    #[inline]
    pub fn fresh(&self, now: Moment) -> Word {
        self.holding(now, 0)
    }

    /// The word of a counter to which `used` units (the limit at most) were charged, just now.
    pub fn holding(&self, now: Moment, used: u64) -> Word {
        match self {
            Self::Window(window) => {
                window.word_at(now.table_ns, u32::try_from(used).unwrap_or(u32::MAX))
            }
            Self::Strict(strict) => strict.word_at(now.table_ns, used),
            Self::Bucket(bucket) => bucket.word_at(now.table_ns, used),
            Self::Quota(quota) => quota.word_at(now.wall_s, used),
            Self::InFlight(in_flight) => in_flight.word_at(now.table_ns, used),
        }
    }

    /// Where a word of this shape, not sealed, stands.
    #[inline]
    pub fn age(&self, word: Word, now: Moment) -> Age {
        match self {
            Self::Window(window) => window::age(word, window, now.table_ns),
            Self::Strict(strict) => strict::age(word, strict, now.table_ns),
            Self::Bucket(bucket) => bucket::age(word, bucket, now.table_ns),
            Self::Quota(quota) => quota::age(word, quota, now.wall_s),
            Self::InFlight(_) => in_flight::age(word),
        }
    }

    /// Whether nothing in `word` counts: its counter may be given to another key.
    #[inline]
    pub fn is_expired(&self, word: Word, now: Moment) -> bool {
        self.age(word, now) == Age::Expired
    }

    /// The most that can be had at once.
    #[inline]
    pub const fn limit(&self) -> u64 {
        match self {
            Self::Window(window) => window.limit() as u64,
            Self::Strict(strict) => strict.limit() as u64,
            Self::Bucket(bucket) => bucket.burst(),
            Self::Quota(quota) => quota.limit(),
            Self::InFlight(in_flight) => in_flight.limit() as u64,
        }
    }

    /// The time in which the whole limit can be had once, in seconds, rounded up; `None` where
    /// there is no such time (permits) or it varies (months).
    pub fn window_s(&self) -> Option<u64> {
        match self {
            Self::Window(window) => Some(window.window_ns().div_ceil(1_000_000_000)),
            Self::Strict(strict) => Some(strict.window_ns().div_ceil(1_000_000_000)),
            Self::Bucket(bucket) => Some(bucket.window_s()),
            Self::Quota(quota) => (quota.period() == Period::Day).then_some(86_400),
            Self::InFlight(_) => None,
        }
    }

    #[inline]
    pub const fn shape(&self) -> Shape {
        match self {
            Self::Window(window) => Shape::new(Shape::WINDOW, 0, window.window_ns()),
            Self::Strict(strict) => Shape::new(Shape::STRICT, strict.counters(), strict.sub_ns()),
            Self::Bucket(bucket) => Shape::new(Shape::BUCKET, 0, bucket.fill_ns()),
            Self::Quota(quota) => match quota.period() {
                Period::Day => Shape::new(Shape::QUOTA, 0, 0),
                Period::Month => Shape::new(Shape::QUOTA, 1, 0),
            },
            Self::InFlight(_) => Shape::new(Shape::IN_FLIGHT, 0, 0),
        }
    }
}

#[cfg(test)]
mod tests;
