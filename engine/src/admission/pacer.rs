//! Charges the bytes of bodies, while they move.

use std::sync::Arc;
use std::time::Duration;

use super::Tab;
use crate::metrics::LimitCounts;
use crate::runtime::Instant;
use crate::slots::{Policy, SlotTable, SubjectHash};

/// The limits of bytes that one request is under, which may outlive it in a tunnel.
pub struct Pacer {
    table: Arc<SlotTable>,
    limits: Vec<(SubjectHash, Policy, Arc<LimitCounts>)>,
}

impl Pacer {
    /// `table` is the one that `tab` charges, `counts` are of all limits.
    pub fn new(tab: &Tab<'_>, table: &Arc<SlotTable>, counts: &[Arc<LimitCounts>]) -> Self {
        let limit = |(index, subject, policy): (usize, SubjectHash, &Policy)| {
            (subject, *policy, Arc::clone(&counts[index]))
        };
        Self { table: Arc::clone(table), limits: tab.paces().map(limit).collect() }
    }

    /// Charges bytes to every limit and says when they may pass; `None` is at once. Where the table
    /// has no room for a counter, that limit holds nothing back.
    pub fn charge(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let mut wait_ns = 0;
        for (subject, policy, counts) in &self.limits {
            match self.table.throttle(*subject, policy, now, bytes, &"") {
                Some(own_ns) => {
                    counts.admitted.increment();
                    counts.delayed_ns.add(own_ns);
                    wait_ns = wait_ns.max(own_ns);
                }
                None => counts.table_full.increment(),
            }
        }
        (wait_ns > 0).then(|| now + Duration::from_nanos(wait_ns))
    }
}
