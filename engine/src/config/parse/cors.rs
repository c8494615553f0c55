//! `cors` of a `[[route]]`.

use std::time::Duration;

use weir_protocol::http::OriginPattern;

use super::super::Cors;
use super::super::node::Node;
use super::super::scalar::ScalarError;
use super::conditions::{bounded, methods};
use super::fields::field_name;

/// What browsers allow at the most (Firefox; Chromium two hours).
const MAX_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_AGE: Duration = Duration::from_secs(600);

pub(super) fn cors(node: &Node<'_>) -> Option<Cors> {
    let mut table = node.table()?;
    let origins = table
        .require("origins", "origins = [\"https://app.example.com\"]")
        .map_or(Vec::new(), |node| origins(&node));
    let allowed = table.take("methods");
    // Fetch standard, section 2.2.1: these need no permission; without a preflight they come
    // anyway.
    let methods =
        allowed.as_ref().map_or(vec!["GET".into(), "HEAD".into(), "POST".into()], methods);
    let headers = table.take("headers");
    let header_names = headers.as_ref().map_or(Vec::new(), names);
    let expose = table.take("expose");
    let exposed = expose.as_ref().map_or(Vec::new(), names);
    let credentials = table.boolean("credentials").unwrap_or(false);
    let max_age = table.duration("max_age", Duration::ZERO..=MAX_AGE_MAX).unwrap_or(MAX_AGE);
    if credentials {
        // Fetch standard, section 3.2.5: with credentials "*" allows nothing, or is a name.
        let every = origins.contains(&OriginPattern::Any);
        let lists = [(&allowed, &methods), (&headers, &header_names), (&expose, &exposed)];
        let wild = every || lists.iter().any(|(_, names)| names.iter().any(|name| name == "*"));
        if wild {
            node.fault("\"*\" does not go with credentials; name what is allowed one by one");
        }
    }
    table.finish();
    let preflight_lines = list_line("Access-Control-Allow-Methods", &methods)
        + &list_line("Access-Control-Allow-Headers", &header_names)
        + &format!("Access-Control-Max-Age: {}\r\n", max_age.as_secs());
    let answer_lines = list_line("Access-Control-Expose-Headers", &exposed);
    Some(Cors { origins, credentials, preflight_lines, answer_lines })
}

/// A field line with a list; nothing for an empty one.
fn list_line(name: &str, list: &[String]) -> String {
    if list.is_empty() { String::new() } else { format!("{name}: {}\r\n", list.join(", ")) }
}

fn origins(node: &Node<'_>) -> Vec<OriginPattern> {
    let items = bounded(node);
    if node.list_is_empty() {
        node.fault("an empty list allows nobody; name an origin, or remove \"cors\"");
    }
    let right = "an origin such as \"https://app.example.com\"";
    items.iter().filter_map(|item| item.scalar(right, origin)).collect()
}

fn origin(text: &str) -> Result<OriginPattern, ScalarError> {
    let right = "an origin as browsers send it; write \"https://app.example.com\", \
                 \"https://*.example.com\" or \"*\", without a path or a default port";
    OriginPattern::parse(text).ok_or(ScalarError::Not { text: text.to_owned(), right })
}

/// Field names; `*` is a token like any other.
fn names(node: &Node<'_>) -> Vec<String> {
    let named = |item: &Node<'_>| field_name(item, item.text()?).map(str::to_owned);
    bounded(node).iter().filter_map(named).collect()
}
