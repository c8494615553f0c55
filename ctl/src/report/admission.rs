//! Counters, bans and explanations, for a terminal.

use std::fmt::Write;

use weir_protocol::control::{AppliedLimit, BanStatus, CounterStatus, Explanation, Verdict};

use super::{duration, one_line, table};

pub(super) fn counters(counters: &[CounterStatus]) -> String {
    if counters.is_empty() {
        return "nothing is counted\n".to_owned();
    }
    let head = ["limit", "subject", "used", "of", "back in", "admitted", "refused", "banned for"];
    let rows = counters.iter().map(|counter| {
        let [used, admitted, refused] =
            [counter.used, counter.admitted, counter.refused].map(|count| count.to_string());
        [
            or_dash(&counter.limit),
            counter.subject.clone(),
            used,
            of(counter),
            span(counter.reset_ms),
            admitted,
            refused,
            span(counter.banned_s.saturating_mul(1_000)),
        ]
    });
    table(head, [false, false, true, true, true, true, true, true], rows.collect())
}

pub(super) fn bans(bans: &[BanStatus]) -> String {
    if bans.is_empty() {
        return "nobody is banned\n".to_owned();
    }
    let head = ["subject", "ends in", "by", "reason"];
    let rows = bans.iter().map(|ban| {
        let left = ban.left_s.map_or_else(|| "never".to_owned(), duration);
        let (by, reason) = match &ban.limit {
            Some(limit) => (format!("limit {limit}"), format!("step {}", ban.step)),
            None => (ban.by.clone(), ban.reason.clone()),
        };
        [ban.subject.clone(), left, or_dash(&by), or_dash(&reason)]
    });
    table(head, [false, true, false, false], rows.collect())
}

pub(super) fn explanation(explanation: &Explanation) -> String {
    let mut out = String::new();
    for step in &explanation.steps {
        let verdict = word(step.verdict);
        let _ =
            writeln!(out, "{:<12} {verdict:<8} {}", one_line(&step.name), one_line(&step.detail));
    }
    if !explanation.limits.is_empty() {
        out.push('\n');
        out.push_str(&limits(&explanation.limits));
    }
    let end = match explanation.status {
        Some(status) => format!("The gateway would answer {status}."),
        None => "The request would go on to its upstream.".to_owned(),
    };
    let _ = writeln!(out, "\n{end}");
    out
}

fn limits(limits: &[AppliedLimit]) -> String {
    let head = ["limit", "verdict", "cost", "left", "of", "retry after", "why"];
    let rows = limits.iter().map(|limit| {
        let dry = if limit.dry_run { " (dry run)" } else { "" };
        let (left, most) = match &limit.counter {
            Some(counter) => (counter.quota.saturating_sub(counter.used).to_string(), of(counter)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        [
            limit.name.clone(),
            format!("{}{dry}", word(limit.verdict)),
            limit.cost.to_string(),
            left,
            most,
            span(limit.retry_after_ms),
            limit.detail.clone(),
        ]
    });
    table(head, [false, false, true, true, true, true, false], rows.collect())
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passes => "passes",
        Verdict::Refuses => "refuses",
        Verdict::Skipped => "skipped",
    }
}

fn of(counter: &CounterStatus) -> String {
    if counter.quota == 0 { "-".to_owned() } else { counter.quota.to_string() }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Milliseconds; in tenths of a second while that says something.
fn span(ms: u64) -> String {
    match ms {
        0 => "-".to_owned(),
        1..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => duration(ms / 1_000),
    }
}
