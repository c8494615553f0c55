//! The ladder of bans: who does not wait when told to is shut out, each time for longer.
//!
//! ```text
//!            refused                refused too early,        the same, `after` times
//!                                   `after` > 1               within `within`
//!  ┌───────┐ ─────────► ┌────────┐ ─────────────► ┌─────────┐ ─────────────► ┌────────┐
//!  │ clear │            │  told  │                │ struck  │                │ banned │
//!  └───────┘ ◄───────── └────────┘ ◄───────────── └─────────┘                └────────┘
//!     ▲    the slot goes to      refused later               time is up,     │
//!     │    another key           than `within`               nothing told    │
//!     └─────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A *strike* is a refusal of a request that came before the moment which the last refusal named in
//! `Retry-After`. The first refusal never is one, nor is any of a caller who waits: he is never
//! banned, whatever he asks for. A key that several share is one caller: one who was not told may
//! come too early for another.
//!
//! A ban lasts `for * factor^step` seconds, at most `ceiling`; the step grows with each, and falls by
//! one for each `decay` without. While a ban runs nothing makes it shorter.
//!
//! Two words, so that each changes by a compare-and-swap. Write the ban first: a kill between the
//! two leaves a caller banned whose strikes still stand, never one whose strikes were forgotten for
//! nothing. Times are whole seconds of the caller's nanoseconds, with room for 136 years.

use thiserror::Error;

use super::fields::retry_after_s;

const SECOND_NS: u64 = 1_000_000_000;

/// How much earlier than told a request may come without a strike: shards' clocks may differ by it.
pub const GRACE_NS: u64 = 125_000_000;

/// The most that is remembered of what a caller was told: 6 days. Later nobody comes too early.
const TOLD_AHEAD_S_MAX: u64 = 1 << 19;

const SINCE_MASK: u64 = (1 << 20) - 1;
/// More strikes than this cannot be counted: 12 bits, one short of all ones.
pub const AFTER_MAX: u32 = (1 << 12) - 2;
/// The longest time over which strikes are counted together: 1 day.
pub const WITHIN_S_MAX: u64 = 86_400;
/// The longest ban: 366 days.
pub const CEILING_S_MAX: u64 = 366 * 86_400;
/// The slowest decay: 24 bits of seconds, 194 days.
pub const DECAY_S_MAX: u64 = (1 << 24) - 1;
/// The steepest ladder.
pub const FACTOR_MAX: u32 = 1_000;
const STEP_MAX: u64 = 255;

/// A ban, running or remembered: until (seconds, 32 bits), step (8), decay (seconds, 24). Nought is
/// none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ban(pub u64);

/// What led to a ban so far: told to wait until (seconds, 32 bits), strikes (12), first of them
/// (seconds, 20). Nought is nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Strikes(pub u64);

/// When to ban, and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ladder {
    after: u64,
    within_s: u64,
    for_s: u64,
    factor: u64,
    ceiling_s: u64,
    decay_s: u64,
}

/// A ladder as it is written down. Times are in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LadderRules {
    /// So many strikes ban ...
    pub after: u32,
    /// ... when they come within this time of the first.
    pub within_s: u64,
    /// The first ban's length.
    pub for_s: u64,
    /// By how many times the next ban is longer.
    pub factor: u32,
    /// The longest ban.
    pub ceiling_s: u64,
    /// The time without a ban after which a step is forgotten.
    pub decay_s: u64,
}

/// Why a ladder cannot be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LadderError {
    #[error("{0} strikes cannot be counted: it must be 1 to {AFTER_MAX}")]
    After(u32),
    #[error("strikes cannot be counted over {0} s: it must be 1 to {WITHIN_S_MAX}")]
    Within(u64),
    #[error("a ban of {0} s does not fit: it must be at least 1 and at most the ceiling")]
    For(u64),
    #[error("a factor of {0} does not fit: it must be 1 to {FACTOR_MAX}")]
    Factor(u32),
    #[error("a ceiling of {0} s does not fit: it must be at most {CEILING_S_MAX}")]
    Ceiling(u64),
    #[error("a decay of {0} s does not fit: it must be 1 to {DECAY_S_MAX}")]
    Decay(u64),
}

/// What a refusal leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// To be written in place of the strikes that were read.
    Noted(Strikes),
    /// One strike too many. To be written once [`Ladder::ban`] was.
    Out(Strikes),
}

impl Ladder {
    pub fn new(rules: LadderRules) -> Result<Self, LadderError> {
        let LadderRules { after, within_s, for_s, factor, ceiling_s, decay_s } = rules;
        if !(1..=AFTER_MAX).contains(&after) {
            return Err(LadderError::After(after));
        }
        if !(1..=WITHIN_S_MAX).contains(&within_s) {
            return Err(LadderError::Within(within_s));
        }
        if ceiling_s > CEILING_S_MAX {
            return Err(LadderError::Ceiling(ceiling_s));
        }
        if !(1..=ceiling_s).contains(&for_s) {
            return Err(LadderError::For(for_s));
        }
        if !(1..=FACTOR_MAX).contains(&factor) {
            return Err(LadderError::Factor(factor));
        }
        if !(1..=DECAY_S_MAX).contains(&decay_s) {
            return Err(LadderError::Decay(decay_s));
        }
        let (after, factor) = (u64::from(after), u64::from(factor));
        Ok(Self { after, within_s, for_s, factor, ceiling_s, decay_s })
    }

