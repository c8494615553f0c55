//! Charging the limits that apply to a request.

use weir_protocol::limit::meter::Moment;

use super::applies::{apply, named};
use super::{Admission, Applied, Decision, Facts, Hasher, Phase, Refusal, SubjectName};
use crate::config::OnFull;
use crate::metrics::LimitCounts;
use crate::slots::Charge;
use crate::snapshot::{Charges, Limit};

impl<'s> Admission<'s> {
    /// Charges the limits of one phase, in their order, until one refuses.
    #[inline]
    pub(super) fn charge_all(
        &self,
        phase: Phase,
        facts: &Facts<'_>,
        hasher: &Hasher<'_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        match named(self.snapshot, facts.route, phase) {
            [] => Ok(()),
            indices => self.charge_each(indices, phase != Phase::Others, facts, hasher, decision),
        }
    }

    fn charge_each(
        &self,
        indices: &[usize],
        stays: bool,
        facts: &Facts<'_>,
        hasher: &Hasher<'_>,
        decision: &mut Decision<'s>,
    ) -> Result<(), Refusal<'s>> {
        let now = decision.tab.moment();
        for &index in indices {
            let Ok(applied) = apply(self.snapshot, hasher, facts, index) else { continue };
            let key = &applied.limit.key;
            let name = SubjectName { key, facts, snapshot: self.snapshot, hasher };
            if self.charge(&applied, now, &name, decision)? {
                decision.tab.note(&applied, stays);
            }
        }
        Ok(())
    }

    /// Whether the limit was charged; an error refuses the request.
    #[inline]
    fn charge(
        &self,
        applied: &Applied<'s>,
        now: Moment,
        name: &SubjectName<'_>,
        decision: &mut Decision<'s>,
    ) -> Result<bool, Refusal<'s>> {
        let Applied { limit, quota, subject, .. } = *applied;
        let counts = &self.counts[applied.index];
        if limit.charges == Charges::Pace {
            return Ok(true);
        }
        let cost = decision.tab.advance(limit.charges);
        let (remaining, reset_ns, retry_after_ns) =
            match self.table.charge_at(subject, &quota.policy, now, cost, name) {
                Charge::Admitted { remaining, reset_ns } => (remaining, reset_ns, None),
                Charge::Refused { retry_after_ns, reset_ns } => (0, reset_ns, Some(retry_after_ns)),
                Charge::TableFull => return self.table_full(limit, counts),
            };
        if limit.dry_run {
            return Ok(self.tell_dry(limit, counts, retry_after_ns.is_none(), decision));
        }
        if self.snapshot.config.http.rate_limit_fields {
            // More than can be reported are still charged.
            let _ = decision.standings.try_push(quota.standing(remaining, reset_ns));
        }
        match retry_after_ns {
            None => {
                counts.admitted.increment();
                Ok(true)
            }
            Some(retry_after_ns) => {
                counts.refused.increment();
                Err(limit.refusal(retry_after_ns))
            }
        }
    }

    #[cold]
    fn table_full(&self, limit: &'s Limit, counts: &LimitCounts) -> Result<bool, Refusal<'s>> {
        counts.table_full.increment();
        match limit.on_full {
            OnFull::Refuse if !limit.dry_run => Err(Refusal::TableFull { limit: &limit.name }),
            OnFull::Refuse | OnFull::Admit => Ok(false),
        }
    }

    /// Whether a limit in dry run has admitted, and so was charged.
    fn tell_dry(
        &self,
        limit: &'s Limit,
        counts: &LimitCounts,
        admitted: bool,
        decision: &mut Decision<'s>,
    ) -> bool {
        if admitted {
            counts.admitted.increment();
        } else {
            counts.would_refuse.increment();
            decision.would_refuse.get_or_insert(&limit.name);
        }
        admitted
    }
}
