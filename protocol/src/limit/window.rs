//! The default algorithm, `sliding_window`: two fixed windows, interpolated.
//!
//! Time is cut into epochs of one window each. The word counts what was admitted in the current
//! epoch and in the one before; the latter fades linearly while the current one passes:
//!
//! ```text
//! estimate = previous * (window - elapsed) / window + current
//! ```
//!
//! A request is admitted when `estimate + cost <= limit`. An epoch admits at most `limit`, and an
//! interval of one window's length touches at most two epochs: never more than `2 * limit` in it.
//!
//! The whole state is one 64-bit [`Word`], so that rotation and admission are one compare-and-swap
//! and a kill finds no state in between. An epoch is kept in 24 bits and compared modulo 2^24: a
//! word left alone for a multiple of 2^24 windows (194 days of 1 s windows) is taken for a recent
//! one and may refuse for a window or two; it never admits too much.

use thiserror::Error;

pub use super::meter::{Age, Allowance, Outcome, Word};

const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const EPOCH_MASK: u64 = (1 << 24) - 1;

/// The largest limit: one short of what a count's 20 bits hold, so that no word is all ones.
pub const LIMIT_MAX: u32 = (1 << COUNT_BITS) - 2;
/// The shortest window: 1 s.
pub const WINDOW_NS_MIN: u64 = 1_000_000_000;
/// The longest window: 366 days.
pub const WINDOW_NS_MAX: u64 = 366 * 86_400 * 1_000_000_000;

/// By how many epochs a word may be ahead of the caller's clock and still be believed. A clock that
/// lags further belongs to a shard that stopped turning; a word further ahead is a wrapped or a
/// forged one.
pub const AHEAD_MAX: u64 = 64;

/// Epoch (24 bits), admitted in the epoch before (20), in this one (20).
impl Word {
    const fn pack(epoch: u64, previous: u64, current: u64) -> Self {
        Self((epoch & EPOCH_MASK) << (2 * COUNT_BITS) | previous << COUNT_BITS | current)
    }

    const fn epoch(self) -> u64 {
        self.0 >> (2 * COUNT_BITS)
    }

    const fn previous(self) -> u64 {
        self.0 >> COUNT_BITS & COUNT_MASK
    }

    const fn current(self) -> u64 {
        self.0 & COUNT_MASK
    }
}

/// A limit: so many units in a window of this length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    limit: u32,
    window_ns: u64,
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum WindowError {
    #[error("a limit of {0} does not fit: it must be 1 to {LIMIT_MAX}")]
    Limit(u64),
    #[error("a window of {0} ns does not fit: it must be 1 second to 366 days")]
    Length(u64),
}

impl Window {
    /// `limit` units in any window of `window_ns` nanoseconds.
    pub fn new(limit: u32, window_ns: u64) -> Result<Self, WindowError> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(WindowError::Limit(u64::from(limit)));
        }
        if !(WINDOW_NS_MIN..=WINDOW_NS_MAX).contains(&window_ns) {
            return Err(WindowError::Length(window_ns));
        }
        Ok(Self { limit, window_ns })
    }

    pub const fn limit(&self) -> u32 {
        self.limit
    }

    pub const fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// A word that has counted `current` units (at most the limit is kept) in the epoch of
    /// `now_ns`, and nothing before.
    pub fn word_at(&self, now_ns: u64, current: u32) -> Word {
        Word::pack(now_ns / self.window_ns, 0, u64::from(current.min(self.limit)))
    }
}

/// Compares a word's epoch with the clock's, modulo 2^24.
#[inline]
pub fn age(word: Word, window: &Window, now_ns: u64) -> Age {
    age_at(word, now_ns / window.window_ns)
}

#[inline]
fn age_at(word: Word, epoch: u64) -> Age {
    let behind = epoch.wrapping_sub(word.epoch()) & EPOCH_MASK;
    let ahead = EPOCH_MASK + 1 - behind;
    match behind {
        0 => Age::Current,
        1 => Age::Previous,
        _ if ahead <= AHEAD_MAX => Age::Ahead(ahead),
        _ => Age::Expired,
    }
}

