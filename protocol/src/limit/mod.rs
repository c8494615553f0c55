//! Rate limits as arithmetic: what a counter's word means, and how an answer tells the caller.
//!
//! Invariants:
//! - no clock: every function is given the time, in nanoseconds since a base of the caller's;
//! - integers only: a decision and the moment at which it changes agree to the nanosecond.

pub mod fields;
pub mod meter;
pub mod window;
