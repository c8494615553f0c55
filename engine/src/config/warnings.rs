//! What is right in a file and likely not meant.

use super::{Auth, Callers, Config, LimitConfig, LimitKey, OnFull, PathPattern, RouteConfig};
use crate::runtime::UnixNanos;

impl Config {
    /// What is wrong and no reason to refuse the file, a line each.
    pub fn warnings(&self, now: UnixNanos) -> Vec<String> {
        let expired = self.expired_certificates(now).map(|certificate| {
            format!("the certificate in {} has expired", certificate.path().display())
        });
        expired
            .chain(self.limits.iter().enumerate().filter_map(|l| self.filled_by_one(l)))
            .collect()
    }

    /// That one client can take all slots by this limit, and be the reason why others are refused.
    fn filled_by_one(&self, (index, limit): (usize, &LimitConfig)) -> Option<String> {
        let field = limit.key.iter().find_map(|part| match part {
            LimitKey::Header(name) if limit.on_full == OnFull::Refuse => Some(name),
            _ => None,
        })?;
        let unguarded = |route: &&RouteConfig| {
            route.limits.contains(&index)
                && !route.limits.iter().any(|&other| self.limits[other].guards(route))
        };
        let route = self.routes.iter().find(unguarded)?;
        let path = match &route.path {
            PathPattern::Exact(path) => path.clone(),
            PathPattern::Prefix(path) => format!("{path}*"),
        };
        Some(format!(
            "limit {:?}: a client that sends ever new values of {field} can fill the slot table, and \
             whoever has no slot yet is refused then; name a limit by \"address\" with callers = \
             \"all\" on the route {path} too, or say on_full = \"admit\"",
            limit.name
        ))
    }
}

impl LimitConfig {
    /// Whether it bounds what each address can ask of the route, and gives it one slot.
    fn guards(&self, route: &RouteConfig) -> bool {
        let of_address = |part: &LimitKey| matches!(part, LimitKey::Address | LimitKey::Route);
        let everybody = self.callers == Callers::All || route.auth == Auth::None;
        self.key.contains(&LimitKey::Address)
            && self.key.iter().all(of_address)
            && everybody
            && !self.dry_run
    }
}
