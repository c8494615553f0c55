//! The Weir engine: shards that accept, decide, balance and forward, and the control plane that
//! steers them. `docs/architecture.md` draws the way of a request through these modules.

pub mod access;
pub mod access_log;
pub mod addresses;
pub mod admission;
pub mod backtest;
pub mod config;
pub mod control;
pub mod demo;
pub mod inspect;
pub mod ledger;
pub mod metrics;
pub mod proxy;
pub mod router;
pub mod runtime;
pub mod server;
pub mod shard;
pub mod slots;
pub mod snapshot;
pub mod tls;
pub mod upstream;
