//! `request_headers` and `response_headers` of a `[[route]]`.

use weir_protocol::http::{FieldId, is_field_value, is_token};

use super::super::FieldEdits;
use super::super::fault::Quoted;
use super::super::node::Node;
use super::super::scalar::ScalarError;

/// Names that one table may hold.
const FIELDS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 4096;

/// Whose fields are edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    /// `cors` says whether the route has it.
    Response {
        cors: bool,
    },
}

pub(super) fn edits(node: &Node<'_>, side: Side) -> FieldEdits {
    let mut edits = FieldEdits::default();
    let Some(mut table) = node.table() else { return edits };
    let mut seen = Vec::new();
    // Whether there is anything, be it faulty.
    let mut named = false;
    let mut take = |node: &Node<'_>, name: &str| {
        let name = editable(node, name, side)?;
        let plain = name.to_ascii_lowercase().replace('_', "-");
        if seen.contains(&plain) {
            node.fault(format_args!("{} is named twice; name it once", Quoted(name)));
            return None;
        }
        seen.push(plain.clone());
        Some(plain)
    };
    for (key, replaces) in [("set", true), ("add", false)] {
        let Some(node) = table.take(key) else { continue };
        let fields = node.table().map(|mut table| table.take_all());
        named |= fields.as_ref().is_none_or(|fields| !fields.is_empty());
        for (name, node) in fields.unwrap_or_default() {
            let Some(plain) = take(&node, name) else { continue };
            let Some(value) = node.scalar("a string", field_value) else { continue };
            edits.lines += &format!("{name}: {value}\r\n");
            edits.dropped.extend(replaces.then_some(plain));
        }
    }
    let removed = table.take("remove").map_or(Some(Vec::new()), |node| node.list());
    named |= removed.as_ref().is_none_or(|items| !items.is_empty());
    for item in removed.unwrap_or_default() {
        let Some(plain) = item.text().and_then(|name| take(&item, name)) else { continue };
        edits.dropped.push(plain);
    }
    if !named {
        node.fault("changes nothing; name fields under set, add or remove, or leave it out");
    }
    if seen.len() > FIELDS_MAX {
        let found = seen.len();
        node.fault(format_args!("{found} fields; there may be {FIELDS_MAX} at most"));
    }
    table.finish();
    edits
}

/// `name`, when it can name a field; reports it otherwise.
pub(super) fn field_name<'n>(node: &Node<'_>, name: &'n str) -> Option<&'n str> {
    if is_token(name) && name.len() <= NAME_BYTES_MAX {
        return Some(name);
    }
    let quoted = Quoted(name);
    node.fault(format_args!("{quoted} is not a field name; write one such as \"X-Version\""));
    None
}

/// RFC 9110 section 5.5. A value may be a credential of the backend, so that none is quoted.
pub(super) fn field_value(text: &str) -> Result<String, ScalarError> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(ScalarError::Unquoted("4096 bytes long at most"));
    }
    if is_field_value(text) {
        return Ok(text.to_owned());
    }
    let right = "visible ASCII characters, with white space only between them";
    Err(ScalarError::Unquoted(right))
}

fn editable<'n>(node: &Node<'_>, name: &'n str, side: Side) -> Option<&'n str> {
    let name = field_name(node, name)?;
    let Some(reason) = own(name, side) else { return Some(name) };
    node.fault(format_args!("{} cannot be changed: {reason}", Quoted(name)));
    None
}

/// Why the field of this name is not the configuration's to write.
fn own(name: &str, side: Side) -> Option<&'static str> {
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let framing = "it frames the message, which the gateway does itself";
    let hop = "it belongs to one connection, which is the gateway's own";
    let forwarding = "the gateway writes it itself";
    match FieldId::of(plain.as_bytes()) {
        FieldId::ContentLength | FieldId::TransferEncoding | FieldId::Trailer | FieldId::Expect => {
            return Some(framing);
        }
        FieldId::Connection
        | FieldId::KeepAlive
        | FieldId::ProxyConnection
        | FieldId::Te
        | FieldId::Upgrade
        | FieldId::Http2Settings => return Some(hop),
        FieldId::Host => {
            return Some("use rewrite = { host = \"internal.example\" } on this route");
        }
        FieldId::Forwarded
        | FieldId::MaxForwards
        | FieldId::Traceparent
        | FieldId::Via
        | FieldId::XForwardedFor
        | FieldId::XForwardedHost
        | FieldId::XForwardedPort
        | FieldId::XForwardedProto
        | FieldId::XRealIp
        | FieldId::XRequestId => return Some(forwarding),
        _ => {}
    }
    if plain.starts_with("x-weir-") || ["tracestate", "proxy-status"].contains(&plain.as_str()) {
        return Some(forwarding);
    }
    let Side::Response { cors } = side else { return None };
    if cors && plain.starts_with("access-control-") {
        return Some("\"cors\" of this route writes it");
    }
    let limits = plain.strip_prefix("x-").unwrap_or(&plain).starts_with("ratelimit");
    (limits || plain == "date").then_some(forwarding)
}
