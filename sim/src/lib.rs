//! The simulator: the engine's own code on a simulated network and clock.

pub mod runtime;
