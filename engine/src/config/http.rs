//! What `[http]` says.

use std::time::Duration;

use super::ForwardPath;

/// Bounds on what a client or a backend may send, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpConfig {
    /// Request line and header fields together, at most 65,536. Default 16 KiB.
    pub head_bytes_max: usize,
    /// Default 8 KiB.
    pub target_bytes_max: usize,
    /// At most 128. Default 100.
    pub fields_max: usize,
    /// Default 1 GiB.
    pub body_bytes_max: u64,
    /// From the first byte of a request to the end of its head. Default 10 s.
    pub head_timeout: Duration,
    /// Between bytes of a body, either way. Default 30 s.
    pub body_timeout: Duration,
    /// Bytes a second, on average, that a client has to send or take of a body while it is waited
    /// for, once that took `body_timeout`; zero for no such bound. Default 100.
    pub body_rate_min: u64,
    /// Whether a client that closes its sending half while it waits for an answer has left.
    /// Default false: it may only have said that there will be no more requests.
    pub abort_on_close: bool,
    /// Between requests on a connection. Default 75 s.
    pub idle_timeout: Duration,
    /// Default 10,000.
    pub requests_per_connection: u32,
    /// Open connections of one client address on all shards together, IPv6 by /64; 0 is any
    /// number. One more is answered 503. Trusted proxies are not counted. Default 0.
    pub connections_per_address: u32,
    /// What backends get of paths, where a route says nothing else. Default `AsWritten`.
    pub forward_path: ForwardPath,
    /// Without a byte either way in a tunnel. Default 1 h.
    pub tunnel_idle_timeout: Duration,
    /// Tunnels one shard holds at once, handshakes included; one more is answered 503. Default
    /// 16,384.
    pub tunnels_per_shard: usize,
    /// Whether TRACE is served at all. Default no.
    pub trace: bool,
    /// Whether answers say where the caller stands with its limits. Default yes; `Retry-After` is
    /// sent anyway.
    pub rate_limit_fields: bool,
}
