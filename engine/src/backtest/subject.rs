//! Whom limits count, as far as records tell: readable, and as the table wants it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::admission::address_key;
use crate::config::{Config, LimitKey, Override};
use crate::ledger::flight::{Dictionary, Kind};
use crate::slots::{SlotTable, SubjectHash};

/// The parts of a limit's key that a request has; 0 and `None` are those that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Subject {
    address: Option<Network>,
    key: u64,
    user: u64,
    /// Indices of the configuration.
    tier: Option<usize>,
    route: Option<usize>,
}

/// An address as limits count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Network {
    V4([u8; 4]),
    /// The first half.
    V6([u8; 8]),
}

/// A request as limits see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) address: IpAddr,
    /// Hashes; 0 is none.
    pub(super) key: u64,
    pub(super) user: u64,
    pub(super) tier: Option<usize>,
    pub(super) route: usize,
}

impl Subject {
    /// Whom a limit by `key` counts, and each part's hash; `None` where the request lacks a part, or
    /// records do not tell it.
    pub(super) fn of(
        key: &[LimitKey],
        facts: &Facts,
        table: &SlotTable,
        mut each: impl FnMut(SubjectHash),
    ) -> Option<(Self, SubjectHash)> {
        let mut subject = Self::default();
        let mut hash: Option<SubjectHash> = None;
        for part in key {
            let part = subject.add(part, facts)?.hash(table);
            each(part);
            hash = Some(hash.map_or(part, |before| before.and(part)));
        }
        hash.map(|hash| (subject, hash))
    }

    fn add(&mut self, part: &LimitKey, facts: &Facts) -> Option<Part> {
        let part = match part {
            LimitKey::Address => Part::Address(network(facts.address)),
            LimitKey::Key if facts.key != 0 => Part::Key(facts.key),
            LimitKey::Key | LimitKey::User if facts.user != 0 => Part::User(facts.user),
            LimitKey::Key | LimitKey::User => Part::Address(network(facts.address)),
            LimitKey::Tier => Part::Tier(facts.tier?),
            LimitKey::Route => Part::Route(facts.route),
            LimitKey::Certificate | LimitKey::Header(_) | LimitKey::Claim(_) => return None,
        };
        match part {
            Part::Address(network) => self.address = Some(network),
            Part::Key(hash) => self.key = hash,
            Part::User(hash) => self.user = hash,
            Part::Tier(tier) => self.tier = Some(tier),
            Part::Route(route) => self.route = Some(route),
        }
        Some(part)
    }

    /// For people, as far as the dictionary has names.
    pub(super) fn text(&self, dictionary: &Dictionary, config: &Config) -> String {
        let mut text = String::new();
        let mut add = |part: &str| {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{part}");
        };
        let named = |kind: Kind, hash: u64| match dictionary.get(kind, hash) {
            Some(name) => name.to_owned(),
            None => format!("{}#{hash:016x}", kind.name()),
        };
        if self.key != 0 {
            add(&named(Kind::Key, self.key));
        }
        if self.user != 0 {
            add(&named(Kind::User, self.user));
        }
        match self.address {
            None => {}
            Some(Network::V4(bytes)) => add(&Ipv4Addr::from(bytes).to_string()),
            Some(Network::V6(bytes)) => {
                let mut whole = [0; 16];
                whole[..8].copy_from_slice(&bytes);
                add(&format!("{}/64", Ipv6Addr::from(whole)));
            }
        }
        if let Some(tier) = self.tier {
            add(&config.tiers[tier].name);
        }
        if let Some(route) = self.route {
            add(&crate::ledger::flight::route_text(config, &config.routes[route]));
        }
        text
    }
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Address(Network),
    Key(u64),
    User(u64),
    Tier(usize),
    Route(usize),
}

impl Part {
    /// Names were hashed under the ledger's secret already: their hashes stand for them.
    fn hash(self, table: &SlotTable) -> SubjectHash {
        let number =
            |kind: &str, number: u64| table.subject(&[kind.as_bytes(), &number.to_le_bytes()]);
        match self {
            Self::Address(Network::V4(bytes)) => table.subject(&[b"address", &bytes]),
            Self::Address(Network::V6(bytes)) => table.subject(&[b"address", &bytes]),
            Self::Key(hash) => number("key", hash),
            Self::User(hash) => number("user", hash),
            Self::Tier(index) => number("tier", index as u64),
            Self::Route(index) => number("route", index as u64),
        }
    }
}

fn network(address: IpAddr) -> Network {
    let (bytes, length) = address_key(address);
    match bytes.first_chunk::<4>() {
        Some(first) if length == 4 => Network::V4(*first),
        _ => Network::V6(bytes),
    }
}

/// The hashes of parts that have an allowance of their own, sorted, with its index. `unknown` gets
/// the names of which no record tells whom they mean.
pub(super) fn overrides(
    key: &[LimitKey],
    overrides: &[Override],
    config: &Config,
    dictionary: &Dictionary,
    table: &SlotTable,
    unknown: &mut Vec<String>,
) -> Vec<(SubjectHash, usize)> {
    let mut found = Vec::new();
    for (index, other) in overrides.iter().enumerate() {
        let name = other.name.as_str();
        let named = |kind: Kind| {
            let own = dictionary.all(kind).filter(move |(_, text)| *text == name);
            own.map(|(hash, _)| hash)
        };
        let before = found.len();
        for part in key {
            let parts: Vec<Part> = match part {
                LimitKey::Address => {
                    name.parse().map(network).map(Part::Address).into_iter().collect()
                }
                LimitKey::Key => named(Kind::Key)
                    .map(Part::Key)
                    .chain(named(Kind::User).map(Part::User))
                    .collect(),
                LimitKey::User => named(Kind::User).map(Part::User).collect(),
                LimitKey::Tier => {
                    let tier = config.tiers.iter().position(|tier| tier.name == name);
                    tier.map(Part::Tier).into_iter().collect()
                }
                LimitKey::Certificate
                | LimitKey::Route
                | LimitKey::Header(_)
                | LimitKey::Claim(_) => Vec::new(),
            };
            found.extend(parts.into_iter().map(|part| (part.hash(table), index)));
        }
        if found.len() == before {
            unknown.push(name.to_owned());
        }
    }
    found.sort_unstable();
    found
}
