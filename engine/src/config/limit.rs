//! What `[[limit]]` says.

use std::time::Duration;

use weir_protocol::limit::ban::Ladder;
use weir_protocol::limit::meter::{Meter, MeterError};
pub use weir_protocol::limit::quota::Period;

use super::{Config, Rate};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    pub name: String,
    /// What is counted apart, in the order of the file: all parts together name a counter. Never
    /// empty, no part twice.
    pub key: Vec<LimitKey>,
    pub rate: LimitRate,
    /// Other allowances for single callers.
    pub overrides: Vec<Override>,
    /// Counts and reports, but refuses nobody.
    pub dry_run: bool,
    /// Whom it refuses too often before their time is banned; in a dry run nobody is.
    pub ban: Option<Ladder>,
    /// What a full slot table means for this limit: refuse (default) or admit.
    pub on_full: OnFull,
    /// Whom a limit by address counts. Default `Anonymous`.
    pub callers: Callers,
}

/// A part of what a limit counts by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitKey {
    /// IPv4 whole, IPv6 by /64.
    Address,
    /// The API key, or a token's subject; the address for callers without either.
    Key,
    /// The key's user or the token's subject; the address for callers without either.
    User,
    /// The client's certificate; the address for callers without one.
    Certificate,
    /// Callers without one are not counted; nor are those without one of the following.
    Tier,
    /// Each `[[route]]` that names the limit.
    Route,
    /// The first field of this name, in lower case.
    Header(String),
    /// A token's claim, if it is a text, a number or a boolean.
    Claim(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitRate {
    Fixed(Allowance),
    /// By tier, in the configuration's order. The limit does not apply to callers without a tier,
    /// nor to tiers that have none.
    Tiers(Vec<Option<Allowance>>),
}

/// An allowance of its own for one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What one part of the limit's key is for that caller: the name of a key, a user, an address,
    /// a tier, the value of a field or claim.
    pub name: String,
    pub allowance: Allowance,
}

/// How much one counter allows, and how that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    SlidingWindow(Rate),
    Strict(Rate),
    /// `rate` in the long run, `burst` at once.
    TokenBucket {
        rate: Rate,
        burst: u64,
    },
    /// Requests at the same time.
    Concurrency {
        max: u64,
    },
    /// Bytes of bodies, both ways, in any window; what is beyond is delayed.
    ByteRate {
        bytes: u64,
        window: Duration,
        burst: u64,
    },
    Quota {
        count: u64,
        unit: Unit,
        period: Period,
    },
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Requests,
    /// Of heads and bodies, both ways.
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    Refuse,
    Admit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Callers without a valid credential.
    Anonymous,
    All,
}

impl LimitConfig {
    /// Whether it is charged before the caller is known, so that a flood of forged credentials is
    /// paid for.
    pub fn is_by_address(&self) -> bool {
        is_by_address(&self.key)
    }

    /// Every allowance that some caller may have.
    pub fn allowances(&self) -> impl Iterator<Item = &Allowance> {
        let (fixed, tiers) = match &self.rate {
            LimitRate::Fixed(allowance) => (Some(allowance), &[][..]),
            LimitRate::Tiers(tiers) => (None, &tiers[..]),
        };
        let overrides = self.overrides.iter().map(|other| &other.allowance);
        fixed.into_iter().chain(tiers.iter().flatten()).chain(overrides)
    }

    /// The most that a request may cost so that every caller can be admitted; `None` where the
    /// route's cost does not count.
    pub fn cost_max(&self) -> Option<u64> {
        self.allowances().filter_map(Allowance::cost_max).min()
    }
}

/// Whether a limit by these parts can be charged before the caller is known.
pub(super) fn is_by_address(key: &[LimitKey]) -> bool {
    let known_before = |part: &LimitKey| {
        matches!(
            part,
            LimitKey::Address | LimitKey::Certificate | LimitKey::Route | LimitKey::Header(_)
        )
    };
    key.contains(&LimitKey::Address) && key.iter().all(known_before)
}

impl Allowance {
    /// Its arithmetic.
    ///
    /// # Errors
    /// It does not fit the word of a counter.
    pub fn meter(&self) -> Result<Meter, MeterError> {
        let ns = |window: Duration| u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        match *self {
            Self::SlidingWindow(rate) => Meter::window(rate.count.into(), ns(rate.window)),
            Self::Strict(rate) => Meter::strict(rate.count.into(), ns(rate.window)),
            Self::TokenBucket { rate, burst } => {
                Meter::bucket(rate.count.into(), ns(rate.window), burst)
            }
            Self::Concurrency { max } => Meter::in_flight(max),
            Self::ByteRate { bytes, window, burst } => Meter::bucket(bytes, ns(window), burst),
            Self::Quota { count, period, .. } => Meter::quota(count, period),
        }
    }

    /// The most that one request may cost.
    const fn cost_max(&self) -> Option<u64> {
        match self {
            Self::SlidingWindow(rate) | Self::Strict(rate) => Some(rate.count as u64),
            Self::TokenBucket { burst, .. } => Some(*burst),
            Self::Quota { count, unit: Unit::Requests, .. } => Some(*count),
            Self::Quota { unit: Unit::Bytes, .. }
            | Self::Concurrency { .. }
            | Self::ByteRate { .. } => None,
        }
    }
}

impl Config {
    /// What `weir check` tells of limits besides that they are right.
    pub fn notes(&self) -> Vec<String> {
        self.limits.iter().filter_map(LimitConfig::note).collect()
    }
}

impl LimitConfig {
    fn note(&self) -> Option<String> {
        let share = |allowance: &Allowance| match allowance.meter() {
            Ok(Meter::Strict(strict)) => Some(strict.saturation()),
            _ => None,
        };
        // The least share is that of the fewest counters.
        let (part, whole) = self.allowances().filter_map(share).min()?;
        let name = &self.name;
        Some(format!(
            "limit {name:?}: strict guarantees {part}/{whole} of its rate to who always asks"
        ))
    }
}
