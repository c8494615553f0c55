//! `token_bucket`: a burst at once, then a steady rate; and the same for bytes.
//!
//! The generic cell rate algorithm (ITU-T I.371): a unit takes `interval` to come back, and the word
//! is the *theoretical arrival time*, the moment at which the bucket will be full again. A request
//! moves it on from there, or from now if it is past, and is admitted when
//!
//! ```text
//! time - now + cost * interval <= burst * interval
//! ```
//!
//! Times are in ticks of 1/256 ns, so that an interval of a few nanoseconds is not a rough one;
//! `interval` is rounded up: never more than the rate, and less by at most a tick for each unit. In
//! any interval of time T, at most `burst + rate * T` units are admitted.
//!
//! Words are compared modulo 2^64 ticks (834 days). One that is not ahead of now, or is so by more
//! than a debt and a lagging clock explain, counts nothing. One left alone for 834 days, less the
//! time by which it may be ahead, seems ahead again and may refuse for as long as that; it never
//! admits too much.

use thiserror::Error;

use super::meter::{Age, Allowance, Outcome, Word};
use super::window::{WINDOW_NS_MAX, WINDOW_NS_MIN};

const NS_TICKS: u64 = 256;
const SECOND_NS: u64 = 1_000_000_000;

/// The longest time that an empty bucket may take to fill: 2^54 ns, 208 days.
pub const FILL_NS_MAX: u64 = 1 << 54;

/// By how many times what a bucket takes to fill a word may be ahead of the caller's clock beyond
/// that, because the clock lags: at least 64 s, at most 52 days.
const AHEAD_FILLS_MAX: u64 = 64;

/// A limit: a rate, and how much of it may come at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    burst: u64,
    /// Ticks for one unit.
    interval: u64,
    /// `burst * interval`.
    capacity: u64,
    /// What an empty bucket takes to fill, rounded up.
    fill_ns: u64,
    /// The same at the rate as it was asked for.
    window_s: u64,
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BucketError {
    #[error("a rate of {0} does not fit: it must be at least 1, and at most 256 for a nanosecond")]
    Rate(u64),
    #[error("a window of {0} ns does not fit: it must be 1 second to 366 days")]
    Length(u64),
    #[error("a burst of {0} does not fit: it must be at least 1 and come back within 208 days")]
    Burst(u64),
}

impl Bucket {
    /// `count` units in `window_ns` nanoseconds, of which `burst` may come at once.
    pub fn new(count: u64, window_ns: u64, burst: u64) -> Result<Self, BucketError> {
        if !(WINDOW_NS_MIN..=WINDOW_NS_MAX).contains(&window_ns) {
            return Err(BucketError::Length(window_ns));
        }
        // Below 2^63: a window is below 2^55 ns.
        let window = window_ns * NS_TICKS;
        if !(1..=window).contains(&count) {
            return Err(BucketError::Rate(count));
        }
        let fits = |capacity: &u64| *capacity <= FILL_NS_MAX * NS_TICKS;
        let interval = window.div_ceil(count);
        let capacity = interval.checked_mul(burst).filter(fits).filter(|_| burst > 0);
        let capacity = capacity.ok_or(BucketError::Burst(burst))?;
        let exact = u128::from(burst) * u128::from(window_ns);
        let window_s = exact.div_ceil(u128::from(count) * u128::from(SECOND_NS));
        let window_s = u64::try_from(window_s).unwrap_or(u64::MAX);
        Ok(Self { burst, interval, capacity, fill_ns: capacity.div_ceil(NS_TICKS), window_s })
    }

    /// For words of buckets that take so long to fill, held against `burst`.
    pub(super) fn of_shape(burst: u64, fill_ns: u64) -> Option<Self> {
        if burst == 0 || !(1..=FILL_NS_MAX).contains(&fill_ns) {
            return None;
        }
        let interval = (fill_ns * NS_TICKS / burst).max(1);
        let fits = |capacity: &u64| *capacity <= FILL_NS_MAX * NS_TICKS;
        let capacity = interval.checked_mul(burst).filter(fits)?;
        Some(Self { burst, interval, capacity, fill_ns, window_s: fill_ns.div_ceil(SECOND_NS) })
    }

    /// The most that may come at once.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// What an empty bucket takes to fill, in nanoseconds, rounded up.
    pub const fn fill_ns(&self) -> u64 {
        self.fill_ns
    }

    /// The time in which the rate brings back a whole burst, in seconds, rounded up.
    pub const fn window_s(&self) -> u64 {
        self.window_s
    }

    /// The word of a bucket from which `used` units (at most all of them) were taken just now.
    pub const fn word_at(&self, now_ns: u64, used: u64) -> Word {
        let used = if used < self.burst { used } else { self.burst };
        word_of(ticks(now_ns), used * self.interval)
    }

    /// How far a clock may lag and still believe a word that is as far ahead as can be.
    fn lag_ns(&self) -> u64 {
        let fills = self.fill_ns.saturating_mul(AHEAD_FILLS_MAX);
        fills.clamp(64 * SECOND_NS, FILL_NS_MAX / 4)
    }

