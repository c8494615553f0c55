//! The simulator: the engine's own code on a simulated network and clock.
//!
//! The way of a run: a file becomes a [`scenario`], [`world`] builds its hosts and lets the time
//! pass, every step lands in the [`trace`], [`properties`] judge it afterwards, [`report`] says
//! what came out.

mod backend;
mod client;
mod events;
mod gateway;
pub mod properties;
pub mod report;
pub mod runtime;
pub mod scenario;
pub mod trace;
mod trouble;
mod wire;
pub mod world;
