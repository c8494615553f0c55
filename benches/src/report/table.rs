//! Rows as text.

use std::fmt::Write as _;

use super::{Figures, LoadFigures, Row, SlowFigures};
use crate::stats::Spread;

const LOAD_HEADER: &[&str] = &[
    "contestant",
    "requests",
    "errors",
    "req/s",
    "cpu s",
    "busy",
    "cpu us/req",
    "req/cpu s",
    "ratio",
    "min..max",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "backend conns",
];
const IDLE_HEADER: &[&str] = &["contestant", "bytes/conn", "min..max", "KiB before", "KiB in all"];

const SLOW_HEADER: &[&str] = &[
    "contestant",
    "slow",
    "cut off",
    "told",
    "first s",
    "last s",
    "errors",
    "cpu us/req alone",
    "beside",
    "p50 us alone",
    "beside",
    "p99 us alone",
    "beside",
    "p99.9 us alone",
    "beside",
];

pub(super) fn header(figures: Option<&Figures>) -> &'static [&'static str] {
    match figures {
        Some(Figures::Idle(_)) => IDLE_HEADER,
        Some(Figures::Slow(_)) => SLOW_HEADER,
        Some(Figures::Load(_)) | None => LOAD_HEADER,
    }
}

impl Row {
    pub(super) fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name.to_owned()];
        match &self.figures {
            Figures::Load(load) => cells.extend(load_cells(load)),
            Figures::Slow(slow) => cells.extend(slow_cells(slow)),
            Figures::Idle(idle) => cells.extend([
                middle(idle.bytes_per_connection, 1.0, 0),
                extremes(idle.bytes_per_connection, 0),
                middle(idle.before_bytes, 1.0 / 1024.0, 0),
                middle(idle.after_bytes, 1.0 / 1024.0, 0),
            ]),
        }
        cells
    }

    pub(super) fn complaint(&self) -> String {
        match &self.figures {
            Figures::Load(load) => load_complaint(self.name, load),
            Figures::Idle(_) => String::new(),
            Figures::Slow(slow) => {
                let mut text = load_complaint(self.name, &slow.alone);
                text += &load_complaint(self.name, &slow.beside);
                if slow.cut_off < slow.clients {
                    let open = slow.clients - slow.cut_off;
                    let _ = writeln!(text, "{}: {open} slow clients NOT CUT OFF", self.name);
                }
                text
            }
        }
    }
}

fn load_cells(load: &LoadFigures) -> [String; 13] {
    [
        load.answered.to_string(),
        load.failed.to_string(),
        middle(load.requests_per_second, 1.0, 0),
        format!("{:.2}", load.cpu_seconds),
        middle(load.busy, 100.0, 0) + "%",
        middle(load.cpu_us_per_request, 1.0, 2),
        middle(load.per_cpu_second, 1.0, 0),
        middle(load.cpu_ratio, 1.0, 2),
        extremes(load.cpu_ratio, 2),
        format!("{:.0}", load.latency_us.p50),
        format!("{:.0}", load.latency_us.p99),
        format!("{:.0}", load.latency_us.p999),
        load.backend_connections.to_string(),
    ]
}

fn slow_cells(slow: &SlowFigures) -> [String; 14] {
    let SlowFigures { alone, beside, .. } = slow;
    [
        slow.clients.to_string(),
        slow.cut_off.to_string(),
        slow.told.to_string(),
        middle(slow.first_after_s, 1.0, 1),
        middle(slow.last_after_s, 1.0, 1),
        (alone.failed + beside.failed).to_string(),
        middle(alone.cpu_us_per_request, 1.0, 2),
        middle(beside.cpu_us_per_request, 1.0, 2),
        format!("{:.0}", alone.latency_us.p50),
        format!("{:.0}", beside.latency_us.p50),
        format!("{:.0}", alone.latency_us.p99),
        format!("{:.0}", beside.latency_us.p99),
        format!("{:.0}", alone.latency_us.p999),
        format!("{:.0}", beside.latency_us.p999),
    ]
}

fn load_complaint(name: &str, load: &LoadFigures) -> String {
    let mut text = String::new();
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
    if load.not_resumed {
        let (resumed, of) = (load.resumed, load.answered);
        let _ = writeln!(text, "{name}: NOT RESUMED, only {resumed} of {of} sessions");
    }
    text
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
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
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
