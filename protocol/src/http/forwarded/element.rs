//! One element of `Forwarded`: RFC 7239 section 4.

use super::super::fields::{is_token_byte, is_value_byte};
use super::chain::{ChainField, FromTheRight};

/// A well-formed element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'v> {
    /// The node of `for`, without quotes. Escapes in it are left as they are: no address has one.
    pub(super) from: Option<&'v [u8]>,
    pub(super) proto: Option<&'v [u8]>,
}

/// Whether `value` is a well-formed `Forwarded`, which no reader can take for another one.
#[must_use]
pub fn is_forwarded(value: &[u8]) -> bool {
    FromTheRight::new(value, ChainField::Forwarded)
        .all(|element| element.is_empty() || read_element(element).is_some())
}

/// `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`, with white space around pairs, which some
/// write. `None` when it is malformed, or has one of ours twice.
pub(super) fn read_element(element: &[u8]) -> Option<Element<'_>> {
    let mut found = Element { from: None, proto: None };
    let mut rest = element;
    loop {
        rest = skip_ows(rest);
        if let [b';', after @ ..] = rest {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            return Some(found);
        }
        let (name, value, after) = read_pair(rest)?;
        let before = if name.eq_ignore_ascii_case(b"for") {
            found.from.replace(value)
        } else if name.eq_ignore_ascii_case(b"proto") {
            found.proto.replace(value)
        } else {
            None
        };
        if before.is_some() {
            return None;
        }
        rest = match skip_ows(after) {
            [] => &[],
            [b';', after @ ..] => after,
            _ => return None,
        };
    }
}

/// `forwarded-pair = token "=" ( token / quoted-string )`: its name, its value and what follows.
fn read_pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = read_token(text)?;
    let rest = rest.strip_prefix(b"=")?;
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(inside) => read_quoted(inside)?,
        None => read_token(rest)?,
    };
    Some((name, value, rest))
}

fn read_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// RFC 9110 section 5.6.4, from behind the opening quote.
fn read_quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' if text.get(at + 1).is_some_and(|byte| is_value_byte(*byte)) => at += 2,
            b'\\' => return None,
            byte if is_value_byte(byte) => at += 1,
            _ => return None,
        }
    }
}

/// RFC 9110 section 5.6.3.
fn skip_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}
