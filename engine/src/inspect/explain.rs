//! What would become of a request: the way of `proxy/judge` and `admission`, without charging.

use std::net::{IpAddr, Ipv4Addr};

use weir_protocol::control::{Explanation, Question, Step, Verdict};
use weir_protocol::http::{
    FieldId, FieldStore, Method, RequestHead, TargetForm, is_normal_path, normalise_path,
    parse_request,
};
use weir_protocol::jwt::Claims;

use super::limits::Limits;
use super::question;
use crate::access::{AccessList, BlockSet, Blocked, Listing};
use crate::admission::{AddressMemo, Banned, Caller, Facts, Phase};
use crate::config::{Cors, RouteConfig, RouteTarget};
use crate::proxy::{Found, find_route};
use crate::runtime::{Instant, UnixNanos};
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;

/// All that an answer depends on.
pub struct Explainer<'e> {
    pub snapshot: &'e Snapshot,
    pub table: &'e SlotTable,
    /// Whom an operator has blocked.
    pub blocks: Option<&'e BlockSet>,
    /// The same moment twice.
    pub now: Instant,
    pub wall: UnixNanos,
}

/// The request goes no further; the explanation says why.
pub(super) struct Ended;

/// An explanation in the making.
pub(super) struct Walk<'e> {
    pub(super) explainer: &'e Explainer<'e>,
    pub(super) head: &'e RequestHead<'e, 'e>,
    address: IpAddr,
    steps: Vec<Step>,
    status: Option<u16>,
}

impl Explainer<'_> {
    /// Follows the request that the question asks about.
    ///
    /// # Errors
    /// When the question is not about a request: an unknown key or listener, a bad address.
    pub fn explain(&self, question: &Question) -> Result<Explanation, String> {
        let listener = question::listener(question, self.snapshot)?;
        let address = match &question.address {
            Some(text) => text.parse().map_err(|_| format!("{text:?} is not an address"))?,
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let bytes = question::head(question)?;
        if let Err((status, reason)) = question::scan(&bytes, self.snapshot) {
            return Ok(malformed(status, reason));
        }
        let mut store = FieldStore::new();
        let head = match parse_request(&bytes, &mut store, &self.snapshot.head_limits) {
            Ok(head) => head,
            Err(error) => return Ok(malformed(error.status(), error.to_string())),
        };
        let named = self.caller(question)?;
        let (steps, status) = (Vec::new(), None);
        let mut walk = Walk { explainer: self, head: &head, address, steps, status };
        let addresses = AddressMemo::default();
        let mut limits = Limits::new(self, &addresses);
        // Where it ended is in the steps.
        let _ = walk.run(listener, named, &mut limits);
        limits.leave();
        let Walk { steps, status, .. } = walk;
        Ok(Explanation { steps, status: limits.status.or(status), limits: limits.applied })
    }

    /// Whom the question names. Nobody: the fields of the head tell.
    fn caller(&self, question: &Question) -> Result<Option<Caller>, String> {
        if let Some(name) = &question.key {
            let keys = &self.snapshot.config.keys;
            let index = keys.iter().position(|key| key.name == *name);
            let index = index.ok_or_else(|| format!("no key is called {name:?}"))?;
            return Ok(Some(Caller::Key(index)));
        }
        Ok(question.user.as_ref().map(|user| {
            let claims = Claims {
                subject: Some(user.clone()),
                tier: question.tier.clone(),
                ..Claims::default()
            };
            Caller::Token(Box::new(claims))
        }))
    }
}

fn malformed(status: u16, reason: String) -> Explanation {
    let step = Step { name: "head".to_owned(), verdict: Verdict::Refuses, detail: reason };
    Explanation { steps: vec![step], limits: Vec::new(), status: Some(status) }
}

