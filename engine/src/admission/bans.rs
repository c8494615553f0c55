//! Who was banned by a limit, whatever is asked for: the limits whose ladders ban are those of the
//! whole engine, not the route's.

use std::net::IpAddr;

use super::applies::apply;
use super::subject::NoFields;
use super::{AddressMemo, Admission, Caller, Facts, Hasher, Refusal};
use crate::access::Listing;
use crate::runtime::Instant;
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;

/// That a limit has banned somebody.
pub(crate) struct Banned<'s> {
    /// Of the limit.
    index: usize,
    pub(crate) limit: &'s str,
    pub(crate) left_ns: u64,
}

/// The ban of an address, unless a list allows that by name.
pub(crate) fn banned_address<'s>(
    snapshot: &'s Snapshot,
    table: &SlotTable,
    address: IpAddr,
    memo: &AddressMemo,
    now: Instant,
) -> Option<Banned<'s>> {
    let limits = &snapshot.ban_limits.addresses;
    if limits.is_empty() || !table.may_have_bans() {
        return None;
    }
    let listing = snapshot.config.access.as_ref().map(|list| list.find(address));
    if listing == Some(Listing::Allowed) {
        return None;
    }
    // These limits count by the address and nothing else: no other fact is looked at.
    let caller = &Caller::Anonymous;
    let facts =
        Facts { route: 0, address, caller, tier: None, certificate: None, fields: &NoFields };
    banned(
        snapshot,
        table,
        limits,
        &facts,
        &Hasher::new(table, snapshot.subjects(table), memo),
        now,
    )
}

/// The ban of a known caller's key or user.
#[inline]
pub(crate) fn banned_caller<'s>(
    snapshot: &'s Snapshot,
    table: &SlotTable,
    facts: &Facts<'_>,
    hasher: &Hasher<'_>,
    now: Instant,
) -> Option<Banned<'s>> {
    banned(snapshot, table, &snapshot.ban_limits.callers, facts, hasher, now)
}

fn banned<'s>(
    snapshot: &'s Snapshot,
    table: &SlotTable,
    limits: &[usize],
    facts: &Facts<'_>,
    hasher: &Hasher<'_>,
    now: Instant,
) -> Option<Banned<'s>> {
    limits.iter().find_map(|&index| {
        let applied = apply(snapshot, hasher, facts, index).ok()?;
        let left_ns = table.banned_for_ns(applied.subject, &applied.quota.policy, now)?;
        Some(Banned { index, limit: &applied.limit.name, left_ns })
    })
}

impl<'s> Admission<'s> {
    /// Refuses an address that a limit has banned.
    #[inline]
    pub fn check_banned_address(
        &self,
        address: IpAddr,
        memo: &AddressMemo,
        now: Instant,
    ) -> Result<(), Refusal<'s>> {
        let banned = banned_address(self.snapshot, self.table, address, memo, now);
        banned.map_or(Ok(()), |banned| self.refuse_banned(&banned))
    }

    /// Refuses a caller whose key or user a limit has banned.
    #[inline]
    pub(super) fn check_banned_caller(
        &self,
        facts: &Facts<'_>,
        hasher: &Hasher<'_>,
        now: Instant,
    ) -> Result<(), Refusal<'s>> {
        let banned = banned_caller(self.snapshot, self.table, facts, hasher, now);
        banned.map_or(Ok(()), |banned| self.refuse_banned(&banned))
    }

    #[cold]
    fn refuse_banned(&self, banned: &Banned<'s>) -> Result<(), Refusal<'s>> {
        let Banned { index, limit, left_ns } = *banned;
        self.counts[index].banned.increment();
        Err(Refusal::Banned { limit, retry_after_ns: left_ns })
    }
}
