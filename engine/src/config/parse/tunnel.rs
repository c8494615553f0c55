//! What of `[[route]]` lets a connection become a tunnel.

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::node::Node;
use super::super::{PathPattern, Upgrades};

const RIGHT: &str = "must be false, \"any\" or a list such as [\"websocket\"]";

/// `upgrade = false`, `"any"`, or a list of protocols.
pub(super) fn upgrades(table: &mut Table<'_>) -> Upgrades {
    let Some(node) = table.take("upgrade") else { return Upgrades::default() };
    if node.is_list() {
        let names = node.list().unwrap_or_default();
        return Upgrades::Only(names.iter().filter_map(protocol).collect());
    }
    if node.is_boolean() && node.boolean() == Some(false) {
        return Upgrades::Only(Vec::new());
    }
    if node.is_string() && node.text() == Some("any") {
        return Upgrades::Any;
    }
    node.fault(RIGHT);
    Upgrades::default()
}

/// The name of a protocol, as RFC 9110 section 7.8 has it but for the version.
fn protocol(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_name) {
        node.fault(format_args!(
            "{} must be a protocol without its version, such as \"websocket\"",
            Quoted(text)
        ));
        return None;
    }
    if text.eq_ignore_ascii_case("h2c") {
        node.fault("\"h2c\" would carry requests past every rule; remove it");
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// `connect = true`, for a route of all paths: CONNECT has none.
pub(super) fn connect(table: &mut Table<'_>, path: &PathPattern) -> bool {
    let Some(node) = table.take("connect") else { return false };
    let connect = node.boolean().unwrap_or(false);
    let everything = matches!(path, PathPattern::Prefix(prefix) if prefix == "/");
    if connect && !everything {
        node.fault("CONNECT has no path; only a route with path = \"/*\" can allow it");
    }
    connect
}
