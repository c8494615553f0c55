//! Amounts of bytes and quotas, as limits write them.

use std::time::Duration;

use super::super::{Period, Unit};
use super::{RATE_WINDOW, ScalarError, rate_window, split_unit};

/// `"5GiB"`, `"10MB"`, `"512B"`: transfer is sold in powers of ten and measured in powers of two,
/// so both are here, each with its own letters.
pub(in super::super) fn amount(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    number.checked_mul(bytes_of(unit)?)
}

fn bytes_of(unit: &str) -> Option<u64> {
    match unit {
        "B" => Some(1),
        "kB" | "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    }
}

/// `"10MB/1s"`, `"512KiB/s"`.
pub(in super::super) fn byte_rate(text: &str) -> Result<(u64, Duration), ScalarError> {
    let wrong = || ScalarError::ByteRate(text.to_owned());
    let (bytes, window) = text.split_once('/').ok_or_else(wrong)?;
    let bytes = amount(bytes).ok_or_else(wrong)?;
    let window = rate_window(window).ok_or_else(wrong)?;
    if !RATE_WINDOW.contains(&window) {
        return Err(ScalarError::RateWindow(text.to_owned()));
    }
    Ok((bytes, window))
}

/// `"10000/day"`, `"5GiB/month"`.
pub(in super::super) fn quota(text: &str) -> Result<(u64, Unit, Period), ScalarError> {
    let wrong = || ScalarError::Quota(text.to_owned());
    let (count, period) = text.split_once('/').ok_or_else(wrong)?;
    let period = match period {
        "day" => Period::Day,
        "month" => Period::Month,
        _ => return Err(wrong()),
    };
    let (number, unit) = split_unit(count).ok_or_else(wrong)?;
    if unit.is_empty() {
        return Ok((number, Unit::Requests, period));
    }
    Ok((amount(count).ok_or_else(wrong)?, Unit::Bytes, period))
}
