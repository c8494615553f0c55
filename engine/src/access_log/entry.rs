//! One request as one line.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::escape::{escape, escape_text};
use super::mask::write_masked;
use crate::runtime::UnixNanos;

/// What is logged of one request. Byte fields come from the client and may hold anything.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When the request's first byte arrived: when the answer ended is this and the duration.
    pub timestamp: UnixNanos,
    pub client: IpAddr,
    pub method: &'a [u8],
    /// Without query. Here and there, values of parameters that carry credentials are masked when
    /// written.
    pub path: &'a [u8],
    /// Behind the `?`.
    pub query: Option<&'a [u8]>,
    /// The authority that was asked for, port included when given.
    pub host: Option<&'a [u8]>,
    /// `1.0`, `1.1`.
    pub http_version: &'a str,
    pub status: u16,
    /// Head and body as received.
    pub bytes_in: u64,
    /// Head and body as sent.
    pub bytes_out: u64,
    /// From the request's first byte to the answer's last.
    pub duration: Duration,
    /// Name of the upstream, and the backend that answered.
    pub upstream: Option<&'a str>,
    pub backend: Option<&'a str>,
    pub user: Option<&'a str>,
    pub tier: Option<&'a str>,
    /// Name of the API key, never the key.
    pub key_name: Option<&'a str>,
    /// Of the client's certificate: the common name, if it has one, and the SHA-256.
    pub certificate: Option<(Option<&'a str>, &'a str)>,
    /// What admission decided: `admitted`, `limited`, `banned`...
    pub decision: &'a str,
    /// Name of the limit that decided.
    pub limit: Option<&'a str>,
    /// Name of a limit in dry run that would have refused.
    pub would_refuse: Option<&'a str>,
    /// The client's `X-Request-Id`, or the one that was made.
    pub request_id: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub shard: usize,
}

impl Entry<'_> {
    /// An entry that says nothing yet.
    pub const fn empty() -> Self {
        Self {
            timestamp: UnixNanos(0),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            method: b"",
            path: b"",
            query: None,
            host: None,
            http_version: "",
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            upstream: None,
            backend: None,
            user: None,
            tier: None,
            key_name: None,
            certificate: None,
            decision: "",
            limit: None,
            would_refuse: None,
            request_id: None,
            user_agent: None,
            shard: 0,
        }
    }
}

/// Appends `entry` to `out` as one line of JSON with its newline. Allocates only when `out` has to
/// grow.
pub fn write_line(entry: &Entry<'_>, out: &mut Vec<u8>) {
    write_start(entry.timestamp, out);
    write_story(entry, out);
    write_end(entry.bytes_in, entry.bytes_out, entry.duration, out);
}

/// The line of something that goes on long after its head is forgotten: all that is known already,
/// kept until the rest is.
pub struct OpenLine(Box<[u8]>);

impl OpenLine {
    /// Timestamp, bytes and duration of `entry` do not matter.
    pub fn new(entry: &Entry<'_>) -> Self {
        let mut story = Vec::new();
        write_story(entry, &mut story);
        Self(story.into_boxed_slice())
    }

    /// Appends the line, of which the rest is known now.
    pub fn write(
        &self,
        timestamp: UnixNanos,
        bytes_in: u64,
        bytes_out: u64,
        duration: Duration,
        out: &mut Vec<u8>,
    ) {
        write_start(timestamp, out);
        out.extend_from_slice(&self.0);
        write_end(bytes_in, bytes_out, duration, out);
    }
}

fn write_start(timestamp: UnixNanos, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"@timestamp\":\"");
    write_timestamp(timestamp, out);
    out.extend_from_slice(b"\",\"ecs.version\":\"8.11\"");
}

fn write_story(entry: &Entry<'_>, out: &mut Vec<u8>) {
    write_request(entry, out);
    write_answer(entry, out);
    write_decision(entry, out);
}

/// What is known last.
fn write_end(bytes_in: u64, bytes_out: u64, duration: Duration, out: &mut Vec<u8>) {
    number("http.request.bytes", bytes_in, out);
    number("http.response.bytes", bytes_out, out);
    let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    number("event.duration", duration_ns, out);
    out.extend_from_slice(b"}\n");
}

