//! Which route a request takes, and what of it the route wants sent.

use weir_protocol::http::{
    FieldId, Method, PathTail, RequestHead, forwarded_path, host_without_port, is_token,
    normalise_path, normalised_path, path_below,
};

use super::answer::Answer;
use super::exchange::Exchange;
use crate::config::{Cors, ForwardPath, PathPattern, RouteConfig};
use crate::router::Asked;
use crate::runtime::Runtime;
use crate::shard::{Buffers, Output};
use crate::snapshot::Snapshot;

/// Of the one fault that a path can have once it was normalised.
pub(super) const HIDDEN_DOTS: &str =
    "dot segments beside encoded slashes, backslashes or parameters in the path";

/// What a request has come to; routes by their index in the configuration.
pub(crate) enum Found<'e> {
    Route(usize),
    /// A browser asks whether a page may send a request that this route would serve.
    Preflight(usize, &'e Cors),
}

impl<'e, R: Runtime> Exchange<'e, R> {
    /// Rules are matched against the normalised path, so that no spelling walks around them.
    pub(super) fn find_route(&mut self) -> Result<Found<'e>, Answer<'static>> {
        let mut scratch;
        let path = if self.plain_path {
            self.head.target.path.as_bytes()
        } else {
            scratch = self.shard.buffers.output();
            normalise_path(self.head.target.path, &mut scratch)
                .map_err(|_| Answer::new(400, "the path's percent-encoding is malformed"))?
        };
        find_route(self.snapshot, self.connection.listener, self.head, path).map_err(|methods| {
            if methods.is_empty() {
                return Answer::new(404, "no route matches");
            }
            let line = format!("Allow: {}\r\n", methods.join(", "));
            self.own_lines().extend_from_slice(line.as_bytes());
            Answer::new(405, "no route matches this path with this method")
        })
    }
}

/// The route that a request takes, by its normalised path; or the methods with which it would have
/// one, none where its path has no route at all.
pub(crate) fn find_route<'s>(
    snapshot: &'s Snapshot,
    listener: usize,
    head: &RequestHead<'_, '_>,
    path: &[u8],
) -> Result<Found<'s>, Vec<&'s str>> {
    let asked = Asked {
        host: head.host.map(host_without_port),
        path,
        method: head.method,
        fields: head.fields,
        announced: None,
    };
    let (routes, router) = (&snapshot.config.routes, &snapshot.router);
    if head.method == Method::Options
        && let Some(announced) = announced(head, &asked)
        && let Some(index) = router.find(routes, listener, &announced)
        && let Some(cors) = routes[index].policy.as_ref().and_then(|p| p.cors.as_ref())
    {
        return Ok(Found::Preflight(index, cors));
    }
    let found = router.find(routes, listener, &asked).map(Found::Route);
    found.ok_or_else(|| router.methods(routes, listener, &asked))
}

/// The request that a preflight announces (Fetch standard, section 4.8).
fn announced<'a>(head: &'a RequestHead<'_, '_>, asked: &Asked<'a>) -> Option<Asked<'a>> {
    head.get(FieldId::Origin)?;
    let method = head.by_name("access-control-request-method")?;
    let method = std::str::from_utf8(method).ok().filter(|method| is_token(method))?;
    let names = head.by_name("access-control-request-headers").unwrap_or_default();
    Some(Asked { method: Method::of(method), announced: Some(names), ..*asked })
}

/// A path in two parts, so that none has to be put together: the second behind the first.
#[derive(Clone, Copy)]
pub(super) struct SentPath<'a> {
    /// What a rule has written; usually empty.
    pub(super) prefix: &'a str,
    /// What the client has.
    pub(super) rest: &'a [u8],
}

/// The path that `route` has its backend sent, without query. `plain` says that it
/// [`is_normal_path`](weir_protocol::http::is_normal_path). `scratch` is for what has to be built.
pub(super) fn sent_path<'a>(
    path: &'a str,
    plain: bool,
    route: &'a RouteConfig,
    buffers: &Buffers,
    scratch: &'a mut Option<Output>,
) -> Result<SentPath<'a>, Answer<'static>> {
    let rest = match route.forward_path {
        ForwardPath::AsWritten if plain => Ok(path.as_bytes()),
        ForwardPath::AsWritten => forwarded_path(path, scratch.insert(buffers.output())),
        ForwardPath::Normalised => normalised_path(path, scratch.insert(buffers.output())),
    };
    let rest = rest.map_err(|_| Answer::new(400, HIDDEN_DOTS))?;
    match &route.policy {
        None => Ok(SentPath { prefix: "", rest }),
        Some(policy) => replaced(rest, &route.path, policy.path.as_ref()),
    }
}

/// `path`, which `old` matches, with `new` in the place of `old`.
pub(super) fn replaced<'a>(
    path: &'a [u8],
    old: &PathPattern,
    new: Option<&'a PathPattern>,
) -> Result<SentPath<'a>, Answer<'static>> {
    let kept = SentPath { prefix: "", rest: path };
    match (old, new) {
        // `*` is no path.
        _ if path.first() != Some(&b'/') => Ok(kept),
        (_, None) => Ok(kept),
        (_, Some(PathPattern::Exact(new))) => Ok(SentPath { prefix: new, rest: b"" }),
        (PathPattern::Exact(_), Some(PathPattern::Prefix(new))) => {
            Ok(SentPath { prefix: new, rest: b"" })
        }
        (PathPattern::Prefix(old), Some(PathPattern::Prefix(new))) => match path_below(path, old) {
            Some(PathTail::Below(rest)) => Ok(SentPath { prefix: new, rest }),
            Some(PathTail::Nothing) => {
                let bare = new.strip_suffix('/').filter(|bare| !bare.is_empty());
                Ok(SentPath { prefix: bare.unwrap_or(new), rest: b"" })
            }
            None => Err(Answer::new(400, "the path cannot be rewritten")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(path: &str, old: &str, new: &str) -> String {
        let pattern = |text: &str| match text.strip_suffix('*') {
            Some(prefix) => PathPattern::Prefix(prefix.to_owned()),
            None => PathPattern::Exact(text.to_owned()),
        };
        let (old, new) = (pattern(old), pattern(new));
        let Ok(sent) = replaced(path.as_bytes(), &old, Some(&new)) else { panic!("{path}") };
        format!("{}{}", sent.prefix, String::from_utf8_lossy(sent.rest))
    }

    #[test]
    fn prefixes_and_whole_paths_are_replaced() {
        for (path, old, new, expected) in [
            ("/old/a/b", "/old/*", "/new/*", "/new/a/b"),
            ("/old", "/old/*", "/new/*", "/new"),
            ("/old/", "/old/*", "/new/*", "/new/"),
            ("/old", "/old/*", "/*", "/"),
            ("/old//evil.example/x", "/old/*", "/*", "/evil.example/x"),
            ("/old%2F%2Fevil.example", "/old/*", "/*", "/evil.example"),
            ("/a", "/*", "/v2/*", "/v2/a"),
            ("/%6fld/%61", "/old/*", "/new/*", "/new/%61"),
            ("/old/a", "/old/*", "/fixed", "/fixed"),
            ("/old", "/old", "/fixed", "/fixed"),
            ("*", "/*", "/v2/*", "*"),
        ] {
            assert_eq!(moved(path, old, new), expected, "{path} {old} {new}");
        }
    }
}
