//! `redirect` of a `[[route]]`.

use super::super::document::Table;
use super::super::node::Node;
use super::super::scalar::{self, ScalarError};
use super::super::{PathPattern, Redirect};
use super::policy::new_path;

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// What a redirect has no use for: it asks nobody, and sends nothing on.
const USELESS: [(&str, &str); 9] = [
    ("upstream", "a route has an \"upstream\" or a \"redirect\", not both; remove one"),
    ("auth", "a redirect asks for no credential; protect where it leads, and remove this"),
    ("tiers", "a redirect is for everyone; protect where it leads, and remove this"),
    ("rewrite", "a redirect sends nothing to a backend; remove this"),
    ("request_headers", "a redirect sends nothing to a backend; remove this"),
    ("response_headers", "a redirect has no backend's answer; remove this"),
    ("forward_path", "a redirect sends nothing to a backend; remove this"),
    ("upgrade", "a redirect opens no tunnel; remove this"),
    ("connect", "a redirect opens no tunnel; remove this"),
];

/// `pattern` is the path of the route that `table` is.
pub(super) fn redirect(
    node: &Node<'_>,
    table: &mut Table<'_>,
    pattern: &PathPattern,
) -> Option<Redirect> {
    for (key, reason) in USELESS {
        if let Some(node) = table.take(key) {
            node.fault(reason);
        }
    }
    let mut table = node.table()?;
    let [scheme, host, port, path] = ["scheme", "host", "port", "path"].map(|key| table.take(key));
    if [&scheme, &host, &port, &path].iter().all(|part| part.is_none()) {
        node.fault("leads back to itself; give it a scheme, host, port or path");
    }
    let schemes = [("http", false), ("https", true)];
    let redirect = Redirect {
        https: scheme.and_then(|node| node.choice(&schemes, &[])),
        host: host.and_then(|node| node.scalar("a host such as \"www.example.com\"", new_host)),
        port: port.and_then(|node| node.integer(&(1..=u16::MAX))),
        path: path.and_then(|node| new_path(&node, pattern)),
        status: table.take("status").and_then(|node| status(&node)).unwrap_or(308),
    };
    table.finish();
    Some(redirect)
}

fn new_host(text: &str) -> Result<String, ScalarError> {
    let right = "a host; write a name such as \"www.example.com\", and its port under \"port\"";
    scalar::host(text).map_err(|_| ScalarError::Not { text: text.to_owned(), right })
}

/// RFC 9110 section 15.4: those that have a `Location` and are no choice between several.
fn status(node: &Node<'_>) -> Option<u16> {
    let status = node.integer(&(0..=999))?;
    if !STATUSES.contains(&status) {
        node.fault(format_args!("must be 301, 302, 303, 307 or 308, not {status}"));
    }
    Some(status)
}
