//! How it stands with the ledger's copies on the disk.

use super::{Family, Kind};
use crate::ledger::Standing;
use crate::runtime::Instant;

/// The families `weir_ledger_*`.
pub fn ledger_families(standing: &Standing, now: Instant) -> Vec<Family> {
    let gauge = |name, help, value: u64| Family::new(Kind::Gauge, name, help).with(&[], value);
    let counter = |name, help, value: u64| Family::new(Kind::Counter, name, help).with(&[], value);
    let ms =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let is_file = u64::from(standing.live() == "file");
    vec![
        gauge(
            "weir_ledger_sync_age_milliseconds",
            "How much of the counts a loss of power would take now.",
            ms(standing.sync_age(now)),
        ),
        gauge(
            "weir_ledger_sync_latency_milliseconds",
            "How long the disk took for the last sync of counts.",
            ms(standing.sync_latency()),
        ),
        counter("weir_ledger_syncs_total", "Syncs of counts that succeeded.", standing.syncs()),
        counter("weir_ledger_sync_failures_total", "Those that failed.", standing.failures()),
        gauge(
            "weir_ledger_failing",
            "1 while counts cannot be brought to the disk.",
            u64::from(standing.is_failing()),
        ),
        counter(
            "weir_ledger_blocks_written_total",
            "Blocks of 64 slots or names brought to the disk.",
            standing.blocks_written(),
        ),
        gauge(
            "weir_ledger_live_table_file",
            "1 if limits are counted in a file of the ledger, not in shared memory.",
            is_file,
        ),
        gauge(
            "weir_ledger_damaged_blocks",
            "Blocks with a torn or damaged copy, found at the start.",
            standing.damaged_blocks(),
        ),
        gauge(
            "weir_ledger_lost_blocks",
            "Blocks without any copy left, found at the start.",
            standing.lost_blocks(),
        ),
    ]
}
