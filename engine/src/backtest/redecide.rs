//! What admission would decide on a recorded request: the order of `crate::admission`, and the slot
//! table's own charges.

use std::collections::BTreeMap;
use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::tally::{Step, Subject};
use crate::access::Listing;
use crate::admission::address_key;
use crate::config::{Auth, Callers, Config, LIMITS_PER_ROUTE_MAX, LimitKey, OnFull, RouteConfig};
use crate::ledger::flight::{
    Decision, Dictionary, IDENTIFIED, Kind, PREFLIGHT, Record, route_text,
};
use crate::metrics::Counter;
use crate::runtime::{Instant, UnixNanos};
use crate::slots::{Charge, SlotTable, SubjectHash};
use crate::snapshot::{Limit, Quota};

/// What would become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    /// By the limit of this index.
    Limited(usize),
    TableFull,
    /// For another reason than a limit: a list, a block, a missing credential, a tier.
    Refused,
    /// The configuration has no such route, or the request had none.
    NoRoute,
    /// It was refused before anybody asked who is calling, and would not be now.
    Unknown,
}

/// What a number of the dictionary is in the configuration; `None` where there is nothing of it.
type Places = BTreeMap<u64, Option<usize>>;

pub(super) struct Redecision<'r> {
    config: &'r Config,
    limits: &'r [Limit],
    table: SlotTable,
    epoch_base: UnixNanos,
    routes: Places,
    tiers: Places,
    named: Places,
    steps: ArrayVec<Step, { 2 * LIMITS_PER_ROUTE_MAX }>,
    pub(super) table_full: u64,
    /// Requests of routes that the configuration lacks, by their number.
    pub(super) missing: BTreeMap<u16, Counter>,
}

/// A request that is decided on.
struct Ask<'a> {
    record: &'a Record,
    address: IpAddr,
    route: &'a RouteConfig,
    /// Of a known caller.
    tier: Option<usize>,
    now: Instant,
}

impl<'r> Redecision<'r> {
    pub(super) fn new(
        config: &'r Config,
        limits: &'r [Limit],
        dictionary: &Dictionary,
        slots: usize,
        seed: [u8; 16],
        epoch_base: UnixNanos,
    ) -> Self {
        let places = |kind, names: Vec<String>| -> Places {
            let place = |text: &str| names.iter().position(|name| name == text);
            dictionary.all(kind).map(|(number, text)| (number, place(text))).collect()
        };
        let routes = config.routes.iter().map(|route| route_text(config, route)).collect();
        let tiers = config.tiers.iter().map(|tier| tier.name.clone()).collect();
        let named = limits.iter().map(|limit| limit.name.clone()).collect();
        Self {
            config,
            limits,
            table: SlotTable::in_memory(slots, seed),
            epoch_base,
            routes: places(Kind::Route, routes),
            tiers: places(Kind::Tier, tiers),
            named: places(Kind::Limit, named),
            steps: ArrayVec::new(),
            table_full: 0,
            missing: BTreeMap::new(),
        }
    }

    /// The limit that refused in fact, where the configuration still has it.
    pub(super) fn limit_of(&self, record: &Record) -> Option<usize> {
        self.named.get(&u64::from(record.limit)).copied().flatten()
    }

