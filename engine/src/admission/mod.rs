//! Whether a request may go on: identity and limits, in the order that `docs/architecture.md` gives.
//!
//! Invariants:
//! - limits by address that refuse or let pass an unknown caller keep their charge, so that a flood
//!   of forged credentials is paid for;
//! - the other limits of a route are charged all or none: a refusal gives back what came before it;
//! - nothing here waits, locks or allocates but for a token's claims.

mod access;
mod identity;

use std::net::IpAddr;

use arrayvec::ArrayVec;
use weir_protocol::http::RequestHead;
use weir_protocol::limit::fields::{Standing, Unit};

pub use identity::Caller;

use crate::access::BlockSet;
use crate::config::{Auth, Callers, LIMITS_PER_ROUTE_MAX, LimitKey, OnFull, RouteConfig};
use crate::metrics::ShardMetrics;
use crate::runtime::{Instant, UnixNanos};
use crate::slots::{Charge, SlotTable, SubjectHash};
use crate::snapshot::{Limit, Quota, Snapshot};
pub(crate) use access::{check_blocked, check_list};
pub(crate) use identity::address_key;
use identity::{identify, presented};

/// Limits whose standing one answer can report.
pub const STANDINGS_MAX: usize = LIMITS_PER_ROUTE_MAX;

pub type Standings<'s> = ArrayVec<Standing<'s>, STANDINGS_MAX>;

