//! What an exchange owes and holds while it lasts: charges that a refusal gives back, permits that
//! its end gives back, and what is only known at its end.

use std::fmt::Display;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::applies::Applied;
use crate::config::LIMITS_PER_ROUTE_MAX;
use crate::runtime::Instant;
use crate::slots::{Policy, SlotTable, SubjectHash, Tenure};
use crate::snapshot::Charges;

/// A counter that is gone by the end of an exchange is made anew without a name.
const UNNAMED: &dyn Display = &"";

/// The limits that a request was charged for. Dropped, it gives its permits back, whichever way the
/// exchange ended.
pub struct Tab<'s> {
    table: &'s SlotTable,
    entries: ArrayVec<Entry<'s>, LIMITS_PER_ROUTE_MAX>,
    /// When everything was charged.
    at: Instant,
    /// What the route costs.
    cost: u64,
    tenure: Tenure,
}

struct Entry<'s> {
    /// Of the limit.
    index: usize,
    charges: Charges,
    /// Whether a later refusal leaves it charged.
    stays: bool,
    subject: SubjectHash,
    policy: &'s Policy,
}

/// What goes on after the exchange, in a tunnel.
pub struct Lease {
    table: Arc<SlotTable>,
    permits: Vec<(SubjectHash, Policy)>,
    bytes: Vec<(SubjectHash, Policy)>,
    at: Instant,
    tenure: Tenure,
}

impl<'s> Tab<'s> {
    pub(super) fn new(table: &'s SlotTable) -> Self {
        let entries = ArrayVec::new_const();
        Self { table, entries, at: Instant::NEVER, cost: 1, tenure: table.tenure() }
    }

    /// A request of this time that costs so much.
    pub(super) fn open(&mut self, at: Instant, cost: u64) {
        (self.at, self.cost) = (at, cost);
    }

    /// When a limit is charged, and how much, before the request goes on.
    pub(super) const fn advance(&self, charges: Charges) -> (Instant, u64) {
        (self.at, charges.advance(self.cost))
    }

    /// Notes a limit that was charged its advance.
    pub(super) fn note(&mut self, applied: &Applied<'s>, stays: bool) {
        let entry = Entry {
            index: applied.index,
            charges: applied.limit.charges,
            stays,
            subject: applied.subject,
            policy: &applied.quota.policy,
        };
        // A route names no more limits than there is room for.
        let _ = self.entries.try_push(entry);
    }

    /// The request is refused: what does not stay is given back.
    pub(super) fn refuse(&mut self) {
        let (table, at, cost, tenure) = (self.table, self.at, self.cost, self.tenure);
        self.entries.retain(|entry| {
            let (subject, policy) = (entry.subject, entry.policy);
            match entry.charges {
                Charges::Permit => table.release(subject, policy, at, 1, tenure),
                _ if entry.stays => return true,
                Charges::Cost => table.refund(subject, policy, at, at, cost),
                Charges::Bytes => table.refund(subject, policy, at, at, 1),
                Charges::Pace => {}
            }
            false
        });
    }

    /// The backend says what the request did cost.
    pub fn settle_cost(&self, reported: u64, now: Instant) {
        for entry in self.entries.iter().filter(|entry| entry.charges == Charges::Cost) {
            let (subject, policy) = (entry.subject, entry.policy);
            if reported > self.cost {
                self.table.settle(subject, policy, now, reported - self.cost, UNNAMED);
            } else if reported < self.cost {
                let (at, extra) = (self.at, self.cost - reported);
                self.table.refund(subject, policy, at, now, extra);
            }
        }
    }

    /// How many bytes the request and its answer had, heads and bodies.
    pub fn settle_bytes(&self, bytes: u64, now: Instant) {
        for entry in self.entries.iter().filter(|entry| entry.charges == Charges::Bytes) {
            let extra = bytes.saturating_sub(1);
            self.table.settle(entry.subject, entry.policy, now, extra, UNNAMED);
        }
    }

    /// Whom the bytes of bodies are charged to, with the index of the limit.
    pub(super) fn paces(&self) -> impl Iterator<Item = (usize, SubjectHash, &'s Policy)> {
        let paced = self.entries.iter().filter(|entry| entry.charges == Charges::Pace);
        paced.map(|entry| (entry.index, entry.subject, entry.policy))
    }

    pub fn is_paced(&self) -> bool {
        self.entries.iter().any(|entry| entry.charges == Charges::Pace)
    }

    /// Hands on what a tunnel still holds; `None` if that is nothing. `table` is the one that was
    /// charged.
    pub fn lease(&mut self, table: &Arc<SlotTable>) -> Option<Lease> {
        let of = |charges: Charges| {
            let chosen = self.entries.iter().filter(|entry| entry.charges == charges);
            chosen.map(|entry| (entry.subject, *entry.policy)).collect::<Vec<_>>()
        };
        let (permits, bytes) = (of(Charges::Permit), of(Charges::Bytes));
        if permits.is_empty() && bytes.is_empty() {
            return None;
        }
        self.entries.retain(|entry| entry.charges != Charges::Permit);
        let (at, tenure) = (self.at, self.tenure);
        Some(Lease { table: Arc::clone(table), permits, bytes, at, tenure })
    }
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        for entry in self.entries.iter().filter(|entry| entry.charges == Charges::Permit) {
            self.table.release(entry.subject, entry.policy, self.at, 1, self.tenure);
        }
    }
}

impl Lease {
    /// So many bytes more have moved, either way.
    pub fn settle_bytes(&self, bytes: u64, now: Instant) {
        for (subject, policy) in &self.bytes {
            self.table.settle(*subject, policy, now, bytes, UNNAMED);
        }
    }

    pub fn counts_bytes(&self) -> bool {
        !self.bytes.is_empty()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        for (subject, policy) in &self.permits {
            self.table.release(*subject, policy, self.at, 1, self.tenure);
        }
    }
}
