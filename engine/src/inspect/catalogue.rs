//! Counters of the slot table, told by the names of limits and callers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use weir_protocol::control::{BanStatus, CounterStatus, Subject};
use weir_protocol::limit::meter::{Allowance, Meter, Moment, Word};

use crate::admission::{NetworkName, address_key};
use crate::config::LimitKey;
use crate::slots::{Entry, SlotTable, SubjectHash};
use crate::snapshot::{Charges, Limit, Quota, Snapshot};

/// Which limit of a configuration a counter belongs to.
pub struct Catalogue<'s> {
    snapshot: &'s Snapshot,
    /// By [`Policy::id`](crate::slots::Policy::id).
    policies: BTreeMap<u64, (&'s Limit, &'s Quota)>,
}

/// Whose counters are looked for.
pub struct Wanted<'s> {
    subject: Subject,
    /// As counters of several parts name it.
    text: String,
    /// Of the limits that count by one part: what tells this subject's counters.
    tags: BTreeMap<u64, &'s Limit>,
}

impl<'s> Catalogue<'s> {
    pub fn new(snapshot: &'s Snapshot) -> Self {
        let of = |limit: &'s Limit| limit.quotas().map(move |q| (q.policy.id(), (limit, q)));
        Self { snapshot, policies: snapshot.limits.iter().flat_map(of).collect() }
    }

    /// What to look for to find a subject's counters. An address is one address here.
    ///
    /// # Errors
    /// When the address is none.
    pub fn wanted(&self, subject: Subject, table: &SlotTable) -> Result<Wanted<'s>, String> {
        let (hash, text) = match &subject {
            Subject::Address(text) => {
                let address: IpAddr =
                    text.parse().map_err(|_| format!("{text:?} is not an address"))?;
                let (bytes, length) = address_key(address);
                let hash = table.subject(&[b"address", &bytes[..length]]);
                (hash, address_text(address))
            }
            Subject::Key(name) => (table.subject(&[b"key", name.as_bytes()]), name.clone()),
            Subject::User(name) => (table.subject(&[b"user", name.as_bytes()]), name.clone()),
        };
        let tags = self.snapshot.limits.iter().filter(|limit| limit.key.len() == 1);
        let tags = tags.filter_map(|limit| Some((tag(limit, hash)?, limit)));
        Ok(Wanted { subject, text, tags: tags.collect() })
    }

    /// The limit that an entry was counted for, with its allowance; `None` when the configuration
    /// has it no more.
    pub fn limit(&self, entry: &Entry) -> Option<(&'s Limit, &'s Quota)> {
        self.policies.get(&entry.policy).copied()
    }

    /// The ban that an entry's subject is under now.
    pub fn ban(&self, entry: &Entry, now: Moment) -> Option<BanStatus> {
        if !entry.ban.is_running(now.table_ns) {
            return None;
        }
        let limit = self.limit(entry).map(|(limit, _)| limit);
        Some(BanStatus {
            subject: limit
                .map_or_else(|| entry.name.clone(), |limit| subject_text(limit, &entry.name)),
            limit: Some(limit.map_or_else(String::new, |limit| limit.name.clone())),
            left_s: Some(entry.ban.remaining_ns(now.table_ns).div_ceil(1_000_000_000)),
            step: u32::try_from(entry.ban.step(now.table_ns)).unwrap_or(u32::MAX),
            ..BanStatus::default()
        })
    }

    /// An entry in words. `limit` is what is known of it beyond the entry itself.
    pub fn status(&self, entry: &Entry, limit: Option<&Limit>, now: Moment) -> CounterStatus {
        let known = self.limit(entry);
        let limit = known.map(|(limit, _)| limit).or(limit);
        // Counted at an earlier rate, what still counts is held against the one of now.
        let quota = known.map(|(_, quota)| quota).or_else(|| limit?.quota(None));
        let mut status = CounterStatus {
            limit: limit.map_or_else(String::new, |limit| limit.name.clone()),
            subject: limit
                .map_or_else(|| entry.name.clone(), |limit| subject_text(limit, &entry.name)),
            admitted: entry.admitted,
            refused: entry.refused,
            banned_s: entry.ban.remaining_ns(now.table_ns).div_ceil(1_000_000_000),
            ..CounterStatus::default()
        };
        if let (Some(limit), Some(quota)) = (limit, quota) {
            describe(limit, quota, allowance(quota, entry, now), &mut status);
        }
        status
    }
}

