//! A scenario: who there is, what they do, what goes wrong and what must hold all the same.
//!
//! `load` turns a file into these types; what exists here has its names resolved and its events
//! paired, so nothing after it can meet a dangling reference.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

mod admitted;
mod load;
mod schedule;
mod span;
#[cfg(test)]
mod tests;
mod trouble;

pub use admitted::{Admitted, Per, Promise};
pub use load::ScenarioError;
pub use span::{Quota, Span};
pub use trouble::{BackendStep, ClientStep, Does, Step, Troubles};

/// The host that the engine runs on.
pub const GATEWAY: &str = "gateway";

/// A scenario that can be run.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: String,
    pub seed: u64,
    pub duration: Duration,
    pub network: Network,
    pub gateway: Gateway,
    pub backends: Vec<BackendSpec>,
    pub clients: Vec<ClientSpec>,
    /// In the order of time, events that end others included.
    pub events: Vec<Event>,
    pub expect: Expect,
}

/// How long a message is under way between two hosts: from `latency[0]` to `latency[1]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub latency: [Span; 2],
}

impl Default for Network {
    fn default() -> Self {
        let ms = |count| Span(Duration::from_millis(count));
        Self { latency: [ms(1), ms(3)] }
    }
}

/// The engine under test.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub shards: usize,
    /// Text of a `weir.toml`, with `@host@` where a backend's address stands.
    pub config: String,
    /// What faults of the configuration name as their source.
    pub config_source: String,
    /// The environment that the configuration's secrets come from; never this machine's.
    pub env: BTreeMap<String, String>,
}

/// A mock backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendSpec {
    pub name: Spanned<String>,
    #[serde(default = "default_port")]
    pub port: u16,
    /// An address of the configuration that this host answers for.
    pub stands_for: Option<std::net::SocketAddr>,
    /// How long it works on a request.
    #[serde(default = "default_work")]
    pub latency: [Span; 2],
    #[serde(default = "default_status")]
    pub status: u16,
    #[serde(default = "default_body")]
    pub body_bytes: usize,
    /// Whether bodies go out in chunks rather than with a length.
    #[serde(default)]
    pub chunked: bool,
    /// What goes wrong with some of its exchanges; health checks are left in peace.
    pub trouble: Option<Troubles<BackendStep>>,
}

fn default_port() -> u16 {
    80
}

fn default_work() -> [Span; 2] {
    [Span(Duration::from_millis(1)), Span(Duration::from_millis(5))]
}

fn default_status() -> u16 {
    200
}

fn default_body() -> usize {
    64
}

/// A group of clients that do the same, each on a host of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    pub name: Spanned<String>,
    #[serde(default = "default_count")]
    pub count: usize,
    /// Requests per second of each client, whether or not earlier ones were answered.
    pub rate: Option<f64>,
    /// Instead of a rate: the pause between an answer and the next request.
    pub think: Option<Span>,
    #[serde(default = "default_method")]
    pub method: String,
    #[serde(default = "default_path")]
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body_bytes: usize,
    #[serde(default)]
    pub start: Span,
    /// When the last request begins; the scenario's end unless given.
    pub until: Option<Span>,
    /// When a client gives a request up for hung.
    #[serde(default = "default_deadline")]
    pub deadline: Span,
    /// Whether connections are used again.
    #[serde(default = "default_keep_alive")]
    pub keep_alive: bool,
    /// What it does wrong in some of its requests.
    pub trouble: Option<Troubles<ClientStep>>,
}

impl Default for Span {
    fn default() -> Self {
        Self(Duration::ZERO)
    }
}

fn default_count() -> usize {
    1
}

fn default_method() -> String {
    "GET".to_owned()
}

fn default_path() -> String {
    "/".to_owned()
}

fn default_deadline() -> Span {
    Span(Duration::from_secs(10))
}

fn default_keep_alive() -> bool {
    true
}

impl ClientSpec {
    /// The hosts of this group: `readers-1`, `readers-2`, ...
    pub fn hosts(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|number| format!("{}-{number}", self.name.get_ref()))
    }
}

/// Something that happens to hosts, `at` after the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: Duration,
    pub action: Action,
}

/// What happens; pairs of hosts are unordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The software ends, open connections with it; the machine no longer takes new ones.
    Crash(String),
    Restart(String),
    /// Everything between two hosts is lost.
    Partition(String, String),
    Repair(String, String),
    /// Everything between two hosts waits.
    Hold(String, String),
    Release(String, String),
    /// A backend works so much longer on every request, health checks too.
    Slow(String, Duration),
    /// A backend answers everything with this status.
    Fail(String, u16),
    /// A backend's software ends, its host does not: connections close, new ones are refused.
    Refuse(String),
    /// Ends `Slow`, `Fail` and `Refuse`.
    Recover(String),
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Crash(host) => write!(f, "crash {host}"),
            Self::Restart(host) => write!(f, "restart {host}"),
            Self::Partition(a, b) => write!(f, "partition {a} | {b}"),
            Self::Repair(a, b) => write!(f, "repair {a} - {b}"),
            Self::Hold(a, b) => write!(f, "hold {a} | {b}"),
            Self::Release(a, b) => write!(f, "release {a} - {b}"),
            Self::Slow(host, by) => write!(f, "slow {host} by {} ms", by.as_millis()),
            Self::Fail(host, status) => write!(f, "fail {host} with {status}"),
            Self::Refuse(host) => write!(f, "refuse {host}"),
            Self::Recover(host) => write!(f, "recover {host}"),
        }
    }
}

/// The properties that must hold; those that are absent are not checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub answered_once: Option<Answered>,
    #[serde(default)]
    pub at_most_once: bool,
    #[serde(default)]
    pub no_reuse: bool,
    #[serde(default)]
    pub no_over_admission: Vec<Admitted>,
    pub failover: Option<Within>,
    pub recovery: Option<Within>,
    pub spread: Option<Spread>,
    pub drained: Option<Drained>,
}

/// Every request is over within this time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    pub within: Span,
}

/// When the last client has gone, nothing is left of anything in this time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drained {
    pub within: Span,
}

/// A bound that follows from the configuration's health checks unless it is given.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    pub within: Option<Span>,
}

/// While all backends are well, each gets at least this part of an even share.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    #[serde(default = "default_share")]
    pub share_min: f64,
}

fn default_share() -> f64 {
    0.5
}
