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
    let limits = &snapshot.route_limits[facts.route];
    let indices = match phase {
        Phase::Everybody => &limits.everybody,
        Phase::Anonymous => &limits.anonymous,
        Phase::Others => &limits.others,
    };
    indices.iter().map(move |&index| (index, apply(snapshot, hasher, facts, index)))
}

#[inline]
pub(super) fn apply<'s>(
    snapshot: &'s Snapshot,
    hasher: &Hasher<'_>,
    facts: &Facts<'_>,
    index: usize,
) -> Result<Applied<'s>, Exempt<'s>> {
    let limit = &snapshot.limits[index];
    let subject = hasher.subject(&limit.key, index, facts);
    let (subject, own) = subject.map_err(Exempt::Missing)?;
    let quota = match own {
        Some(own) => limit.overriding(own),
        None => limit.quota(facts.tier),
    };
    let quota = quota.ok_or(Exempt::Tier)?;
    Ok(Applied { index, limit, quota, subject })
}
