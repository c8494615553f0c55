//! Who was banned by a limit, whatever is asked for: the limits whose ladders ban are those of the
//! whole engine, not the route's.

use super::applies::apply;
use super::{Admission, Facts, Hasher, Refusal};
use crate::access::Listing;
use crate::runtime::Instant;

impl<'s> Admission<'s> {
    /// Refuses an address that a limit has banned, unless a list allows it by name.
    pub(super) fn check_banned_address(
        &self,
        facts: &Facts<'_>,
        hasher: &Hasher<'_>,
        now: Instant,
    ) -> Result<(), Refusal<'s>> {
        let limits = &self.snapshot.ban_limits.addresses;
        if limits.is_empty() {
            return Ok(());
        }
        let listing = self.snapshot.config.access.as_ref().map(|list| list.find(facts.address));
        if listing == Some(Listing::Allowed) {
            return Ok(());
        }
        self.check_banned(limits, facts, hasher, now)
    }

    /// Refuses a caller whose key or user a limit has banned.
    #[inline]
    pub(super) fn check_banned_caller(
        &self,
        facts: &Facts<'_>,
        hasher: &Hasher<'_>,
        now: Instant,
    ) -> Result<(), Refusal<'s>> {
        self.check_banned(&self.snapshot.ban_limits.callers, facts, hasher, now)
    }

    fn check_banned(
        &self,
        limits: &[usize],
        facts: &Facts<'_>,
        hasher: &Hasher<'_>,
        now: Instant,
    ) -> Result<(), Refusal<'s>> {
        for &index in limits {
            let Ok(applied) = apply(self.snapshot, hasher, facts, index) else { continue };
            let policy = &applied.quota.policy;
            if let Some(retry_after_ns) = self.table.banned_for_ns(applied.subject, policy, now) {
                self.counts[index].banned.increment();
                return Err(Refusal::Banned { limit: &applied.limit.name, retry_after_ns });
            }
        }
        Ok(())
    }
}
