//! `concurrency`: how many requests may be on their way at once.
//!
//! Charging takes permits and the refund gives them back; no time is involved, and nothing says
//! when the next one comes free. The word is the count in the lower 32 bits and a number above it
//! that every charge and release moves on: a count comes back to the same value all the time, and
//! who read it before its counter changed hands must not take the new owner's for it.

use thiserror::Error;

use super::meter::{Age, Allowance, Outcome, Word};

const COUNT_MASK: u64 = u32::MAX as u64;
const CHANGE: u64 = 1 << 32;

/// The largest limit: one short of what 32 bits hold, so that no word is all ones.
pub const LIMIT_MAX: u32 = u32::MAX - 1;

/// A limit: so many at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFlight {
    limit: u32,
}

/// Why a limit does not fit a [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum InFlightError {
    #[error("a limit of {0} does not fit: it must be 1 to {LIMIT_MAX}")]
    Limit(u64),
}

impl InFlight {
    /// `limit` permits.
    pub fn new(limit: u64) -> Result<Self, InFlightError> {
        let fitting = u32::try_from(limit).ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        fitting.map(|limit| Self { limit }).ok_or(InFlightError::Limit(limit))
    }

    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// A word of which `used` permits (at most the limit) are taken. The time is only to make it
    /// another word than the last owner's.
    pub fn word_at(&self, now_ns: u64, used: u64) -> Word {
        let count = used.min(u64::from(self.limit));
        Word((now_ns & COUNT_MASK) << 32 | count)
    }
}

/// A word without permits is nobody's any more.
#[inline]
pub const fn age(word: Word) -> Age {
    if word.0 & COUNT_MASK == 0 { Age::Expired } else { Age::Current }
}

/// Asks for `cost` permits. A refusal's `retry_after_ns` is nought: any moment may do.
#[inline]
pub fn charge(word: Word, in_flight: &InFlight, cost: u64) -> Outcome {
    let remaining = peek(word, in_flight).remaining;
    if cost > remaining {
        let never = cost > u64::from(in_flight.limit);
        return Outcome::Refused { retry_after_ns: if never { u64::MAX } else { 0 }, reset_ns: 0 };
    }
    if cost == 0 {
        return Outcome::Admitted { word, remaining, reset_ns: 0 };
    }
    // No carry: count and cost are at most the limit together.
    let word = Word(word.0.wrapping_add(CHANGE) + cost);
    Outcome::Admitted { word, remaining: remaining - cost, reset_ns: 0 }
}

/// Gives back `cost` permits, or as many as are out; `None` when none is.
#[inline]
pub fn release(word: Word, cost: u64) -> Option<Word> {
    let count = word.0 & COUNT_MASK;
    let released = Word(word.0.wrapping_add(CHANGE).wrapping_sub(cost.min(count)));
    (word != Word::SEALED && cost > 0 && count > 0).then_some(released)
}

/// How many permits are left.
#[inline]
pub fn peek(word: Word, in_flight: &InFlight) -> Allowance {
    assert_ne!(word, Word::SEALED, "a sealed word is not a count");
    let remaining = u64::from(in_flight.limit).saturating_sub(word.0 & COUNT_MASK);
    Allowance { remaining, reset_ns: 0 }
}

#[cfg(test)]
mod tests;
