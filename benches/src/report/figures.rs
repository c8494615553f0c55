//! What a contestant's rounds come to.

use serde::Serialize;

use crate::job::JobKind;
use crate::load::latency_histogram;
use crate::run::{IdleOutcome, LoadOutcome, Outcome, Plan, SlowRound};
use crate::stats::{Spread, ratios};

/// A proxy needs one backend connection for each client connection at most; one that opened this
/// many times as many does not keep them alive.
const RECONNECTS_FROM: u64 = 4;

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Figures {
    Load(Box<LoadFigures>),
    Idle(IdleFigures),
    Slow(Box<SlowFigures>),
}

/// Spreads are over rounds; latencies are those of all rounds together.
#[derive(Debug, Serialize)]
pub struct LoadFigures {
    pub answered: u64,
    /// Of them, those over a TLS session that was resumed.
    pub resumed: u64,
    /// Whether sessions should have been resumed and one in a hundred or more was not.
    pub not_resumed: bool,
    pub failed: u64,
    pub first_failure: Option<String>,
    pub unsent: u64,
    pub cpu_seconds: f64,
    pub requests_per_second: Option<Spread>,
    pub busy: Option<Spread>,
    pub cpu_us_per_request: Option<Spread>,
    /// Requests for each second of CPU time.
    pub per_cpu_second: Option<Spread>,
    /// CPU time per request over HAProxy's of the same round.
    pub cpu_ratio: Option<Spread>,
    pub latency_us: Latency,
    /// The most that any round opened.
    pub backend_connections: u64,
    /// Whether that is far more than keep-alive needs: then the figures are those of connecting.
    pub reconnects: bool,
}

#[derive(Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Debug, Serialize)]
pub struct IdleFigures {
    pub bytes_per_connection: Option<Spread>,
    pub before_bytes: Option<Spread>,
    /// Of the whole process with all connections open.
    pub after_bytes: Option<Spread>,
}

/// Numbers of clients are totals over rounds.
#[derive(Debug, Serialize)]
pub struct SlowFigures {
    pub clients: usize,
    pub cut_off: usize,
    /// Of those cut off, who got a byte of an answer before.
    pub told: usize,
    /// From a client's connect to its end, in seconds, in each round.
    pub first_after_s: Option<Spread>,
    pub last_after_s: Option<Spread>,
    pub alone: LoadFigures,
    pub beside: LoadFigures,
}

/// Each round's CPU time per request.
pub(super) fn cpu_column<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Vec<Option<f64>> {
    let cpu = |outcome: &Outcome| match outcome {
        Outcome::Load(load) => load.cpu_us_per_request(),
        Outcome::Idle(_) | Outcome::Slow(_) => None,
    };
    outcomes.map(cpu).collect()
}

impl Figures {
    /// `reference` is HAProxy's CPU time per request in each round.
    pub(super) fn of(outcomes: &[&Outcome], reference: &[Option<f64>], plan: &Plan) -> Self {
        let mut loads = Vec::new();
        let mut idles = Vec::new();
        let mut slows = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Load(load) => loads.push(load),
                Outcome::Idle(idle) => idles.push(*idle),
                Outcome::Slow(slow) => slows.push(slow.as_ref()),
            }
        }
        if !idles.is_empty() {
            return Self::Idle(IdleFigures::of(&idles));
        }
        if !slows.is_empty() {
            return Self::Slow(Box::new(SlowFigures::of(&slows, plan)));
        }
        Self::Load(Box::new(load_figures(&loads, reference, plan)))
    }
}

impl IdleFigures {
    fn of(idles: &[IdleOutcome]) -> Self {
        Self {
            bytes_per_connection: spread(idles, IdleOutcome::bytes_per_connection),
            before_bytes: spread(idles, |idle| bytes(idle.before_bytes)),
            after_bytes: spread(idles, |idle| bytes(idle.after_bytes)),
        }
    }
}

impl SlowFigures {
    fn of(rounds: &[&SlowRound], plan: &Plan) -> Self {
        let alone: Vec<_> = rounds.iter().map(|round| &round.alone).collect();
        let beside: Vec<_> = rounds.iter().map(|round| &round.beside).collect();
        Self {
            clients: rounds.iter().map(|round| round.slow.clients).sum(),
            cut_off: rounds.iter().map(|round| round.slow.cut_off).sum(),
            told: rounds.iter().map(|round| round.slow.told).sum(),
            first_after_s: spread(rounds, |round| round.slow.first_after.as_secs_f64()),
            last_after_s: spread(rounds, |round| round.slow.last_after.as_secs_f64()),
            alone: load_figures(&alone, &[], plan),
            beside: load_figures(&beside, &[], plan),
        }
    }
}

fn load_figures(loads: &[&LoadOutcome], reference: &[Option<f64>], plan: &Plan) -> LoadFigures {
    let cpu: Vec<_> = loads.iter().map(|load| load.cpu_us_per_request()).collect();
    let known: Vec<f64> = cpu.iter().flatten().copied().collect();
    let backend_connections = loads.iter().map(|load| load.backend_connections).max().unwrap_or(0);
    let first_failure = loads.iter().find_map(|load| load.sample.first_failure.as_ref());
    let answered = loads.iter().map(|load| load.sample.answered).sum();
    let resumed = loads.iter().map(|load| load.sample.resumed).sum();
    LoadFigures {
        answered,
        resumed,
        not_resumed: plan.job.kind == JobKind::Handshake { resume: true }
            && resumed < answered - answered / 100,
        failed: loads.iter().map(|load| load.sample.failed).sum(),
        first_failure: first_failure.map(ToString::to_string),
        unsent: loads.iter().map(|load| load.sample.unsent).sum(),
        cpu_seconds: loads.iter().map(|load| load.cpu.as_secs_f64()).sum(),
        requests_per_second: spread(loads, |load| load.requests_per_second()),
        busy: spread(loads, |load| load.busy()),
        cpu_us_per_request: Spread::of(&known),
        per_cpu_second: spread(&known, |us| 1e6 / us),
        cpu_ratio: Spread::of(&ratios(&cpu, reference)),
        latency_us: Latency::of(loads),
        backend_connections,
        reconnects: backend_connections > RECONNECTS_FROM * plan.connections as u64,
    }
}

fn spread<T>(items: &[T], value: impl Fn(&T) -> f64) -> Option<Spread> {
    Spread::of(&items.iter().map(value).collect::<Vec<_>>())
}

#[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^53 bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}

impl Latency {
    #[expect(clippy::cast_precision_loss, reason = "three digits of it are exact")]
    fn of(loads: &[&LoadOutcome]) -> Self {
        let mut all = latency_histogram();
        for load in loads {
            all.add(&load.sample.latency_ns).expect("all histograms have the same bounds");
        }
        let at = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: all.max() as f64 / 1e3 }
    }
}
