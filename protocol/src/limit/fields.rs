//! Header fields that tell a caller where it stands.
//!
//! `RateLimit-Policy` and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers-10: structured
//! lists (RFC 9651) with one item for each policy. The draft still moves; nothing outside this
//! file knows its syntax. The `X-RateLimit-*` fields follow common practice and can tell of one
//! policy only: the most restrictive.
//!
//! Nothing here allocates but `out` when it must grow.

/// What a limit counts, by its name in the draft's registry of quota units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unit {
    #[default]
    Requests,
    ContentBytes,
    ConcurrentRequests,
}

/// Where a caller stands with one limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing<'a> {
    /// The limit's name. Characters that a structured string cannot hold are written as `?`.
    pub name: &'a str,
    /// Units in a window.
    pub quota: u64,
    pub unit: Unit,
    /// `None`: there is no window, or none of a fixed length.
    pub window_s: Option<u64>,
    pub remaining: u64,
    /// Until the whole quota is back. For concurrent requests nobody knows, and nothing is said.
    pub reset_ns: u64,
}

/// Writes `RateLimit-Policy`, `RateLimit` and the three `X-RateLimit-*` fields, each a line that
/// ends in CRLF; nothing when there are no standings. `X-RateLimit-Reset` is in seconds from now,
/// rounded up (some servers send a Unix time there).
pub fn write_fields(out: &mut Vec<u8>, standings: &[Standing<'_>]) {
    let Some(tightest) = most_restrictive(standings) else {
        return;
    };
    write_list(out, b"RateLimit-Policy: ", standings, |out, standing| {
        write_parameter(out, b";q=", standing.quota);
        out.extend_from_slice(standing.unit.parameter());
        if let Some(window_s) = standing.window_s {
            write_parameter(out, b";w=", window_s);
        }
    });
    write_list(out, b"RateLimit: ", standings, |out, standing| {
        write_parameter(out, b";r=", standing.remaining);
        if standing.unit != Unit::ConcurrentRequests {
            write_parameter(out, b";t=", seconds_up(standing.reset_ns));
        }
    });
    write_number(out, b"X-RateLimit-Limit: ", tightest.quota);
    write_number(out, b"X-RateLimit-Remaining: ", tightest.remaining);
    write_number(out, b"X-RateLimit-Reset: ", seconds_up(tightest.reset_ns));
}

/// Writes `Retry-After` (RFC 9110 section 10.2.3).
pub fn write_retry_after(out: &mut Vec<u8>, ns: u64) {
    write_number(out, b"Retry-After: ", retry_after_s(ns));
}

/// What a caller is told who may come back in `ns`: whole seconds, rounded up and at least 1. Who
/// comes back after them is not a moment too early.
pub const fn retry_after_s(ns: u64) -> u64 {
    match seconds_up(ns) {
        0 => 1,
        seconds => seconds,
    }
}

impl Unit {
    /// The policy's parameter; the unit it has without one is a request.
    const fn parameter(self) -> &'static [u8] {
        match self {
            Self::Requests => b"",
            Self::ContentBytes => b";qu=\"content-bytes\"",
            Self::ConcurrentRequests => b";qu=\"concurrent-requests\"",
        }
    }
}

/// One with nothing left, if there is one; else requests before other units, which cannot be
/// compared with them; then the one with the least left; of equals, the one that takes longest to
/// come back.
fn most_restrictive<'s, 'a>(standings: &'s [Standing<'a>]) -> Option<&'s Standing<'a>> {
    standings.iter().min_by_key(|standing| {
        let left = (standing.remaining > 0, standing.unit != Unit::Requests, standing.remaining);
        (left, std::cmp::Reverse(standing.reset_ns), standing.quota)
    })
}

/// RFC 9651 section 4.1.1: items separated by a comma and a space.
fn write_list(
    out: &mut Vec<u8>,
    name: &[u8],
    standings: &[Standing<'_>],
    parameters: impl Fn(&mut Vec<u8>, &Standing<'_>),
) {
    out.extend_from_slice(name);
    for (index, standing) in standings.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_string(out, standing.name);
        parameters(out, standing);
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 9651 section 4.1.6: quotes and backslashes are escaped; only printable ASCII may appear.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            Ok(byte @ b' '..=b'~') => out.push(byte),
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

/// RFC 9651 section 3.3.1: an integer has at most 15 digits.
const INTEGER_MAX: u64 = 999_999_999_999_999;

fn write_parameter(out: &mut Vec<u8>, prefix: &[u8], value: u64) {
    out.extend_from_slice(prefix);
    out.extend_from_slice(itoa::Buffer::new().format(value.min(INTEGER_MAX)).as_bytes());
}

fn write_number(out: &mut Vec<u8>, prefix: &[u8], value: u64) {
    write_parameter(out, prefix, value);
    out.extend_from_slice(b"\r\n");
}

const fn seconds_up(ns: u64) -> u64 {
    ns.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests;