impl Wanted<'_> {
    /// Whether the entry counts the subject, by itself or with other parts; the limit, where the
    /// tag tells it.
    pub fn find(&self, entry: &Entry, catalogue: &Catalogue<'_>) -> Option<Option<&Limit>> {
        if let Some(limit) = self.tags.get(&entry.tag) {
            return Some(Some(limit));
        }
        let (limit, _) = catalogue.limit(entry)?;
        let parts: Vec<_> = entry.name.split(' ').collect();
        let mine = |(part, text): (&LimitKey, &&str)| self.is_part(part) && *text == self.text;
        let found = limit.key.len() > 1
            && parts.len() == limit.key.len()
            && limit.key.iter().zip(&parts).any(mine);
        found.then_some(None)
    }

    /// Whether such a part of a key may be the subject. Callers without a credential are counted by
    /// their address, and tokens without a key by their user.
    fn is_part(&self, part: &LimitKey) -> bool {
        use LimitKey::{Address, Certificate, Key, User};
        match self.subject {
            Subject::Address(_) => matches!(part, Address | Key | User | Certificate),
            Subject::Key(_) => matches!(part, Key),
            Subject::User(_) => matches!(part, Key | User),
        }
    }
}

/// Fills in what is left, as operators are told.
pub(super) fn describe(
    limit: &Limit,
    quota: &Quota,
    allowance: Allowance,
    status: &mut CounterStatus,
) {
    let meter = quota.policy.meter();
    algorithm(limit, meter).clone_into(&mut status.algorithm);
    status.quota = meter.limit();
    status.used = meter.limit().saturating_sub(allowance.remaining);
    status.reset_ms = allowance.reset_ns.div_ceil(1_000_000);
}

/// As the configuration calls it.
fn algorithm(limit: &Limit, meter: &Meter) -> &'static str {
    match meter {
        Meter::Window(_) => "sliding_window",
        Meter::Strict(_) => "strict",
        Meter::Bucket(_) if limit.charges == Charges::Pace => "byte_rate",
        Meter::Bucket(_) => "token_bucket",
        Meter::Quota(_) => "quota",
        Meter::InFlight(_) => "concurrency",
    }
}

/// What a counter leaves of an allowance.
pub(super) fn allowance(quota: &Quota, entry: &Entry, now: Moment) -> Allowance {
    let meter = quota.policy.meter();
    meter.peek(word(quota, entry, now), now)
}

/// A counter's word in the shape of an allowance.
pub(super) fn word(quota: &Quota, entry: &Entry, now: Moment) -> Word {
    let meter = quota.policy.meter();
    if entry.shape == meter.shape() {
        entry.word
    } else {
        meter.carry(entry.shape, entry.word, now)
    }
}

/// All rates of a limit have the same tags.
fn tag(limit: &Limit, hash: SubjectHash) -> Option<u64> {
    limit.quotas().next().map(|quota| quota.policy.tag(hash))
}

fn address_text(address: IpAddr) -> String {
    NetworkName(address).to_string()
}

/// Whom a limit counts under this name: `address 192.0.2.7`, or `user, route: ann /api/*`.
pub(super) fn subject_text(limit: &Limit, name: &str) -> String {
    match &*limit.key {
        [LimitKey::Key | LimitKey::User | LimitKey::Certificate] if is_address(name) => {
            format!("address {name}")
        }
        [part] => format!("{} {name}", kind(part)),
        parts => {
            let kinds: Vec<_> = parts.iter().map(kind).collect();
            format!("{}: {name}", kinds.join(", "))
        }
    }
}

/// Whether a caller without a credential has such a name.
fn is_address(name: &str) -> bool {
    name.strip_suffix("/64").unwrap_or(name).parse::<IpAddr>().is_ok()
}

pub(super) fn kind(part: &LimitKey) -> String {
    match part {
        LimitKey::Address => "address".to_owned(),
        LimitKey::Key => "key".to_owned(),
        LimitKey::User => "user".to_owned(),
        LimitKey::Certificate => "certificate".to_owned(),
        LimitKey::Tier => "tier".to_owned(),
        LimitKey::Route => "route".to_owned(),
        LimitKey::Header(name) => format!("header {name}"),
        LimitKey::Claim(name) => format!("claim {name}"),
    }
}
