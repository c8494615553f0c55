//! Rounds: every contestant in turn, each round starting with another one.

use std::path::PathBuf;
use std::time::Duration;

use crate::backend::Backend;
use crate::clock;
use crate::contestant::{Contestant, Running};
use crate::error::Error;
use crate::job::{Job, JobKind, LOAD_CPU};
use crate::load::{IdleConnections, LoadGenerator, Pace, Sample};

/// Before measuring: connections settle, caches and branch predictors warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long an idle proxy gets to give memory back.
const SETTLE: Duration = Duration::from_secs(2);

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
    let body = plan.job.body.bytes();
    let mut rounds = Vec::with_capacity(plan.rounds);
    for round in 0..plan.rounds {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; entrants.len()];
        for index in turn_order(entrants.len(), round) {
            let entrant = &entrants[index];
            eprintln!("round {} of {}: {}", round + 1, plan.rounds, entrant.contestant.name);
            outcomes[index] = Some(measure(plan, entrant, &body)?);
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
fn measure(plan: &Plan, entrant: &Entrant, body: &[u8]) -> Result<Outcome, Error> {
    let backend = Backend::start(body, Some(LOAD_CPU))?;
    let Entrant { contestant, program } = entrant;
    let running = contestant.start(program, backend.address(), plan.connections)?;
    match plan.job.kind {
        JobKind::Load => measure_load(plan, &running, &backend, body).map(Outcome::Load),
        JobKind::Idle => measure_idle(plan, &running, body).map(Outcome::Idle),
    }
}

fn measure_load(
    plan: &Plan,
    running: &Running,
    backend: &Backend,
    body: &[u8],
) -> Result<LoadOutcome, Error> {
    let mut load = LoadGenerator::open(running.address, plan.connections, body.to_vec())?;
    let warm_up = load.run(WARM_UP, plan.pace)?;
    let (cpu_before, seen_before) = (running.process.cpu_time()?, backend.seen());
    let mut sample = load.run(plan.length, plan.pace)?;
    let (cpu_after, seen) = (running.process.cpu_time()?, backend.seen());
    sample.failed += warm_up.failed;
    sample.first_failure = warm_up.first_failure.or(sample.first_failure);
    let served = seen.served - seen_before.served;
    if served < sample.answered {
        return Err(Error::NotForwarded { answered: sample.answered, served });
    }
    let cpu = cpu_after.saturating_sub(cpu_before);
    Ok(LoadOutcome { sample, cpu, backend_connections: seen.accepted })
}

fn measure_idle(plan: &Plan, running: &Running, body: &[u8]) -> Result<IdleOutcome, Error> {
    // The first exchange makes what every proxy makes once: a pool, a backend connection.
    drop(IdleConnections::open(running.address, 1, body)?);
    clock::sleep(SETTLE);
    let before_bytes = running.process.resident_bytes()?;
    let mut idle = IdleConnections::open(running.address, plan.connections, body)?;
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
        let mut sample = LoadGenerator::open("127.0.0.1:1".parse().unwrap(), 0, Vec::new())
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
