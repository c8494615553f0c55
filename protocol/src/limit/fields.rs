//! Header fields that tell a caller where it stands.
//!
//! `RateLimit-Policy` and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers-10: structured
//! lists (RFC 9651) with one item for each policy. The draft still moves; nothing outside this
//! file knows its syntax. The `X-RateLimit-*` fields follow common practice and can tell of one
//! policy only: the most restrictive.
//!
//! Nothing allocates while answers are written but `out` when it must grow.

/// What a limit counts, by its name in the draft's registry of quota units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unit {
    #[default]
    Requests,
    ContentBytes,
    ConcurrentRequests,
}

/// What is said of a limit whoever asks, laid out once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// A separator and the item of `RateLimit-Policy`.
    item: Box<[u8]>,
    /// A separator and the item of `RateLimit`, up to the number of `r`.
    remaining: Box<[u8]>,
    /// `X-RateLimit-Limit`, and `X-RateLimit-Remaining` up to its number.
    lines: Box<[u8]>,
    quota: u64,
    unit: Unit,
}

/// Where a caller stands with one limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing<'a> {
    pub policy: &'a Policy,
    pub remaining: u64,
    /// Until the whole quota is back. For concurrent requests nobody knows, and nothing is said.
    pub reset_ns: u64,
}

impl Policy {
    /// The limit `name` allows `quota` units in a window; `window_s` is `None` where there is no
    /// window, or none of a fixed length. Characters of the name that a structured string cannot
    /// hold are written as `?`.
    pub fn new(name: &str, quota: u64, unit: Unit, window_s: Option<u64>) -> Self {
        let mut quoted = SEPARATOR.to_vec();
        write_string(&mut quoted, name);
        let mut item = quoted.clone();
        write_parameter(&mut item, b";q=", quota);
        item.extend_from_slice(unit.parameter());
        if let Some(window_s) = window_s {
            write_parameter(&mut item, b";w=", window_s);
        }
        let mut lines = Vec::new();
        write_number(&mut lines, b"X-RateLimit-Limit: ", quota);
        lines.extend_from_slice(b"X-RateLimit-Remaining: ");
        let remaining = [&quoted[..], b";r="].concat();
        Self { item: item.into(), remaining: remaining.into(), lines: lines.into(), quota, unit }
    }

    /// The item of `RateLimit-Policy`.
    pub fn item(&self) -> &[u8] {
        &self.item[SEPARATOR.len()..]
    }
}

/// Between items of a list (RFC 9651 section 4.1.1).
const SEPARATOR: &[u8] = b", ";

/// Writes `RateLimit-Policy`, `RateLimit` and the three `X-RateLimit-*` fields, each a line that
/// ends in CRLF; nothing when there are no standings. `X-RateLimit-Reset` is in seconds from now,
/// rounded up (some servers send a Unix time there).
pub fn write_fields(out: &mut Vec<u8>, standings: &[Standing<'_>]) {
    let Some(tightest) = most_restrictive(standings) else {
        return;
    };
    let begin = out.len();
    out.resize(begin + bytes_max(standings, tightest), 0);
    let mut rest = Rest { place: &mut out[begin..], end: begin };
    rest.put(b"RateLimit-Policy: ");
    let mut from = SEPARATOR.len();
    for standing in standings {
        rest.put(&standing.policy.item[from..]);
        from = 0;
    }
    rest.put(b"\r\nRateLimit: ");
    from = SEPARATOR.len();
    for standing in standings {
        rest.put(&standing.policy.remaining[from..]);
        from = 0;
        rest.put_number(standing.remaining);
        if standing.policy.unit != Unit::ConcurrentRequests {
            rest.put(b";t=");
            rest.put_number(seconds_up(standing.reset_ns));
        }
    }
    rest.put(b"\r\n");
    rest.put(&tightest.policy.lines);
    rest.put_number(tightest.remaining);
    rest.put(b"\r\nX-RateLimit-Reset: ");
    rest.put_number(seconds_up(tightest.reset_ns));
    rest.put(b"\r\n");
    let end = rest.end;
    out.truncate(end);
}

/// What the fields take at most.
fn bytes_max(standings: &[Standing<'_>], tightest: &Standing<'_>) -> usize {
    // For each standing `;t=` and two numbers; for all the rest of the text.
    const EACH: usize = 3 + 2 * DIGITS_MAX;
    const ALL: usize = 64 + 2 * DIGITS_MAX;
    let texts = |policy: &Policy| policy.item.len() + policy.remaining.len();
    let each: usize = standings.iter().map(|standing| texts(standing.policy) + EACH).sum();
    each + tightest.policy.lines.len() + ALL
}

/// Room that is written from its beginning. Each write is a check and a copy; a vector that may
/// grow costs several times as much for so small pieces.
struct Rest<'a> {
    place: &'a mut [u8],
    /// Where the next byte stands in the whole output.
    end: usize,
}

impl Rest<'_> {
    /// What there is no room for is left out.
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Some((to, rest)) = std::mem::take(&mut self.place).split_at_mut_checked(bytes.len())
        {
            to.copy_from_slice(bytes);
            self.place = rest;
            self.end += bytes.len();
        }
    }

    #[inline]
    fn put_number(&mut self, value: u64) {
        let mut left = value.min(INTEGER_MAX);
        let mut digits = 1;
        let mut power = 10;
        while left >= power {
            digits += 1;
            power *= 10;
        }
        if let Some((to, rest)) = std::mem::take(&mut self.place).split_at_mut_checked(digits) {
            for digit in to.iter_mut().rev() {
                *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
                left /= 10;
            }
            self.place = rest;
            self.end += digits;
        }
    }
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
        let policy = standing.policy;
        let left = (standing.remaining > 0, policy.unit != Unit::Requests, standing.remaining);
        (left, std::cmp::Reverse(standing.reset_ns), policy.quota)
    })
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
const DIGITS_MAX: usize = 15;

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
