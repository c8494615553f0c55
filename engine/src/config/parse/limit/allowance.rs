//! How much a limit allows: `algorithm`, `rate`, `burst`, `max`, `overrides`.

use std::net::IpAddr;
use std::time::Duration;

use weir_protocol::limit::in_flight;

use super::super::super::document::Table;
use super::super::super::fault::Quoted;
use super::super::super::names::Names;
use super::super::super::node::Node;
use super::super::super::scalar;
use super::super::super::{Allowance, LimitKey, LimitRate, Override, Rate, Tier};

/// What the counter holds, which is more than anybody has connections.
const CONCURRENCY_MAX: u64 = in_flight::LIMIT_MAX as u64;
const OVERRIDE_BYTES_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    SlidingWindow,
    Strict,
    TokenBucket,
    Concurrency,
    ByteRate,
    Quota,
}

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("sliding_window", Algorithm::SlidingWindow),
    ("strict", Algorithm::Strict),
    ("token_bucket", Algorithm::TokenBucket),
    ("concurrency", Algorithm::Concurrency),
    ("byte_rate", Algorithm::ByteRate),
    ("quota", Algorithm::Quota),
];

/// For messages and for a limit whose rate is faulty.
const PLACEHOLDER: Allowance =
    Allowance::SlidingWindow(Rate { count: 1, window: Duration::from_secs(1) });

/// Reads allowances of one limit.
pub(super) struct Reader<'t> {
    algorithm: Algorithm,
    burst: Option<u64>,
    tiers: &'t [Tier],
    tier_names: &'t Names,
    /// Charged before the caller's tier is known.
    by_address: bool,
}

impl<'t> Reader<'t> {
    /// Takes `algorithm` and `burst`.
    pub(super) fn new(
        table: &mut Table<'_>,
        tiers: &'t [Tier],
        tier_names: &'t Names,
        by_address: bool,
    ) -> Self {
        let algorithm = table.take("algorithm").and_then(|node| node.choice(&ALGORITHMS, &[]));
        let algorithm = algorithm.unwrap_or(Algorithm::SlidingWindow);
        let burst = table.take("burst").and_then(|node| match algorithm {
            Algorithm::TokenBucket => node.integer(&(1..=u64::from(u32::MAX))),
            Algorithm::ByteRate => node.scalar("bytes such as \"20MB\"", |text| {
                let wrong = || scalar::ScalarError::Size(text.to_owned());
                scalar::amount(text).filter(|bytes| *bytes > 0).ok_or_else(wrong)
            }),
            _ => {
                node.fault("only \"token_bucket\" and \"byte_rate\" have a burst; remove it");
                None
            }
        });
        Self { algorithm, burst, tiers, tier_names, by_address }
    }

    /// Takes `rate`, or `max` in its place.
    pub(super) fn rate(&self, table: &mut Table<'_>) -> LimitRate {
        let (own, other, example, advice) = match self.algorithm {
            Algorithm::Concurrency => {
                ("max", "rate", "max = 10", "requests at the same time have \"max\", no rate")
            }
            _ => ("rate", "max", self.example(), "only \"concurrency\" has \"max\"; remove it"),
        };
        if let Some(node) = table.take(other) {
            node.fault(advice);
        }
        let rate = table.require(own, example).and_then(|node| self.rate_of(&node));
        rate.unwrap_or(LimitRate::Fixed(PLACEHOLDER))
    }

