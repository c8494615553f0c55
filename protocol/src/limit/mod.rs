//! Rate limits as arithmetic: what a counter's word means, and how an answer tells the caller.
//!
//! Invariants:
//! - no clock: every function is given the time, in nanoseconds since a base of the caller's;
//! - integers only: a decision and the moment at which it changes agree to the nanosecond.

pub mod ban;
pub mod bucket;
pub mod fields;
pub mod in_flight;
pub mod meter;
pub mod quota;
mod shape;
pub mod strict;
pub mod window;

#[cfg(test)]
mod measured;
