//! The steps of an explanation that are about who asks.

use weir_protocol::control::Verdict;

use super::explain::{Ended, Walk};
use crate::admission::{Caller, identify, presented};
use crate::config::{Auth, RouteConfig};

impl Walk<'_> {
    /// Who the request is by, for a route that looks at `auth`; or why its credential is no good.
    pub(super) fn identify(
        &self,
        auth: Auth,
        named: Option<Caller>,
    ) -> Result<Caller, &'static str> {
        let snapshot = self.explainer.snapshot;
        match (named, auth) {
            (None, _) => {
                let wall = self.explainer.wall;
                identify(presented(self.head, auth), snapshot, &|| wall)
            }
            // Each of these routes does not look at the other's credential.
            (Some(Caller::Key(_)), Auth::Jwt) | (Some(Caller::Token(_)), Auth::ApiKey) => {
                Ok(Caller::Anonymous)
            }
            (Some(Caller::Token(_)), _) if snapshot.jwt.is_none() => {
                Err("tokens are not accepted here")
            }
            (Some(caller), _) => Ok(caller),
        }
    }

    pub(super) fn admit(
        &mut self,
        identified: Result<Caller, &'static str>,
        auth: Auth,
    ) -> Result<Caller, Ended> {
        let wanted = match auth {
            Auth::None => "none",
            Auth::ApiKey => "an API key",
            Auth::Jwt => "a token",
            Auth::Any => "an API key or a token",
        };
        let wants = format!("the route asks for {wanted}");
        match (identified, auth) {
            (Ok(Caller::Anonymous) | Err(_), Auth::None) => {
                let detail = "the caller is unknown, and the route asks for no credential";
                self.say("identity", Verdict::Passes, detail)?;
                Ok(Caller::Anonymous)
            }
            (Ok(Caller::Anonymous), _) => self.stop("identity", 401, &wants),
            (Err(reason), _) => self.stop("identity", 401, &format!("{wants}: {reason}")),
            (Ok(caller), _) => {
                let detail = self.caller_text(&caller);
                self.say("identity", Verdict::Passes, &detail)?;
                Ok(caller)
            }
        }
    }

    fn caller_text(&self, caller: &Caller) -> String {
        let snapshot = self.explainer.snapshot;
        let mut parts = Vec::new();
        parts.extend(caller.key_name(snapshot).map(|name| format!("key {name}")));
        parts.extend(caller.user(snapshot).map(|name| format!("user {name}")));
        let tier = caller.tier(snapshot).map(|tier| &snapshot.config.tiers[tier].name);
        parts.extend(tier.map(|name| format!("tier {name}")));
        parts.join(", ")
    }

    pub(super) fn check_caller(&mut self, caller: &Caller) -> Result<(), Ended> {
        let snapshot = self.explainer.snapshot;
        let (key, user) = (caller.key_name(snapshot), caller.user(snapshot));
        if key.is_none() && user.is_none() {
            return Ok(());
        }
        let blocked = self.explainer.blocks.and_then(|blocks| blocks.caller(key, user));
        let who = self.caller_text(caller);
        self.blocked("caller", blocked, &who)
    }

    pub(super) fn check_tier(
        &mut self,
        route: &RouteConfig,
        tier: Option<usize>,
    ) -> Result<(), Ended> {
        if route.tiers.is_empty() {
            return Ok(());
        }
        let tiers = &self.explainer.snapshot.config.tiers;
        let names: Vec<_> = route.tiers.iter().map(|tier| tiers[*tier].name.as_str()).collect();
        let serves = format!("the route serves {}", names.join(", "));
        match tier {
            Some(tier) if route.tiers.contains(&tier) => self.say("tier", Verdict::Passes, &serves),
            Some(_) => self.refuse("tier", 403, &serves),
            None => self.refuse("tier", 401, &serves),
        }
    }
}