fn write_request(entry: &Entry<'_>, out: &mut Vec<u8>) {
    name("client.ip", out);
    write_quoted(entry.client.to_canonical(), out);
    if let Some(id) = entry.request_id {
        bytes("http.request.id", id, out);
    }
    bytes("http.request.method", entry.method, out);
    text("http.version", entry.http_version, out);
    if let Some(host) = entry.host {
        bytes("url.domain", host, out);
    }
    masked("url.path", entry.path, out);
    if let Some(query) = entry.query {
        masked("url.query", query, out);
    }
    if let Some(agent) = entry.user_agent {
        bytes("user_agent.original", agent, out);
    }
}

fn write_answer(entry: &Entry<'_>, out: &mut Vec<u8>) {
    number("http.response.status_code", entry.status, out);
    optional("weir.upstream", entry.upstream, out);
    optional("destination.address", entry.backend, out);
}

fn write_decision(entry: &Entry<'_>, out: &mut Vec<u8>) {
    optional("user.name", entry.user, out);
    optional("weir.tier", entry.tier, out);
    optional("weir.key", entry.key_name, out);
    if let Some((subject, fingerprint)) = entry.certificate {
        optional("tls.client.x509.subject.common_name", subject, out);
        text("tls.client.hash.sha256", fingerprint, out);
    }
    text("weir.decision", entry.decision, out);
    optional("weir.limit", entry.limit, out);
    optional("weir.would_refuse", entry.would_refuse, out);
    number("weir.shard", entry.shard, out);
}

fn name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn bytes(field: &str, value: &[u8], out: &mut Vec<u8>) {
    name(field, out);
    out.push(b'"');
    escape(value, out);
    out.push(b'"');
}

fn masked(field: &str, value: &[u8], out: &mut Vec<u8>) {
    name(field, out);
    out.push(b'"');
    write_masked(value, out);
    out.push(b'"');
}

fn text(field: &str, value: &str, out: &mut Vec<u8>) {
    name(field, out);
    out.push(b'"');
    escape_text(value, out);
    out.push(b'"');
}

fn optional(field: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        text(field, value, out);
    }
}

fn number(field: &str, value: impl itoa::Integer, out: &mut Vec<u8>) {
    name(field, out);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// For addresses, which have no character that JSON escapes.
fn write_quoted(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "\"{value}\"").expect("a Vec takes every write");
}

/// `2026-01-31T23:59:59.123Z`: RFC 3339 in UTC with milliseconds.
fn write_timestamp(time: UnixNanos, out: &mut Vec<u8>) {
    let (seconds, millis) = (time.as_secs(), time.0 / 1_000_000 % 1000);
    let (year, month, day) = civil_date(seconds / 86_400);
    for (value, digits, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (seconds / 3600 % 24, 2, b':'),
        (seconds / 60 % 60, 2, b':'),
        (seconds % 60, 2, b'.'),
        (millis, 3, b'Z'),
    ] {
        write_padded(value, digits, out);
        out.push(end);
    }
}

fn write_padded(value: u64, digits: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value);
    out.extend(std::iter::repeat_n(b'0', digits.saturating_sub(text.len())));
    out.extend_from_slice(text.as_bytes());
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01. Counts in
/// years that begin in March, so that the leap day is the last of its year, and in eras of 400
/// years, which all have the same length (the method of H. Hinnant's "chrono-compatible low-level
/// date algorithms").
fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_MARCH_0000: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_TO_MARCH_0000;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(seconds: u64, nanos: u64) -> String {
        let mut out = Vec::new();
        write_timestamp(UnixNanos(seconds * 1_000_000_000 + nanos), &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn timestamps_of_known_moments() {
        assert_eq!(timestamp(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_399, 999_999_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(timestamp(951_782_400, 1_000_000), "2000-02-29T00:00:00.001Z");
        assert_eq!(timestamp(1_700_000_000, 45_678_901), "2023-11-14T22:13:20.045Z");
        assert_eq!(timestamp(4_107_542_399, 0), "2100-02-28T23:59:59.000Z");
        assert_eq!(timestamp(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    /// Walks the calendar day by day with the rule of leap years, which the formula must follow.
    #[test]
    fn dates_follow_the_calendar() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(civil_date(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (month, day) = if day == length { (month + 1, 1) } else { (month, day + 1) };
            (year, month) = if month == 13 { (year + 1, 1) } else { (year, month) };
        }
    }
}
