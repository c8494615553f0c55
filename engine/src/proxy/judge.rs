//! What is to be done with a request whose head is known: who serves it, or why nobody does.

use weir_protocol::http::{
    FieldId, Method, ProxyError, RequestBody, count_via, host_without_port, normalise_path,
};

use super::answer::Answer;
use super::exchange::{Account, Exchange};
use crate::admission::{Admission, Decision, Request};
use crate::config::{RouteConfig, RouteTarget};
use crate::runtime::Runtime;

/// How often a request may have passed a gateway of this name before. Several in a row may share the
/// default name.
const PASSES_MAX: usize = 8;

/// A request that may go on.
pub(super) struct Judged {
    /// Index into the snapshot's upstreams.
    pub(super) upstream: usize,
}

impl<'e, R: Runtime> Exchange<'e, R> {
    /// Who serves the request, or the answer that refuses it.
    pub(super) fn judge(
        &self,
        decision: &mut Decision<'e>,
        account: &mut Account<'e>,
    ) -> Result<Judged, Answer<'e>> {
        account.decision = "no-route";
        let route = self.route()?;
        *decision = self.decide(route);
        if let Some(refusal) = &decision.refusal {
            let answer = Answer::refusal(refusal);
            account.decision = "refused";
            account.limit = answer.limit;
            return Err(answer);
        }
        account.decision = "refused";
        if self.head.method == Method::Connect {
            return Err(Answer::new(405, "CONNECT is not allowed"));
        }
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
        let upstream = match route.target {
            RouteTarget::Upstream(index) => index,
            RouteTarget::Control => {
                self.snapshot.control.ok_or(Answer::new(503, "the control plane is not here"))?
            }
        };
        Ok(Judged { upstream })
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

    /// Rules are matched against the normalised path, so that no spelling walks around them.
    fn route(&self) -> Result<&'e RouteConfig, Answer<'static>> {
        let mut scratch = self.shard.buffers.output();
        let path = normalise_path(self.head.target.path, &mut scratch)
            .map_err(|_| Answer::new(400, "the path's percent-encoding is malformed"))?;
        let host = self.head.host.map(host_without_port);
        let routes = &self.snapshot.config.routes;
        let found = self.snapshot.router.find(routes, self.connection.listener, host, path);
        found.map(|index| &routes[index]).ok_or(Answer::new(404, "no route matches"))
    }

    fn decide(&self, route: &RouteConfig) -> Decision<'e> {
        let admission = Admission {
            snapshot: self.snapshot,
            table: &self.shard.table,
            metrics: &self.shard.metrics,
        };
        admission.decide(&Request {
            head: self.head,
            route,
            address: self.origin.address,
            now: self.started,
            wall: &|| self.shard.runtime.wall(),
        })
    }
}
