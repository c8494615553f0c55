//! Which limits apply to a request, and in which order: for the decision, for whoever explains it,
//! and for recorded requests that are decided again.

use super::subject::{Facts, Hasher};
use crate::config::LimitKey;
use crate::slots::SubjectHash;
use crate::snapshot::{Limit, Quota, Snapshot};

/// When limits are charged, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the caller is known: those by address with `callers = "all"`.
    Everybody,
    /// Those by address that count callers without a valid credential.
    Anonymous,
    /// After the caller is known.
    Others,
}

/// A limit that applies.
#[derive(Clone, Copy)]
pub struct Applied<'s> {
    /// Of the limit, among the configuration's.
    pub index: usize,
    pub limit: &'s Limit,
    pub quota: &'s Quota,
    pub subject: SubjectHash,
}

/// Why a limit that the route names does not count a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exempt<'s> {
    /// It goes by tier, and says nothing of the caller's.
    Tier,
    /// The request lacks this part of what the limit counts by.
    Missing(&'s LimitKey),
}

/// The limits of the request's route for one phase, in the order of the route, each with the index
/// of the limit.
pub fn applies<'a, 's: 'a>(
    snapshot: &'s Snapshot,
    hasher: &'a Hasher<'_>,
    facts: &'a Facts<'_>,
    phase: Phase,
) -> impl Iterator<Item = (usize, Result<Applied<'s>, Exempt<'s>>)> + use<'a, 's> {
    let indices = named(snapshot, facts.route, phase);
    indices.iter().map(move |&index| (index, apply(snapshot, hasher, facts, index)))
}

/// Indices of the limits that a route names for a phase, in its order.
#[inline]
pub(super) fn named(snapshot: &Snapshot, route: usize, phase: Phase) -> &[usize] {
    let limits = &snapshot.route_limits[route];
    match phase {
        Phase::Everybody => &limits.everybody,
        Phase::Anonymous => &limits.anonymous,
        Phase::Others => &limits.others,
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "a call would cost as much as what is in it")]
pub(super) fn apply<'s>(
    snapshot: &'s Snapshot,
    hasher: &Hasher<'_>,
    facts: &Facts<'_>,
    index: usize,
) -> Result<Applied<'s>, Exempt<'s>> {
    let limit = &snapshot.limits[index];
    let (subject, own) = match &*limit.key {
        [part] if !limit.has_overrides() => {
            (hasher.part(part, facts).ok_or(Exempt::Missing(part))?, None)
        }
        key => hasher.subject(key, index, facts).map_err(Exempt::Missing)?,
    };
    let quota = match own {
        Some(own) => limit.overriding(own),
        None => limit.quota(facts.tier),
    };
    let quota = quota.ok_or(Exempt::Tier)?;
    Ok(Applied { index, limit, quota, subject })
}
