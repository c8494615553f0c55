//! The small languages inside strings: durations, sizes, rates, addresses, hosts, path patterns.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;

use super::fault::Quoted;
use super::network::NetworkError;
use super::{PathPattern, Rate};

mod amount;

pub(super) use amount::{amount, byte_rate, quota};

/// The highest count that fits the sliding window's 20 bits below its sealed value.
pub(super) const RATE_COUNT_MAX: u32 = (1 << 20) - 2;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest duration anywhere: beyond it, nanoseconds in arithmetic come near their bounds.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(366 * DAY.as_secs());
const RATE_WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=DURATION_MAX;
const NAME_CHARACTERS_MAX: usize = 64;

/// Why a string is not what its key asks for, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ScalarError {
    #[error(
        "{} is not a duration; write a whole number and a unit, such as \"250ms\", \"10s\", \
         \"5m\", \"1h\" or \"7d\"", Quoted(.0)
    )]
    Duration(String),
    #[error("must be between {} and {}, not {}", Span(.low), Span(.high), Quoted(.text))]
    DurationRange { text: String, low: Duration, high: Duration },
    #[error(
        "{} is not a size; write bytes as a whole number, or with a unit, such as \"16KiB\", \
         \"1MiB\" or \"1GiB\"", Quoted(.0)
    )]
    Size(String),
    #[error("must be between {low} and {high} bytes, not {}", Quoted(.text))]
    SizeRange { text: String, low: u64, high: u64 },
    #[error(
        "{} is not a rate; write a count and a window, such as \"5/1m\", \"100/s\" or \
         \"20/30s\"", Quoted(.0)
    )]
    Rate(String),
    #[error("the count of {} must be between 1 and {RATE_COUNT_MAX}", Quoted(.0))]
    RateCount(String),
    #[error("the window of {} must be between 1s and 366d", Quoted(.0))]
    RateWindow(String),
    #[error(
        "{} is not a byte rate; write bytes and a window, such as \"10MB/1s\" or \"512KiB/s\"",
        Quoted(.0)
    )]
    ByteRate(String),
    #[error(
        "{} is not a quota; write a count or bytes and \"day\" or \"month\", such as \
         \"10000/day\" or \"5GiB/month\"", Quoted(.0)
    )]
    Quota(String),
    #[error(
        "{} is not an address; write an IP address and a port, such as \"127.0.0.1:8080\" or \
         \"[::1]:8080\" (host names are not available yet in this version)", Quoted(.0)
    )]
    Address(String),
    #[error("{} needs a port from 1 to 65535", Quoted(.0))]
    AddressPort(String),
    #[error("{} must start with \"/\", such as \"/api/*\" or \"/health\"", Quoted(.0))]
    PathStart(String),
    #[error(
        "{} may hold \"*\" only as its end, \"/*\", such as \"/api/*\"", Quoted(.0)
    )]
    PathStar(String),
    #[error(
        "{} holds {:?}, which no request's path does; percent-encode it or leave it out",
        Quoted(.text), .character
    )]
    PathCharacter { text: String, character: char },
    #[error("{} must be without a port; routes choose the port by \"listener\"", Quoted(.0))]
    HostPort(String),
    #[error(
        "{}: wildcard hosts are not available yet in this version; write one route for each host",
        Quoted(.0)
    )]
    HostWildcard(String),
    #[error("{} is not a host; write a name such as \"api.example.com\"", Quoted(.0))]
    Host(String),
    #[error(
        "{} is not a name; use 1 to {NAME_CHARACTERS_MAX} letters, digits, \"-\", \"_\" or \".\"",
        Quoted(.0)
    )]
    Name(String),
    #[error(
        "{} is not a user; use 1 to {NAME_CHARACTERS_MAX} visible ASCII characters, no spaces",
        Quoted(.0)
    )]
    User(String),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("{} is not {right}", Quoted(.text))]
    Not { text: String, right: &'static str },
    /// Without the text, which may be a secret.
    #[error("must be {0}")]
    Unquoted(&'static str),
}

/// Shows a duration as the file would write it.
pub(super) struct Span<'a>(pub(super) &'a Duration);

impl std::fmt::Display for Span<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.subsec_millis());
        match (seconds, milliseconds) {
            (0, 1..) => write!(f, "{milliseconds}ms"),
            (86_400.., 0) if seconds.is_multiple_of(86_400) => write!(f, "{}d", seconds / 86_400),
            (60.., 0) if seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            _ => write!(f, "{seconds}s"),
        }
    }
}

/// `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"7d"`: whole numbers only.
pub(super) fn duration(text: &str) -> Result<Duration, ScalarError> {
    let wrong = || ScalarError::Duration(text.to_owned());
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let milliseconds = number.checked_mul(duration_unit_ms(unit).ok_or_else(wrong)?);
    let duration = Duration::from_millis(milliseconds.unwrap_or(u64::MAX));
    if duration > DURATION_MAX {
        let text = text.to_owned();
        return Err(ScalarError::DurationRange { text, low: Duration::ZERO, high: DURATION_MAX });
    }
    Ok(duration)
}

fn duration_unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    }
}

pub(super) fn duration_within(
    text: &str,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, ScalarError> {
    let out = || ScalarError::DurationRange {
        text: text.to_owned(),
        low: *range.start(),
        high: *range.end(),
    };
    match duration(text) {
        Ok(duration) if range.contains(&duration) => Ok(duration),
        Ok(_) | Err(ScalarError::DurationRange { .. }) => Err(out()),
        Err(error) => Err(error),
    }
}

/// Digits without sign and what follows them; a number too large saturates.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return None;
    }
    Some((number.parse().unwrap_or(u64::MAX), unit))
}

