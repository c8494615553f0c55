//! What admission would decide on a recorded request: the order of `crate::admission`, and the slot
//! table's own charges and bans.

use std::collections::BTreeMap;
use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::subject::{Facts, Subject, overrides};
use super::tally::Step;
use crate::access::Listing;
use crate::config::{Auth, Config, LIMITS_PER_ROUTE_MAX, LimitKey, OnFull, RouteConfig};
use crate::ledger::flight::{
    Decision, Dictionary, IDENTIFIED, Kind, PREFLIGHT, REPORTED, Record, route_text,
};
use crate::runtime::{Instant, UnixNanos};
use crate::slots::{Charge, SlotTable, SubjectHash};
use crate::snapshot::{BanLimits, Charges, Limit, Quota, RouteLimits};

/// What would become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    /// By a limit, or its ban.
    Limited,
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
    route_limits: Vec<RouteLimits>,
    ban_limits: BanLimits,
    table: SlotTable,
    epoch_base: UnixNanos,
    routes: Places,
    tiers: Places,
    named: Places,
    /// Of each limit: who has an allowance of its own.
    overrides: Vec<Vec<(SubjectHash, usize)>>,
    steps: ArrayVec<Step, LIMITS_PER_ROUTE_MAX>,
    charged: ArrayVec<(&'r Quota, SubjectHash, Stays), LIMITS_PER_ROUTE_MAX>,
    pub(super) table_full: u64,
    /// Requests of routes that the configuration lacks, by their number.
    pub(super) missing: BTreeMap<u16, u64>,
    /// Of each limit: names of overrides of which no record tells whom they mean.
    pub(super) unknown_overrides: Vec<Vec<String>>,
}

/// Whether a later refusal leaves a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
}

