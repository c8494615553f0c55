//! `strict`: never more than the limit in *any* interval of the window's length.
//!
//! The window is cut into sub-windows, each with a counter of its own. A word holds the newest `k`
//! of them, the newest in the lowest bits; a request is admitted when
//!
//! ```text
//! all live counters + cost <= limit
//! ```
//!
//! A sub-window is `ceil(window / (k - 1))` long, so an interval of the window's length touches at
//! most `k` of them, all of which are live when its last request is judged: the sum of what was
//! admitted in it is at most the limit. The price is that a counter weighs in full until the whole
//! of its sub-window is a window old: a caller who always asks gets `limit` in `k` sub-windows,
//! `(k - 1) / k` of the rate.
//!
//! The counters share 40 bits, each wide enough for the limit: 16 for a limit of up to 3, 13 for 5,
//! 4 for 1,000, 2 from 8,192. The epoch, the number of the newest counter's sub-window, is kept in
//! 24 bits and compared modulo 2^24, as in `sliding_window`.

use thiserror::Error;

use super::meter::{Age, Allowance, Outcome, Word};
use super::window::{AHEAD_MAX, LIMIT_MAX, WINDOW_NS_MAX, WINDOW_NS_MIN};

const COUNTERS_BITS: u32 = 40;
const COUNTERS_MASK: u64 = (1 << COUNTERS_BITS) - 1;
const EPOCH_MASK: u64 = (1 << 24) - 1;
const COUNTERS_MAX: u32 = 16;

/// A limit: so many units in any interval of this length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strict {
    limit: u32,
    /// `k`: 2 to 16.
    counters: u32,
    window_ns: u64,
    sub_ns: u64,
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum StrictError {
    #[error("a limit of {0} does not fit: it must be 1 to {LIMIT_MAX}")]
    Limit(u64),
    #[error("a window of {0} ns does not fit: it must be 1 second to 366 days")]
    Length(u64),
}

impl Strict {
    /// `limit` units in any interval of `window_ns` nanoseconds.
    pub fn new(limit: u64, window_ns: u64) -> Result<Self, StrictError> {
        let fitting = u32::try_from(limit).ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let limit = fitting.ok_or(StrictError::Limit(limit))?;
        if !(WINDOW_NS_MIN..=WINDOW_NS_MAX).contains(&window_ns) {
            return Err(StrictError::Length(window_ns));
        }
        let counters = (COUNTERS_BITS / (limit.ilog2() + 1)).min(COUNTERS_MAX);
        let sub_ns = window_ns.div_ceil(u64::from(counters) - 1);
        Ok(Self { limit, counters, window_ns, sub_ns })
    }

    /// For words of so many counters, each for so long, held against `limit`.
    pub(super) fn of_shape(limit: u64, counters: u64, sub_ns: u64) -> Option<Self> {
        let counters = u32::try_from(counters).ok().filter(|k| (2..=COUNTERS_MAX).contains(k))?;
        let longest = WINDOW_NS_MAX.div_ceil(u64::from(counters) - 1);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        (1..=longest).contains(&sub_ns).then(|| Self {
            limit,
            counters,
            window_ns: sub_ns * (u64::from(counters) - 1),
            sub_ns,
        })
    }

    pub const fn limit(&self) -> u32 {
        self.limit
    }

    pub const fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// The length of a sub-window.
    pub const fn sub_ns(&self) -> u64 {
        self.sub_ns
    }

    /// How many sub-windows are counted.
    pub const fn counters(&self) -> u64 {
        self.counters as u64
    }

    /// The least share of the rate that a caller gets who always asks: `(k - 1, k)`. The rounding
    /// of a sub-window up to a whole nanosecond is not in it.
    pub const fn saturation(&self) -> (u64, u64) {
        (self.counters() - 1, self.counters())
    }

    /// A word to which `used` units (at most the limit is kept) were charged in the sub-window of
    /// `now_ns`, and nothing before.
    pub fn word_at(&self, now_ns: u64, used: u64) -> Word {
        let newest = used.min(u64::from(self.limit)).min(self.counter_max());
        View { strict: self, epoch: now_ns / self.sub_ns, counters: newest }.word()
    }

    const fn width(&self) -> u32 {
        COUNTERS_BITS / self.counters
    }

    const fn counter_max(&self) -> u64 {
        (1 << self.width()) - 1
    }

    /// The bits of the newest `count` counters, which may be all of them.
    const fn newest_mask(&self, count: u32) -> u64 {
        (1 << (count * self.width())) - 1
    }

    fn sum(&self, counters: u64) -> u64 {
        let (mut rest, mut sum) = (counters, 0);
        while rest != 0 {
            sum += rest & self.counter_max();
            rest >>= self.width();
        }
        sum
    }
}

/// Compares a word's epoch with the clock's, modulo 2^24.
#[inline]
pub fn age(word: Word, strict: &Strict, now_ns: u64) -> Age {
    let behind = (now_ns / strict.sub_ns).wrapping_sub(epoch_of(word)) & EPOCH_MASK;
    let ahead = EPOCH_MASK + 1 - behind;
    match behind {
        0 => Age::Current,
        _ if behind < strict.counters() => Age::Previous,
        _ if ahead <= AHEAD_MAX => Age::Ahead(ahead),
        _ => Age::Expired,
    }
}

