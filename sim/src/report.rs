//! What came of a run, for people and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::properties::{Facts, Verdict, judge};
use crate::scenario::Scenario;
use crate::trace::{Outcome, Record, Step};
use crate::world::Run;

const SECOND_NS: u64 = 1_000_000_000;

/// The outcome of one run of a scenario.
#[derive(Debug, Serialize)]
pub struct Report {
    pub scenario: String,
    pub seed: u64,
    /// 16 hexadecimal digits.
    pub trace_hash: String,
    /// Requests sent.
    pub requests: usize,
    /// Answers by status.
    pub answered: BTreeMap<u16, usize>,
    /// Requests without a whole answer, or with a wrong one.
    pub failed: usize,
    pub timeline: Vec<Second>,
    pub properties: Vec<Property>,
    #[serde(skip)]
    backends: Vec<String>,
}

/// One second of simulated time. Requests count in the second in which they ended.
#[derive(Debug, Default, Serialize)]
pub struct Second {
    pub second: u64,
    /// Answers with a status below 400.
    pub ok: usize,
    /// 400 to 499.
    pub refused: usize,
    /// 500 and above.
    pub errors: usize,
    /// Without a whole answer.
    pub failed: usize,
    /// Requests that arrived at each backend.
    pub backends: BTreeMap<String, usize>,
    /// Faults, starts and verdicts on health.
    pub events: Vec<String>,
}

/// A property as `--json` shows it.
#[derive(Debug, Serialize)]
pub struct Property {
    pub name: String,
    pub passed: bool,
    pub detail: String,
}

impl Report {
    pub fn new(scenario: &Scenario, run: &Run) -> Self {
        let facts = Facts::new(scenario, run);
        let mut answered = BTreeMap::new();
        for status in facts.requests.iter().filter_map(crate::properties::Request::status) {
            *answered.entry(status).or_default() += 1;
        }
        Self {
            scenario: scenario.name.clone(),
            seed: run.seed,
            trace_hash: format!("{:016x}", run.trace_hash),
            requests: facts.requests.len(),
            failed: facts.requests.len() - answered.values().sum::<usize>(),
            answered,
            timeline: timeline(&run.records, &facts),
            properties: judge(scenario, run).into_iter().map(Property::from).collect(),
            backends: facts.backends().map(str::to_owned).collect(),
        }
    }

    pub fn passed(&self) -> bool {
        self.properties.iter().all(|property| property.passed)
    }
}

impl From<Verdict> for Property {
    fn from(Verdict { name, passed, detail }: Verdict) -> Self {
        Self { name, passed, detail }
    }
}

fn timeline(records: &[Record], facts: &Facts<'_>) -> Vec<Second> {
    let last = records.last().map_or(0, |record| record.at_ns / SECOND_NS);
    let idle: BTreeMap<_, _> = facts.backends().map(|name| (name.to_owned(), 0)).collect();
    let mut seconds: Vec<_> = (0..=last)
        .map(|second| Second { second, backends: idle.clone(), ..Second::default() })
        .collect();
    for record in records {
        let Ok(index) = usize::try_from(record.at_ns / SECOND_NS) else { continue };
        seconds[index].count(record);
    }
    seconds
}

impl Second {
    fn count(&mut self, record: &Record) {
        match &record.step {
            Step::Done { outcome: Outcome::Answered { status, .. }, .. } => match status {
                ..400 => self.ok += 1,
                400..500 => self.refused += 1,
                500.. => self.errors += 1,
            },
            Step::Done { .. } => self.failed += 1,
            Step::Arrived { backend, .. } => {
                *self.backends.entry(backend.as_ref().to_owned()).or_default() += 1;
            }
            Step::Started { .. } | Step::Health { .. } | Step::Event { .. } => {
                if record.concerns_hosts() {
                    self.events.push(record.to_string());
                }
            }
            Step::Sent { .. }
            | Step::Checked { .. }
            | Step::Trouble { .. }
            | Step::Reused { .. } => {}
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, seed {}", self.scenario, self.seed)?;
        self.write_timeline(f)?;
        let statuses: Vec<_> =
            self.answered.iter().map(|(status, count)| format!("{count} x {status}")).collect();
        let statuses = statuses.join(", ");
        writeln!(f, "\n{} requests: {statuses}; {} without an answer", self.requests, self.failed)?;
        for property in &self.properties {
            let word = if property.passed { "PASS" } else { "FAIL" };
            writeln!(f, "{word} {}: {}", property.name, property.detail)?;
        }
        writeln!(f, "trace {}", self.trace_hash)
    }
}

impl Report {
    fn write_timeline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\nsecond    ok   4xx   5xx  lost ")?;
        let widths: BTreeSet<_> = self.backends.iter().map(String::len).collect();
        let width = widths.last().copied().unwrap_or(0).max(5);
        for backend in &self.backends {
            write!(f, " {backend:>width$}")?;
        }
        writeln!(f)?;
        for second in &self.timeline {
            let Second { second, ok, refused, errors, failed, backends, events } = second;
            write!(f, "{second:>6} {ok:>5} {refused:>5} {errors:>5} {failed:>5} ")?;
            for backend in &self.backends {
                write!(f, " {:>width$}", backends.get(backend).copied().unwrap_or(0))?;
            }
            writeln!(f)?;
            for event in events {
                writeln!(f, "         {event}")?;
            }
        }
        Ok(())
    }
}
