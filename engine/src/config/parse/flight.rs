//! `flight` in `[engine]`.

use std::ops::RangeInclusive;

use super::super::node::Node;

/// Of the flight recorder's file, when there is one.
const FLIGHT: RangeInclusive<u64> = 1 << 20..=64 << 30;

/// `0` is off.
pub(super) fn flight(node: &Node<'_>) -> Option<u64> {
    if !node.is_integer() {
        return node.size(&FLIGHT);
    }
    let bytes = node.integer(&(0..=*FLIGHT.end()))?;
    if bytes == 0 || FLIGHT.contains(&bytes) {
        return Some(bytes);
    }
    node.fault("must be 0 or a size such as \"16MiB\", from 1MiB to 64GiB");
    None
}
