//! The small languages inside a scenario's strings: durations and rates.

use std::time::Duration;

use serde::Deserialize;

/// A duration such as `"250ms"`, `"5s"` or `"2m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// So many requests in a window, such as `"20/1s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Quota {
    pub count: u32,
    pub window: Duration,
}

/// The longest duration of a scenario: a day.
const SPAN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

fn parse_span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let span = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(scale)?);
    (span <= SPAN_MAX).then_some(span)
}

fn parse_quota(text: &str) -> Option<Quota> {
    let (count, window) = text.split_once('/')?;
    let window = parse_span(window).filter(|window| !window.is_zero())?;
    Some(Quota { count: count.parse().ok()?, window })
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_span(&text).map(Self).ok_or_else(|| {
            format!("{text:?} is not a duration up to 24h; write one such as \"250ms\" or \"5s\"")
        })
    }
}

impl TryFrom<String> for Quota {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_quota(&text)
            .ok_or_else(|| format!("{text:?} is not a rate; write one such as \"20/1s\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [("0s", 0), ("250ms", 250), ("5s", 5_000), ("2m", 120_000)] {
            assert_eq!(parse_span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "5 s", "1.5s", "25h", "99999999999999999999s"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }

    #[test]
    fn rates() {
        let expected = Quota { count: 20, window: Duration::from_secs(1) };
        assert_eq!(parse_quota("20/1s"), Some(expected));
        for text in ["20", "20/", "/1s", "20/0s", "x/1s", "-1/1s"] {
            assert_eq!(parse_quota(text), None, "{text}");
        }
    }
}