    pub(super) const fn limits(&self) -> &'r [Limit] {
        self.limits
    }

    /// The limits that the last request was charged for, or would have been.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn decide(&mut self, record: &Record) -> Verdict {
        self.steps.clear();
        match record.decision {
            Decision::Blocked => return Verdict::Refused,
            _ if record.route == 0 => return Verdict::NoRoute,
            _ => {}
        }
        let route = self.routes.get(&u64::from(record.route)).copied().flatten();
        let Some(route) = route.map(|route| &self.config.routes[route]) else {
            self.missing.entry(record.route).or_default().increment();
            return Verdict::NoRoute;
        };
        // A tier that is not configured is the first, as in `Caller::tier`.
        let tier = (record.tier != 0)
            .then(|| self.tiers.get(&u64::from(record.tier)).copied().flatten().unwrap_or(0));
        let ask = Ask {
            record,
            address: IpAddr::from(record.address).to_canonical(),
            route,
            tier,
            now: Instant::from_nanos(record.time.0.saturating_sub(self.epoch_base.0)),
        };
        self.decide_asked(&ask).err().unwrap_or(Verdict::Admitted)
    }

    fn decide_asked(&mut self, ask: &Ask<'_>) -> Result<(), Verdict> {
        let lists = [&self.config.access, &ask.route.access];
        if lists.into_iter().flatten().any(|list| list.find(ask.address) == Listing::Denied) {
            return Err(Verdict::Refused);
        }
        self.charge_address(ask, Callers::All)?;
        let flags = ask.record.flags;
        if flags & PREFLIGHT != 0 {
            return self.charge_address(ask, Callers::Anonymous);
        }
        if flags & IDENTIFIED == 0 {
            return Err(Verdict::Unknown);
        }
        if ask.tier.is_none() {
            self.charge_address(ask, Callers::Anonymous)?;
        }
        let is_key = ask.record.key != 0;
        let passes = match ask.route.auth {
            Auth::None => true,
            Auth::ApiKey => is_key,
            Auth::Jwt => ask.tier.is_some() && !is_key,
            Auth::Any => ask.tier.is_some(),
        };
        let tiers = &ask.route.tiers;
        let served = tiers.is_empty() || ask.tier.is_some_and(|tier| tiers.contains(&tier));
        if !passes || !served {
            return Err(Verdict::Refused);
        }
        self.charge_others(ask)
    }

    fn charge_address(&mut self, ask: &Ask<'_>, callers: Callers) -> Result<(), Verdict> {
        for index in &ask.route.limits {
            let limit = &self.limits[*index];
            if limit.key != LimitKey::Address || limit.callers != callers {
                continue;
            }
            if let Some(quota) = limit.quota(None) {
                let key = Subject::address(ask.address);
                let subject = self.subject(&key);
                self.charge(ask, *index, quota, key, subject)?;
            }
        }
        Ok(())
    }

    /// All or none, as in `crate::admission`.
    fn charge_others(&mut self, ask: &Ask<'_>) -> Result<(), Verdict> {
        let mut charged: ArrayVec<(&Quota, SubjectHash), LIMITS_PER_ROUTE_MAX> = ArrayVec::new();
        for index in &ask.route.limits {
            let limit = &self.limits[*index];
            let Some(quota) = limit.quota(ask.tier) else { continue };
            let Some(key) = key_of(limit, ask) else { continue };
            let subject = self.subject(&key);
            match self.charge(ask, *index, quota, key, subject) {
                Ok(true) => charged.push((quota, subject)),
                Ok(false) => {}
                Err(verdict) => {
                    for (quota, subject) in charged {
                        self.table.refund(subject, &quota.policy, ask.now, ask.record.cost);
                    }
                    return Err(verdict);
                }
            }
        }
        Ok(())
    }

    /// Whether the limit was charged.
    fn charge(
        &mut self,
        ask: &Ask<'_>,
        index: usize,
        quota: &Quota,
        key: Subject,
        subject: SubjectHash,
    ) -> Result<bool, Verdict> {
        let limit = &self.limits[index];
        let (admitted, verdict) =
            match self.table.charge(subject, &quota.policy, ask.now, ask.record.cost) {
                Charge::Admitted { .. } => (true, Ok(true)),
                Charge::Refused { .. } => (false, Err(Verdict::Limited(index))),
                Charge::TableFull => {
                    self.table_full += 1;
                    return match limit.on_full {
                        OnFull::Refuse if !limit.dry_run => Err(Verdict::TableFull),
                        OnFull::Refuse | OnFull::Admit => Ok(false),
                    };
                }
            };
        // There is room for all limits of a route, and each is charged once.
        let _ = self.steps.try_push(Step { limit: index, key, admitted });
        if limit.dry_run { Ok(admitted) } else { verdict }
    }

    fn subject(&self, key: &Subject) -> SubjectHash {
        match key {
            Subject::Address { bytes, length } => {
                self.table.subject(&[b"address", &bytes[..usize::from(*length)]])
            }
            Subject::Key(hash) => self.table.subject(&[b"key", &hash.to_le_bytes()]),
            Subject::User(hash) => self.table.subject(&[b"user", &hash.to_le_bytes()]),
        }
    }
}

/// What a limit counts by, of this request; `None` where no record tells, or where it is charged
/// earlier.
fn key_of(limit: &Limit, ask: &Ask<'_>) -> Option<Subject> {
    let Record { key, user, .. } = *ask.record;
    let user = (user != 0).then_some(Subject::User(user));
    let address = || Subject::address(ask.address);
    match limit.key {
        LimitKey::Address | LimitKey::Certificate => None,
        LimitKey::Key if key != 0 => Some(Subject::Key(key)),
        LimitKey::Key | LimitKey::User => Some(user.unwrap_or_else(address)),
    }
}

/// Why records cannot say what a limit would have decided; `None` where they can.
pub(super) fn undecidable(limit: &Limit) -> Option<&'static str> {
    match limit.key {
        LimitKey::Certificate => Some("records do not tell clients' certificates"),
        LimitKey::Address | LimitKey::Key | LimitKey::User => None,
    }
}

impl Subject {
    pub(super) fn address(address: IpAddr) -> Self {
        let (bytes, length) = address_key(address);
        Self::Address { bytes, length: if length == 4 { 4 } else { 8 } }
    }
}
