//! The ledger, for a terminal.

use std::fmt::Write;

use weir_protocol::control::LedgerStatus;

use super::{bytes, duration, one_line};

pub(super) fn status(status: &LedgerStatus) -> String {
    let failures = |count: u64| match count {
        0 => String::new(),
        count => format!(", {count} failures"),
    };
    let synced = status.synced_ms_ago;
    let state = if status.failing { ", which fails now" } else { "" };
    let journal = format!(
        "{} segments; {} records, {} since the start{}",
        status.journal_segments,
        status.journal_records,
        bytes(status.journal_bytes),
        failures(status.journal_failures),
    );
    let facts = [
        ("ledger", status.folder.clone()),
        ("live table", status.live_table.clone()),
        ("slots", slots(status)),
        ("on disk", format!("as of {synced} ms ago{}{state}", failures(status.sync_failures))),
        ("journal", journal),
    ];
    let mut out = String::new();
    for (name, value) in facts {
        let _ = writeln!(out, "{name:<10} {}", one_line(&value));
    }
    out
}

fn slots(status: &LedgerStatus) -> String {
    let LedgerStatus { slots_used, slots_capacity, slots_live, slots_oldest_s, .. } = status;
    let mut text = format!("{slots_used} of {slots_capacity} used, {slots_live} live");
    if let Some(seconds) = slots_oldest_s {
        let _ = write!(text, ", the oldest for {}", duration(*seconds));
    }
    text
}
