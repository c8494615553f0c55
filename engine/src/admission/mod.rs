//! Whether a request may go on: identity and limits, in the order that `docs/architecture.md` gives.
//!
//! Invariants:
//! - limits by address that refuse or let pass an unknown caller keep their charge, so that a flood
//!   of forged credentials is paid for;
//! - the other limits of a route are charged all or none: a refusal gives back what came before it;
//! - nothing here waits, locks or allocates but for a token's claims.

mod access;
mod applies;
mod bans;
mod charging;
mod identity;
mod name;
mod pacer;
mod subject;
mod tab;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use arrayvec::ArrayVec;
use weir_protocol::http::RequestHead;
use weir_protocol::limit::fields::Standing;

pub use applies::{Applied, Exempt, Phase, applies};
pub use identity::Caller;
pub use name::SubjectName;
pub use pacer::Pacer;
pub use subject::{AddressMemo, Facts, Fields, Hasher, Subjects};
pub use tab::{Lease, Tab};

use crate::access::BlockSet;
use crate::config::{Auth, LIMITS_PER_ROUTE_MAX, RouteConfig};
use crate::metrics::{LimitCounts, ShardMetrics};
use crate::runtime::{Instant, UnixNanos};
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;
pub(crate) use access::{check_blocked, check_list};
pub(crate) use bans::{Banned, banned_address, banned_caller};
pub(crate) use identity::address_key;
pub(crate) use identity::{identify, presented};
pub(crate) use name::NetworkName;
pub(crate) use subject::RouteName;

/// Limits whose standing one answer can report.
pub const STANDINGS_MAX: usize = LIMITS_PER_ROUTE_MAX;

pub type Standings<'s> = ArrayVec<Standing<'s>, STANDINGS_MAX>;

/// What was decided, and what the answer should say of the caller's allowance either way.
pub struct Decision<'s> {
    pub caller: Caller,
    /// Whether it came to asking who is calling.
    pub identified: bool,
    pub standings: Standings<'s>,
    pub refusal: Option<Refusal<'s>>,
    /// What was charged, until the exchange is over.
    pub tab: Tab<'s>,
    /// A limit that would have refused, had it not run dry; the first one.
    pub would_refuse: Option<&'s str>,
}

