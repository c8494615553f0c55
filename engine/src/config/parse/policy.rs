//! What a `[[route]]` does to requests and answers: `rewrite`, `request_headers`,
//! `response_headers`, `forward_path` and, in a file of its own, `cors`.

use weir_protocol::http::{normalise_path, normalised_path};

use super::super::document::Table;
use super::super::node::Node;
use super::super::scalar::{self, ScalarError};
use super::super::{ForwardPath, HostPolicy, PathPattern, RoutePolicy};
use super::cors::cors;
use super::fields::{Side, edits};

/// The policy of a route, `None` when it has none. `pattern` is the route's own path.
pub(super) fn policy(table: &mut Table<'_>, pattern: &PathPattern) -> Option<Box<RoutePolicy>> {
    let mut policy = RoutePolicy::default();
    if let Some(node) = table.take("rewrite") {
        rewrite(&node, pattern, &mut policy);
    }
    policy.cors = table.take("cors").and_then(|node| cors(&node));
    if let Some(node) = table.take("request_headers") {
        policy.request_fields = edits(&node, Side::Request);
    }
    if let Some(node) = table.take("response_headers") {
        policy.response_fields = edits(&node, Side::Response { cors: policy.cors.is_some() });
    }
    (policy != RoutePolicy::default()).then(|| Box::new(policy))
}

pub(super) fn forward_path(table: &mut Table<'_>) -> Option<ForwardPath> {
    let words = [("as-written", ForwardPath::AsWritten), ("normalised", ForwardPath::Normalised)];
    table.take("forward_path")?.choice(&words, &[])
}

fn rewrite(node: &Node<'_>, pattern: &PathPattern, policy: &mut RoutePolicy) {
    let Some(mut table) = node.table() else { return };
    let (path, host) = (table.take("path"), table.take("host"));
    policy.path = path.as_ref().and_then(|node| new_path(node, pattern));
    if let Some(host) = &host {
        let right = "a host such as \"internal.example\", or \"backend\"";
        policy.host = host.scalar(right, host_policy).unwrap_or_default();
    }
    if path.is_none() && host.is_none() {
        node.fault("changes nothing; give it a path or a host, or leave it out");
    }
    table.finish();
}

fn host_policy(text: &str) -> Result<HostPolicy, ScalarError> {
    if text == "backend" {
        return Ok(HostPolicy::Backend);
    }
    let with_port = text.rsplit_once(':').filter(|(_, port)| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && matches!(port.parse::<u16>(), Ok(1..))
    });
    let name = with_port.map_or(text, |(name, _)| name);
    let right = "a host; write a name such as \"internal.example\", perhaps with a port, or \
                 \"backend\"";
    let host = scalar::host(name).map_err(|_| ScalarError::Not { text: text.to_owned(), right })?;
    Ok(HostPolicy::Named(host + &text[name.len()..]))
}

/// The path in place of the one that was asked for; a prefix needs a prefix to replace.
pub(super) fn new_path(node: &Node<'_>, pattern: &PathPattern) -> Option<PathPattern> {
    let path = node.scalar("a path such as \"/v2/*\"", scalar::path_pattern)?;
    let (PathPattern::Exact(text) | PathPattern::Prefix(text)) = &path;
    let is_normal = normalise_path(text, &mut Vec::new()).is_ok()
        && normalised_path(text, &mut Vec::new()).is_ok_and(|once| once == text.as_bytes());
    if !is_normal {
        node.fault(
            "must be written as it is to be sent: no \"//\", no dot segments, percent-encoding in \
             capitals and only where it is needed",
        );
    }
    if matches!((&path, pattern), (PathPattern::Prefix(_), PathPattern::Exact(_))) {
        node.fault("replaces a prefix, but the route's path has none; write it without \"*\"");
    }
    Some(path)
}