/// Whether nothing in `word` counts at `now_ns`: its counter may be given to another key.
pub fn is_expired(word: Word, window: &Window, now_ns: u64) -> bool {
    age(word, window, now_ns) == Age::Expired
}

/// Asks for `cost` units at `now_ns`.
#[inline]
pub fn charge(word: Word, window: &Window, now_ns: u64, cost: u64) -> Outcome {
    View::new(word, window, now_ns).charge(now_ns, cost)
}

/// The same, of a word in which something counts; `None` of one that is expired.
#[inline]
pub fn charge_live(word: Word, window: &Window, now_ns: u64, cost: u64) -> Option<Outcome> {
    View::live(word, window, now_ns).map(|view| view.charge(now_ns, cost))
}

/// Gives back `cost` units charged at `charged_at_ns`: from whichever half still holds that epoch,
/// else `None`. A charge made by a lagging clock stands in a later epoch than its time says; its
/// refund then falls on the half that weighs less, or on none: too little is given back, never too
/// much.
pub fn refund(word: Word, window: &Window, charged_at_ns: u64, cost: u64) -> Option<Word> {
    if word == Word::SEALED {
        return None;
    }
    let behind = word.epoch().wrapping_sub(charged_at_ns / window.window_ns) & EPOCH_MASK;
    match behind {
        0 => {
            let current = word.current().checked_sub(cost)?;
            Some(Word::pack(word.epoch(), word.previous(), current))
        }
        1 => {
            let previous = word.previous().checked_sub(cost)?;
            Some(Word::pack(word.epoch(), previous, word.current()))
        }
        _ => None,
    }
}

/// Adds `extra` units that turned out afterwards. What exceeds the limit carries over into the next
/// epoch; a count saturates at [`LIMIT_MAX`].
pub fn settle(word: Word, window: &Window, now_ns: u64, extra: u64) -> Word {
    let view = View::new(word, window, now_ns);
    let current = view.current.saturating_add(extra).min(u64::from(LIMIT_MAX));
    View { current, ..view }.word()
}

/// What is left at `now_ns`, charging nothing.
#[inline]
pub fn peek(word: Word, window: &Window, now_ns: u64) -> Allowance {
    let view = View::new(word, window, now_ns);
    Allowance { remaining: view.remaining(), reset_ns: view.reset_ns(now_ns) }
}

/// Since when at most something in the word has counted: the beginning of its older epoch that does.
pub(super) fn counting_for_ns(word: Word, window: &Window, now_ns: u64) -> u64 {
    let view = View::new(word, window, now_ns);
    let older = view.epoch.saturating_sub(u64::from(view.previous > 0));
    now_ns.saturating_sub(older.saturating_mul(window.window_ns))
}

/// A word rotated to the epoch in which it is judged.
#[derive(Clone, Copy)]
struct View<'a> {
    window: &'a Window,
    /// Counted from the base of time, not modulo 2^24.
    epoch: u64,
    elapsed_ns: u64,
    previous: u64,
    current: u64,
}

impl<'a> View<'a> {
    #[inline]
    fn new(word: Word, window: &'a Window, now_ns: u64) -> Self {
        let epoch = now_ns / window.window_ns;
        let elapsed_ns = now_ns % window.window_ns;
        let empty = Self { window, epoch, elapsed_ns, previous: 0, current: 0 };
        Self::live(word, window, now_ns).unwrap_or(empty)
    }

    /// `None`: nothing in the word counts. A clock that lags judges in the word's epoch, at its
    /// very beginning: the strictest reading.
    #[inline]
    fn live(word: Word, window: &'a Window, now_ns: u64) -> Option<Self> {
        assert_ne!(word, Word::SEALED, "a sealed word is not a count");
        let (epoch, elapsed_ns) = (now_ns / window.window_ns, now_ns % window.window_ns);
        let (previous, current) = (word.previous(), word.current());
        match age_at(word, epoch) {
            Age::Current => Some(Self { window, epoch, elapsed_ns, previous, current }),
            Age::Previous => {
                Some(Self { window, epoch, elapsed_ns, previous: current, current: 0 })
            }
            Age::Ahead(by) => {
                Some(Self { window, epoch: epoch + by, elapsed_ns: 0, previous, current })
            }
            Age::Expired => None,
        }
    }

