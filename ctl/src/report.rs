//! Answers as tables for people and as JSON for scripts.

use std::fmt::Write;

use serde_json::json;
use weir_protocol::control::{BackendStatus, Response, ShardStatus, Status};

mod admission;
mod ledger;
mod table;

use table::table;

/// The answer as a JSON document of several lines.
pub(crate) fn json(response: &Response) -> String {
    let value = match response {
        Response::Status(status) => json!(status),
        Response::Backends(backends) => json!(backends),
        Response::Done(text) => json!({ "done": text }),
        Response::Failed(text) => json!({ "failed": text }),
        Response::Counters(counters) => json!(counters),
        Response::Bans(bans) => json!(bans),
        Response::Explanation(explanation) => json!(explanation),
        Response::Ledger(ledger) => json!(ledger),
    };
    format!("{value:#}\n")
}

/// The answer as lines for a terminal.
pub(crate) fn text(response: &Response) -> String {
    match response {
        Response::Status(status) => status_text(status),
        Response::Backends(backends) => backends_text(backends),
        Response::Done(text) | Response::Failed(text) => format!("{}\n", one_line(text)),
        Response::Counters(counters) => admission::counters(counters),
        Response::Bans(bans) => admission::bans(bans),
        Response::Explanation(explanation) => admission::explanation(explanation),
        Response::Ledger(status) => ledger::status(status),
    }
}

/// `text` without what could move a terminal's cursor or forge another line.
pub(crate) fn one_line(text: &str) -> String {
    text.trim_end().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Each line of `text` on a line of its own, without what could move a terminal's cursor.
pub(crate) fn lines(text: &str) -> String {
    text.trim_end().lines().map(one_line).collect::<Vec<_>>().join("\n")
}

fn status_text(status: &Status) -> String {
    let state = if status.draining { "draining" } else { "serving" };
    let rings = match (status.rings_cooperative, status.rings_plain) {
        (0, 0) => "none".to_owned(),
        (cooperative, plain) => format!("{cooperative} cooperative, {plain} plain"),
    };
    let facts = [
        ("weir", format!("{}, process {}, {state}", status.version, status.pid)),
        ("up", duration(status.uptime_s)),
        ("runtime", format!("{} ({})", status.runtime, status.runtime_reason)),
        ("rings", rings),
        ("config", format!("{}, generation {}", status.config_path, status.config_generation)),
        ("listeners", status.listeners.join(", ")),
        ("ledger", status.ledger.clone()),
        ("live table", status.live_table.clone()),
        ("slots", format!("{} of {} used", status.slots_used, status.slots_capacity)),
        ("panics", panics(status)),
    ];
    let mut out = String::new();
    for (name, value) in facts {
        let _ = writeln!(out, "{name:<10} {}", one_line(&value));
    }
    out.push('\n');
    out.push_str(&shards_table(&status.shards));
    out
}

fn panics(status: &Status) -> String {
    match &status.last_panic {
        Some(last) => format!("{}, the last in {last}", status.panics),
        None => "none".to_owned(),
    }
}

fn shards_table(shards: &[ShardStatus]) -> String {
    let head = [
        "shard",
        "cpu",
        "state",
        "connections",
        "requests",
        "limited",
        "5xx",
        "in",
        "out",
        "panics",
        "stalls",
    ];
    let rows = shards.iter().map(|shard| {
        let cpu = shard.cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
        let state = if shard.stalled { "stalled" } else { "turns" }.to_owned();
        let counts = [shard.connections, shard.requests, shard.limited, shard.errors];
        let [connections, requests, limited, errors] = counts.map(|count| count.to_string());
        let (read, written) = (bytes(shard.bytes_in), bytes(shard.bytes_out));
        let [panics, stalls] = [shard.panics, shard.stalls].map(|count| count.to_string());
        let id = shard.id.to_string();
        [id, cpu, state, connections, requests, limited, errors, read, written, panics, stalls]
    });
    let right = [false, true, false, true, true, true, true, true, true, true, true];
    table(head, right, rows.collect())
}

fn backends_text(backends: &[BackendStatus]) -> String {
    if backends.is_empty() {
        return "no upstream has backends\n".to_owned();
    }
    let head = ["upstream", "backend", "health", "in flight", "requests", "failures", "last check"];
    let rows = backends.iter().map(|backend| {
        let health = if backend.healthy { "up" } else { "down" };
        let counts = [backend.in_flight, backend.requests, backend.failures];
        let [in_flight, requests, failures] = counts.map(|count| count.to_string());
        let check = if backend.last_check.is_empty() { "-" } else { &backend.last_check };
        let names = [backend.upstream.clone(), backend.address.clone(), health.to_owned()];
        let [upstream, address, health] = names;
        [upstream, address, health, in_flight, requests, failures, check.to_owned()]
    });
    table(head, [false, false, false, true, true, true, false], rows.collect())
}

/// The two largest units of a time in seconds.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A size with one decimal, cut and not rounded, in the unit that keeps it below 1,024.
fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = count.checked_ilog2().map(|log| log / 10).filter(|&power| power > 0) else {
        return format!("{count} B");
    };
    let unit = 1_u128 << (10 * power);
    let tenths = u128::from(count) * 10 / unit;
    format!("{}.{} {}", tenths / 10, tenths % 10, units[power as usize - 1])
}

#[cfg(test)]
mod tests;
