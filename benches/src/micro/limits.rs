//! The slot table: what a limit costs a request. Nothing here is asserted.

use std::hint::black_box;
use std::sync::Barrier;

use weir_engine::runtime::Instant;
use weir_engine::slots::{Charge, Policy, SlotTable, SubjectHash};
use weir_protocol::limit::meter::{Meter, MeterError};
use weir_protocol::limit::quota::Period;

use super::Figure;
use crate::error::Error;
use crate::stats::Spread;
use crate::sys;

const SECOND: u64 = 1_000_000_000;
/// More than any round asks for.
const PLENTY: u64 = 1_000_000;
/// Keys that are counted at once in the large table, which they fill by half.
const LIVE_KEYS: u32 = 1 << 20;
const OPERATIONS: usize = 1_000_000;
const KEY: [u8; 16] = *b"no secret of use";

/// One thing to measure: `run` does it once for each subject.
struct Case<'a, F> {
    name: String,
    subjects: &'a [SubjectHash],
    run: F,
}

/// Measures everything, on one thread and on two, `rounds` times.
pub fn measure(rounds: usize) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    hot(rounds, &mut figures)?;
    random(rounds, &mut figures)?;
    insert(rounds, &mut figures)?;
    Ok(figures)
}

/// A limit of each algorithm; its rate is so high that nothing is refused.
fn policies() -> Result<Vec<(&'static str, Policy)>, MeterError> {
    let plenty = u64::from(u32::MAX);
    Ok(vec![
        ("sliding_window", Policy::new("w", Meter::window(PLENTY, 60 * SECOND)?)),
        ("strict", Policy::new("s", Meter::strict(PLENTY, 60 * SECOND)?)),
        ("token_bucket", Policy::new("b", Meter::bucket(PLENTY, SECOND, PLENTY)?)),
        ("quota", Policy::new("q", Meter::quota(1 << 40, Period::Day)?)),
        ("concurrency", Policy::new("c", Meter::in_flight(plenty - 1)?)),
    ])
}

/// One key that everybody asks for.
fn hot(rounds: usize, figures: &mut Vec<Figure>) -> Result<(), Error> {
    let policies = policies().map_err(Error::Limit)?;
    let table = SlotTable::in_memory(1 << 16, KEY);
    let subjects = vec![table.subject(&[b"hot"]); OPERATIONS];
    let subjects = &subjects[..];
    for (name, policy) in &policies {
        let run = |subject, now| charge(&table, subject, policy, now);
        Case { name: format!("hot slot, {name}"), subjects, run }.measure(rounds, figures)?;
    }
    let tight = Policy::new("tight", Meter::window(1, 60 * SECOND).map_err(Error::Limit)?);
    let run = |subject, now| charge(&table, subject, &tight, now);
    Case { name: "hot slot, refused".to_owned(), subjects, run }.measure(rounds, figures)?;
    let first: Vec<&Policy> = policies.iter().take(3).map(|(_, policy)| policy).collect();
    let run = |subject, now| first.iter().for_each(|policy| charge(&table, subject, policy, now));
    Case { name: "hot slots, three limits".to_owned(), subjects, run }.measure(rounds, figures)?;
    let run = |subject, now| {
        black_box(table.banned_for_ns(subject, &tight, now));
    };
    Case { name: "nobody is banned".to_owned(), subjects, run }.measure(rounds, figures)
}

