//! Who is kept out whatever they ask for: addresses by the configuration's lists, and what an
//! operator has blocked.

use std::net::IpAddr;

use super::Refusal;
use crate::access::{AccessList, Blocked, Listing};
use crate::metrics::ShardMetrics;
use crate::runtime::UnixNanos;

/// Refuses an address that the list denies.
#[inline]
pub(crate) fn check_list(
    list: Option<&AccessList>,
    address: IpAddr,
    metrics: &ShardMetrics,
) -> Result<(), Refusal<'static>> {
    match list {
        Some(list) if list.find(address) == Listing::Denied => {
            metrics.access_denied.increment();
            Err(Refusal::Denied)
        }
        _ => Ok(()),
    }
}

/// Refuses whoever is blocked. One whose time is just over is so until the control plane has taken
/// the block out, and told to come back in a second.
#[inline]
pub(crate) fn check_blocked(
    blocked: Option<Blocked>,
    wall: &dyn Fn() -> UnixNanos,
    metrics: &ShardMetrics,
) -> Result<(), Refusal<'static>> {
    let Some(Blocked { until_ms }) = blocked else { return Ok(()) };
    metrics.access_blocked.increment();
    let left_ms = |until_ms: u64| until_ms.saturating_sub(wall().as_millis()).max(1_000);
    let left_ns = |until_ms| left_ms(until_ms).saturating_mul(1_000_000);
    Err(Refusal::Blocked { retry_after_ns: until_ms.map(left_ns) })
}
