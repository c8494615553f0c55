//! What is to be done with a request whose head is known: who serves it, or why nobody does.

use weir_protocol::http::{FieldId, ProxyError, RequestBody, count_via};

use super::account::Account;
use super::answer::Answer;
use super::exchange::Exchange;
use super::route::Found;
use super::wish::Wish;
use crate::admission::{Admission, Decision, Refusal, Request, check_blocked, check_list};
use crate::config::{Cors, RouteConfig, RouteTarget};
use crate::runtime::Runtime;
use crate::shard::TunnelPlace;

/// How often a request may have passed a gateway of this name before. Several in a row may share the
/// default name.
const PASSES_MAX: usize = 8;

/// A request that may go on.
pub(super) struct Judged<'e> {
    /// Index into the snapshot's upstreams.
    pub(super) upstream: usize,
    pub(super) route: &'e RouteConfig,
    pub(super) wish: Wish<'e>,
    /// For the tunnel that the request asks for.
    pub(super) place: Option<TunnelPlace>,
    /// What is left of `Max-Forwards`, where it is counted.
    pub(super) hops: Option<u64>,
}

impl<'e, R: Runtime> Exchange<'e, R> {
    /// Who serves the request, or the answer that ends it here.
    pub(super) fn judge(
        &mut self,
        decision: &mut Decision<'e>,
        account: &mut Account<'e>,
    ) -> Result<Judged<'e>, Answer<'e>> {
        if let Err(refusal) = self.judge_address() {
            account.decision = refusal.decision();
            return Err(Answer::refusal(&refusal));
        }
        account.decision = "answered";
        if let Some(answer) = self.answer_for_server() {
            return Err(answer);
        }
        if !self.shard.admits() {
            account.decision = "refused";
            let retry_after_ns = Some(1_000_000_000);
            return Err(Answer { retry_after_ns, ..Answer::new(503, "the gateway hands over") });
        }
        account.decision = "no-route";
        let index = match self.find_route()? {
            Found::Route(index) => index,
            Found::Preflight(index, cors) => {
                account.route = Some(index);
                return Err(self.judge_preflight(index, cors, decision, account));
            }
        };
        account.route = Some(index);
        let route = &self.snapshot.config.routes[index];
        if let Some(cors) = route.policy.as_ref().and_then(|policy| policy.cors.as_ref()) {
            self.note_cors(cors);
        }
        account.decision = "refused";
        self.decide(index, decision, Admission::decide);
        refused(decision, account)?;
        if let RouteTarget::Redirect(to) = &route.target {
            account.decision = "redirected";
            return Err(self.redirect(route, to));
        }
        let hops = self.pass_on(route, account)?;
        let most = self.snapshot.config.http.body_bytes_max;
        if matches!(self.head.body, RequestBody::Length(length) if length > most) {
            return Err(Answer::new(413, "the body is larger than the limit"));
        }
        if self.is_looping() {
            self.shard.metrics.loops.increment();
            let error = Some(ProxyError::ProxyLoopDetected);
            return Err(Answer { error, ..Answer::new(502, "the request goes round in a loop") });
        }
        let wish = Wish::of(self.head, route);
        let place = if wish.is_some() { Some(self.reserve_tunnel()?) } else { None };
        account.decision = "forwarded";
        let upstream = match route.target {
            RouteTarget::Upstream(index) => Some(index),
            RouteTarget::Control => self.snapshot.control,
            RouteTarget::Redirect(_) => None,
        };
        let upstream = upstream.ok_or(Answer::new(503, "the control plane is not here"))?;
        Ok(Judged { upstream, route, wish, place, hops })
    }

    /// Refuses addresses that are kept out whatever they ask for.
    fn judge_address(&self) -> Result<(), Refusal<'e>> {
        let (address, metrics) = (self.origin.address, &self.shard.metrics);
        check_list(self.snapshot.config.access.as_deref(), address, metrics)?;
        let blocked = self.shard.blocks().as_ref().and_then(|blocks| blocks.address(address));
        check_blocked(blocked, &|| self.shard.runtime.wall(), metrics)?;
        self.admission().check_banned_address(address, &self.connection.addresses, self.started)
    }

    fn admission(&self) -> Admission<'e> {
        Admission {
            snapshot: self.snapshot,
            subjects: self.snapshot.subjects(),
            counts: self.snapshot.limit_counts(),
            table: &self.shard.table,
            metrics: &self.shard.metrics,
        }
    }

    /// A place for the tunnel before anybody is asked for one.
    fn reserve_tunnel(&self) -> Result<TunnelPlace, Answer<'static>> {
        let most = self.snapshot.config.http.tunnels_per_shard;
        let full = Answer::new(503, "too many tunnels");
        let retry_after_ns = Some(1_000_000_000);
        self.shard.tunnels.reserve(most).ok_or(Answer { retry_after_ns, ..full })
    }

    /// Whether the request came through this gateway, or others of its name, more often than any
    /// chain of gateways is long.
    fn is_looping(&self) -> bool {
        let name = &self.snapshot.forwarding.via;
        let Some(name) = name.as_ref().filter(|_| self.head.present.contains(FieldId::Via)) else {
            return false;
        };
        count_via(self.head.get_all(FieldId::Via), name) > PASSES_MAX
    }

    /// A preflight has no credentials, so that limits by address are all that it meets.
    fn judge_preflight(
        &mut self,
        index: usize,
        cors: &Cors,
        decision: &mut Decision<'e>,
        account: &mut Account<'e>,
    ) -> Answer<'e> {
        account.decision = "refused";
        account.preflight = true;
        let allowed = self.allow_origin(cors);
        self.decide(index, decision, Admission::decide_anonymous);
        if let Err(answer) = refused(decision, account) {
            return answer;
        }
        account.decision = "preflight";
        self.preflight(cors, allowed)
    }

    /// Has admission decide, one way or the other.
    fn decide<F>(&self, route: usize, decision: &mut Decision<'e>, how: F)
    where
        F: FnOnce(&Admission<'e>, &Request<'_, '_>, &mut Decision<'e>),
    {
        let blocks = self.shard.blocks();
        let request = Request {
            head: self.head,
            route,
            address: self.origin.address,
            addresses: &self.connection.addresses,
            blocks: blocks.as_deref(),
            certificate: self.connection.stream.identity().map(|identity| &identity.digest),
            now: self.started,
            wall: &|| self.shard.runtime.wall(),
        };
        how(&self.admission(), &request, decision);
    }
}

/// The answer to a request that admission refuses.
fn refused<'e>(decision: &Decision<'e>, account: &mut Account<'e>) -> Result<(), Answer<'e>> {
    account.would_refuse = decision.would_refuse;
    let Some(refusal) = &decision.refusal else { return Ok(()) };
    let answer = Answer::refusal(refusal);
    account.limit = answer.limit;
    account.decision = refusal.decision();
    Err(answer)
}
