//! Paths as backends get them, where the configuration asks for more than dot segments removed.
//!
//! Invariant: whatever is done here, the path that goes out normalises to what it would have
//! without it, or to the new prefix and the rest that rules have judged.

use super::PathError;
use super::path::{hex, hides_dots, is_normal, remove_segments};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The path in its one spelling: unreserved characters decoded, other percent-encoding in upper
/// case (RFC 3986 sections 6.2.2.1 and 6.2.2.2), what no path may hold encoded (`\` for one), empty
/// and dot segments removed. Encoded slashes stay encoded. The result is built in `scratch` if
/// anything is to be done; a target that is no path (`*`) comes back as it is.
///
/// # Errors
/// [`PathError`], as [`super::normalise_path`] and [`super::forwarded_path`] have them.
pub fn normalised_path<'a>(
    written: &'a str,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], PathError> {
    let bytes = written.as_bytes();
    if (is_normal(bytes) && is_legal_path(bytes)) || bytes.first() != Some(&b'/') {
        return Ok(bytes);
    }
    if hides_dots(bytes) {
        return Err(PathError::HiddenDots);
    }
    scratch.clear();
    spell(bytes, scratch)?;
    remove_segments(scratch);
    Ok(scratch)
}

fn spell(mut path: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    while let Some((byte, rest)) = next_byte(path)? {
        let encoded = path[0] == b'%';
        if if encoded { is_unreserved(byte) } else { is_legal(byte) } {
            out.push(byte);
        } else {
            encode(byte, out);
        }
        path = rest;
    }
    Ok(())
}

/// The first byte of `path`, decoded, and what follows it.
fn next_byte(path: &[u8]) -> Result<Option<(u8, &[u8])>, PathError> {
    match path {
        [] => Ok(None),
        [b'%', rest @ ..] => match (hex(rest.first()), hex(rest.get(1))) {
            (Some(high), Some(low)) => Ok(Some((high << 4 | low, &rest[2..]))),
            _ => Err(PathError::Encoding),
        },
        [byte, rest @ ..] => Ok(Some((*byte, rest))),
    }
}

fn encode(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3: `pchar` without percent-encoding, and the slash.
const fn is_legal(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';')
        || matches!(byte, b'=' | b':' | b'@' | b'/')
}

/// Whether RFC 3986 section 3.3 allows every byte of `path`, which has no percent-encoding.
#[must_use]
pub fn is_legal_path(path: &[u8]) -> bool {
    path.iter().copied().all(is_legal)
}

/// Appends `text`, a path or a query as a client wrote it, with what neither may hold encoded.
/// Percent signs stay as they are.
pub(super) fn append_legal(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if is_legal(byte) || matches!(byte, b'%' | b'?') {
            out.push(byte);
        } else {
            encode(byte, out);
        }
    }
}

/// What of a path lies below a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathTail<'p> {
    /// Nothing, not even a slash.
    Nothing,
    /// As it is written, from behind the slashes that part it from the prefix.
    Below(&'p [u8]),
}

/// Finds in `path`, in whatever spelling but without dot segments, where `prefix` ends: a
/// normalised path with a slash at its end. `None` when the path does not lie there.
#[must_use]
pub fn path_below<'p>(path: &'p [u8], prefix: &str) -> Option<PathTail<'p>> {
    let prefix = prefix.strip_suffix('/')?.as_bytes();
    let mut rest = path;
    let mut matched = 0;
    let mut behind_slash = false;
    while matched < prefix.len() {
        let (byte, after) = next_byte(rest).ok()??;
        rest = after;
        if byte == b'/' && behind_slash {
            continue;
        }
        if byte != prefix[matched] {
            return None;
        }
        behind_slash = byte == b'/';
        matched += 1;
    }
    let from = rest.len();
    while let Some((b'/', after)) = next_byte(rest).ok()? {
        rest = after;
    }
    match (rest.len() < from, rest) {
        (true, rest) => Some(PathTail::Below(rest)),
        (false, []) => Some(PathTail::Nothing),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests;
