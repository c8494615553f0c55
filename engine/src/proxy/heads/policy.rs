//! Fields of heads on routes that change them.

use weir_protocol::http::{Field, FieldId, list_elements};

use super::write_field;
use crate::config::FieldEdits;

/// What a route does to the answers of its backends.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct ResponsePolicy<'a> {
    pub(in crate::proxy) edits: &'a FieldEdits,
    /// The gateway's own `Access-Control-*` lines, in place of the backend's.
    pub(in crate::proxy) cors: Option<&'a [u8]>,
    /// Whether the answer depends on the page that asks.
    pub(in crate::proxy) vary_origin: bool,
}

impl ResponsePolicy<'_> {
    /// Appends those of `fields` that stay, then what is added. `fields` are those that are
    /// forwarded anyway.
    pub(super) fn write<'f>(&self, out: &mut Vec<u8>, fields: impl Iterator<Item = &'f Field<'f>>) {
        let mut varies = !self.vary_origin;
        for field in fields {
            let replaced = self.cors.is_some() && is_cors_field(field.name);
            if replaced || self.edits.drops(field.name) {
                continue;
            }
            if field.id == FieldId::Vary && !varies {
                varies = true;
                write_vary(out, field);
                continue;
            }
            write_field(out, field.name, field.value);
        }
        out.extend_from_slice(self.edits.lines.as_bytes());
        out.extend_from_slice(self.cors.unwrap_or_default());
        if !varies {
            write_field(out, "Vary", b"Origin");
        }
    }
}

fn is_cors_field(name: &str) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.as_bytes().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// RFC 9110 section 12.5.5: the backend's `Vary`, and `Origin` with it.
fn write_vary(out: &mut Vec<u8>, field: &Field<'_>) {
    let covers = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"origin");
    if field.value.is_empty() {
        return write_field(out, field.name, b"Origin");
    }
    if list_elements(field.value).any(covers) {
        return write_field(out, field.name, field.value);
    }
    write_field(out, field.name, &[field.value, b", Origin"].concat());
}
