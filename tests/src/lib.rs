//! What the end-to-end tests stand on: real `weir` processes, raw clients and scripted backends.
//!
//! Invariants:
//! - nothing here sleeps and hopes: every wait polls a condition until a deadline, and a deadline
//!   that passes is a failure that says what was waited for;
//! - no process outlives its test, whether that passes, fails or is killed;
//! - the client and the backend take nothing but strictly framed HTTP, since they are the judges.
//!
//! A failed expectation of the harness panics, with the caller's line: it is for tests only.

pub mod backend;
pub mod binaries;
pub mod client;
pub mod curl;
pub mod gate;
pub mod message;
mod metrics;
pub mod ports;
pub mod process;
pub mod sandbox;
pub mod setup;
mod shared_memory;
pub mod stall;
pub mod tls;
pub mod token;
pub mod tools;
pub mod wait;
pub mod weir;

pub use backend::{After, Backend, Exchange};
pub use client::{Client, Ending};
pub use gate::Gate;
pub use message::{Head, Response};
pub use process::{Finished, Process};
pub use setup::{Runtime, Setup};
pub use stall::Stall;
pub use weir::{Launch, Weir};
