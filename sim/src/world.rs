//! Builds the simulated hosts of a scenario, lets the time pass and collects what happened.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use turmoil::Sim;
use weir_engine::config::{Config, HealthConfig};
use weir_engine::slots::SlotTable;
use weir_engine::snapshot::CONTROL;

use crate::backend::{self, Condition};
use crate::client::{self, Client};
use crate::events::Schedule;
use crate::gateway::{self, ConfigError, Engine};
use crate::runtime::{Randomness, SimNet, builder};
use crate::scenario::{GATEWAY, Scenario};
use crate::trace::{Record, Trace};

/// What came of a simulation.
pub struct Run {
    pub seed: u64,
    pub trace_hash: u64,
    pub records: Vec<Record>,
    /// How far the simulated time went.
    pub elapsed: Duration,
    /// Why it ended before everybody was done: a panic, or software that gave up.
    pub stopped: Option<String>,
    /// The slowest health checks of the configuration, if every upstream has some.
    pub health: Option<HealthBounds>,
    /// What was left a while after the last client had gone, if the scenario asks and got there.
    pub left: Option<Left>,
}

/// What the gateway and the backends still had open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Connections of clients, as the gateway counts them.
    pub client_connections: u64,
    pub in_flight: u64,
    pub retrying: u64,
    /// Connections to backends, as they count them.
    pub backend_connections: usize,
}

/// How long the configuration's health checks take, at most, to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthBounds {
    /// From a fault to the verdict: fall × interval + timeout.
    pub detection: Duration,
    /// From its end to the verdict: timeout + rise × interval.
    pub recovery: Duration,
}

/// Runs `scenario` with `seed`.
///
/// # Errors
/// A configuration that is wrong, or that cannot be simulated.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Run, ConfigError> {
    let [low, high] = scenario.network.latency;
    let mut sim = builder(seed)
        .simulation_duration(Duration::from_secs(u64::from(u32::MAX)))
        .min_message_latency(low.0)
        .max_message_latency(high.0)
        .build();
    // Addresses follow the order in which names are first looked up.
    let gateway = sim.lookup(GATEWAY);
    let mut hosts = BTreeMap::new();
    for spec in &scenario.backends {
        let name = spec.name.get_ref();
        let address = SocketAddr::new(sim.lookup(name.as_str()), spec.port);
        hosts.insert(name.clone(), address);
    }
    let config = gateway::configure(scenario, &hosts)?;
    let health = health_bounds(&config);
    let port = config.listeners.iter().find(|l| l.name != CONTROL).map_or(80, |l| l.address.port());

    let parts = Parts { scenario, net: SimNet::new(seed), seed, trace: Trace::default() };
    let engine = parts.add_gateway(&mut sim, config, &hosts);
    let conditions = parts.add_backends(&mut sim);
    parts.add_clients(&mut sim, SocketAddr::new(gateway, port));
    let mut schedule = Schedule::new(&scenario.events, conditions.clone(), parts.trace.clone());
    let mut stopped = let_time_pass(&mut sim, &mut schedule, scenario);
    let left = || Left::of(&engine, &conditions);
    let left = match scenario.expect.drained {
        Some(drained) if stopped.is_none() => {
            stopped = settle(&mut sim, drained.within.0, &left);
            Some(left())
        }
        _ => None,
    };
    let elapsed = sim.elapsed();
    // What destructors do is not part of the run.
    let (trace_hash, records) = (parts.trace.hash(), parts.trace.take());
    Ok(Run { seed, trace_hash, records, elapsed, stopped, health, left })
}

/// Until the scenario is over and every client has finished.
fn let_time_pass(
    sim: &mut Sim<'_>,
    schedule: &mut Schedule,
    scenario: &Scenario,
) -> Option<String> {
    loop {
        schedule.advance(sim);
        match step(sim) {
            Ok(finished) if finished && sim.elapsed() >= scenario.duration => return None,
            Ok(_) => {}
            Err(reason) => return Some(reason),
        }
    }
}

