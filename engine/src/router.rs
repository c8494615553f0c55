//! Which route a request takes.
//!
//! Precedence, as nginx users expect it: a route that names the host before one for any host, an
//! exact path before a prefix, a longer prefix before a shorter one, and the order of the file
//! between equals.

use crate::config::{PathPattern, RouteConfig};

/// The routes of one configuration, for each listener, in order of precedence.
pub struct Router {
    /// Indexed by listener; indices into the configuration's routes.
    by_listener: Vec<Vec<usize>>,
}

impl Router {
    /// `control` is the index of the control listener: routes that name no listener leave it out.
    pub fn new(routes: &[RouteConfig], listeners: usize, control: Option<usize>) -> Self {
        let by_listener = (0..listeners)
            .map(|listener| {
                let serves = |route: &RouteConfig| match route.listener {
                    Some(named) => named == listener,
                    None => Some(listener) != control,
                };
                let mut order: Vec<_> =
                    (0..routes.len()).filter(|index| serves(&routes[*index])).collect();
                order.sort_by_key(|index| precedence(&routes[*index]));
                order
            })
            .collect();
        Self { by_listener }
    }

    /// `host` without port; `path` normalised. The index of the first route that matches.
    pub fn find(
        &self,
        routes: &[RouteConfig],
        listener: usize,
        host: Option<&str>,
        path: &[u8],
    ) -> Option<usize> {
        self.by_listener[listener].iter().copied().find(|index| {
            let route = &routes[*index];
            matches_host(route.host.as_deref(), host) && matches_path(&route.path, path)
        })
    }
}

/// Smaller is tried earlier.
fn precedence(route: &RouteConfig) -> (bool, bool, std::cmp::Reverse<usize>) {
    let (prefix, length) = match &route.path {
        PathPattern::Exact(path) => (false, path.len()),
        PathPattern::Prefix(path) => (true, path.len()),
    };
    (route.host.is_none(), prefix, std::cmp::Reverse(length))
}

fn matches_host(wanted: Option<&str>, host: Option<&str>) -> bool {
    match (wanted, host) {
        (None, _) => true,
        (Some(wanted), Some(host)) => wanted.eq_ignore_ascii_case(host),
        (Some(_), None) => false,
    }
}

/// `/api/` as a prefix matches `/api` and everything below it, but not `/apiary`.
fn matches_path(pattern: &PathPattern, path: &[u8]) -> bool {
    match pattern {
        PathPattern::Exact(exact) => path == exact.as_bytes(),
        PathPattern::Prefix(prefix) => {
            path.starts_with(prefix.as_bytes())
                || prefix.as_bytes().strip_suffix(b"/") == Some(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, RouteTarget};

    fn route(listener: Option<usize>, host: Option<&str>, path: &str) -> RouteConfig {
        let path = match path.strip_suffix('*') {
            Some(prefix) => PathPattern::Prefix(prefix.to_owned()),
            None => PathPattern::Exact(path.to_owned()),
        };
        RouteConfig {
            listener,
            host: host.map(str::to_owned),
            path,
            target: RouteTarget::Upstream(0),
            auth: Auth::None,
            limits: vec![],
            tiers: vec![],
        }
    }

    #[test]
    fn precedence_does_not_depend_on_the_order_of_the_file() {
        let routes = [
            route(None, None, "/*"),
            route(None, None, "/api/*"),
            route(None, None, "/api/v2/*"),
            route(None, None, "/api/health"),
            route(None, Some("admin.example"), "/*"),
        ];
        let router = Router::new(&routes, 1, None);
        let find = |host, path: &str| router.find(&routes, 0, host, path.as_bytes());
        assert_eq!(find(None, "/"), Some(0));
        assert_eq!(find(None, "/api"), Some(1));
        assert_eq!(find(None, "/apiary"), Some(0));
        assert_eq!(find(None, "/api/v2/x"), Some(2));
        assert_eq!(find(Some("other"), "/api/health"), Some(3));
        assert_eq!(find(Some("ADMIN.example"), "/api/health"), Some(4));
    }

    #[test]
    fn listeners_keep_to_their_own_routes() {
        let routes = [route(None, None, "/*"), route(Some(1), None, "/stats")];
        let router = Router::new(&routes, 2, Some(1));
        assert_eq!(router.find(&routes, 0, None, b"/stats"), Some(0));
        assert_eq!(router.find(&routes, 1, None, b"/stats"), Some(1));
        assert_eq!(router.find(&routes, 1, None, b"/other"), None);
    }
}
