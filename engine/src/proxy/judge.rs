//! What is to be done with a request whose head is known: who serves it, or why nobody does.

use weir_protocol::http::{FieldId, Method, ProxyError, RequestBody, count_via};

use super::answer::Answer;
use super::exchange::{Account, Exchange};
use super::route::Found;
use crate::admission::{Admission, Decision, Request};
use crate::config::{Cors, RouteConfig, RouteTarget};
use crate::runtime::Runtime;

/// How often a request may have passed a gateway of this name before. Several in a row may share the
/// default name.
const PASSES_MAX: usize = 8;

/// A request that may go on.
pub(super) struct Judged<'e> {
    /// Index into the snapshot's upstreams.
    pub(super) upstream: usize,
    pub(super) route: &'e RouteConfig,
}

impl<'e, R: Runtime> Exchange<'e, R> {
    /// Who serves the request, or the answer that ends it here.
    pub(super) fn judge(
        &mut self,
        decision: &mut Decision<'e>,
        account: &mut Account<'e>,
    ) -> Result<Judged<'e>, Answer<'e>> {
        account.decision = "no-route";
        let route = match self.find_route()? {
            Found::Route(route) => route,
            Found::Preflight(route, cors) => {
                return Err(self.judge_preflight(route, cors, decision, account));
            }
        };
        if let Some(cors) = route.policy.as_ref().and_then(|policy| policy.cors.as_ref()) {
            self.note_cors(cors);
        }
        account.decision = "refused";
        *decision = self.decide(route, Admission::decide);
        refused(decision, account)?;
        if self.head.method == Method::Connect {
            return Err(Answer {
                // RFC 9110 section 15.5.6.
                allow: Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"),
                ..Answer::new(405, "CONNECT is not allowed")
            });
        }
        let upstream = match &route.target {
            RouteTarget::Upstream(index) => *index,
            RouteTarget::Control => {
                self.snapshot.control.ok_or(Answer::new(503, "the control plane is not here"))?
            }
            RouteTarget::Redirect(to) => {
                account.decision = "redirected";
                return Err(self.redirect(route, to));
            }
        };
        let most = self.snapshot.config.http.body_bytes_max;
        if matches!(self.head.body, RequestBody::Length(length) if length > most) {
            return Err(Answer::new(413, "the body is larger than the limit"));
        }
        if self.is_looping() {
            self.shard.metrics.loops.increment();
            let error = Some(ProxyError::ProxyLoopDetected);
            return Err(Answer { error, ..Answer::new(502, "the request goes round in a loop") });
        }
        account.decision = "forwarded";
        Ok(Judged { upstream, route })
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
        route: &RouteConfig,
        cors: &Cors,
        decision: &mut Decision<'e>,
        account: &mut Account<'e>,
    ) -> Answer<'e> {
        account.decision = "refused";
        let allowed = self.allow_origin(cors);
        *decision = self.decide(route, Admission::decide_anonymous);
        if let Err(answer) = refused(decision, account) {
            return answer;
        }
        account.decision = "preflight";
        self.preflight(cors, allowed)
    }

    /// Has admission decide, one way or the other.
    fn decide<F>(&self, route: &RouteConfig, how: F) -> Decision<'e>
    where
        F: FnOnce(&Admission<'e>, &Request<'_, '_>) -> Decision<'e>,
    {
        let admission = Admission {
            snapshot: self.snapshot,
            table: &self.shard.table,
            metrics: &self.shard.metrics,
        };
        let request = Request {
            head: self.head,
            route,
            address: self.origin.address,
            now: self.started,
            wall: &|| self.shard.runtime.wall(),
        };
        how(&admission, &request)
    }
}

/// The answer to a request that admission refuses.
fn refused<'e>(decision: &Decision<'e>, account: &mut Account<'e>) -> Result<(), Answer<'e>> {
    let Some(refusal) = &decision.refusal else { return Ok(()) };
    let answer = Answer::refusal(refusal);
    account.limit = answer.limit;
    Err(answer)
}
