//! Rounds: every contestant in turn, each round starting with another one.

use std::path::PathBuf;
use std::time::Duration;

use crate::backend::Backend;
use crate::clock;
use crate::contestant::{Contestant, Running, Setup};
use crate::error::Error;
use crate::job::{HEAD_TIMEOUT, Job, JobKind, LOAD_CPU, SLOW_CLIENTS};
use crate::load::{
    IdleConnections, LoadGenerator, Pace, Reuse, Sample, Security, SlowClients, SlowOutcome, Target,
};
use crate::tls::Identity;

/// Before measuring: connections settle, caches and branch predictors warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long an idle proxy gets to give memory back.
const SETTLE: Duration = Duration::from_secs(2);
/// How long slow clients are kept beside a load: a proxy may be a little late.
const SLOW_LENGTH: Duration = HEAD_TIMEOUT.saturating_add(Duration::from_secs(5));

/// What the command line asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub job: &'static Job,
    pub rounds: usize,
    pub length: Duration,
    pub connections: usize,
    pub pace: Pace,
}

/// A contestant whose program was found.
pub struct Entrant {
    pub contestant: &'static Contestant,
    pub program: PathBuf,
}

/// One contestant's measurement in one round.
#[derive(Debug, Clone)]
pub enum Outcome {
    Load(LoadOutcome),
    Idle(IdleOutcome),
    Slow(Box<SlowRound>),
}

/// A load alone, and the same load beside slow clients.
#[derive(Debug, Clone)]
pub struct SlowRound {
    pub alone: LoadOutcome,
    pub beside: LoadOutcome,
    pub slow: SlowOutcome,
}

#[derive(Debug, Clone)]
pub struct LoadOutcome {
    pub sample: Sample,
    /// CPU time of the proxy's processes during the measured run.
    pub cpu: Duration,
    /// Connections that the proxy opened to the backend, from its start on.
    pub backend_connections: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct IdleOutcome {
    pub connections: usize,
    /// Resident memory after one exchange, before the connections.
    pub before_bytes: u64,
    /// With all of them idle.
    pub after_bytes: u64,
}

impl LoadOutcome {
    /// Microseconds of CPU time per answered request; `None` when none was answered.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn cpu_us_per_request(&self) -> Option<f64> {
        let answered = self.sample.answered as f64;
        (answered > 0.0).then(|| self.cpu.as_secs_f64() * 1e6 / answered)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn requests_per_second(&self) -> f64 {
        self.sample.answered as f64 / self.sample.elapsed.as_secs_f64()
    }

    /// The share of its CPU that the proxy used, 1.0 being all of it.
    pub fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.sample.elapsed.as_secs_f64()
    }
}

impl IdleOutcome {
    /// Bytes by which one idle connection makes the proxy grow.
    #[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^53 bytes")]
    pub fn bytes_per_connection(&self) -> f64 {
        (self.after_bytes as f64 - self.before_bytes as f64) / self.connections as f64
    }
}

/// Outcomes of all rounds: `[round][entrant]`, the entrants in the order given.
pub fn run(plan: &Plan, entrants: &[Entrant]) -> Result<Vec<Vec<Outcome>>, Error> {
    let identity = plan.job.tls.then(Identity::make).transpose()?;
    let mut rounds = Vec::with_capacity(plan.rounds);
    for round in 0..plan.rounds {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; entrants.len()];
        for index in turn_order(entrants.len(), round) {
            let entrant = &entrants[index];
            eprintln!("round {} of {}: {}", round + 1, plan.rounds, entrant.contestant.name);
            outcomes[index] = Some(measure(plan, entrant, identity.as_ref())?);
        }
        rounds.push(outcomes.into_iter().flatten().collect());
    }
    Ok(rounds)
}

/// Round 0: 0 1 2 3; round 1: 1 2 3 0; and so on.
fn turn_order(entrants: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..entrants).map(move |turn| (turn + round) % entrants)
}

/// Proxies are started for each turn, so that none of them sits beside another that works; so is
/// the backend, so that no connection of the last one is left.
fn measure(plan: &Plan, entrant: &Entrant, identity: Option<&Identity>) -> Result<Outcome, Error> {
    let job = plan.job;
    let expected = job.body.bytes();
    let backend = Backend::start(&expected, Some(LOAD_CPU))?;
    let slow = if job.kind == JobKind::Slow { SLOW_CLIENTS } else { 0 };
    let (address, connections) = (backend.address(), plan.connections + slow);
    let setup = Setup { backend: address, connections, identity };
    let running = entrant.contestant.start(&entrant.program, &setup)?;
    let (reuse, resume) = match job.kind {
        JobKind::Handshake { resume } => (Reuse::Never, resume),
        JobKind::Load | JobKind::Idle | JobKind::Slow => (Reuse::KeepAlive, false),
    };
    let client = identity.map(|identity| identity.client(resume)).transpose()?;
    let security = client.map_or(Security::Plain, Security::Tls);
    let target = Target { address: running.address, security, reuse, expected };
    match job.kind {
        JobKind::Idle => measure_idle(plan, &running, &target).map(Outcome::Idle),
        JobKind::Load | JobKind::Handshake { .. } => {
            let mut bench = Bench::open(plan, &running, &backend, target)?;
            bench.load(plan.length).map(Outcome::Load)
        }
        JobKind::Slow => measure_slow(plan, &running, &backend, target),
    }
}

