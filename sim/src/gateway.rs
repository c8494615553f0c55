//! The host that runs the engine: its real shards and health checks, without its control plane.
//!
//! As on Linux, the slot table outlives the process and everything else does not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use thiserror::Error;
use weir_engine::config::{AccessLog, Config, Faults};
use weir_engine::metrics::ShardMetrics;
use weir_engine::runtime::Runtime;
use weir_engine::shard::{self, Mailbox, ShardSetup};
use weir_engine::slots::SlotTable;
use weir_engine::snapshot::Snapshot;
use weir_engine::upstream::health::Change;
use weir_engine::upstream::{Registry, Upstream, check};

use crate::runtime::{SimHost, SimRuntime};
use crate::scenario::Scenario;
use crate::trace::{Step, Trace};

/// Why a configuration cannot be simulated.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{0}")]
    Faults(#[from] Faults),
    #[error("{source_name}: @{name}@ is no [[host]] of the scenario")]
    Placeholder { source_name: String, name: String },
    #[error(
        "{source_name}: backend {address} of upstream {upstream:?} is no host of the scenario; \
         write @name@ in its place, or give a [[host]] stands_for = \"{address}\""
    )]
    Backend { source_name: String, upstream: String, address: SocketAddr },
    #[error("{source_name}: two listeners have port {port}, which a simulated host binds once")]
    Port { source_name: String, port: u16 },
}

/// The scenario's configuration with simulated addresses; `hosts` has those of the backends.
pub(crate) fn configure(
    scenario: &Scenario,
    hosts: &BTreeMap<String, SocketAddr>,
) -> Result<Config, ConfigError> {
    let source_name = scenario.gateway.config_source.clone();
    let text = fill_in(&scenario.gateway.config, hosts)
        .map_err(|name| ConfigError::Placeholder { source_name: source_name.clone(), name })?;
    let variable = |name: &str| scenario.gateway.env.get(name).cloned();
    let mut config = Config::parse_with(&text, &source_name, &variable)?;
    // Lines would go to this machine.
    config.access_log = AccessLog::Off;
    let stand_ins: BTreeMap<_, _> = scenario
        .backends
        .iter()
        .filter_map(|spec| Some((spec.stands_for?, hosts[spec.name.get_ref()])))
        .collect();
    for upstream in &mut config.upstreams {
        for backend in &mut upstream.backends {
            let address = stand_ins.get(&backend.address).copied().unwrap_or(backend.address);
            if !hosts.values().any(|known| *known == address) {
                let (upstream, address) = (upstream.name.clone(), backend.address);
                return Err(ConfigError::Backend { source_name, upstream, address });
            }
            backend.address = address;
        }
    }
    bind_anywhere(&mut config, &source_name)?;
    Ok(config)
}

/// Clients reach a listener by the gateway's simulated address, whatever the file says.
fn bind_anywhere(config: &mut Config, source_name: &str) -> Result<(), ConfigError> {
    let mut ports = Vec::new();
    for listener in &mut config.listeners {
        let port = listener.address.port();
        if ports.contains(&port) {
            return Err(ConfigError::Port { source_name: source_name.to_owned(), port });
        }
        ports.push(port);
        listener.address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    }
    Ok(())
}

/// Puts addresses in the place of `@host@`; the error is a name that no host has.
fn fill_in(text: &str, hosts: &BTreeMap<String, SocketAddr>) -> Result<String, String> {
    let mut filled = text.to_owned();
    for (name, address) in hosts {
        filled = filled.replace(&format!("@{name}@"), &address.to_string());
    }
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let parts: Vec<_> = filled.split('"').collect();
    let left = parts.iter().find_map(|part| {
        part.strip_prefix('@').and_then(|rest| rest.strip_suffix('@')).filter(|name| word(name))
    });
    match left {
        Some(name) => Err(name.to_owned()),
        None => Ok(filled),
    }
}

/// What every start of the gateway is made from.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) shards: usize,
    pub(crate) table: Arc<SlotTable>,
    /// Names of backends by the gateway's own name for them.
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) trace: Trace,
    /// What the present start counts.
    pub(crate) gauges: RefCell<Gauges>,
}

/// The gauges that an operator sees.
#[derive(Default)]
pub(crate) struct Gauges {
    shards: Vec<Arc<ShardMetrics>>,
    upstreams: Vec<Arc<Upstream>>,
}

impl Gauges {
    /// Connections of clients, requests in flight, and requests that are being retried.
    pub(crate) fn read(&self) -> [u64; 3] {
        let connections = self.shards.iter().map(|shard| shard.connections_open.get()).sum();
        let in_flight = self.upstreams.iter().map(|upstream| upstream.in_flight()).sum();
        let retrying = self.upstreams.iter().map(|u| u64::from(u.retrying.count())).sum();
        [connections, in_flight, retrying]
    }
}

/// The software of the gateway; runs until it crashes.
pub(crate) async fn serve(engine: Rc<Engine>, host: SimHost) -> turmoil::Result {
    engine.trace.push(Step::Started { host: crate::scenario::GATEWAY.into() });
    let snapshot = Snapshot::build(engine.config.clone(), 1, &mut Registry::default(), None)?;
    let snapshot = Arc::new(snapshot);
    *engine.gauges.borrow_mut() =
        Gauges { shards: Vec::new(), upstreams: snapshot.upstreams.clone() };
    for id in 0..engine.shards {
        start_shard(&engine, host.runtime(id), id, &snapshot).await?;
    }
    let (trace, names) = (engine.trace.clone(), engine.names.clone());
    let changed: check::OnChange = Rc::new(move |_, backend, change| {
        let name = names.get(&backend.label).unwrap_or(&backend.label).clone();
        trace.push(Step::Health { backend: name, up: change == Change::WentUp });
    });
    // The control plane's part of the host has a randomness of its own.
    let _checks = check::start(&host.runtime(engine.shards), &snapshot.upstreams, &changed);
    std::future::pending().await
}

async fn start_shard(
    engine: &Engine,
    runtime: SimRuntime,
    id: usize,
    snapshot: &Arc<Snapshot>,
) -> turmoil::Result {
    let mut listeners = Vec::new();
    for (index, listener) in engine.config.listeners.iter().enumerate() {
        listeners.push((index, runtime.bind(listener.address).await?));
    }
    let metrics = Arc::new(ShardMetrics::default());
    engine.gauges.borrow_mut().shards.push(Arc::clone(&metrics));
    let setup = ShardSetup {
        id,
        mailbox: Arc::new(Mailbox::default()),
        snapshot: Arc::clone(snapshot),
        table: Arc::clone(&engine.table),
        metrics,
        log: None,
        flight: None,
    };
    let parking = runtime.parking()?;
    runtime.spawn(shard::run(runtime.clone(), setup, listeners, parking));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_addresses() {
        let address = "192.168.0.2:80".parse().expect("an address");
        let hosts = BTreeMap::from([("b-1".to_owned(), address)]);
        let text = "address = \"@b-1@\" # mail me@b-1 or x@b@y";
        let expected = "address = \"192.168.0.2:80\" # mail me@b-1 or x@b@y";
        assert_eq!(fill_in(text, &hosts).as_deref(), Ok(expected));
        assert_eq!(fill_in("address = \"@b-2@\"", &hosts), Err("b-2".to_owned()));
    }
}
