//! What an exchange owes and holds while it lasts: charges that a refusal gives back, permits that
//! its end gives back, and what is only known at its end.

use std::fmt::Display;
use std::sync::Arc;

use arrayvec::ArrayVec;
use weir_protocol::limit::meter::Moment;

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
    /// The same for the table, once a limit is charged.
    moment: Option<Moment>,
    /// What the route costs.
    cost: u64,
    /// A bit for each kind of charges that is or was among the entries.
    kinds: u8,
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
        let (at, moment, tenure) = (Instant::NEVER, None, table.tenure());
        Self { table, entries, at, moment, cost: 1, kinds: 0, tenure }
    }

    /// A request of this time that costs so much.
    pub(super) fn open(&mut self, at: Instant, cost: u64) {
        (self.at, self.cost) = (at, cost);
    }

    /// When the request's limits are charged.
    #[inline]
    pub(super) fn moment(&mut self) -> Moment {
        *self.moment.get_or_insert_with(|| self.table.moment(self.at))
    }

    /// How much a limit is charged before the request goes on.
    pub(super) const fn advance(&self, charges: Charges) -> u64 {
        charges.advance(self.cost)
    }

    /// Notes a limit that was charged its advance.
    #[inline]
    pub(super) fn note(&mut self, applied: &Applied<'s>, stays: bool) {
        self.kinds |= bit(applied.limit.charges);
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

    /// Whether there may be charges of this kind.
    #[inline]
    const fn has(&self, charges: Charges) -> bool {
        self.kinds & bit(charges) != 0
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
    #[inline]
    pub fn settle_bytes(&self, bytes: u64, now: Instant) {
        if self.has(Charges::Bytes) {
            self.settle_moved(bytes, now);
        }
    }

    fn settle_moved(&self, bytes: u64, now: Instant) {
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

    #[inline]
    pub const fn is_paced(&self) -> bool {
        self.has(Charges::Pace)
    }

    fn release(&self) {
        for entry in self.entries.iter().filter(|entry| entry.charges == Charges::Permit) {
            self.table.release(entry.subject, entry.policy, self.at, 1, self.tenure);
        }
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
    #[inline]
    fn drop(&mut self) {
        if self.has(Charges::Permit) {
            self.release();
        }
    }
}

const fn bit(charges: Charges) -> u8 {
    1 << charges as u8
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
