//! What `weirctl` and a running engine say to each other over the Unix socket.
//!
//! A client sends a [`Request`] in a frame and reads one [`Response`] in a frame; several may
//! follow each other on one connection. [`codec`] turns them into bytes and back.
//!
//! Invariants:
//! - bytes of another protocol version are refused by their version byte, never guessed at;
//! - nothing a peer sends makes a decoder claim more than 32 times [`codec::FRAME_BYTES_MAX`];
//! - bincode is used in the derives below only; [`codec`] asks `wire` for the bytes.

mod admission;
pub mod codec;
pub mod handover;
mod ledger;

#[cfg(test)]
mod tests;

use bincode::{Decode, Encode};
use serde::Serialize;

pub use admission::{
    AppliedLimit, BANS_PAGE, BanStatus, BansRequest, CounterStatus, Explanation, LimitsRequest,
    Question, Step, Subject, TopBy, Verdict,
};
pub use ledger::{LedgerRequest, LedgerStatus};

/// What a client asks of the engine. The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    Status,
    Backends,
    /// Read the configuration file again and use it.
    Reload,
    /// Stop accepting, answer what is in flight, exit.
    Drain,
    Limits(LimitsRequest),
    Bans(BansRequest),
    /// What would become of a request, without counting it.
    Explain(Question),
    Ledger(LedgerRequest),
}

/// The engine's answer. The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    Status(Status),
    Backends(Vec<BackendStatus>),
    /// The request was carried out; one line for a person.
    Done(String),
    /// The request was refused or failed; for a person, a line for each reason.
    Failed(String),
    Counters(Vec<CounterStatus>),
    Bans(Vec<BanStatus>),
    Explanation(Explanation),
    Ledger(LedgerStatus),
}

/// A running engine, as of one moment. Its fields, in order, are the wire format of
/// [`codec::VERSION`]: a change here is another version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_s: u64,
    /// `glommio` or `epoll`.
    pub runtime: String,
    /// Why that runtime was chosen: by configuration, or what the probe found.
    pub runtime_reason: String,
    pub shards: Vec<ShardStatus>,
    /// io_uring rings set up with cooperative task running, which the kernel shows nowhere.
    pub rings_cooperative: u64,
    /// io_uring rings whose kernel refused cooperative task running.
    pub rings_plain: u64,
    pub config_path: String,
    /// 1 when the engine starts, one more with every reload that took effect.
    pub config_generation: u64,
    /// Set once a stop was asked for: no new connections, requests in flight are answered.
    pub draining: bool,
    /// Addresses that the shards listen on, `name address` each.
    pub listeners: Vec<String>,
    /// The ledger's folder.
    pub ledger: String,
    /// Where limits are counted: `tmpfs`, or `file` for one in the ledger's folder.
    pub live_table: String,
    /// Slots of the limit table that hold a key.
    pub slots_used: u64,
    pub slots_capacity: u64,
    /// Panics of the process, whichever thread had them.
    pub panics: u64,
    /// Thread, place and message of the last one.
    pub last_panic: Option<String>,
}

/// One shard's counters since the engine started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct ShardStatus {
    pub id: u32,
    /// The CPU it is pinned to; `None` when it is not pinned.
    pub cpu: Option<u32>,
    /// Client connections open now.
    pub connections: u64,
    /// Requests answered.
    pub requests: u64,
    /// Requests refused by a limit.
    pub limited: u64,
    /// Answers with a 5xx status.
    pub errors: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Connections and tasks ended by a panic.
    pub panics: u64,
    /// Whether the watchdog finds that it does not turn.
    pub stalled: bool,
    /// How often that was so.
    pub stalls: u64,
}

/// One backend of one upstream, over all shards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct BackendStatus {
    pub upstream: String,
    pub address: String,
    /// What the health checks say; `true` where none are configured.
    pub healthy: bool,
    /// Requests being forwarded to it now.
    pub in_flight: u64,
    pub requests: u64,
    /// Requests that failed there: no connection, no valid answer, or out of time.
    pub failures: u64,
    /// The last health check in words, such as `200 in 3 ms`; empty before the first.
    pub last_check: String,
}
