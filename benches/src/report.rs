//! Figures as a table to read and as JSON to keep.

use std::fmt::Write as _;
use std::fs;

use serde::Serialize;

use crate::contestant::REFERENCE;
use crate::load::{Pace, latency_histogram};
use crate::run::{Entrant, IdleOutcome, LoadOutcome, Outcome, Plan};
use crate::stats::{Spread, ratios};

/// A proxy needs one backend connection for each client connection at most; one that opened this
/// many times as many does not keep them alive.
const RECONNECTS_FROM: u64 = 4;

/// A finished comparison.
#[derive(Debug, Serialize)]
pub struct Report {
    pub job: &'static str,
    pub rounds: usize,
    pub seconds: f64,
    pub connections: usize,
    /// Requests a second of an open loop; absent for a closed one.
    pub rate: Option<f64>,
    pub machine: Machine,
    /// Names of contestants that are not installed.
    pub skipped: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub struct Machine {
    pub kernel: String,
    pub processor: String,
    /// Of the last minute, at the end; above 2 somebody else was working too.
    pub load_average: String,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub version: String,
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Figures {
    Load(Box<LoadFigures>),
    Idle(IdleFigures),
}

/// Spreads are over rounds; latencies are those of all rounds together.
#[derive(Debug, Serialize)]
pub struct LoadFigures {
    pub answered: u64,
    pub failed: u64,
    pub first_failure: Option<String>,
    pub unsent: u64,
    pub cpu_seconds: f64,
    pub requests_per_second: Option<Spread>,
    pub busy: Option<Spread>,
    pub cpu_us_per_request: Option<Spread>,
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
    pub after_bytes: Option<Spread>,
}

impl Report {
    /// `rounds` is what [`crate::run::run`] returned for these entrants.
    pub fn new(
        plan: &Plan,
        entrants: &[Entrant],
        skipped: Vec<String>,
        rounds: &[Vec<Outcome>],
    ) -> Self {
        let column = |index: usize| rounds.iter().filter_map(move |round| round.get(index));
        let reference = entrants.iter().position(|e| e.contestant.name == REFERENCE);
        let reference: Vec<_> =
            reference.map(|index| cpu_column(column(index))).unwrap_or_default();
        let rows = entrants.iter().enumerate().map(|(index, entrant)| Row {
            name: entrant.contestant.name,
            version: entrant.contestant.version(&entrant.program),
            figures: figures(&column(index).collect::<Vec<_>>(), &reference, plan.connections),
        });
        Self {
            job: plan.job.name,
            rounds: plan.rounds,
            seconds: plan.length.as_secs_f64(),
            connections: plan.connections,
            rate: match plan.pace {
                Pace::Closed => None,
                Pace::Open { per_second } => Some(per_second),
            },
            rows: rows.collect(),
            machine: Machine::read(),
            skipped,
        }
    }

    /// Requests that failed, over all contestants.
    pub fn failures(&self) -> u64 {
        let failed = |row: &Row| match &row.figures {
            Figures::Load(figures) => figures.failed,
            Figures::Idle(_) => 0,
        };
        self.rows.iter().map(failed).sum()
    }

    pub fn text(&self) -> String {
        let Self { job, connections, rounds, .. } = self;
        let mut text = format!("job {job}: {connections} connections, rounds: {rounds}");
        if matches!(self.rows.first(), Some(Row { figures: Figures::Load(_), .. })) {
            let _ = write!(text, " of {} s", self.seconds);
        }
        if let Some(rate) = self.rate {
            let _ = write!(text, ", open loop at {rate} requests/s");
        }
        let Machine { kernel, processor, load_average } = &self.machine;
        let _ = writeln!(text, "\n{processor}, Linux {kernel}, load average {load_average}");
        for row in &self.rows {
            let _ = writeln!(text, "{}: {}", row.name, row.version);
        }
        for name in &self.skipped {
            let _ = writeln!(text, "{name}: skipped, not installed");
        }
        text.push('\n');
        let cells: Vec<Vec<String>> = self.rows.iter().map(Row::cells).collect();
        let header = match self.rows.first().map(|row| &row.figures) {
            Some(Figures::Idle(_)) => IDLE_HEADER,
            Some(Figures::Load(_)) | None => LOAD_HEADER,
        };
        text.push_str(&table(header, &cells));
        text + &self.complaints()
    }

    /// What makes figures of this report unfit for a comparison, a line each.
    pub fn complaints(&self) -> String {
        self.rows.iter().map(Row::complaint).collect()
    }
}

impl Machine {
    fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name"));
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: processor.unwrap_or("unknown").trim_matches([':', ' ', '\t']).to_owned(),
            load_average: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn cpu_column<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Vec<Option<f64>> {
    let cpu = |outcome: &Outcome| match outcome {
        Outcome::Load(load) => load.cpu_us_per_request(),
        Outcome::Idle(_) => None,
    };
    outcomes.map(cpu).collect()
}

fn figures(outcomes: &[&Outcome], reference: &[Option<f64>], connections: usize) -> Figures {
    let mut loads = Vec::new();
    let mut idles = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Load(load) => loads.push(load),
            Outcome::Idle(idle) => idles.push(*idle),
        }
    }
    if idles.is_empty() {
        return Figures::Load(Box::new(load_figures(&loads, reference, connections)));
    }
    Figures::Idle(IdleFigures {
        bytes_per_connection: spread(&idles, IdleOutcome::bytes_per_connection),
        before_bytes: spread(&idles, |idle| bytes(idle.before_bytes)),
        after_bytes: spread(&idles, |idle| bytes(idle.after_bytes)),
    })
}

fn load_figures(
    loads: &[&LoadOutcome],
    reference: &[Option<f64>],
    connections: usize,
) -> LoadFigures {
    let cpu: Vec<_> = loads.iter().map(|load| load.cpu_us_per_request()).collect();
    let known: Vec<f64> = cpu.iter().flatten().copied().collect();
    let backend_connections = loads.iter().map(|load| load.backend_connections).max().unwrap_or(0);
    let first_failure = loads.iter().find_map(|load| load.sample.first_failure.as_ref());
    LoadFigures {
        answered: loads.iter().map(|load| load.sample.answered).sum(),
        failed: loads.iter().map(|load| load.sample.failed).sum(),
        first_failure: first_failure.map(ToString::to_string),
        unsent: loads.iter().map(|load| load.sample.unsent).sum(),
        cpu_seconds: loads.iter().map(|load| load.cpu.as_secs_f64()).sum(),
        requests_per_second: spread(loads, |load| load.requests_per_second()),
        busy: spread(loads, |load| load.busy()),
        cpu_us_per_request: Spread::of(&known),
        cpu_ratio: Spread::of(&ratios(&cpu, reference)),
        latency_us: Latency::of(loads),
        backend_connections,
        reconnects: backend_connections > RECONNECTS_FROM * connections as u64,
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

const LOAD_HEADER: &[&str] = &[
    "contestant",
    "requests",
    "errors",
    "req/s",
    "cpu s",
    "busy",
    "cpu us/req",
    "ratio",
    "min..max",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "backend conns",
];
const IDLE_HEADER: &[&str] = &["contestant", "bytes/conn", "min..max", "KiB before", "KiB after"];

impl Row {
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name.to_owned()];
        match &self.figures {
            Figures::Load(load) => cells.extend([
                load.answered.to_string(),
                load.failed.to_string(),
                middle(load.requests_per_second, 1.0, 0),
                format!("{:.2}", load.cpu_seconds),
                middle(load.busy, 100.0, 0) + "%",
                middle(load.cpu_us_per_request, 1.0, 2),
                middle(load.cpu_ratio, 1.0, 2),
                extremes(load.cpu_ratio, 2),
                format!("{:.0}", load.latency_us.p50),
                format!("{:.0}", load.latency_us.p99),
                format!("{:.0}", load.latency_us.p999),
                load.backend_connections.to_string(),
            ]),
            Figures::Idle(idle) => cells.extend([
                middle(idle.bytes_per_connection, 1.0, 0),
                extremes(idle.bytes_per_connection, 0),
                middle(idle.before_bytes, 1.0 / 1024.0, 0),
                middle(idle.after_bytes, 1.0 / 1024.0, 0),
            ]),
        }
        cells
    }

    fn complaint(&self) -> String {
        let mut text = String::new();
        let (name, Figures::Load(load)) = (self.name, &self.figures) else { return text };
        if load.failed > 0 {
            let first = load.first_failure.as_deref().unwrap_or("unknown");
            let _ = writeln!(text, "{name}: {} FAILED, first: {first}", load.failed);
        }
        if load.unsent > 0 {
            let _ = writeln!(text, "{name}: {} requests never found a connection", load.unsent);
        }
        if load.reconnects {
            let opened = load.backend_connections;
            let _ = writeln!(text, "{name}: KEEP-ALIVE LOST, {opened} backend connections");
        }
        text
    }
}

fn middle(spread: Option<Spread>, scale: f64, digits: usize) -> String {
    spread.map_or_else(|| "-".into(), |spread| format!("{:.digits$}", spread.median * scale))
}

fn extremes(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "-".into(),
        |spread| format!("{:.digits$}..{:.digits$}", spread.min, spread.max),
    )
}

/// Columns as wide as their widest cell, the first to the left and the others to the right.
fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
