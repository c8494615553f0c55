//! W3C Trace Context: what a participant that records no spans must check before it passes
//! `traceparent` and `tracestate` on (level 1, section 3; a higher version is read as section 3.2
//! says).

use super::fields::trim_ows;
use super::request_id::hex;

/// `00-<trace-id>-<parent-id>-<flags>`.
const LENGTH: usize = 55;

/// Section 3.3.1.1.
const MEMBERS_MAX: usize = 32;

/// Section 3.3.1.3: keys and values have at most so many characters each.
const CHARACTERS_MAX: usize = 256;

/// Whether `value` is a `traceparent` (section 3.2). One of a higher version may go on behind its
/// flags; version `ff` is none.
#[must_use]
pub fn is_traceparent(value: &[u8]) -> bool {
    let Some((known, more)) = value.split_at_checked(LENGTH) else { return false };
    let parts = [&known[..2], &known[3..35], &known[36..52], &known[53..]];
    let version = parts[0];
    let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let hexadecimal = parts.iter().all(|part| part.iter().all(|byte| is_hex(*byte)));
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let ends = more.is_empty() || (version != b"00" && more.starts_with(b"-"));
    dashes && hexadecimal && ends && version != b"ff" && !zero(parts[1]) && !zero(parts[2])
}

/// Section 3.2.2: in lower case.
const fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Whether `values`, of all the `tracestate` fields of a head in their order, are well-formed
/// members, no more of them than may be (section 3.3.1).
pub fn is_tracestate<'v>(values: impl Iterator<Item = &'v [u8]>) -> bool {
    let mut members = 0;
    for member in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let member = trim_ows(member);
        if member.is_empty() {
            continue;
        }
        members += 1;
        if members > MEMBERS_MAX || !is_member(member) {
            return false;
        }
    }
    members > 0
}

/// `key "=" value`. Of keys what either level allows.
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = memchr::memchr(b'=', member) else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let starts = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let goes_on = |byte: &u8| starts(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@');
    let printable = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    let lengths = 1..=CHARACTERS_MAX;
    lengths.contains(&key.len())
        && lengths.contains(&value.len())
        && key.first().is_some_and(starts)
        && key.iter().all(goes_on)
        && value.iter().all(printable)
}

/// Appends `traceparent` of a new trace that nobody has sampled yet. `random` are any 24 bytes.
pub fn append_traceparent(out: &mut Vec<u8>, random: &[u8; 24]) {
    let word = |at: usize| {
        let bytes = random.iter().skip(at).take(8);
        bytes.fold(0, |word: u64, byte| word << 8 | u64::from(*byte))
    };
    out.extend_from_slice(b"traceparent: 00-");
    // Section 3.2.2.3: zeros are no identifier. One bit of 128 and of 64 is a small price.
    out.extend_from_slice(&hex(word(0)));
    out.extend_from_slice(&hex(word(8) | 1));
    out.push(b'-');
    out.extend_from_slice(&hex(word(16) | 1));
    out.extend_from_slice(b"-00\r\n");
}

/// Appends the fields as one, which a reader takes for the same list.
pub fn append_tracestate<'v>(out: &mut Vec<u8>, values: impl Iterator<Item = &'v [u8]>) {
    out.extend_from_slice(b"tracestate: ");
    for (index, value) in values.filter(|value| !value.is_empty()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