/// Lets the time pass after the last client has gone, until nothing is left.
fn settle(sim: &mut Sim<'_>, within: Duration, left: &dyn Fn() -> Left) -> Option<String> {
    let end = sim.elapsed() + within;
    while sim.elapsed() < end && left() != Left::default() {
        if let Err(reason) = step(sim) {
            return Some(reason);
        }
    }
    None
}

impl Left {
    fn of(engine: &Engine, conditions: &BTreeMap<String, Rc<Condition>>) -> Self {
        let [client_connections, in_flight, retrying] = engine.gauges.borrow().read();
        let backend_connections = conditions.values().map(|condition| condition.open.get()).sum();
        Self { client_connections, in_flight, retrying, backend_connections }
    }
}

/// One tick; whether every client has finished.
fn step(sim: &mut Sim<'_>) -> Result<bool, String> {
    match catch_unwind(AssertUnwindSafe(|| sim.step())) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("a panic: {}", panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

fn health_bounds(config: &Config) -> Option<HealthBounds> {
    let detection = |h: &HealthConfig| h.interval * h.fall + h.timeout;
    let recovery = |h: &HealthConfig| h.interval * h.rise + h.timeout;
    let checks: Option<Vec<_>> = config.upstreams.iter().map(|u| u.health.as_ref()).collect();
    let checks = checks?;
    Some(HealthBounds {
        detection: checks.iter().map(|h| detection(h)).max()?,
        recovery: checks.iter().map(|h| recovery(h)).max()?,
    })
}

struct Parts<'s> {
    scenario: &'s Scenario,
    net: SimNet,
    seed: u64,
    trace: Trace,
}

impl Parts<'_> {
    fn add_gateway(
        &self,
        sim: &mut Sim<'_>,
        config: Config,
        hosts: &BTreeMap<String, SocketAddr>,
    ) -> Rc<Engine> {
        let mut hash_key = [0; 16];
        Randomness::new(self.seed, &["slots"]).fill(&mut hash_key);
        let engine = Rc::new(Engine {
            table: Arc::new(SlotTable::in_memory(config.engine.slots, hash_key)),
            config,
            shards: self.scenario.gateway.shards,
            names: hosts
                .iter()
                .map(|(name, address)| (address.to_string(), name.clone()))
                .collect(),
            trace: self.trace.clone(),
            gauges: RefCell::default(),
        });
        let started = Rc::clone(&engine);
        let net = self.net.clone();
        sim.host(GATEWAY, move || {
            let (engine, net) = (Rc::clone(&started), net.clone());
            async move { gateway::serve(engine, net.host(GATEWAY)).await }
        });
        engine
    }

    fn add_backends(&self, sim: &mut Sim<'_>) -> BTreeMap<String, Rc<Condition>> {
        let mut conditions = BTreeMap::new();
        for spec in &self.scenario.backends {
            let name = spec.name.get_ref().clone();
            let condition = Rc::<Condition>::default();
            conditions.insert(name.clone(), Rc::clone(&condition));
            let random = Randomness::new(self.seed, &["backend", &name]);
            let (spec, net, trace) = (spec.clone(), self.net.clone(), self.trace.clone());
            sim.host(name.clone(), move || {
                let (name, net, spec) = (name.clone(), net.clone(), spec.clone());
                let (condition, trace) = (Rc::clone(&condition), trace.clone());
                let random = random.clone();
                async move { backend::serve(net.host(&name), spec, condition, trace, random).await }
            });
        }
        conditions
    }

    fn add_clients(&self, sim: &mut Sim<'_>, gateway: SocketAddr) {
        for spec in &self.scenario.clients {
            let until = spec.until.map_or(self.scenario.duration, |until| until.0);
            for name in spec.hosts() {
                let random = Randomness::new(self.seed, &["workload", &name]);
                let (net, trace, spec) = (self.net.clone(), self.trace.clone(), spec.clone());
                sim.client(name.clone(), async move {
                    let runtime = net.host(&name).runtime(0);
                    let idle = RefCell::default();
                    let name = name.as_str().into();
                    let client = Client { name, spec, gateway, runtime, trace, until, idle };
                    client::run(client, random).await
                });
            }
        }
    }
}
