//! Which route a request takes.
//!
//! Precedence, as nginx users expect it: a route that names the host before one for any host, an
//! exact path before a prefix, a longer prefix before a shorter one. Of those, more conditions on
//! header fields before fewer, one that names methods before one for any method, and the order of
//! the file between equals. A route whose conditions do not hold is passed over.

use std::cmp::Reverse;
use std::net::Ipv6Addr;

use weir_protocol::http::{Field, Method, list_elements};

use crate::config::{Conditions, HeaderCondition, PathPattern, RouteConfig};

/// The routes of one configuration, for each listener, in order of precedence.
pub struct Router {
    /// Indexed by listener; indices into the configuration's routes.
    by_listener: Vec<Vec<usize>>,
}

/// What of a request decides its route.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Without port.
    pub host: Option<&'a str>,
    /// Normalised.
    pub path: &'a [u8],
    pub method: Method<'a>,
    pub fields: &'a [Field<'a>],
    /// For a request that a preflight announces: the list of fields that it will have besides,
    /// of which any value is taken to be the right one.
    pub announced: Option<&'a [u8]>,
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

    /// The index of the first route that matches.
    pub fn find(
        &self,
        routes: &[RouteConfig],
        listener: usize,
        asked: &Asked<'_>,
    ) -> Option<usize> {
        self.by_listener[listener].iter().copied().find(|index| {
            let route = &routes[*index];
            matches_host(route.host.as_deref(), asked.host)
                && matches_path(&route.path, asked.path)
                && match &route.conditions {
                    None => true,
                    Some(conditions) => {
                        matches_method(conditions, &asked.method)
                            && matches_headers(conditions, asked)
                    }
                }
        })
    }

    /// The methods with which a request that no route matches would have one, each once: what
    /// `Allow` says (RFC 9110 section 10.2.1). None when its path has no route.
    pub fn methods<'r>(
        &self,
        routes: &'r [RouteConfig],
        listener: usize,
        asked: &Asked<'_>,
    ) -> Vec<&'r str> {
        let mut methods: Vec<&str> = self.by_listener[listener]
            .iter()
            .map(|index| &routes[*index])
            .filter(|route| {
                matches_host(route.host.as_deref(), asked.host)
                    && matches_path(&route.path, asked.path)
            })
            .filter_map(|route| route.conditions.as_deref())
            .filter(|conditions| matches_headers(conditions, asked))
            .flat_map(|conditions| conditions.methods.iter().map(String::as_str))
            .collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }
}

/// Smaller is tried earlier.
fn precedence(route: &RouteConfig) -> (bool, bool, Reverse<usize>, Reverse<usize>, bool) {
    let (prefix, length) = match &route.path {
        PathPattern::Exact(path) => (false, path.len()),
        PathPattern::Prefix(path) => (true, path.len()),
    };
    let conditions = route.conditions.as_deref();
    let headers = conditions.map_or(0, |conditions| conditions.headers.len());
    let any_method = conditions.is_none_or(|conditions| conditions.methods.is_empty());
    (route.host.is_none(), prefix, Reverse(length), Reverse(headers), any_method)
}

fn matches_host(wanted: Option<&str>, host: Option<&str>) -> bool {
    match (wanted, host) {
        (None, _) => true,
        (Some(wanted), Some(host)) => is_host(wanted, host),
        (Some(_), None) => false,
    }
}

/// Whether `host` is another spelling of `wanted`: in any case of letters, with the dot of a fully
/// qualified name (RFC 3986 section 3.2.2), and IPv6 addresses by what they are.
fn is_host(wanted: &str, host: &str) -> bool {
    if wanted.starts_with('[') {
        return ipv6(wanted).is_some_and(|address| ipv6(host) == Some(address));
    }
    wanted.eq_ignore_ascii_case(host)
        || host.strip_suffix('.').is_some_and(|host| wanted.eq_ignore_ascii_case(host))
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
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

fn matches_method(conditions: &Conditions, method: &Method<'_>) -> bool {
    let methods = &conditions.methods;
    methods.is_empty() || methods.iter().any(|allowed| allowed == method.as_str())
}

fn matches_headers(conditions: &Conditions, asked: &Asked<'_>) -> bool {
    conditions.headers.iter().all(|condition| {
        asked.fields.iter().any(|field| matches_field(condition, field))
            || asked.announced.is_some_and(|names| {
                list_elements(names)
                    .any(|name| name.eq_ignore_ascii_case(condition.name.as_bytes()))
            })
    })
}

fn matches_field(condition: &HeaderCondition, field: &Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(&condition.name)
        && condition.value.as_ref().is_none_or(|value| value.as_bytes() == field.value)
}

#[cfg(test)]
mod tests;
