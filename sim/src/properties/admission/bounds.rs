//! What the other algorithms promise: at most so much in any interval, or at once; and nobody is
//! refused without need.

use super::{charged_by, is_admitted, is_refused};
use crate::properties::{Facts, Request, SLACK};
use crate::scenario::{Action, GATEWAY, Quota};
use crate::trace::{Seconds, nanos};

/// At most the limit in any interval of the window's length. Who is refused had at least as many
/// before him in the sub-windows that count.
pub(super) fn strict(
    facts: &Facts<'_>,
    requests: &[&Request<'_>],
    rate: Quota,
) -> Result<(), String> {
    let (limit, window_ns) = (rate.count as usize, nanos(rate.window));
    most_in_any_interval(facts, requests, |_| limit, window_ns)?;
    // Of 40 bits, each as wide as the limit; all of them weigh in full (docs/limits.md).
    let counters = u64::from((40 / (rate.count.max(1).ilog2() + 1)).min(16));
    let counted_ns = window_ns.div_ceil(counters - 1) * counters;
    with_reason(facts, requests, |refused, others| {
        let from_ns = refused.sent_ns.saturating_sub(counted_ns);
        others.iter().filter(|other| charged_until(other) >= from_ns).count() >= limit
    })
}

/// At most burst + rate x T in any interval of time T. Who is refused came when that was used up in
/// one that ended with him.
pub(super) fn bucket(
    facts: &Facts<'_>,
    requests: &[&Request<'_>],
    rate: Quota,
    burst: u32,
) -> Result<(), String> {
    let earned = |ns: u64| {
        let units = u128::from(ns) * u128::from(rate.count) / u128::from(nanos(rate.window));
        usize::try_from(units).unwrap_or(usize::MAX)
    };
    let allowed = |ns: u64| earned(ns).saturating_add(burst as usize);
    most_in_any_interval(facts, requests, allowed, u64::MAX)?;
    with_reason(facts, requests, |refused, others| {
        others.iter().any(|first| {
            let since = others.iter().filter(|other| charged_until(other) >= first.sent_ns);
            // In less time than it took at the most, more was allowed than is said here.
            let least_ns = refused.sent_ns.saturating_sub(charged_until(first));
            since.count() >= allowed(least_ns)
        })
    })
}

/// At most `max` with backends at any moment. Who is refused met as many that may have been on
/// their way.
pub(super) fn concurrency(
    facts: &Facts<'_>,
    requests: &[&Request<'_>],
    max: usize,
) -> Result<(), String> {
    let permits: Vec<_> = requests.iter().filter_map(|r| Some((r, held(facts, r)?))).collect();
    for (request, (from_ns, _)) in &permits {
        let at_once = permits.iter().filter(|(_, (from, until))| (*from..*until).contains(from_ns));
        let at_once = at_once.count();
        if at_once > max {
            return Err(format!(
                "{at_once} requests were with backends at {} s, more than {max}; {} is one of them{}",
                Seconds(*from_ns),
                request.title(),
                facts.explain(request)
            ));
        }
    }
    with_reason(facts, requests, |refused, others| {
        let from_ns = refused.sent_ns.saturating_sub(nanos(SLACK));
        others.iter().filter(|other| other.done_ns() >= from_ns).count() >= max
    })
}

/// From when until when a request had a permit for sure: while its backend worked on it, and the
/// gateway lived.
fn held(facts: &Facts<'_>, request: &Request<'_>) -> Option<(u64, u64)> {
    let (from_ns, backend) = *request.arrivals.first()?;
    let spec = facts.scenario.backends.iter().find(|spec| spec.name.get_ref() == backend)?;
    let crashes = facts.scenario.events.iter().filter_map(|event| match &event.action {
        Action::Crash(host) if host == GATEWAY => Some(nanos(event.at)),
        _ => None,
    });
    let crash_ns = crashes.filter(|at| *at >= from_ns).min().unwrap_or(u64::MAX);
    let worked_until_ns = from_ns + nanos(spec.latency[0].0);
    Some((from_ns, worked_until_ns.min(request.done_ns()).min(crash_ns)))
}

/// The latest moment at which it may have been charged: the gateway may go on with a request whose
/// client has gone.
fn charged_until(request: &Request<'_>) -> u64 {
    let known = !request.arrivals.is_empty() || request.status().is_some();
    if known { charged_by(request) } else { u64::MAX }
}

/// No interval up to `longest_ns` has more requests charged in it for sure than are allowed.
fn most_in_any_interval(
    facts: &Facts<'_>,
    requests: &[&Request<'_>],
    allowed: impl Fn(u64) -> usize,
    longest_ns: u64,
) -> Result<(), String> {
    let admitted: Vec<_> = requests.iter().filter(|request| is_admitted(request)).collect();
    for (index, first) in admitted.iter().enumerate() {
        let mut charged: Vec<_> = admitted[index..].iter().map(|r| charged_by(r)).collect();
        charged.sort_unstable();
        for (count, until_ns) in (1..).zip(charged) {
            let length_ns = until_ns.saturating_sub(first.sent_ns);
            if length_ns > longest_ns {
                break;
            }
            if count > allowed(length_ns) {
                return Err(format!(
                    "{count} requests admitted from {} to {} s, more than {}; the first is {}{}",
                    Seconds(first.sent_ns),
                    Seconds(until_ns),
                    allowed(length_ns),
                    first.title(),
                    facts.explain(first)
                ));
            }
        }
    }
    Ok(())
}

/// Every refused request was refused for `reason`, given the others that may have been charged
/// before its answer.
fn with_reason(
    facts: &Facts<'_>,
    requests: &[&Request<'_>],
    reason: impl Fn(&Request<'_>, &[&Request<'_>]) -> bool,
) -> Result<(), String> {
    for refused in requests.iter().filter(|request| is_refused(request)) {
        let others = requests.iter().copied();
        let before = |r: &&Request<'_>| !is_refused(r) && r.sent_ns <= refused.done_ns();
        let others: Vec<_> = others.filter(before).collect();
        if !reason(refused, &others) {
            return Err(format!(
                "{} was refused though there was room{}",
                refused.title(),
                facts.explain(refused)
            ));
        }
    }
    Ok(())
}
