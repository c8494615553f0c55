//! Limits as admission uses them.

use weir_protocol::limit::fields::{self, Standing};
use weir_protocol::limit::meter::{Meter, MeterError};

use super::SnapshotError;
use crate::admission::Refusal;
use crate::config::{
    Allowance, Callers, Config, LimitConfig, LimitKey, LimitRate, OnFull, RouteConfig, Unit,
};
use crate::slots::Policy;

/// A limit ready to be charged.
pub struct Limit {
    pub name: String,
    /// What is counted apart; never empty.
    pub key: Box<[LimitKey]>,
    pub charges: Charges,
    pub dry_run: bool,
    pub on_full: OnFull,
    pub callers: Callers,
    rates: Rates,
    /// In the order of the configuration's.
    overrides: Box<[Quota]>,
}

/// What a request is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charges {
    /// What its route costs, and later what its backend reports.
    Cost,
    /// One, which comes back with its end.
    Permit,
    /// Its bytes, once they are known; one of them before.
    Bytes,
    /// The bytes of its bodies, while they move.
    Pace,
}

impl Charges {
    /// What is charged before the request goes on, where its route costs so much.
    pub const fn advance(self, cost: u64) -> u64 {
        match self {
            Self::Cost => cost,
            Self::Permit | Self::Bytes => 1,
            Self::Pace => 0,
        }
    }
}

enum Rates {
    Fixed(Quota),
    /// Indexed by tier.
    Tiers(Box<[Option<Quota>]>),
}

/// An allowance as the slot table and the answers want it.
#[derive(Debug)]
pub struct Quota {
    pub policy: Policy,
    /// What answers say of it whoever asks.
    said: fields::Policy,
}

/// The limits of a route by when they are charged, each in the route's order.
#[derive(Debug, Default)]
pub struct RouteLimits {
    /// Indices of those by address with `callers = "all"`.
    pub everybody: Box<[usize]>,
    /// Of those by address that count callers without a valid credential.
    pub anonymous: Box<[usize]>,
    pub others: Box<[usize]>,
}

impl Limit {
    /// The allowance of a caller of `tier`; `None` when the limit goes by tier and there is none.
    pub fn quota(&self, tier: Option<usize>) -> Option<&Quota> {
        match &self.rates {
            Rates::Fixed(quota) => Some(quota),
            Rates::Tiers(quotas) => quotas.get(tier?)?.as_ref(),
        }
    }

    /// Every allowance that some caller may have.
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        let (fixed, tiers) = match &self.rates {
            Rates::Fixed(quota) => (Some(quota), &[][..]),
            Rates::Tiers(quotas) => (None, &quotas[..]),
        };
        fixed.into_iter().chain(tiers.iter().flatten()).chain(&self.overrides)
    }

    /// The refusal of a request that may come back in so long. Nobody knows when a permit comes
    /// back.
    pub(crate) fn refusal(&self, retry_after_ns: u64) -> Refusal<'_> {
        let retry_after_ns = match self.charges {
            Charges::Permit => 1_000_000_000,
            Charges::Cost | Charges::Bytes | Charges::Pace => retry_after_ns,
        };
        Refusal::LimitExceeded { limit: &self.name, retry_after_ns }
    }

    /// The allowance of the configuration's override with this index.
    pub fn overriding(&self, index: usize) -> Option<&Quota> {
        self.overrides.get(index)
    }

    pub fn has_overrides(&self) -> bool {
        !self.overrides.is_empty()
    }
}

impl Quota {
    fn new(limit: &LimitConfig, charges: Charges, meter: Meter) -> Self {
        let policy = Policy::new(&limit.name, meter);
        let ladder = limit.ban.filter(|_| !limit.dry_run);
        let policy = ladder.map_or(policy, |ladder| policy.with_ladder(ladder));
        let unit = match charges {
            Charges::Cost => fields::Unit::Requests,
            Charges::Permit => fields::Unit::ConcurrentRequests,
            Charges::Bytes | Charges::Pace => fields::Unit::ContentBytes,
        };
        let said = fields::Policy::new(&limit.name, meter.limit(), unit, meter.window_s());
        Self { policy, said }
    }

    /// What an answer says of it.
    #[inline]
    pub const fn standing(&self, remaining: u64, reset_ns: u64) -> Standing<'_> {
        Standing { policy: &self.said, remaining, reset_ns }
    }
}

impl RouteLimits {
    pub(crate) fn new(route: &RouteConfig, limits: &[LimitConfig]) -> Self {
        let of = |wanted: Option<Callers>| {
            let chosen = |index: &usize| {
                let limit = &limits[*index];
                limit.is_by_address().then_some(limit.callers) == wanted
            };
            route.limits.iter().copied().filter(chosen).collect()
        };
        Self {
            everybody: of(Some(Callers::All)),
            anonymous: of(Some(Callers::Anonymous)),
            others: of(None),
        }
    }
}

/// The limits that ban, by when it is known whom.
#[derive(Debug, Default)]
pub struct BanLimits {
    /// Indices of those by address.
    pub addresses: Box<[usize]>,
    /// Of those by key or user.
    pub callers: Box<[usize]>,
}

impl BanLimits {
    pub(crate) fn new(limits: &[LimitConfig]) -> Self {
        let of = |by_address: bool| {
            let bans = |(index, limit): (usize, &LimitConfig)| {
                let bans = limit.ban.is_some() && !limit.dry_run;
                (bans && limit.is_by_address() == by_address).then_some(index)
            };
            limits.iter().enumerate().filter_map(bans).collect()
        };
        Self { addresses: of(true), callers: of(false) }
    }
}

/// The limits of a configuration, in its order.
pub(crate) fn compile(config: &Config) -> Result<Vec<Limit>, SnapshotError> {
    let limit = |limit: &LimitConfig| {
        compile_limit(limit)
            .map_err(|source| SnapshotError::Limit { name: limit.name.clone(), source })
    };
    config.limits.iter().map(limit).collect()
}

fn compile_limit(limit: &LimitConfig) -> Result<Limit, MeterError> {
    let charges = charges(limit);
    let quota =
        |allowance: &Allowance| allowance.meter().map(|meter| Quota::new(limit, charges, meter));
    Ok(Limit {
        name: limit.name.clone(),
        key: limit.key.clone().into(),
        charges,
        dry_run: limit.dry_run,
        on_full: limit.on_full,
        callers: limit.callers,
        rates: match &limit.rate {
            LimitRate::Fixed(allowance) => Rates::Fixed(quota(allowance)?),
            LimitRate::Tiers(tiers) => {
                let tiers = tiers.iter().map(|tier| tier.as_ref().map(quota).transpose());
                Rates::Tiers(tiers.collect::<Result<_, _>>()?)
            }
        },
        overrides: limit
            .overrides
            .iter()
            .map(|other| quota(&other.allowance))
            .collect::<Result<_, _>>()?,
    })
}

/// All allowances of a limit are of one algorithm; a quota's may count different units, and then
/// requests are what all count.
fn charges(limit: &LimitConfig) -> Charges {
    match limit.allowances().next() {
        Some(Allowance::Concurrency { .. }) => Charges::Permit,
        Some(Allowance::ByteRate { .. }) => Charges::Pace,
        Some(Allowance::Quota { unit: Unit::Bytes, .. }) => Charges::Bytes,
        _ => Charges::Cost,
    }
}

/// The claims that limits count by.
pub(super) fn claims(config: &Config) -> Vec<String> {
    let parts = config.limits.iter().flat_map(|limit| &limit.key);
    let mut names: Vec<String> = parts
        .filter_map(|part| match part {
            LimitKey::Claim(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