/// A request that is decided on.
struct Ask<'a> {
    record: &'a Record,
    route: &'a RouteConfig,
    facts: Facts,
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
        let table = SlotTable::in_memory(slots, seed);
        // The record's times are Unix time, by the ledger's clock.
        table.set_wall(Instant::from_nanos(0), epoch_base);
        let mut unknown_overrides = Vec::new();
        let own = config.limits.iter().map(|limit| {
            let mut unknown = Vec::new();
            let (key, of) = (&limit.key, &limit.overrides);
            let found = overrides(key, of, config, dictionary, &table, &mut unknown);
            unknown_overrides.push(unknown);
            found
        });
        Self {
            overrides: own.collect(),
            config,
            limits,
            route_limits: config
                .routes
                .iter()
                .map(|route| RouteLimits::new(route, &config.limits))
                .collect(),
            ban_limits: BanLimits::new(&config.limits),
            table,
            epoch_base,
            routes: places(Kind::Route, routes),
            tiers: places(Kind::Tier, tiers),
            named: places(Kind::Limit, named),
            steps: ArrayVec::new(),
            charged: ArrayVec::new(),
            table_full: 0,
            missing: BTreeMap::new(),
            unknown_overrides,
        }
    }

    /// The limit that refused in fact, where the configuration still has it.
    pub(super) fn limit_of(&self, record: &Record) -> Option<usize> {
        self.named.get(&u64::from(record.limit)).copied().flatten()
    }

    /// The limits that the last request was charged for, or would have been.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn decide(&mut self, record: &Record) -> Verdict {
        self.steps.clear();
        self.charged.clear();
        if record.decision == Decision::Blocked {
            return Verdict::Refused;
        }
        if record.route == 0 {
            return Verdict::NoRoute;
        }
        let Some(route) = self.routes.get(&u64::from(record.route)).copied().flatten() else {
            *self.missing.entry(record.route).or_default() += 1;
            return Verdict::NoRoute;
        };
        // A tier that is not configured is the first, as in `Caller::tier`.
        let tier = (record.tier != 0)
            .then(|| self.tiers.get(&u64::from(record.tier)).copied().flatten().unwrap_or(0));
        let address = IpAddr::from(record.address).to_canonical();
        let ask = Ask {
            record,
            route: &self.config.routes[route],
            facts: Facts { address, key: record.key, user: record.user, tier, route },
            now: Instant::from_nanos(record.time.0.saturating_sub(self.epoch_base.0)),
        };
        match self.decide_asked(&ask) {
            Ok(()) => {
                self.settle(&ask);
                Verdict::Admitted
            }
            Err(verdict) => {
                self.refund(&ask);
                verdict
            }
        }
    }

    fn decide_asked(&mut self, ask: &Ask<'_>) -> Result<(), Verdict> {
        let engine_wide = self.config.access.as_ref().map(|list| list.find(ask.facts.address));
        let own = ask.route.access.as_ref().map(|list| list.find(ask.facts.address));
        if [engine_wide, own].contains(&Some(Listing::Denied)) {
            return Err(Verdict::Refused);
        }
        let (everybody, anonymous) = (Phase::Everybody, Phase::Anonymous);
        // Before the caller is known.
        let nobody = Facts { key: 0, user: 0, tier: None, ..ask.facts };
        if engine_wide != Some(Listing::Allowed) {
            self.check_banned(|limits| &limits.addresses, ask, &nobody)?;
        }
        self.charge_all(everybody, ask, &nobody)?;
        let flags = ask.record.flags;
        if flags & PREFLIGHT != 0 {
            return self.charge_all(anonymous, ask, &nobody);
        }
        if flags & IDENTIFIED == 0 {
            return Err(Verdict::Unknown);
        }
        let tier = ask.facts.tier;
        if tier.is_none() {
            self.charge_all(anonymous, ask, &nobody)?;
        }
        let is_key = ask.facts.key != 0;
        let passes = match ask.route.auth {
            Auth::None => true,
            Auth::ApiKey => is_key,
            Auth::Jwt => tier.is_some() && !is_key,
            Auth::Any => tier.is_some(),
        };
        if !passes {
            return Err(Verdict::Refused);
        }
        self.check_banned(|limits| &limits.callers, ask, &ask.facts)?;
        let tiers = &ask.route.tiers;
        if !tiers.is_empty() && !tier.is_some_and(|tier| tiers.contains(&tier)) {
            return Err(Verdict::Refused);
        }
        self.charge_all(Phase::Others, ask, &ask.facts)
    }

    fn check_banned(
        &self,
        of: fn(&BanLimits) -> &[usize],
        ask: &Ask<'_>,
        facts: &Facts,
    ) -> Result<(), Verdict> {
        let banned = of(&self.ban_limits).iter().any(|index| {
            self.apply(*index, facts).is_some_and(|(quota, _, hash)| {
                self.table.banned_for_ns(hash, &quota.policy, ask.now).is_some()
            })
        });
        if banned { Err(Verdict::Limited) } else { Ok(()) }
    }

    /// What a limit allows to whom; `None` where it does not count the request.
    fn apply(&self, index: usize, facts: &Facts) -> Option<(&'r Quota, Subject, SubjectHash)> {
        let limit = &self.limits[index];
        if undecidable(limit).is_some() {
            return None;
        }
        let overrides = &self.overrides[index];
        let mut own = None;
        let each = |part| {
            if let (None, Ok(at)) = (own, overrides.binary_search_by_key(&part, |(hash, _)| *hash))
            {
                own = Some(overrides[at].1);
            }
        };
        let (subject, hash) = Subject::of(&limit.key, facts, &self.table, each)?;
        let quota = match own {
            Some(own) => limit.overriding(own),
            None => limit.quota(facts.tier),
        };
        Some((quota?, subject, hash))
    }

    fn charge_all(&mut self, phase: Phase, ask: &Ask<'_>, facts: &Facts) -> Result<(), Verdict> {
        let count = phase.limits(&self.route_limits[facts.route]).len();
        for at in 0..count {
            let index = phase.limits(&self.route_limits[facts.route])[at];
            let Some((quota, subject, hash)) = self.apply(index, facts) else { continue };
            if self.charge(ask, index, quota, subject, hash)? {
                let stays = if phase == Phase::Others { Stays::No } else { Stays::Yes };
                // A route names no more limits than there is room for.
                let _ = self.charged.try_push((quota, hash, stays));
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
        subject: Subject,
        hash: SubjectHash,
    ) -> Result<bool, Verdict> {
        let limit = &self.limits[index];
        let admitted = match self.table.charge(hash, &quota.policy, ask.now, ask.route.cost, &"") {
            Charge::Admitted { .. } => true,
            Charge::Refused { .. } => false,
            Charge::TableFull => {
                self.table_full += 1;
                return match limit.on_full {
                    OnFull::Refuse if !limit.dry_run => Err(Verdict::TableFull),
                    OnFull::Refuse | OnFull::Admit => Ok(false),
                };
            }
        };
        // As for what is charged.
        let _ = self.steps.try_push(Step { limit: index, subject, admitted });
        if admitted || limit.dry_run { Ok(admitted) } else { Err(Verdict::Limited) }
    }

    /// A refusal gives back what does not stay.
    fn refund(&mut self, ask: &Ask<'_>) {
        for (quota, hash, stays) in &self.charged {
            if *stays == Stays::No {
                self.table.refund(*hash, &quota.policy, ask.now, ask.now, ask.route.cost);
            }
        }
    }

    /// What the backend did report, where the route still listens.
    fn settle(&mut self, ask: &Ask<'_>) {
        let reported = ask.record.flags & REPORTED != 0 && ask.route.cost_header.is_some();
        let (cost, fact) = (ask.route.cost, u64::from(ask.record.cost));
        if !reported || cost == fact {
            return;
        }
        for (quota, hash, _) in &self.charged {
            let policy = &quota.policy;
            if fact > cost {
                self.table.settle(*hash, policy, ask.now, fact - cost, &"");
            } else {
                self.table.refund(*hash, policy, ask.now, ask.now, cost - fact);
            }
        }
    }
}

/// When limits are charged, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Everybody,
    Anonymous,
    Others,
}

impl Phase {
    fn limits(self, of: &RouteLimits) -> &[usize] {
        match self {
            Self::Everybody => &of.everybody,
            Self::Anonymous => &of.anonymous,
            Self::Others => &of.others,
        }
    }
}

/// Why records cannot say what a limit would have decided; `None` where they can.
pub(super) fn undecidable(limit: &Limit) -> Option<&'static str> {
    match limit.charges {
        Charges::Permit => return Some("it counts requests in flight, which records do not tell"),
        Charges::Bytes | Charges::Pace => return Some("records do not tell bytes"),
        Charges::Cost => {}
    }
    limit.key.iter().find_map(|part| match part {
        LimitKey::Certificate => Some("records do not tell clients' certificates"),
        LimitKey::Header(_) => Some("records do not tell fields"),
        LimitKey::Claim(_) => Some("records do not tell claims"),
        LimitKey::Address | LimitKey::Key | LimitKey::User | LimitKey::Tier | LimitKey::Route => {
            None
        }
    })
}