impl<'e> Walk<'e> {
    fn run(
        &mut self,
        listener: usize,
        named: Option<Caller>,
        limits: &mut Limits<'e>,
    ) -> Result<(), Ended> {
        let snapshot = self.explainer.snapshot;
        self.list("access", snapshot.config.access.as_deref())?;
        let blocks = self.explainer.blocks;
        let blocked = blocks.and_then(|blocks| blocks.address(self.address));
        self.blocked("block", blocked, &format!("address {}", self.address))?;
        self.banned(limits.address_ban(self.address).as_ref())?;
        self.whole_server()?;
        let (index, preflight) = self.route(listener)?;
        let route = &snapshot.config.routes[index];
        self.list("route access", route.access.as_deref())?;
        limits.begin(index);
        let unknown = Facts {
            route: index,
            address: self.address,
            caller: &Caller::Anonymous,
            tier: None,
            certificate: None,
            fields: self.head,
        };
        self.look(limits, Phase::Everybody, &unknown)?;
        if let Some(cors) = preflight {
            self.look(limits, Phase::Anonymous, &unknown)?;
            return self.preflight(cors);
        }
        let identified = self.identify(route.auth, named);
        let known = matches!(identified, Ok(Caller::Key(_) | Caller::Token(_)));
        if known {
            limits.spare();
        } else {
            self.look(limits, Phase::Anonymous, &unknown)?;
        }
        let caller = self.admit(identified, route.auth)?;
        self.check_caller(&caller)?;
        let tier = caller.tier(snapshot);
        let facts = Facts { caller: &caller, tier, ..unknown };
        self.banned(limits.caller_ban(&facts).as_ref())?;
        self.check_tier(route, tier)?;
        self.look(limits, Phase::Others, &facts)?;
        self.target(route)
    }

    fn look(
        &mut self,
        limits: &mut Limits<'_>,
        phase: Phase,
        facts: &Facts<'_>,
    ) -> Result<(), Ended> {
        if limits.look(phase, facts) { Ok(()) } else { Err(Ended) }
    }

    fn preflight(&mut self, cors: &Cors) -> Result<(), Ended> {
        let allowed = self.head.only(FieldId::Origin).is_some_and(|origin| cors.allows(origin));
        if cors.any_origin() || allowed {
            return self.end("preflight", Verdict::Passes, 204, "answered here");
        }
        self.refuse("preflight", 403, "the route does not allow the page's origin")
    }

    /// A list of the configuration.
    fn list(&mut self, name: &str, list: Option<&AccessList>) -> Result<(), Ended> {
        let Some(list) = list else { return self.say(name, Verdict::Skipped, "there is no list") };
        let address = self.address;
        match list.find(address) {
            Listing::Denied => self.refuse(name, 403, &format!("{address} is denied")),
            Listing::Allowed => self.say(name, Verdict::Passes, &format!("{address} is allowed")),
            Listing::Unlisted => {
                self.say(name, Verdict::Passes, &format!("{address} is on no list"))
            }
        }
    }

    pub(super) fn blocked(
        &mut self,
        name: &str,
        blocked: Option<Blocked>,
        who: &str,
    ) -> Result<(), Ended> {
        let Some(Blocked { until_ms }) = blocked else {
            return self.say(name, Verdict::Passes, &format!("{who} is not blocked"));
        };
        let left_ms = until_ms.map(|until| until.saturating_sub(self.explainer.wall.as_millis()));
        let left = left_ms.map_or_else(
            || "until that is lifted".to_owned(),
            |left| format!("for another {} s", left.div_ceil(1_000)),
        );
        self.refuse(name, 403, &format!("{who} is blocked by an operator {left}"))
    }

    /// `OPTIONS *` is about the server, and no route is asked for it.
    fn whole_server(&mut self) -> Result<(), Ended> {
        let target = &self.head.target;
        let whole = target.form == TargetForm::Asterisk || target.path == "*";
        if self.head.method == Method::Options && whole {
            return self.end("route", Verdict::Skipped, 200, "OPTIONS * is answered here");
        }
        Ok(())
    }

