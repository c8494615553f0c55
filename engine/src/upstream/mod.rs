//! Backends: who there is ([`Backend`]), who is well ([`health`], [`check`]), who is next
//! ([`balancer`]).

mod backend;
pub mod balancer;
pub mod check;
pub mod health;

pub use backend::{Backend, BackendId, InFlight, Registry};

use std::sync::Arc;
use std::time::Duration;

use crate::config::HealthConfig;

/// A group of interchangeable backends, as a snapshot holds it.
pub struct Upstream {
    pub name: String,
    pub backends: Vec<Arc<Backend>>,
    pub health: Option<HealthConfig>,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    pub keepalive_timeout: Duration,
    pub keepalive_connections: usize,
}