/// Keys in random order, of a million that are all counted.
fn random(rounds: usize, figures: &mut Vec<Figure>) -> Result<(), Error> {
    let meter = Meter::window(PLENTY, 60 * SECOND).map_err(Error::Limit)?;
    let policy = Policy::new("w", meter);
    let table = SlotTable::in_memory(1 << 21, KEY);
    // The hash draws them, so that their order is random already; another round of it mixes the
    // slots that lie together.
    let mut subjects: Vec<SubjectHash> =
        (0..LIVE_KEYS).map(|number| table.subject(&[&number.to_le_bytes()])).collect();
    subjects.iter().for_each(|subject| charge(&table, *subject, &policy, start()));
    subjects.sort_unstable_by_key(|subject| subject.as_u64().wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let run = |subject, now| charge(&table, subject, &policy, now);
    Case { name: "random slot of a million".to_owned(), subjects: &subjects, run }
        .measure(rounds, figures)
}

/// Keys that were not there, into a table that they fill by half.
fn insert(rounds: usize, figures: &mut Vec<Figure>) -> Result<(), Error> {
    let meter = Meter::window(PLENTY, 60 * SECOND).map_err(Error::Limit)?;
    let policy = Policy::new("w", meter);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let table = SlotTable::in_memory(1 << 17, KEY);
        let subjects: Vec<SubjectHash> =
            (0..1_u32 << 16).map(|number| table.subject(&[&number.to_le_bytes()])).collect();
        let began = cpu_ns()?;
        subjects.iter().for_each(|subject| charge(&table, *subject, &policy, start()));
        times.push(per_operation(began, subjects.len())?);
    }
    let ns = Spread::of(&times).ok_or(Error::NoRounds)?;
    figures.push(Figure { name: "insertion into new memory".to_owned(), threads: 1, ns });
    Ok(())
}

fn charge(table: &SlotTable, subject: SubjectHash, policy: &Policy, now: Instant) {
    let charge = table.charge(subject, policy, now, 1, &"203.0.113.7");
    debug_assert_ne!(charge, Charge::TableFull);
    black_box(charge);
}

/// Some moment that is no window's first.
const fn start() -> Instant {
    Instant::from_nanos(1_000_000 * SECOND + 123_456_789)
}

impl<F: Fn(SubjectHash, Instant) + Sync> Case<'_, F> {
    fn measure(&self, rounds: usize, figures: &mut Vec<Figure>) -> Result<(), Error> {
        for threads in [1, 2] {
            let times: Result<Vec<f64>, Error> =
                (0..rounds).map(|round| self.round(round, threads)).collect();
            let ns = Spread::of(&times?).ok_or(Error::NoRounds)?;
            figures.push(Figure { name: self.name.clone(), threads, ns });
        }
        Ok(())
    }

    /// The mean of the threads' times for one operation, all of them at it at once.
    fn round(&self, round: usize, threads: usize) -> Result<f64, Error> {
        let barrier = Barrier::new(threads);
        let times: Result<Vec<f64>, Error> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..threads)
                .map(|cpu| {
                    scope.spawn({
                        let barrier = &barrier;
                        move || self.thread(cpu, round, barrier)
                    })
                })
                .collect();
            started.into_iter().map(joined).collect()
        });
        let times = times?;
        Ok(times.iter().sum::<f64>() / times.len() as f64)
    }

    fn thread(&self, cpu: usize, round: usize, barrier: &Barrier) -> Result<f64, Error> {
        let pinned = sys::pin_thread(cpu).map_err(Error::io(format!("pin a thread to CPU {cpu}")));
        // A window for each round and number of threads, so that no limit is ever used up.
        let later_ns = round as u64 * 3_600 * SECOND;
        let mut now = Instant::from_nanos(start().as_nanos() + later_ns);
        // Each thread begins elsewhere, so that they do not follow each other's footsteps.
        let (before, after) = self.subjects.split_at(self.subjects.len() / 2 * cpu);
        barrier.wait();
        let began = cpu_ns()?;
        for subject in after.iter().chain(before) {
            (self.run)(*subject, now);
            // Time passes: what depends on it cannot be kept from one operation to the next.
            now = Instant::from_nanos(now.as_nanos() + 100);
        }
        let time = per_operation(began, self.subjects.len());
        pinned.and(time)
    }
}

fn per_operation(began_ns: u64, operations: usize) -> Result<f64, Error> {
    Ok((cpu_ns()? - began_ns) as f64 / operations as f64)
}

fn cpu_ns() -> Result<u64, Error> {
    sys::thread_cpu_ns().map_err(Error::io("ask for this thread's time"))
}

fn joined(thread: std::thread::ScopedJoinHandle<'_, Result<f64, Error>>) -> Result<f64, Error> {
    thread.join().map_err(|_| Error::Panicked("measurement"))?
}
