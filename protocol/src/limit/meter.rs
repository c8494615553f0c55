//! One limit's arithmetic behind one name, whatever its algorithm: what a slot table needs.

use thiserror::Error;

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

/// How a word is to be read, without the limit it is held against: algorithm (4 bits), its
/// parameter (5 bits), a length in nanoseconds (55 bits). Kept beside the word, so that recovery
/// and reclaim can tell a live counter from a dead one. Any `u64` may come from a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape(pub u64);

/// A limit: how much, in what time, counted how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meter {
    Window(Window),
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MeterError {
    #[error(transparent)]
    Window(#[from] WindowError),
}

impl Meter {
    /// `limit` units in a window of `window_ns` nanoseconds, by `sliding_window`.
    pub fn window(limit: u64, window_ns: u64) -> Result<Self, MeterError> {
        Ok(Self::Window(Window::new(u32::try_from(limit).unwrap_or(u32::MAX), window_ns)?))
    }

    /// Asks for `cost` units. The word must not be sealed.
    #[inline]
    pub fn charge(&self, word: Word, now: Moment, cost: u64) -> Outcome {
        match self {
            Self::Window(window) => window::charge(word, window, now.table_ns, cost),
        }
    }

    /// Asks for `cost` units of a counter whose word was written in another shape: what still
    /// counts there is carried over, or a caller whom two limits share a counter for could empty it
    /// by using the other. Until something is admitted the old shape stands.
    pub fn charge_carried(&self, shape: Shape, word: Word, now: Moment, cost: u64) -> Outcome {
        let judged = match shape.read_with(self.limit()) {
            Some(old) if word != Word::SEALED => old.charge(word, now, cost),
            _ => self.charge(self.fresh(now), now, cost),
        };
        let Outcome::Admitted { remaining, .. } = judged else {
            return judged;
        };
        let word = self.holding(now, self.limit() - remaining);
        let Allowance { remaining, reset_ns } = self.peek(word, now);
        Outcome::Admitted { word, remaining, reset_ns }
    }

    /// Gives back `cost` units that were charged at `charged_at`; `None`: the charge no longer
    /// weighs, and there is nothing to write. Gives back just that or less, never more.
    pub fn refund(&self, word: Word, charged_at: Moment, cost: u64) -> Option<Word> {
        match self {
            Self::Window(window) => window::refund(word, window, charged_at.table_ns, cost),
        }
    }

    /// Adds `extra` units that turned out afterwards. Never refuses: the count may exceed the limit
    /// and saturates where its bits end.
    pub fn settle(&self, word: Word, now: Moment, extra: u64) -> Word {
        match self {
            Self::Window(window) => window::settle(word, window, now.table_ns, extra),
        }
    }

    /// What is left, charging nothing.
    #[inline]
    pub fn peek(&self, word: Word, now: Moment) -> Allowance {
        match self {
            Self::Window(window) => window::peek(word, window, now.table_ns),
        }
    }

    /// The word of a counter that has counted nothing.
    #[inline]
    pub fn fresh(&self, now: Moment) -> Word {
        self.holding(now, 0)
    }

    /// The word of a counter to which `used` units (at most the limit is kept) were charged just
    /// now, and nothing before.
    pub fn holding(&self, now: Moment, used: u64) -> Word {
        match self {
            Self::Window(window) => {
                window.word_at(now.table_ns, u32::try_from(used).unwrap_or(u32::MAX))
            }
        }
    }

    /// Whether nothing in `word` counts: its counter may be given to another key.
    #[inline]
    pub fn is_expired(&self, word: Word, now: Moment) -> bool {
        match self {
            Self::Window(window) => window::is_expired(word, window, now.table_ns),
        }
    }

    /// The most that can be had at once.
    pub const fn limit(&self) -> u64 {
        match self {
            Self::Window(window) => window.limit() as u64,
        }
    }

    /// The window's length in whole seconds, rounded up; `None` where there is none.
    pub const fn window_s(&self) -> Option<u64> {
        match self {
            Self::Window(window) => Some(window.window_ns().div_ceil(1_000_000_000)),
        }
    }

    #[inline]
    pub const fn shape(&self) -> Shape {
        match self {
            Self::Window(window) => Shape::new(Shape::WINDOW, 0, window.window_ns()),
        }
    }
}

impl Shape {
    const WINDOW: u64 = 0;

    const fn new(algorithm: u64, parameter: u64, length: u64) -> Self {
        Self(algorithm << 60 | parameter << 55 | length)
    }

    const fn algorithm(self) -> u64 {
        self.0 >> 60
    }

    const fn parameter(self) -> u64 {
        self.0 >> 55 & 0x1F
    }

    const fn length(self) -> u64 {
        self.0 & ((1 << 55) - 1)
    }

    /// Where `word` stands; `None` for a shape that this version does not know. The word must not
    /// be sealed.
    pub fn age(self, word: Word, now: Moment) -> Option<Age> {
        match self.read_with(1)? {
            Meter::Window(window) => Some(window::age(word, &window, now.table_ns)),
        }
    }

    /// Whether nothing in `word` counts; false for a shape that this version does not know.
    pub fn is_expired(self, word: Word, now: Moment) -> bool {
        self.age(word, now) == Some(Age::Expired)
    }

    /// Whether what is counted ends with the process that counted it.
    pub const fn dies_with_process(self) -> bool {
        false
    }

    /// A limit whose words have this shape.
    fn read_with(self, limit: u64) -> Option<Meter> {
        match (self.algorithm(), self.parameter()) {
            (Self::WINDOW, 0) => Meter::window(limit, self.length()).ok(),
            _ => None,
        }
    }
}