/// `"16KiB"`, `"1MiB"`, `"1GiB"`, `"512B"`; binary units only, so that `KB` is not a guess.
pub(super) fn size_within(text: &str, range: &RangeInclusive<u64>) -> Result<u64, ScalarError> {
    let wrong = || ScalarError::Size(text.to_owned());
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let factor = match unit {
        "B" | "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1_u64 << 40,
        _ => return Err(wrong()),
    };
    let bytes = number.saturating_mul(factor);
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    let (low, high) = (*range.start(), *range.end());
    Err(ScalarError::SizeRange { text: text.to_owned(), low, high })
}

/// `"5/1m"`, `"20/30s"`, or `"100/s"` for a window of one unit.
pub(super) fn rate(text: &str) -> Result<Rate, ScalarError> {
    let wrong = || ScalarError::Rate(text.to_owned());
    let (count, window) = text.split_once('/').ok_or_else(wrong)?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let window = rate_window(window).ok_or_else(wrong)?;
    let count: u32 = count.parse().unwrap_or(u32::MAX);
    if !(1..=RATE_COUNT_MAX).contains(&count) {
        return Err(ScalarError::RateCount(text.to_owned()));
    }
    if !RATE_WINDOW.contains(&window) {
        return Err(ScalarError::RateWindow(text.to_owned()));
    }
    Ok(Rate { count, window })
}

/// What stands behind the `/` of a rate: a duration, or a unit for one of it. Beyond the longest
/// duration it is just that, and out of range.
fn rate_window(text: &str) -> Option<Duration> {
    if let Some(milliseconds) = duration_unit_ms(text) {
        return Some(Duration::from_millis(milliseconds));
    }
    match duration(text) {
        Ok(window) => Some(window),
        Err(ScalarError::DurationRange { .. }) => Some(Duration::MAX),
        Err(_) => None,
    }
}

/// Where a listener binds; port 0 asks the system for one.
pub(super) fn address(text: &str) -> Result<SocketAddr, ScalarError> {
    text.parse().map_err(|_| ScalarError::Address(text.to_owned()))
}

/// Where a backend listens.
pub(super) fn backend_address(text: &str) -> Result<SocketAddr, ScalarError> {
    let address = address(text)?;
    if address.port() == 0 {
        return Err(ScalarError::AddressPort(text.to_owned()));
    }
    Ok(address)
}

/// `/health` or `/api/*`; the characters that RFC 3986 section 3.3 allows in a path.
pub(super) fn path_pattern(text: &str) -> Result<PathPattern, ScalarError> {
    let (path, prefix) = match text.strip_suffix("/*") {
        Some(parent) => (parent, true),
        None => (text, false),
    };
    if !text.starts_with('/') {
        return Err(ScalarError::PathStart(text.to_owned()));
    }
    if path.contains('*') {
        return Err(ScalarError::PathStar(text.to_owned()));
    }
    path_characters(path)?;
    Ok(match prefix {
        true => PathPattern::Prefix(format!("{path}/")),
        false => PathPattern::Exact(path.to_owned()),
    })
}

/// The target of a health check: a path, with a query if need be.
pub(super) fn health_path(text: &str) -> Result<String, ScalarError> {
    if !text.starts_with('/') {
        return Err(ScalarError::PathStart(text.to_owned()));
    }
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    path_characters(path)?;
    path_characters(&query.replace('?', ""))?;
    Ok(text.to_owned())
}

fn path_characters(text: &str) -> Result<(), ScalarError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@%".contains(c);
    match text.chars().find(|c| !allowed(*c)) {
        Some(character) => Err(ScalarError::PathCharacter { text: text.to_owned(), character }),
        None => Ok(()),
    }
}

/// A host as it is compared: lower case, without port.
pub(super) fn host(text: &str) -> Result<String, ScalarError> {
    let wrong = || ScalarError::Host(text.to_owned());
    if text.contains('*') {
        return Err(ScalarError::HostWildcard(text.to_owned()));
    }
    if let Some(literal) = text.strip_prefix('[') {
        let (inside, after) = literal.split_once(']').ok_or_else(wrong)?;
        let address: Ipv6Addr = inside.parse().map_err(|_| wrong())?;
        return match after {
            "" => Ok(format!("[{address}]")),
            _ => Err(ScalarError::HostPort(text.to_owned())),
        };
    }
    if let Some((name, _)) = text.split_once(':') {
        let is_ipv6 = text.parse::<IpAddr>().is_ok();
        return Err(if is_ipv6 || name.is_empty() {
            wrong()
        } else {
            ScalarError::HostPort(text.to_owned())
        });
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(wrong());
    }
    Ok(text.to_ascii_lowercase())
}

/// A name of something in the file; such names appear in fields, metrics and logs as they are.
pub(super) fn name(text: &str) -> Result<String, ScalarError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=NAME_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(ScalarError::Name(text.to_owned()))
}

/// Who a key belongs to; sent to backends in a header field.
pub(super) fn user(text: &str) -> Result<String, ScalarError> {
    if (1..=NAME_CHARACTERS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Ok(text.to_owned());
    }
    Err(ScalarError::User(text.to_owned()))
}
