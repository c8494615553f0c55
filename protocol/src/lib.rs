//! What Weir speaks, as pure code: no I/O, no clock, no unsafe.

#![forbid(unsafe_code)]

pub mod control;
pub mod http;
pub mod journal;
pub mod jwt;
pub mod limit;
pub mod proxy_protocol;
mod wire;