    /// The time over which strikes are counted together.
    pub const fn within_s(&self) -> u64 {
        self.within_s
    }

    /// A request was refused at `now_ns` and told to come back in `retry_after_ns`, which
    /// `Retry-After` rounds up. Only for requests that no ban refused.
    pub fn refuse(&self, strikes: Strikes, now_ns: u64, retry_after_ns: u64) -> Refused {
        let now_s = now_ns / SECOND_NS;
        let told_s = told_until_s(now_ns, retry_after_ns);
        if !strikes.is_early(now_s) {
            let kept = if self.counts(strikes, now_s) { strikes.count() } else { 0 };
            return Refused::Noted(Strikes::pack(told_s, kept, strikes.since_s()));
        }
        let (count, since_s) = match strikes.count() {
            count @ 1.. if self.counts(strikes, now_s) => (count + 1, strikes.since_s()),
            _ => (1, now_s),
        };
        if count >= self.after {
            return Refused::Out(Strikes::default());
        }
        // Nobody is told less than before: the answers of two shards may overtake each other.
        let told_s = told_s.max(strikes.told_s());
        Refused::Noted(Strikes::pack(told_s, count, since_s))
    }

    /// The next ban, from now on; the same while one is running.
    pub fn ban(&self, ban: Ban, now_ns: u64) -> Ban {
        if ban.is_running(now_ns) {
            return ban;
        }
        let step = ban.step(now_ns);
        let until_s = now_ns.div_ceil(SECOND_NS).saturating_add(self.length_s(step));
        Ban::pack(until_s, (step + 1).min(STEP_MAX), self.decay_s)
    }

    /// How long the ban of a caller lasts who had so many already.
    pub fn length_s(&self, step: u64) -> u64 {
        let exponent = u32::try_from(step).unwrap_or(u32::MAX);
        self.for_s.saturating_mul(self.factor.saturating_pow(exponent)).min(self.ceiling_s)
    }

    /// Whether strikes of the past are still counted. The moment that was told last bounds what the
    /// first strike's 20 bits cannot tell apart.
    fn counts(&self, strikes: Strikes, now_s: u64) -> bool {
        let passed_s = now_s.wrapping_sub(strikes.since_s()) & SINCE_MASK;
        now_s <= strikes.told_s().saturating_add(self.within_s) && passed_s <= self.within_s
    }
}

/// The second before which a request is too early, rounded so that it never is one who waited.
fn told_until_s(now_ns: u64, retry_after_ns: u64) -> u64 {
    let wait_s = retry_after_s(retry_after_ns).min(TOLD_AHEAD_S_MAX);
    now_ns.saturating_add(wait_s * SECOND_NS).saturating_sub(GRACE_NS) / SECOND_NS
}

impl Ban {
    fn pack(until_s: u64, step: u64, decay_s: u64) -> Self {
        Self(until_s.min(u64::from(u32::MAX)) << 32 | step << 24 | decay_s)
    }

    /// The first second that is free again.
    pub const fn until_s(self) -> u64 {
        self.0 >> 32
    }

    #[inline]
    pub const fn is_running(self, now_ns: u64) -> bool {
        now_ns / SECOND_NS < self.until_s()
    }

    /// Nanoseconds until it is over.
    pub const fn remaining_ns(self, now_ns: u64) -> u64 {
        self.until_s().saturating_mul(SECOND_NS).saturating_sub(now_ns)
    }

    /// How many bans are not yet forgotten.
    pub const fn step(self, now_ns: u64) -> u64 {
        let (step, decay_s) = (self.0 >> 24 & STEP_MAX, self.0 & DECAY_S_MAX);
        match (now_ns / SECOND_NS).saturating_sub(self.until_s()).checked_div(decay_s) {
            Some(forgotten) => step.saturating_sub(forgotten),
            None => step,
        }
    }

    /// Whether nothing of it is left: it does not run, and every step is forgotten.
    pub const fn is_spent(self, now_ns: u64) -> bool {
        self.0 == 0 || (!self.is_running(now_ns) && self.step(now_ns) == 0)
    }
}

impl Strikes {
    fn pack(told_s: u64, count: u64, since_s: u64) -> Self {
        let told_s = told_s.min(u64::from(u32::MAX));
        Self(told_s << 32 | count << 20 | since_s & SINCE_MASK)
    }

    const fn told_s(self) -> u64 {
        self.0 >> 32
    }

    /// Strikes that were counted, whether or not they still are.
    pub const fn count(self) -> u64 {
        self.0 >> 20 & 0xFFF
    }

    /// Whether a ladder that counts over `within_s` may still count what is here.
    pub const fn is_fresh(self, now_ns: u64, within_s: u64) -> bool {
        let passed_s = (now_ns / SECOND_NS).wrapping_sub(self.since_s()) & SINCE_MASK;
        self.count() > 0 && passed_s <= within_s
    }

    const fn since_s(self) -> u64 {
        self.0 & SINCE_MASK
    }

    /// Whether a request now is one that should have waited. What was told for longer than anything
    /// ever is, was told by a clock that has been set back.
    const fn is_early(self, now_s: u64) -> bool {
        now_s < self.told_s() && self.told_s() - now_s <= TOLD_AHEAD_S_MAX
    }
}

#[cfg(test)]
mod tests;
