use std::time::Duration;

use crate::metrics::{Counter, Family, Kind};

/// What a journal counts since the process started. The ledger's thread writes.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// Records acknowledged.
    pub records: Counter,
    /// Groups that were not acknowledged.
    pub failures: Counter,
    /// Writes that the disk has: groups and new segments.
    pub syncs: Counter,
    /// Bytes of them.
    pub bytes: Counter,
    /// Segments that the next start would read.
    pub segments: Counter,
    /// How long the last write took until the disk had it, in nanoseconds.
    pub sync_ns: Counter,
}

impl JournalMetrics {
    pub(super) fn synced(&self, bytes: usize, took: Duration) {
        self.syncs.increment();
        self.bytes.add(bytes as u64);
        self.sync_ns.set(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// For Prometheus.
    pub(crate) fn families(&self) -> Vec<Family> {
        let counter = |name, help, counter: &Counter| {
            Family::new(Kind::Counter, name, help).with(&[], counter.get())
        };
        let latency = Duration::from_nanos(self.sync_ns.get()).as_secs_f64();
        vec![
            counter(
                "weir_journal_records_total",
                "Records that the journal acknowledged.",
                &self.records,
            ),
            counter(
                "weir_journal_failures_total",
                "Groups of records that could not be brought to the disk.",
                &self.failures,
            ),
            counter("weir_journal_syncs_total", "Writes that were synced.", &self.syncs),
            counter("weir_journal_written_bytes_total", "Bytes of them.", &self.bytes),
            Family::new(Kind::Gauge, "weir_journal_segments", "Segments of the journal.")
                .with(&[], self.segments.get()),
            Family::new(
                Kind::Gauge,
                "weir_journal_sync_seconds",
                "How long the journal's last write took until the disk had it.",
            )
            .with_value("", &[], latency),
        ]
    }
}