/// Asks for `cost` units at `now_ns`.
#[inline]
pub fn charge(word: Word, strict: &Strict, now_ns: u64, cost: u64) -> Outcome {
    let view = View::new(word, strict, now_ns);
    let remaining = view.remaining();
    if cost > remaining {
        let (retry_after_ns, reset_ns) = (view.retry_after_ns(now_ns, cost), view.reset_ns(now_ns));
        return Outcome::Refused { retry_after_ns, reset_ns };
    }
    // No carry: the newest counter and the cost are at most the limit together.
    let charged = View { counters: view.counters + cost, ..view };
    let (word, reset_ns) = (charged.word(), charged.reset_ns(now_ns));
    Outcome::Admitted { word, remaining: remaining - cost, reset_ns }
}

/// Gives back `cost` units charged at `charged_at_ns`, from the counter of that time if it is still
/// live and holds as much; else `None`. A charge of a lagging clock stands in a newer counter than
/// its time says: the refund then falls on one that weighs for less long, or on none.
pub fn refund(word: Word, strict: &Strict, charged_at_ns: u64, cost: u64) -> Option<Word> {
    let behind = epoch_of(word).wrapping_sub(charged_at_ns / strict.sub_ns) & EPOCH_MASK;
    let behind = u32::try_from(behind).ok().filter(|behind| *behind < strict.counters)?;
    let shift = behind * strict.width();
    let counter = word.0 >> shift & strict.counter_max();
    (word != Word::SEALED && cost <= counter).then(|| Word(word.0 - (cost << shift)))
}

/// Adds `extra` units that turned out afterwards, to the newest counter. It saturates at no less
/// than the limit: nothing is admitted until it is a window old, and nothing of it lasts longer.
pub fn settle(word: Word, strict: &Strict, now_ns: u64, extra: u64) -> Word {
    let view = View::new(word, strict, now_ns);
    let newest = view.counters & strict.counter_max();
    let settled = newest.saturating_add(extra).min(strict.counter_max());
    View { counters: view.counters - newest + settled, ..view }.word()
}

/// What is left at `now_ns`, charging nothing.
#[inline]
pub fn peek(word: Word, strict: &Strict, now_ns: u64) -> Allowance {
    let view = View::new(word, strict, now_ns);
    Allowance { remaining: view.remaining(), reset_ns: view.reset_ns(now_ns) }
}

const fn epoch_of(word: Word) -> u64 {
    word.0 >> COUNTERS_BITS
}

/// Since when at most something in the word has counted: the beginning of its oldest sub-window that
/// does.
pub(super) fn counting_for_ns(word: Word, strict: &Strict, now_ns: u64) -> u64 {
    let view = View::new(word, strict, now_ns);
    let back = view.counters.checked_ilog2().map_or(0, |bit| u64::from(bit / strict.width()));
    let oldest = view.epoch.saturating_sub(back);
    now_ns.saturating_sub(oldest.saturating_mul(strict.sub_ns))
}

/// A word shifted to the epoch in which it is judged.
#[derive(Clone, Copy)]
struct View<'a> {
    strict: &'a Strict,
    /// Counted from the base of time, not modulo 2^24.
    epoch: u64,
    counters: u64,
}

impl<'a> View<'a> {
    /// A clock that lags judges in the word's epoch, where all of it counts.
    #[inline]
    fn new(word: Word, strict: &'a Strict, now_ns: u64) -> Self {
        assert_ne!(word, Word::SEALED, "a sealed word is not a count");
        let epoch = now_ns / strict.sub_ns;
        let behind = epoch.wrapping_sub(epoch_of(word)) & EPOCH_MASK;
        // What a damaged word has beyond its counters is not counted.
        let counters = word.0 & COUNTERS_MASK & strict.newest_mask(strict.counters);
        match u32::try_from(behind) {
            Ok(0) => Self { strict, epoch, counters },
            Ok(by) if by < strict.counters => {
                let kept = counters & strict.newest_mask(strict.counters - by);
                Self { strict, epoch, counters: kept << (by * strict.width()) }
            }
            _ if EPOCH_MASK + 1 - behind <= AHEAD_MAX => {
                Self { strict, epoch: epoch + (EPOCH_MASK + 1 - behind), counters }
            }
            _ => Self { strict, epoch, counters: 0 },
        }
    }

    /// Only what was settled can fill every bit; a unit of it is dropped to stay clear of the seal.
    const fn word(&self) -> Word {
        match (self.epoch & EPOCH_MASK) << COUNTERS_BITS | self.counters {
            u64::MAX => Word(u64::MAX - 1),
            bits => Word(bits),
        }
    }

    fn remaining(&self) -> u64 {
        u64::from(self.strict.limit).saturating_sub(self.strict.sum(self.counters))
    }

    /// Time until so many of the oldest counters are dropped that `cost` more fits.
    fn retry_after_ns(&self, now_ns: u64, cost: u64) -> u64 {
        let Some(room) = u64::from(self.strict.limit).checked_sub(cost) else {
            return u64::MAX;
        };
        let k = self.strict.counters;
        let kept = |dropped: u32| self.counters & self.strict.newest_mask(k - dropped);
        let dropped = (1..k).find(|dropped| self.strict.sum(kept(*dropped)) <= room);
        self.until_ns(now_ns, dropped.unwrap_or(k))
    }

    /// Time until the newest counter that is not nought is dropped.
    fn reset_ns(&self, now_ns: u64) -> u64 {
        if self.counters == 0 {
            return 0;
        }
        let age = self.counters.trailing_zeros() / self.strict.width();
        self.until_ns(now_ns, self.strict.counters - age)
    }

    /// Time until the epoch that is `later` epochs from this one begins.
    fn until_ns(&self, now_ns: u64, later: u32) -> u64 {
        (self.epoch + u64::from(later)).saturating_mul(self.strict.sub_ns).saturating_sub(now_ns)
    }
}

#[cfg(test)]
mod tests;
