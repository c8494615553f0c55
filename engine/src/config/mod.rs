//! The configuration as the engine uses it: every value here is already right.
//!
//! Text becomes these types in `parse`, which reports every fault with its line, what is wrong
//! and what would be right. Names are resolved to indices there, so nothing after it can meet a
//! dangling reference.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

mod change;
mod document;
mod fault;
mod forwarding;
mod http;
mod identity;
mod limit;
mod names;
mod network;
mod node;
mod parse;
mod policy;
mod scalar;
mod suggest;
#[cfg(test)]
mod tests;
mod tls;
mod upgrades;
mod warnings;

pub use fault::{Fault, Faults, Position};
pub use forwarding::{ForwardedFields, ForwardingConfig, RequestIds, TraceContexts};
pub use http::HttpConfig;
pub use identity::{ApiKey, JwtConfig};
pub use limit::{
    Allowance, Callers, LimitConfig, LimitKey, LimitRate, OnFull, Override, Period, Unit,
};
pub use policy::{
    Conditions, Cors, FieldEdits, ForwardPath, HeaderCondition, HostPolicy, Redirect, RoutePolicy,
};
pub use tls::{ClientAuth, ClientTlsConfig, ServerTlsConfig, TlsVersion};
pub use upgrades::Upgrades;

use crate::access::AccessList;
pub use crate::ledger::LiveTable;

/// The most limits one route may name, so that admission keeps a request's charges in place.
pub const LIMITS_PER_ROUTE_MAX: usize = 8;

/// A whole configuration. Indices (`usize`) in routes point into the vectors of this struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub engine: EngineConfig,
    pub control: ControlConfig,
    pub http: HttpConfig,
    pub forwarding: ForwardingConfig,
    pub access_log: AccessLog,
    /// Who is served at all; `None` is everybody, the default.
    pub access: Option<Arc<AccessList>>,
    pub listeners: Vec<ListenerConfig>,
    /// The four default tiers, changed where the file names them, then the file's own as written.
    pub tiers: Vec<Tier>,
    pub keys: Vec<ApiKey>,
    pub jwt: Option<JwtConfig>,
    pub limits: Vec<LimitConfig>,
    pub upstreams: Vec<UpstreamConfig>,
    /// In the order of the file; the router decides precedence.
    pub routes: Vec<RouteConfig>,
}

/// What only a restart can change, but for the watchdog and the sync interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    pub shards: Shards,
    pub runtime: RuntimeChoice,
    /// The ledger's folder.
    pub ledger: PathBuf,
    /// Slots of the limit table: a power of two, 64 bytes each. Default 65,536.
    pub slots: usize,
    /// Where the live table is. Default `Auto`.
    pub live_table: LiveTable,
    /// What a power loss may cost of counts: 100 ms to 60 s. Default 1 s.
    pub sync_interval: Duration,
    /// Bytes of the flight recorder's file for each shard; 0 is no recorder. Default 16 MiB.
    pub flight: u64,
    /// How long SIGTERM waits for requests in flight. Default 30 s.
    pub drain_timeout: Duration,
    /// Connections one shard holds at once; one more is answered 503. Default 32,768.
    pub connections_per_shard: usize,
    /// How long a shard may stand still before that is told; `None` is never. Default 5 s.
    pub watchdog: Option<Duration>,
    /// What is done about it then. Default `Report`.
    pub watchdog_action: WatchdogAction,
}