/// What was decided, and what the answer should say of the caller's allowance either way.
#[derive(Default)]
pub struct Decision<'s> {
    pub caller: Caller,
    pub standings: Standings<'s>,
    pub refusal: Option<Refusal<'s>>,
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
    /// 429.
    LimitExceeded { limit: &'s str, retry_after_ns: u64 },
    /// 503: the slot table has no room to count this caller.
    TableFull { limit: &'s str },
}

/// Everything a decision depends on.
pub struct Request<'r, 'b> {
    pub head: &'r RequestHead<'b, 'r>,
    pub route: &'r RouteConfig,
    pub address: IpAddr,
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
    pub table: &'s SlotTable,
    pub metrics: &'s ShardMetrics,
}

impl Refusal<'_> {
    /// What the access log calls it.
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Blocked { .. } => "blocked",
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
        decision.refusal = self.decide_into(request, decision).err();
    }

    /// For a request that nobody stands behind, a browser's preflight: limits by address count it.
    pub fn decide_anonymous(&self, request: &Request<'_, '_>, decision: &mut Decision<'s>) {
        decision.refusal = self.decide_anonymous_into(request, decision).err();
    }

    fn decide_anonymous_into(
        &self,
        request: &Request<'_, '_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        check_list(request.route.access.as_deref(), request.address, self.metrics)?;
        self.charge_address(request, Callers::All, &mut decision.standings)?;
        self.charge_address(request, Callers::Anonymous, &mut decision.standings)
    }

    fn decide_into(
        &self,
        request: &Request<'_, '_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        let auth = request.route.auth;
        check_list(request.route.access.as_deref(), request.address, self.metrics)?;
        self.charge_address(request, Callers::All, &mut decision.standings)?;
        let presented = presented(request.head, auth);
        let identified = identify(presented, self.snapshot, request.wall);
        if !matches!(identified, Ok(Caller::Key(_) | Caller::Token(_))) {
            self.charge_address(request, Callers::Anonymous, &mut decision.standings)?;
        }
        decision.caller = match (identified, auth) {
            (Ok(Caller::Anonymous), Auth::ApiKey | Auth::Jwt | Auth::Any) => {
                return Err(self.unauthenticated(auth, None));
            }
            (Ok(caller), _) => caller,
            // A route that asks for nothing serves a caller with a stale credential as anybody.
            (Err(_), Auth::None) => Caller::Anonymous,
            (Err(reason), _) => return Err(self.unauthenticated(auth, Some(reason))),
        };
        self.check_caller(request, &decision.caller)?;
        self.check_tier(request.route, &decision.caller)?;
        self.charge_others(request, decision)
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

    fn check_tier(&self, route: &RouteConfig, caller: &Caller) -> Result<(), Refusal<'s>> {
        if route.tiers.is_empty() {
            return Ok(());
        }
        match caller.tier(self.snapshot) {
            Some(tier) if route.tiers.contains(&tier) => Ok(()),
            Some(_) => Err(Refusal::WrongTier),
            None => Err(self.unauthenticated(Auth::Any, None)),
        }
    }

    /// The route's limits by address that count `callers`.
    fn charge_address(
        &self,
        request: &Request<'_, '_>,
        callers: Callers,
        standings: &mut Standings<'s>,
    ) -> Result<(), Refusal<'s>> {
        for limit in self.route_limits(request.route) {
            if limit.key != LimitKey::Address || limit.callers != callers {
                continue;
            }
            if let Some(quota) = limit.quota(None) {
                let key = self.subject(limit, request, &Caller::Anonymous);
                self.charge(limit, quota, key, request.now, standings)?;
            }
        }
        Ok(())
    }

    /// The other limits: all are charged, or none.
    fn charge_others(
        &self,
        request: &Request<'_, '_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        let tier = decision.caller.tier(self.snapshot);
        let mut charged: ArrayVec<(&Quota, SubjectHash), STANDINGS_MAX> = ArrayVec::new();
        for limit in self.route_limits(request.route) {
            let Some(quota) = limit.quota(tier) else { continue };
            if limit.key == LimitKey::Address {
                continue;
            }
            let key = self.subject(limit, request, &decision.caller);
            match self.charge(limit, quota, key, request.now, &mut decision.standings) {
                Ok(true) => charged.push((quota, key)),
                Ok(false) => {}
                Err(refusal) => {
                    for (quota, key) in charged {
                        self.table.refund(key, &quota.policy, request.now, request.now, 1);
                    }
                    return Err(refusal);
                }
            }
        }
        Ok(())
    }

    fn route_limits<'r>(
        &self,
        route: &'r RouteConfig,
    ) -> impl Iterator<Item = &'s Limit> + use<'r, 's> {
        let snapshot = self.snapshot;
        route.limits.iter().map(move |index| &snapshot.limits[*index])
    }

    fn subject(&self, limit: &Limit, request: &Request<'_, '_>, caller: &Caller) -> SubjectHash {
        let user = || caller.user(self.snapshot).map(|user| ("user", user.as_bytes()));
        let named = match limit.key {
            LimitKey::Address => None,
            LimitKey::Key => {
                let key = caller.key_name(self.snapshot);
                key.map(|name| ("key", name.as_bytes())).or_else(user)
            }
            LimitKey::User => user(),
            LimitKey::Certificate => request.certificate.map(|digest| ("certificate", &digest[..])),
        };
        match named {
            Some((kind, name)) => self.table.subject(&[kind.as_bytes(), name]),
            None => {
                let (bytes, length) = address_key(request.address);
                self.table.subject(&[b"address", &bytes[..length]])
            }
        }
    }

    /// Whether the limit was charged; an error refuses the request.
    fn charge(
        &self,
        limit: &'s Limit,
        quota: &'s Quota,
        key: SubjectHash,
        now: Instant,
        standings: &mut Standings<'s>,
    ) -> Result<bool, Refusal<'s>> {
        let (remaining, reset_ns, refusal) =
            match self.table.charge(key, &quota.policy, now, 1, &"") {
                Charge::Admitted { remaining, reset_ns } => (remaining, reset_ns, None),
                Charge::Refused { retry_after_ns, reset_ns } => (
                    0,
                    reset_ns,
                    Some(Refusal::LimitExceeded { limit: &limit.name, retry_after_ns }),
                ),
                Charge::TableFull => {
                    self.metrics.limit_table_full.increment();
                    return match limit.on_full {
                        _ if limit.dry_run => Ok(false),
                        OnFull::Admit => Ok(false),
                        OnFull::Refuse => Err(Refusal::TableFull { limit: &limit.name }),
                    };
                }
            };
        match &refusal {
            None => self.metrics.limit_admitted.increment(),
            Some(_) => self.metrics.limit_refused.increment(),
        }
        if limit.dry_run {
            return Ok(refusal.is_none());
        }
        let (quota, window_s) = (u64::from(quota.count), quota.window_s);
        let window_s = Some(window_s);
        let unit = Unit::Requests;
        let standing = Standing { name: &limit.name, quota, unit, window_s, remaining, reset_ns };
        // More than can be reported are still charged.
        let _ = standings.try_push(standing);
        refusal.map_or(Ok(true), Err)
    }
}
