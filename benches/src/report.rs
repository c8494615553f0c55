//! Figures as a table to read and as JSON to keep.

use std::fmt::Write as _;
use std::fs;

use serde::Serialize;

mod figures;
mod table;

pub use figures::{Figures, IdleFigures, Latency, LoadFigures, SlowFigures};

use crate::contestant::REFERENCE;
use crate::load::Pace;
use crate::run::{Entrant, Outcome, Plan};

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
            reference.map(|index| figures::cpu_column(column(index))).unwrap_or_default();
        let rows = entrants.iter().enumerate().map(|(index, entrant)| Row {
            name: entrant.contestant.name,
            version: entrant.contestant.version(&entrant.program),
            figures: Figures::of(&column(index).collect::<Vec<_>>(), &reference, plan),
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
            Figures::Slow(figures) => figures.alone.failed + figures.beside.failed,
            Figures::Idle(_) => 0,
        };
        self.rows.iter().map(failed).sum()
    }

    pub fn text(&self) -> String {
        let Self { job, connections, rounds, .. } = self;
        let mut text = format!("job {job}: {connections} connections, rounds: {rounds}");
        if !matches!(self.rows.first(), Some(Row { figures: Figures::Idle(_), .. })) {
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
        let header = table::header(self.rows.first().map(|row| &row.figures));
        text.push_str(&table::table(header, &cells));
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

#[cfg(test)]
mod tests;