/// What the watchdog does about a shard that does not turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogAction {
    /// Tells and counts it.
    Report,
    /// Ends the process at once (SIGABRT), for a supervisor to start another.
    Abort,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shards {
    /// One for each CPU this process may run on.
    Auto,
    Count(usize),
    Cpus(Vec<usize>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeChoice {
    Auto,
    Glommio,
    Epoll,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// Where shards serve the control plane's pages; `None` when the file has no `address`.
    pub address: Option<SocketAddr>,
    /// `weirctl`'s socket. Default `/run/weir/weir.sock`.
    pub socket: PathBuf,
    /// Whether the sample API (`/data`, `/api/v2/...`) is served; the demo sets it.
    pub sample_api: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    Stdout,
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// `address` as text unless the file names it; `control` for the control listener.
    pub name: String,
    pub address: SocketAddr,
    /// Peers that may say whose request they pass on. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each connection begins with a PROXY header, which only trusted proxies may send.
    /// Default no.
    pub proxy_protocol: bool,
    /// `None` is plain text, the default.
    pub tls: Option<ServerTlsConfig>,
}

/// `count` requests in any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub window: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    pub name: String,
    pub rate: Rate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    pub name: String,
    pub backends: Vec<BackendConfig>,
    pub health: Option<HealthConfig>,
    /// `None`: no request is sent again.
    pub retry: Option<RetryConfig>,
    /// Default 2 s.
    pub connect_timeout: Duration,
    /// From the request's last byte to the end of the response's head. Default 30 s.
    pub response_timeout: Duration,
    /// From the request's head to the end of the response's head, retries and all; zero (the
    /// default) for no such bound.
    pub request_timeout: Duration,
    /// How long an idle connection to a backend is kept. Default 30 s.
    pub keepalive_timeout: Duration,
    /// Idle connections kept for each backend and shard. Default 64.
    pub keepalive_connections: usize,
    /// What each connection to a backend begins with; such connections are never kept. Default
    /// nothing.
    pub proxy_protocol: Option<ProxyVersion>,
    /// `None` is plain text, the default.
    pub tls: Option<ClientTlsConfig>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary, with a checksum.
    V2,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendConfig {
    pub address: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// Default `/health`.
    pub path: String,
    /// Default 10 s.
    pub interval: Duration,
    /// Default 3 s; shorter than the interval.
    pub timeout: Duration,
    /// Successes in a row that make a backend healthy. Default 2.
    pub rise: u32,
    /// Failures in a row that make it unhealthy. Default 3.
    pub fall: u32,
}

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// Further attempts for one request, at most. Default 2.
    pub attempts: u32,
    /// How many of the requests in flight may be retried ones, in percent. Default 20.
    pub budget_percent: u32,
    /// So many may be whatever the budget says. Default 3.
    pub floor: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConfig {
    /// Index into `listeners`; `None` is every listener but `control`.
    pub listener: Option<usize>,
    /// Lower case, without port; `None` is any host.
    pub host: Option<String>,
    pub path: PathPattern,
    /// Boxed, as are policy and redirect: few routes have them, and the others stay small.
    pub conditions: Option<Box<Conditions>>,
    pub target: RouteTarget,
    pub auth: Auth,
    /// Indices into `limits`, narrowest last as written.
    pub limits: Vec<usize>,
    /// What a request costs where requests are counted. Default 1.
    pub cost: u64,
    /// The field, in lower case, in which the backend reports what it did cost; clients never get
    /// it. `None` (the default) for no such report.
    pub cost_header: Option<String>,
    /// Only callers of these tiers; empty is everyone.
    pub tiers: Vec<usize>,
    pub forward_path: ForwardPath,
    pub policy: Option<Box<RoutePolicy>>,
    /// Default `websocket`.
    pub upgrade: Upgrades,
    /// Whether CONNECT is passed on. Default no; only a route for all paths can say yes.
    pub connect: bool,
    /// Who is served on this route; `None` is everybody, the default.
    pub access: Option<Arc<AccessList>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// `/health`: this path only.
    Exact(String),
    /// `/api/*`: kept as `/api/`; matches `/api` and all below it. `/*` is kept as `/`.
    Prefix(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTarget {
    /// Index into `upstreams`.
    Upstream(usize),
    /// The control plane of this engine (`upstream = "control"`).
    Control,
    /// No backend: the client is sent elsewhere.
    Redirect(Box<Redirect>),
}

/// Which credentials a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// None is asked for; one that is presented and valid still names the caller.
    None,
    ApiKey,
    Jwt,
    /// Either.
    Any,
}
