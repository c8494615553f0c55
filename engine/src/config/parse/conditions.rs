//! `methods` and `headers` of a `[[route]]`: what a request must have besides its path.

use weir_protocol::http::{FieldId, is_reserved, is_token};

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::node::Node;
use super::super::scalar::ScalarError;
use super::super::{Conditions, HeaderCondition};
use super::fields::{field_name, field_value};

/// Each is compared with each request of its path.
const CONDITIONS_MAX: usize = 16;

/// The conditions of a route, `None` when it has none.
pub(super) fn conditions(table: &mut Table<'_>) -> Option<Box<Conditions>> {
    let mut methods = table.take("methods").map_or(Vec::new(), |node| route_methods(&node));
    let headers = table.take("headers").map_or(Vec::new(), |node| headers(&node));
    if methods.is_empty() && headers.is_empty() {
        return None;
    }
    // RFC 9110 section 9.3.2: whoever may GET may ask for the head alone.
    let has = |name: &str| methods.iter().any(|method| method == name);
    if has("GET") && !has("HEAD") {
        methods.push("HEAD".to_owned());
    }
    methods.sort_unstable();
    Some(Box::new(Conditions { methods, headers }))
}

fn route_methods(node: &Node<'_>) -> Vec<String> {
    let methods = methods(node);
    if methods.is_empty() && node.list_is_empty() {
        node.fault("an empty list leaves no method; name at least one, such as [\"GET\"]");
    }
    methods
}

/// A list of methods, each at most once.
pub(super) fn methods(node: &Node<'_>) -> Vec<String> {
    let mut methods: Vec<String> = Vec::new();
    for item in bounded(node) {
        let Some(method) = item.scalar("a method such as \"GET\"", method) else { continue };
        if methods.contains(&method) {
            let method = Quoted(&method);
            item.fault(format_args!("{method} is named twice; remove one"));
        } else {
            methods.push(method);
        }
    }
    methods
}

/// RFC 9110 section 9.1: a token, and case matters; nobody means `get`.
fn method(text: &str) -> Result<String, ScalarError> {
    if is_token(text) && !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Ok(text.to_owned());
    }
    let right = "a method; write it in capitals, such as \"GET\"";
    Err(ScalarError::Not { text: text.to_owned(), right })
}

/// The items of a list, as many as one route may name.
pub(super) fn bounded<'d>(node: &Node<'d>) -> Vec<Node<'d>> {
    let items = node.list().unwrap_or_default();
    if items.len() > CONDITIONS_MAX {
        let found = items.len();
        node.fault(format_args!("{found} of them; there may be {CONDITIONS_MAX} at most"));
    }
    items
}

fn headers(node: &Node<'_>) -> Vec<HeaderCondition> {
    let Some(mut table) = node.table() else { return Vec::new() };
    let entries = table.take_all();
    if !(1..=CONDITIONS_MAX).contains(&entries.len()) {
        node.fault(format_args!("must name between 1 and {CONDITIONS_MAX} fields"));
    }
    let mut headers: Vec<HeaderCondition> = Vec::new();
    for (name, node) in entries {
        let Some(name) = field_name(&node, name) else { continue };
        if is_reserved(name.as_bytes()) {
            let name = Quoted(name);
            node.fault(format_args!(
                "{name} is the gateway's own, and a client's is not believed; use \"auth\" and \
                 \"tiers\""
            ));
            continue;
        }
        if FieldId::of(name.as_bytes()) == FieldId::Host {
            node.fault("use host = \"api.example.com\" on this route, which knows every spelling");
            continue;
        }
        let name = name.to_ascii_lowercase();
        let Some(value) = node.scalar("a value, or \"*\" for any", field_value) else { continue };
        if headers.iter().any(|header| header.name == name) {
            node.fault("this field is named twice; remove one");
        }
        headers.push(HeaderCondition { name, value: (value != "*").then_some(value) });
    }
    headers.sort_unstable();
    headers
}