    #[inline]
    fn charge(&self, now_ns: u64, cost: u64) -> Outcome {
        let remaining = self.remaining();
        if cost > remaining {
            return self.refusal(now_ns, cost);
        }
        // The estimate grows by a whole number.
        let charged = Self { current: self.current + cost, ..*self };
        let (word, reset_ns) = (charged.word(), charged.reset_ns(now_ns));
        Outcome::Admitted { word, remaining: remaining - cost, reset_ns }
    }

    #[cold]
    fn refusal(&self, now_ns: u64, cost: u64) -> Outcome {
        let at_ns = self.admits_at_ns(cost);
        let retry_after_ns = if at_ns == u64::MAX { at_ns } else { at_ns.saturating_sub(now_ns) };
        Outcome::Refused { retry_after_ns, reset_ns: self.reset_ns(now_ns) }
    }

    const fn word(&self) -> Word {
        Word::pack(self.epoch, self.previous, self.current)
    }

    /// The estimate, rounded up. Limit and costs are whole, so comparing the rounded value decides
    /// exactly as comparing the fraction would.
    #[inline]
    fn used(&self) -> u64 {
        if self.previous == 0 {
            return self.current;
        }
        let whole = self.window.window_ns;
        let left_ns = whole - self.elapsed_ns;
        // Windows of up to five hours never take the slow division.
        let faded = match self.previous.checked_mul(left_ns) {
            Some(product) => product.div_ceil(whole),
            None => self.faded_slowly(left_ns),
        };
        faded + self.current
    }

    #[cold]
    fn faded_slowly(&self, left_ns: u64) -> u64 {
        let product = u128::from(self.previous) * u128::from(left_ns);
        narrow(product.div_ceil(u128::from(self.window.window_ns)))
    }

    #[inline]
    fn remaining(&self) -> u64 {
        u64::from(self.window.limit).saturating_sub(self.used())
    }

    /// The earliest time at which `cost` more fits, if nothing else is charged.
    fn admits_at_ns(&self, cost: u64) -> u64 {
        let limit = u64::from(self.window.limit);
        let Some(room_next) = limit.checked_sub(cost) else {
            return u64::MAX;
        };
        match room_next.checked_sub(self.current) {
            Some(room) => self.epoch_at_ns(0).saturating_add(self.fades_in_ns(self.previous, room)),
            None => {
                let wait_ns = self.fades_in_ns(self.current, room_next);
                self.epoch_at_ns(1).saturating_add(wait_ns)
            }
        }
    }

    /// Nanoseconds from the beginning of an epoch until what was counted before it weighs no more
    /// than `room`: the smallest `e` with `count * (window - e) <= room * window`.
    fn fades_in_ns(&self, count: u64, room: u64) -> u64 {
        if count <= room {
            return 0;
        }
        let window_ns = self.window.window_ns;
        let heavy = u128::from(room) * u128::from(window_ns) / u128::from(count);
        window_ns - narrow(heavy)
    }

    /// Time until the estimate is nought: two epochs after the last charge.
    #[inline]
    fn reset_ns(&self, now_ns: u64) -> u64 {
        let at_ns = match (self.previous, self.current) {
            (0, 0) => now_ns,
            (_, 0) => self.epoch_at_ns(1),
            _ => self.epoch_at_ns(2),
        };
        at_ns.saturating_sub(now_ns)
    }

    /// When the epoch `later` epochs from this one begins.
    const fn epoch_at_ns(&self, later: u64) -> u64 {
        (self.epoch + later).saturating_mul(self.window.window_ns)
    }
}

/// For quotients that are below a window's length or a count by construction.
fn narrow(quotient: u128) -> u64 {
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