/// A proxy under load with all that is read while it works.
struct Bench<'a> {
    running: &'a Running,
    backend: &'a Backend,
    load: LoadGenerator,
    pace: Pace,
    /// Of the warm-up: its failures count too.
    warm_up: Sample,
}

impl<'a> Bench<'a> {
    /// Opens the connections and warms up.
    fn open(
        plan: &Plan,
        running: &'a Running,
        backend: &'a Backend,
        target: Target,
    ) -> Result<Self, Error> {
        let mut load = LoadGenerator::open(target, plan.connections)?;
        // A closed loop uses every connection; one that never asked is closed by some proxies.
        let warm_up = load.run(WARM_UP, Pace::Closed)?;
        Ok(Self { running, backend, load, pace: plan.pace, warm_up })
    }

    fn load(&mut self, length: Duration) -> Result<LoadOutcome, Error> {
        let (process, backend) = (&self.running.process, self.backend);
        let (cpu_before, seen_before) = (process.cpu_time()?, backend.seen());
        let mut sample = self.load.run(length, self.pace)?;
        let (cpu_after, seen) = (process.cpu_time()?, backend.seen());
        sample.failed += std::mem::take(&mut self.warm_up.failed);
        sample.first_failure = self.warm_up.first_failure.take().or(sample.first_failure);
        let served = seen.served - seen_before.served;
        if served < sample.answered {
            return Err(Error::NotForwarded { answered: sample.answered, served });
        }
        let cpu = cpu_after.saturating_sub(cpu_before);
        Ok(LoadOutcome { sample, cpu, backend_connections: seen.accepted })
    }
}

fn measure_slow(
    plan: &Plan,
    running: &Running,
    backend: &Backend,
    target: Target,
) -> Result<Outcome, Error> {
    let mut bench = Bench::open(plan, running, backend, target)?;
    let alone = bench.load(plan.length)?;
    let slow = SlowClients::start(running.address, SLOW_CLIENTS, Some(LOAD_CPU))?;
    let beside = bench.load(SLOW_LENGTH)?;
    Ok(Outcome::Slow(Box::new(SlowRound { alone, beside, slow: slow.finish()? })))
}

fn measure_idle(plan: &Plan, running: &Running, target: &Target) -> Result<IdleOutcome, Error> {
    // The first exchange makes what every proxy makes once: a pool, a backend connection.
    drop(IdleConnections::open(target, 1)?);
    clock::sleep(SETTLE);
    let before_bytes = running.process.resident_bytes()?;
    let mut idle = IdleConnections::open(target, plan.connections)?;
    clock::sleep(SETTLE);
    let after_bytes = running.process.resident_bytes()?;
    let (connections, alive) = (plan.connections, idle.alive());
    if alive < connections {
        return Err(Error::IdleLost { alive, connections });
    }
    Ok(IdleOutcome { connections, before_bytes, after_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_starts_a_round_in_turn() {
        let order = |round| turn_order(4, round).collect::<Vec<_>>();
        assert_eq!(order(0), [0, 1, 2, 3]);
        assert_eq!(order(1), [1, 2, 3, 0]);
        assert_eq!(order(7), [3, 0, 1, 2]);
    }

    #[test]
    fn load_figures_have_their_units() {
        let target = Target::plain("127.0.0.1:1".parse().unwrap(), b"");
        let mut sample = LoadGenerator::open(target, 0)
            .and_then(|mut load| load.run(Duration::ZERO, Pace::Closed))
            .unwrap();
        sample.answered = 1000;
        sample.elapsed = Duration::from_millis(500);
        let cpu = Duration::from_millis(20);
        let mut outcome = LoadOutcome { sample, cpu, backend_connections: 1 };
        assert_eq!(outcome.cpu_us_per_request(), Some(20.0));
        assert!((outcome.requests_per_second() - 2000.0).abs() < 1e-9);
        assert!((outcome.busy() - 0.04).abs() < 1e-9);
        outcome.sample.answered = 0;
        assert_eq!(outcome.cpu_us_per_request(), None);
    }

    #[test]
    fn idle_memory_may_also_shrink() {
        let outcome = IdleOutcome { connections: 10, before_bytes: 1000, after_bytes: 900 };
        assert!((outcome.bytes_per_connection() + 10.0).abs() < 1e-9);
    }
}
