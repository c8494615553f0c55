//! The access log: one line of JSON for each request, in the names of the Elastic Common Schema.
//!
//! Invariants:
//! - a shard formats into its own buffer and hands full buffers to one writer thread through a
//!   lock-free queue: no system call, no lock, no allocation in the steady state, no waiting;
//! - when the writer cannot keep up, whole lines are dropped and counted, never torn ones written;
//! - credentials do not get here: [`Entry`] has no room for header fields that carry them, and
//!   what looks like one in a path or query is masked.

mod entry;
mod escape;
mod mask;
mod sink;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_sink;

pub use entry::{Entry, OpenLine, write_line};
pub(crate) use mask::is_secret;
pub use sink::{LogSink, LogStats, ShardLog};
