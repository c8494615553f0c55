//! Names that one part of the file gives and another refers to.

use super::fault::Quoted;
use super::node::Node;
use super::scalar;
use super::suggest::did_you_mean;

/// The names of one kind of thing, in the order of their indices.
pub(super) struct Names {
    /// What they name: `upstream`.
    kind: &'static str,
    list: Vec<Named>,
}

struct Named {
    /// Empty when the file gave no valid name; nothing refers to it.
    name: String,
    /// Where in the text; `None` for what the engine itself adds.
    at: Option<usize>,
}

impl Names {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, list: Vec::new() }
    }

    /// Takes the name in `node` for the next index; reports a repeated, invalid or reserved one.
    pub(super) fn add(&mut self, node: Option<&Node<'_>>, reserved: &[&str]) -> String {
        let name = node.and_then(|node| {
            let name = node.scalar("a name", scalar::name)?;
            if reserved.contains(&name.as_str()) {
                let name = Quoted(&name);
                node.fault(format_args!("{name} is the engine's own; choose another name"));
                return None;
            }
            Some(name)
        });
        self.add_text(node, name.unwrap_or_default())
    }

    /// Takes `name`, made elsewhere, for the next index; `node` is where a repetition is reported.
    pub(super) fn add_text(&mut self, node: Option<&Node<'_>>, name: String) -> String {
        let first = self.list.iter().find(|named| !name.is_empty() && named.name == name);
        if let (Some(node), Some(first)) = (node, first) {
            let line = first.at.map_or(String::new(), |at| format!(" of line {}", node.line(at)));
            let (quoted, kind) = (Quoted(&name), self.kind);
            node.fault(format_args!("{quoted} already names the {kind}{line}; names are unique"));
        }
        self.list.push(Named { name: name.clone(), at: node.map(Node::at) });
        name
    }

    /// The index of the thing that `node` names; reports a name that nothing has.
    pub(super) fn find(&self, node: &Node<'_>) -> Option<usize> {
        self.find_text(node, node.text()?)
    }

    /// The index of the thing called `text`; a name that nothing has is reported at `node`.
    pub(super) fn find_text(&self, node: &Node<'_>, text: &str) -> Option<usize> {
        let index = self.list.iter().position(|named| !text.is_empty() && named.name == text);
        if index.is_none() {
            self.dangling(node, text);
        }
        index
    }

    /// The indices of a list of names; reports each that repeats.
    pub(super) fn find_all(&self, node: &Node<'_>) -> Vec<usize> {
        let mut indices = Vec::new();
        for item in node.list().unwrap_or_default() {
            let Some(index) = self.find(&item) else { continue };
            if indices.contains(&index) {
                let name = Quoted(&self.list[index].name);
                item.fault(format_args!("{name} is named twice; remove one"));
            } else {
                indices.push(index);
            }
        }
        indices
    }

    fn dangling(&self, node: &Node<'_>, text: &str) {
        let (kind, quoted) = (self.kind, Quoted(text));
        let known = || self.list.iter().map(|named| named.name.as_str()).filter(|n| !n.is_empty());
        let hint = did_you_mean(text, known());
        if !hint.is_empty() {
            return node.fault(format_args!("no {kind} is named {quoted}{hint}"));
        }
        let list: Vec<String> = known().map(|name| Quoted(name).to_string()).collect();
        if list.is_empty() {
            node.fault(format_args!("no {kind} is named {quoted}; the file defines none"));
        } else {
            let list = list.join(", ");
            node.fault(format_args!("no {kind} is named {quoted}; there are {list}"));
        }
    }
}
