//! What a limit counts by.

use weir_protocol::http::is_token;

use super::super::super::LimitKey;
use super::super::super::fault::Quoted;
use super::super::super::node::Node;

/// Parts that one limit may combine.
const PARTS_MAX: usize = 4;
const NAME_BYTES_MAX: usize = 128;

const WORDS: [(&str, LimitKey); 6] = [
    ("address", LimitKey::Address),
    ("key", LimitKey::Key),
    ("user", LimitKey::User),
    ("certificate", LimitKey::Certificate),
    ("tier", LimitKey::Tier),
    ("route", LimitKey::Route),
];

/// One part or a list of them; `None` when anything about it was reported.
pub(super) fn key(node: &Node<'_>) -> Option<Vec<LimitKey>> {
    if !node.is_list() {
        return part(node).map(|part| vec![part]);
    }
    let items = node.list()?;
    if items.is_empty() || items.len() > PARTS_MAX {
        let found = items.len();
        node.fault(format_args!("a list of 1 to {PARTS_MAX} parts, not {found}"));
        return None;
    }
    let mut parts = Vec::new();
    for item in &items {
        let part = part(item)?;
        if parts.contains(&part) {
            item.fault("names a part twice; remove one");
            return None;
        }
        parts.push(part);
    }
    Some(parts)
}

fn part(node: &Node<'_>) -> Option<LimitKey> {
    let text = if node.is_string() { node.text()? } else { "" };
    if let Some(name) = text.strip_prefix("header:") {
        return header(node, name);
    }
    if let Some(name) = text.strip_prefix("claim:") {
        return claim(node, name);
    }
    // The last two never match: they were taken above.
    let words = WORDS.iter().map(|(word, _)| *word).chain(["header:NAME", "claim:NAME"]);
    let words: Vec<(&str, usize)> = words.enumerate().map(|(index, word)| (word, index)).collect();
    let index = node.choice(&words, &[])?;
    WORDS.get(index).map(|(_, part)| part.clone())
}

fn header(node: &Node<'_>, name: &str) -> Option<LimitKey> {
    if !is_token(name) || name.len() > NAME_BYTES_MAX {
        let name = Quoted(name);
        node.fault(format_args!("{name} is no field's name; write \"header:X-Team\", say"));
        return None;
    }
    Some(LimitKey::Header(name.to_ascii_lowercase()))
}

fn claim(node: &Node<'_>, name: &str) -> Option<LimitKey> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        let name = Quoted(name);
        node.fault(format_args!("{name} is no claim's name; write \"claim:org\", say"));
        return None;
    }
    Some(LimitKey::Claim(name.to_owned()))
}
