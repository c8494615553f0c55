//! A route's limits, for one request that is not charged.

use std::net::IpAddr;

use weir_protocol::control::{AppliedLimit, CounterStatus, Verdict};
use weir_protocol::limit::meter::{Moment, Outcome};

use super::catalogue::{allowance, describe, subject_text, word};
use super::explain::Explainer;
use crate::admission::{
    AddressMemo, Applied, Banned, Exempt, Facts, Hasher, Phase, Refusal, SubjectName, applies,
    banned_address, banned_caller,
};
use crate::config::Callers;
use crate::slots::Entry;
use crate::snapshot::Charges;

/// What the limits of the request's route say.
pub(super) struct Limits<'e> {
    explainer: &'e Explainer<'e>,
    hasher: Hasher<'e>,
    /// Index into the configuration's limits, of those that nothing was said of yet.
    left: Vec<usize>,
    cost: u64,
    moment: Moment,
    pub(super) applied: Vec<AppliedLimit>,
    /// Of the answer, once a limit refuses.
    pub(super) status: Option<u16>,
}

impl<'e> Limits<'e> {
    pub(super) fn new(explainer: &'e Explainer<'e>, addresses: &'e AddressMemo) -> Self {
        let subjects = explainer.snapshot.subjects(explainer.table);
        Self {
            explainer,
            hasher: Hasher::new(explainer.table, subjects, addresses),
            left: Vec::new(),
            cost: 1,
            moment: explainer.table.moment(explainer.now),
            applied: Vec::new(),
            status: None,
        }
    }

    /// The ban of the request's address.
    pub(super) fn address_ban(&self, address: IpAddr) -> Option<Banned<'e>> {
        let Explainer { snapshot, table, now, .. } = *self.explainer;
        banned_address(snapshot, table, address, &AddressMemo::default(), now)
    }

    /// The ban of the caller's key or user.
    pub(super) fn caller_ban(&self, facts: &Facts<'_>) -> Option<Banned<'e>> {
        let Explainer { snapshot, table, now, .. } = *self.explainer;
        banned_caller(snapshot, table, facts, &self.hasher, now)
    }

    /// The route is known.
    pub(super) fn begin(&mut self, route: usize) {
        let route = &self.explainer.snapshot.config.routes[route];
        (self.left, self.cost) = (route.limits.clone(), route.cost);
    }

    /// Looks at the limits of one phase; whether all would admit the request.
    pub(super) fn look(&mut self, phase: Phase, facts: &Facts<'_>) -> bool {
        let snapshot = self.explainer.snapshot;
        let found: Vec<_> = applies(snapshot, &self.hasher, facts, phase).collect();
        for (index, applied) in found {
            self.left.retain(|left| *left != index);
            let limit = match applied {
                Ok(applied) => self.judge(&applied, facts),
                Err(exempt) => self.skipped(index, exempt_text(exempt)),
            };
            self.applied.push(limit);
        }
        self.status.is_none()
    }

    /// The caller is known: limits for those without a credential spare it.
    pub(super) fn spare(&mut self) {
        let limits = &self.explainer.snapshot.config.limits;
        let spares = |index: &usize| {
            limits[*index].is_by_address() && limits[*index].callers == Callers::Anonymous
        };
        let (spared, left) = self.left.iter().partition(|index| spares(index));
        self.left = left;
        self.skip(spared, "counts callers without a valid credential");
    }

    /// The rest is not come to.
    pub(super) fn leave(&mut self) {
        let left = std::mem::take(&mut self.left);
        self.skip(left, "the request does not come to it");
    }

    fn skip(&mut self, limits: Vec<usize>, why: &str) {
        for index in limits {
            let skipped = self.skipped(index, why.to_owned());
            self.applied.push(skipped);
        }
    }

    fn skipped(&self, index: usize, detail: String) -> AppliedLimit {
        let limit = &self.explainer.snapshot.limits[index];
        AppliedLimit {
            name: limit.name.clone(),
            verdict: Verdict::Skipped,
            detail,
            dry_run: limit.dry_run,
            counter: None,
            cost: 0,
            retry_after_ms: 0,
        }
    }

    fn judge(&mut self, applied: &Applied<'_>, facts: &Facts<'_>) -> AppliedLimit {
        let Applied { limit, quota, subject, .. } = *applied;
        let (table, snapshot) = (self.explainer.table, self.explainer.snapshot);
        let entry = table.entry_of(subject, &quota.policy);
        let cost = limit.charges.advance(self.cost);
        let retry_after_ns = match self.would(applied, entry.as_ref(), cost) {
            // What it delays it does not refuse.
            _ if limit.charges == Charges::Pace => None,
            Outcome::Admitted { .. } => None,
            Outcome::Refused { retry_after_ns, .. } => Some(retry_after_ns),
        };
        let refusal = retry_after_ns.map(|retry_after_ns| limit.refusal(retry_after_ns));
        let retry_after_ns = match refusal {
            Some(Refusal::LimitExceeded { retry_after_ns, .. }) => retry_after_ns,
            _ => 0,
        };
        if refusal.is_some() && !limit.dry_run {
            self.status.get_or_insert(429);
        }
        let name = SubjectName { key: &limit.key, facts, snapshot, hasher: &self.hasher };
        let mut counter = CounterStatus {
            limit: limit.name.clone(),
            subject: subject_text(limit, &name.to_string()),
            ..CounterStatus::default()
        };
        let meter = quota.policy.meter();
        let left = match &entry {
            Some(entry) => allowance(quota, entry, self.moment),
            None => meter.peek(meter.fresh(self.moment), self.moment),
        };
        describe(limit, quota, left, &mut counter);
        if let Some(entry) = &entry {
            (counter.admitted, counter.refused) = (entry.admitted, entry.refused);
        }
        AppliedLimit {
            name: limit.name.clone(),
            verdict: if refusal.is_some() { Verdict::Refuses } else { Verdict::Passes },
            detail: counter.subject.clone(),
            dry_run: limit.dry_run,
            counter: Some(counter),
            cost,
            retry_after_ms: retry_after_ns.div_ceil(1_000_000),
        }
    }

    /// What a charge would come to.
    fn would(&self, applied: &Applied<'_>, entry: Option<&Entry>, cost: u64) -> Outcome {
        let quota = applied.quota;
        let meter = quota.policy.meter();
        let word = match entry {
            Some(entry) => word(quota, entry, self.moment),
            None => meter.fresh(self.moment),
        };
        meter.charge(word, self.moment, cost)
    }
}

fn exempt_text(exempt: Exempt<'_>) -> String {
    match exempt {
        Exempt::Tier => "says nothing of the caller's tier".to_owned(),
        Exempt::Missing(part) => format!("the request has no {}", super::catalogue::kind(part)),
    }
}