    /// The furthest that anything moves a word ahead. Below 2^63 ticks, as is what is believed.
    fn debt_ticks(&self) -> u64 {
        (self.fill_ns + self.lag_ns()) * NS_TICKS
    }

    /// Ticks by which the word is ahead of now; nought when it counts nothing.
    #[inline]
    fn ahead(&self, word: Word, now: u64) -> u64 {
        assert_ne!(word, Word::SEALED, "a sealed word is not a count");
        let ahead = word.0.wrapping_sub(now);
        if ahead <= self.debt_ticks() + self.lag_ns() * NS_TICKS { ahead } else { 0 }
    }

    fn allowance(&self, ahead: u64) -> Allowance {
        let remaining = self.capacity.saturating_sub(ahead) / self.interval;
        Allowance { remaining, reset_ns: ahead.div_ceil(NS_TICKS) }
    }

    /// Nanoseconds until a bucket that is this far ahead, or further, is no fuller than it may be.
    const fn wait_ns(&self, ahead: u64) -> u64 {
        ahead.saturating_sub(self.capacity).div_ceil(NS_TICKS)
    }
}

/// Where the word stands. A debt is no reason to distrust it.
#[inline]
pub fn age(word: Word, bucket: &Bucket, now_ns: u64) -> Age {
    match bucket.ahead(word, ticks(now_ns)) {
        0 => Age::Expired,
        ahead if ahead <= bucket.debt_ticks() => Age::Current,
        _ => Age::Ahead(AHEAD_FILLS_MAX),
    }
}

/// Asks for `cost` units at `now_ns`.
#[inline]
pub fn charge(word: Word, bucket: &Bucket, now_ns: u64, cost: u64) -> Outcome {
    let now = ticks(now_ns);
    let ahead = bucket.ahead(word, now);
    if cost > bucket.burst {
        return Outcome::Refused { retry_after_ns: u64::MAX, reset_ns: ahead.div_ceil(NS_TICKS) };
    }
    // Neither term reaches 2^63.
    let charged = ahead + cost * bucket.interval;
    // What costs nothing is admitted to a bucket in debt.
    if charged > bucket.capacity && cost > 0 {
        let (retry_after_ns, reset_ns) = (bucket.wait_ns(charged), ahead.div_ceil(NS_TICKS));
        return Outcome::Refused { retry_after_ns, reset_ns };
    }
    let Allowance { remaining, reset_ns } = bucket.allowance(charged);
    Outcome::Admitted { word: word_of(now, charged), remaining, reset_ns }
}

/// Counts `bytes` in any case, and says for how many nanoseconds to hold them back. Where everybody
/// does, at most `burst + rate * T` bytes pass in any interval of time T, or one piece more where
/// pieces are larger than the burst. What is owed saturates at 64 times the burst.
#[inline]
pub fn throttle(word: Word, bucket: &Bucket, now_ns: u64, bytes: u64) -> (Word, u64) {
    let now = ticks(now_ns);
    let ahead = bucket.ahead(word, now);
    let charged = charged_in_any_case(bucket, ahead, bytes);
    (word_of(now, charged), bucket.wait_ns(charged))
}

/// Gives back `cost` units charged at `charged_at_ns`, less what has come back of them by itself
/// since; `None` when that is all. Without the charge the bucket could have been full for that long
/// and could not have filled further: giving back the whole would be too much.
pub fn refund(
    word: Word,
    bucket: &Bucket,
    charged_at_ns: u64,
    now_ns: u64,
    cost: u64,
) -> Option<Word> {
    if word == Word::SEALED {
        return None;
    }
    let now = ticks(now_ns.max(charged_at_ns));
    let passed = now_ns.saturating_sub(charged_at_ns).checked_mul(NS_TICKS)?;
    let given =
        cost.checked_mul(bucket.interval)?.checked_sub(passed).filter(|ticks| *ticks > 0)?;
    let ahead = bucket.ahead(word, now);
    (ahead > 0).then(|| word_of(now, ahead.saturating_sub(given)))
}

/// Adds `extra` units that turned out afterwards; what is owed saturates at 64 times the burst.
pub fn settle(word: Word, bucket: &Bucket, now_ns: u64, extra: u64) -> Word {
    let now = ticks(now_ns);
    word_of(now, charged_in_any_case(bucket, bucket.ahead(word, now), extra))
}

/// What is left at `now_ns`, charging nothing.
#[inline]
pub fn peek(word: Word, bucket: &Bucket, now_ns: u64) -> Allowance {
    bucket.allowance(bucket.ahead(word, ticks(now_ns)))
}

/// A word that a lagging clock finds beyond the debt stays where it is.
fn charged_in_any_case(bucket: &Bucket, ahead: u64, units: u64) -> u64 {
    let charged = ahead.saturating_add(units.saturating_mul(bucket.interval));
    charged.min(bucket.debt_ticks().max(ahead))
}

const fn ticks(now_ns: u64) -> u64 {
    now_ns.wrapping_mul(NS_TICKS)
}

/// One tick more where the word would be the seal.
const fn word_of(now: u64, ahead: u64) -> Word {
    match now.wrapping_add(ahead) {
        u64::MAX => Word(0),
        time => Word(time),
    }
}

#[cfg(test)]
mod tests;
