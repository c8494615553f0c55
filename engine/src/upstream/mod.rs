//! Backends: who there is ([`Backend`]), who is well ([`health`], [`check`]), who is next
//! ([`balancer`]), and how many requests may be on their second way ([`budget`]).

mod announce;
mod backend;
pub mod balancer;
pub mod budget;
pub mod check;
pub mod health;

pub use announce::{announce, announce_nobody};
pub use backend::{Backend, BackendId, InFlight, Registry};

use std::sync::Arc;
use std::time::Duration;

use crate::config::{HealthConfig, ProxyVersion, RetryConfig};
use crate::tls::ClientTls;
use budget::Retrying;

/// A group of interchangeable backends, as a snapshot holds it.
pub struct Upstream {
    pub name: String,
    pub backends: Vec<Arc<Backend>>,
    pub health: Option<HealthConfig>,
    /// `None`: no request is sent again.
    pub retry: Option<RetryConfig>,
    pub retrying: Arc<Retrying>,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    /// Zero for none.
    pub request_timeout: Duration,
    pub keepalive_timeout: Duration,
    pub keepalive_connections: usize,
    /// What each connection begins with.
    pub proxy_protocol: Option<ProxyVersion>,
    /// `None` is plain text.
    pub tls: Option<ClientTls>,
}

impl Upstream {
    /// Requests that its backends have not finished, over all shards.
    pub fn in_flight(&self) -> u64 {
        self.backends.iter().map(|backend| u64::from(backend.in_flight())).sum()
    }
}
