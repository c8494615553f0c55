//! Counters and latency histograms of the shards, and their text for Prometheus.
//!
//! Each shard owns one [`ShardMetrics`] and is its only writer; anyone may read it at any time.
//! Reading sums the shards, on the reader's thread.
//!
//! Invariants:
//! - recording is a plain load and store: no locked instruction, no shared cache line;
//! - a reader sees every counter at some recent value, but not all of them at one moment.

mod counter;
mod histogram;
mod ledger;
mod limits;
mod render;
mod shard;
mod text;

pub use counter::Counter;
pub use histogram::{Histogram, HistogramSnapshot};
pub use ledger::ledger_families;
pub use limits::{LimitCounts, LimitMetrics};
pub use render::{render, summary};
pub use shard::{Outcome, STATUS_CLASSES, STATUSES, ShardMetrics, Timeout};
pub use text::{Family, Kind, Sample};
