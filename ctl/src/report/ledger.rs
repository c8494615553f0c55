//! The ledger, for a terminal.

use std::fmt::Write;

use weir_protocol::control::LedgerStatus;

use super::{bytes, one_line};

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
        ("slots", format!("{} of {} used", status.slots_used, status.slots_capacity)),
        ("on disk", format!("as of {synced} ms ago{}{state}", failures(status.sync_failures))),
        ("journal", journal),
    ];
    let mut out = String::new();
    for (name, value) in facts {
        let _ = writeln!(out, "{name:<10} {}", one_line(&value));
    }
    out
}