    /// The route's index, and what it answers a preflight with, if the request is one.
    fn route(&mut self, listener: usize) -> Result<(usize, Option<&'e Cors>), Ended> {
        let path = self.head.target.path;
        let mut scratch = Vec::new();
        let path = match is_normal_path(path) {
            true => Ok(path.as_bytes()),
            false => normalise_path(path, &mut scratch),
        };
        let Ok(path) = path else {
            return self.stop("route", 400, "the path's percent-encoding is malformed");
        };
        let snapshot = self.explainer.snapshot;
        let shown = String::from_utf8_lossy(path);
        match find_route(snapshot, listener, self.head, path) {
            Ok(Found::Route(index)) => {
                let detail = format!("{shown} takes {}", route_text(snapshot, index));
                self.say("route", Verdict::Passes, &detail).map(|()| (index, None))
            }
            Ok(Found::Preflight(index, cors)) => {
                let detail = format!("a preflight for {}", route_text(snapshot, index));
                self.say("route", Verdict::Passes, &detail).map(|()| (index, Some(cors)))
            }
            Err(methods) if methods.is_empty() => {
                self.stop("route", 404, &format!("no route matches {shown}"))
            }
            Err(methods) => {
                let detail = format!("{shown} has routes for {} only", methods.join(", "));
                self.stop("route", 405, &detail)
            }
        }
    }

    fn banned(&mut self, banned: Option<&Banned<'_>>) -> Result<(), Ended> {
        let Some(Banned { limit, left_ns, .. }) = banned else { return Ok(()) };
        let left_s = left_ns.div_ceil(1_000_000_000);
        self.refuse("ban", 429, &format!("banned by the limit {limit} for another {left_s} s"))
    }

    /// What the route does with a request that admission lets pass.
    fn target(&mut self, route: &RouteConfig) -> Result<(), Ended> {
        if let RouteTarget::Redirect(to) = &route.target {
            return self.end("target", Verdict::Passes, to.status, "redirected");
        }
        let trace = self.explainer.snapshot.config.http.trace;
        match self.head.method {
            Method::Connect if !route.connect => {
                self.refuse("method", 405, "CONNECT is not allowed")
            }
            Method::Trace if !trace => self.refuse("method", 405, "TRACE is not allowed"),
            _ => Ok(()),
        }
    }

    pub(super) fn say(&mut self, name: &str, verdict: Verdict, detail: &str) -> Result<(), Ended> {
        let step = Step { name: name.to_owned(), verdict, detail: detail.to_owned() };
        self.steps.push(step);
        Ok(())
    }

    pub(super) fn refuse(&mut self, name: &str, status: u16, detail: &str) -> Result<(), Ended> {
        self.end(name, Verdict::Refuses, status, detail)
    }

    /// As [`Walk::refuse`], where something was asked for.
    pub(super) fn stop<T>(&mut self, name: &str, status: u16, detail: &str) -> Result<T, Ended> {
        self.refuse(name, status, detail)?;
        Err(Ended)
    }

    fn end(
        &mut self,
        name: &str,
        verdict: Verdict,
        status: u16,
        detail: &str,
    ) -> Result<(), Ended> {
        self.say(name, verdict, detail)?;
        self.status = Some(status);
        Err(Ended)
    }
}

/// A route as operators know it: `/api/* of api.example to upstream api`.
fn route_text(snapshot: &Snapshot, index: usize) -> String {
    let route = &snapshot.config.routes[index];
    let target = match &route.target {
        RouteTarget::Upstream(upstream) => {
            format!("upstream {}", snapshot.upstreams[*upstream].name)
        }
        RouteTarget::Control => "the control plane".to_owned(),
        RouteTarget::Redirect(_) => "a redirect".to_owned(),
    };
    format!("route {} to {target}", crate::admission::RouteName(route))
}