    const fn example(&self) -> &'static str {
        match self.algorithm {
            Algorithm::ByteRate => "rate = \"10MB/1s\"",
            Algorithm::Quota => "rate = \"10000/day\" or rate = \"5GiB/month\"",
            _ => "rate = \"100/1m\" or rate = \"tier\"",
        }
    }

    fn rate_of(&self, node: &Node<'_>) -> Option<LimitRate> {
        let by_tier = node.is_string() && node.text() == Some("tier");
        if (by_tier || node.is_table()) && self.by_address {
            // Such limits are charged before the caller is known, so that forged tokens are paid
            // for.
            node.fault(
                "a limit by address is charged before the caller's tier is known; write a rate, \
                 such as \"100/1m\"",
            );
            return None;
        }
        if by_tier {
            return self.tiers_own(node);
        }
        if node.is_table() {
            return self.table(node);
        }
        self.allowance(node).map(LimitRate::Fixed)
    }

    /// The rates of `[tiers]`.
    fn tiers_own(&self, node: &Node<'_>) -> Option<LimitRate> {
        let allowances = self.tiers.iter().map(|tier| self.of_rate(tier.rate));
        let tiers: Option<Vec<_>> = allowances.map(|allowance| allowance.map(Some)).collect();
        if tiers.is_none() {
            node.fault("the tiers have rates of requests; write what each is allowed here");
        }
        let tiers = tiers?;
        tiers.iter().flatten().all(|allowance| fits(node, allowance)).then_some(())?;
        Some(LimitRate::Tiers(tiers))
    }

    /// `{ free = "5/1m", premium = "100/1m" }`.
    fn table(&self, node: &Node<'_>) -> Option<LimitRate> {
        let entries = node.table()?.take_all();
        if entries.is_empty() {
            node.fault("names no tier; write { free = …, premium = … } or one rate for all");
        }
        let mut tiers = vec![None; self.tiers.len()];
        for (name, node) in entries {
            let allowance = self.allowance(&node);
            if let Some(index) = self.tier_names.find_text(&node, name) {
                tiers[index] = allowance;
            }
        }
        Some(LimitRate::Tiers(tiers))
    }

    /// `{ batch = "1000/1m" }`.
    pub(super) fn overrides(&self, node: &Node<'_>, key: Option<&[LimitKey]>) -> Vec<Override> {
        let Some(mut table) = node.table() else { return Vec::new() };
        let mut overrides = Vec::new();
        for (name, node) in table.take_all() {
            if name.is_empty() || name.len() > OVERRIDE_BYTES_MAX {
                node.fault(format_args!("names have 1 to {OVERRIDE_BYTES_MAX} bytes"));
            }
            let only_address = key.is_some_and(|key| key == [LimitKey::Address]);
            if only_address && name.parse::<IpAddr>().is_err() {
                let name = Quoted(name);
                node.fault(format_args!("{name} is no IP address, which this limit counts by"));
            }
            let counted_with = overrides.iter().find(|other: &&Override| {
                key.is_some_and(|key| key.contains(&LimitKey::Address))
                    && is_counted_with(&other.name, name)
            });
            if let Some(other) = counted_with {
                let (name, other) = (Quoted(name), Quoted(&other.name));
                node.fault(format_args!(
                    "{name} is counted together with {other}, as IPv6 is by its /64; remove one"
                ));
            }
            if let Some(allowance) = self.allowance(&node) {
                overrides.push(Override { name: name.to_owned(), allowance });
            }
        }
        overrides
    }

    pub(super) fn dry_run(&self, node: &Node<'_>) -> bool {
        let dry_run = node.boolean() == Some(true);
        if dry_run && self.algorithm == Algorithm::ByteRate {
            node.fault("\"byte_rate\" refuses nobody, so that it has no dry run; remove it");
        }
        dry_run
    }

    /// One allowance, which fits where it is counted.
    fn allowance(&self, node: &Node<'_>) -> Option<Allowance> {
        let allowance = match self.algorithm {
            Algorithm::Concurrency => {
                Allowance::Concurrency { max: node.integer(&(1..=CONCURRENCY_MAX))? }
            }
            Algorithm::ByteRate => {
                let right = "a byte rate such as \"10MB/1s\"";
                let (bytes, window) = node.scalar(right, scalar::byte_rate)?;
                let second = |bytes: u64| bytes / window.as_secs().max(1);
                let burst = self.burst.unwrap_or_else(|| second(bytes).max(1));
                Allowance::ByteRate { bytes, window, burst }
            }
            Algorithm::Quota => {
                let right = "a quota such as \"10000/day\"";
                let (count, unit, period) = node.scalar(right, scalar::quota)?;
                Allowance::Quota { count, unit, period }
            }
            _ => {
                let right = "a rate such as \"100/1m\", or \"tier\"";
                self.of_rate(node.scalar(right, scalar::rate)?)?
            }
        };
        fits(node, &allowance).then_some(allowance)
    }

    /// `None` for an algorithm that does not count requests in a window.
    fn of_rate(&self, rate: Rate) -> Option<Allowance> {
        let burst = self.burst.unwrap_or(u64::from(rate.count));
        match self.algorithm {
            Algorithm::SlidingWindow => Some(Allowance::SlidingWindow(rate)),
            Algorithm::Strict => Some(Allowance::Strict(rate)),
            Algorithm::TokenBucket => Some(Allowance::TokenBucket { rate, burst }),
            Algorithm::Concurrency | Algorithm::ByteRate | Algorithm::Quota => None,
        }
    }
}

/// Reports an allowance that no counter can hold.
fn fits(node: &Node<'_>, allowance: &Allowance) -> bool {
    allowance.meter().inspect_err(|error| node.fault(error)).is_ok()
}

/// Whether limits take two addresses for one.
fn is_counted_with(one: &str, other: &str) -> bool {
    let addresses = (one.parse::<IpAddr>(), other.parse::<IpAddr>());
    let (Ok(one), Ok(other)) = addresses else { return false };
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
        (one, other) => one == other,
    }
}