impl<'s> Decision<'s> {
    /// Of a request that nothing is known of yet. `table` is the one that will be charged.
    pub fn new(table: &'s SlotTable) -> Self {
        Self {
            caller: Caller::Anonymous,
            standings: Standings::new(),
            refusal: None,
            identified: false,
            tab: Tab::new(table),
            would_refuse: None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Refusal<'s> {
    /// 403: the address is on a list of those that are not served.
    Denied,
    /// 403: an operator has blocked the address, the key or the user.
    Blocked { retry_after_ns: Option<u64> },
    /// 401. `reason` is for the client; `None` when no credential came at all.
    Unauthenticated { auth: Auth, reason: Option<&'static str> },
    /// 403: known, but not of a tier that the route serves.
    WrongTier,
    /// 429: it did not wait when that limit told it to, again and again.
    Banned { limit: &'s str, retry_after_ns: u64 },
    /// 429.
    LimitExceeded { limit: &'s str, retry_after_ns: u64 },
    /// 503: the slot table has no room to count this caller.
    TableFull { limit: &'s str },
}

/// Everything a decision depends on.
pub struct Request<'r, 'b> {
    pub head: &'r RequestHead<'b, 'r>,
    /// Index into the configuration's routes.
    pub route: usize,
    pub address: IpAddr,
    /// The connection's.
    pub addresses: &'r AddressMemo,
    /// Whom an operator has blocked; `None` is nobody.
    pub blocks: Option<&'r BlockSet>,
    /// SHA-256 of the client's certificate.
    pub certificate: Option<&'r [u8; 32]>,
    pub now: Instant,
    /// Asked only when a token's times matter.
    pub wall: &'r dyn Fn() -> UnixNanos,
}

pub struct Admission<'s> {
    pub snapshot: &'s Snapshot,
    pub subjects: &'s Subjects,
    /// Of the snapshot's limits, in their order.
    pub counts: &'s [Arc<LimitCounts>],
    pub table: &'s SlotTable,
    pub metrics: &'s ShardMetrics,
}

impl Refusal<'_> {
    /// What the access log calls it.
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Blocked { .. } => "blocked",
            Self::Banned { .. } => "banned",
            Self::Unauthenticated { .. }
            | Self::WrongTier
            | Self::LimitExceeded { .. }
            | Self::TableFull { .. } => "refused",
        }
    }
}

impl<'s> Admission<'s> {
    /// `decision` is a new one, which is filled.
    pub fn decide(&self, request: &Request<'_, '_>, decision: &mut Decision<'s>) {
        self.conclude(self.decide_into(request, decision), decision);
    }

    /// For a request that nobody stands behind, a browser's preflight: limits by address count it.
    pub fn decide_anonymous(&self, request: &Request<'_, '_>, decision: &mut Decision<'s>) {
        self.conclude(self.decide_anonymous_into(request, decision), decision);
    }

    fn conclude(&self, decided: Result<(), Refusal<'s>>, decision: &mut Decision<'s>) {
        if let Err(refusal) = decided {
            decision.tab.refuse();
            decision.refusal = Some(refusal);
        }
    }

    fn decide_anonymous_into(
        &self,
        request: &Request<'_, '_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        let route = &self.snapshot.config.routes[request.route];
        check_list(route.access.as_deref(), request.address, self.metrics)?;
        decision.tab.open(request.now, route.cost);
        let hasher = Hasher::new(self.table, self.subjects, request.addresses);
        let facts = request.facts(&Caller::Anonymous, None);
        self.charge_all(Phase::Everybody, &facts, &hasher, decision)?;
        self.charge_all(Phase::Anonymous, &facts, &hasher, decision)
    }

    fn decide_into(
        &self,
        request: &Request<'_, '_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        let route = &self.snapshot.config.routes[request.route];
        check_list(route.access.as_deref(), request.address, self.metrics)?;
        decision.tab.open(request.now, route.cost);
        let hasher = Hasher::new(self.table, self.subjects, request.addresses);
        let unknown = request.facts(&Caller::Anonymous, None);
        self.charge_all(Phase::Everybody, &unknown, &hasher, decision)?;
        let presented = presented(request.head, route.auth);
        let identified = identify(presented, self.snapshot, request.wall);
        decision.identified = true;
        if !matches!(identified, Ok(Caller::Key(_) | Caller::Token(_))) {
            self.charge_all(Phase::Anonymous, &unknown, &hasher, decision)?;
        }
        let caller = self.admit_caller(identified, route.auth)?;
        let admitted = self.decide_known(request, &caller, &hasher, decision);
        decision.caller = caller;
        admitted
    }

    fn decide_known(
        &self,
        request: &Request<'_, '_>,
        caller: &Caller,
        hasher: &Hasher<'_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        self.check_caller(request, caller)?;
        let tier = caller.tier(self.snapshot);
        let facts = request.facts(caller, tier);
        self.check_banned_caller(&facts, hasher, request.now)?;
        self.check_tier(&self.snapshot.config.routes[request.route], tier)?;
        self.charge_all(Phase::Others, &facts, hasher, decision)
    }

    fn admit_caller(
        &self,
        identified: Result<Caller, &'static str>,
        auth: Auth,
    ) -> Result<Caller, Refusal<'s>> {
        match (identified, auth) {
            (Ok(Caller::Anonymous), Auth::ApiKey | Auth::Jwt | Auth::Any) => {
                Err(self.unauthenticated(auth, None))
            }
            (Ok(caller), _) => Ok(caller),
            // A route that asks for nothing serves a caller with a stale credential as anybody.
            (Err(_), Auth::None) => Ok(Caller::Anonymous),
            (Err(reason), _) => Err(self.unauthenticated(auth, Some(reason))),
        }
    }

    fn unauthenticated(&self, auth: Auth, reason: Option<&'static str>) -> Refusal<'s> {
        self.metrics.auth_failures.increment();
        Refusal::Unauthenticated { auth, reason }
    }

    /// Refuses a caller whose key or user is blocked.
    fn check_caller(&self, request: &Request<'_, '_>, caller: &Caller) -> Result<(), Refusal<'s>> {
        let Some(blocks) = request.blocks else { return Ok(()) };
        let (key, user) = (caller.key_name(self.snapshot), caller.user(self.snapshot));
        check_blocked(blocks.caller(key, user), request.wall, self.metrics)
    }

    fn check_tier(&self, route: &RouteConfig, tier: Option<usize>) -> Result<(), Refusal<'s>> {
        if route.tiers.is_empty() {
            return Ok(());
        }
        match tier {
            Some(tier) if route.tiers.contains(&tier) => Ok(()),
            Some(_) => Err(Refusal::WrongTier),
            None => Err(self.unauthenticated(Auth::Any, None)),
        }
    }
}

impl<'r> Request<'r, '_> {
    fn facts(&self, caller: &'r Caller, tier: Option<usize>) -> Facts<'r> {
        let (route, address) = (self.route, self.address);
        Facts { route, address, caller, tier, certificate: self.certificate, fields: self.head }
    }
}
