//! Faults of backends are noticed in time, and forgotten in time.

use std::time::Duration;

use super::ailments::Ailment;
use super::{Facts, Request, SLACK};
use crate::scenario::{GATEWAY, Within};
use crate::trace::{Seconds, nanos};

/// A span of time in which requests may fail, and why.
struct Excuse {
    from_ns: u64,
    to_ns: u64,
}

/// No request fails for a fault that began longer than the bound before it was sent. Requests in
/// flight when a fault begins may fail, and all of them while no backend is well.
pub(super) fn failover(facts: &Facts<'_>, within: &Within) -> Result<String, String> {
    let stated = within.within.map(|span| span.0);
    let detected = stated.or(facts.run.health.map(|health| health.detection));
    let Some(bound) = detected else {
        return Err("an upstream has no health checks: state failover.within".to_owned());
    };
    if !facts.ailments.iter().any(|ailment| is_backend(facts, ailment)) {
        return Err("no event concerns a backend: there is nothing to judge".to_owned());
    }
    let recovery = facts.run.health.map_or(bound, |health| health.recovery);
    let excuses = excuses(facts, nanos(bound + SLACK), nanos(recovery + SLACK));
    let mut excused = 0;
    for request in &facts.requests {
        let Some(failure) = facts.failure(request) else { continue };
        if excuses.iter().any(|e| request.overlaps(e.from_ns, e.to_ns)) || is_cut(facts, request) {
            excused += 1;
            continue;
        }
        return Err(format!(
            "{} failed ({failure}), though every fault was more than {} s old or over{}",
            request.title(),
            Seconds(nanos(bound)),
            facts.explain(request)
        ));
    }
    Ok(format!("within {} s; {excused} requests failed before that", Seconds(nanos(bound))))
}

fn excuses(facts: &Facts<'_>, bound_ns: u64, recovery_ns: u64) -> Vec<Excuse> {
    let backends = || facts.ailments.iter().filter(|ailment| is_backend(facts, ailment));
    let mut excuses: Vec<_> = backends()
        .map(|ailment| Excuse {
            from_ns: ailment.from_ns,
            to_ns: ailment.end_ns().min(ailment.from_ns.saturating_add(bound_ns)),
        })
        .collect();
    // Everybody is unwell from the last one's fault until a first one is found to be well again.
    for ailment in backends() {
        let at = ailment.from_ns;
        let ends: Option<Vec<_>> = facts
            .backends()
            .map(|name| {
                let ill = backends().filter(|a| a.host == name && a.from_ns <= at);
                ill.map(|a| a.end_ns().saturating_add(recovery_ns)).filter(|end| *end > at).max()
            })
            .collect();
        if let Some(first) = ends.and_then(|ends| ends.into_iter().min()) {
            excuses.push(Excuse { from_ns: at, to_ns: first });
        }
    }
    excuses
}

/// After the last fault is over, and noticed to be over, everything is served, and the backends
/// that were unwell get requests again.
pub(super) fn recovery(facts: &Facts<'_>, within: &Within) -> Result<String, String> {
    let stated = within.within.map(|span| span.0);
    let bound = stated.or(facts.run.health.map(|health| health.recovery));
    let Some(bound) = bound else {
        return Err("an upstream has no health checks: state recovery.within".to_owned());
    };
    if let Some(ailment) = facts.ailments.iter().find(|ailment| ailment.to_ns.is_none()) {
        return Err(format!("the fault of {} never ends: there is nothing to judge", ailment.host));
    }
    let Some(healed) = facts.ailments.iter().filter_map(|ailment| ailment.to_ns).max() else {
        return Err("no event is a fault: there is nothing to judge".to_owned());
    };
    let from_ns = healed + nanos(bound + SLACK);
    let mut served = 0;
    for request in facts.requests.iter().filter(|request| request.sent_ns >= from_ns) {
        if let Some(failure) = facts.failure(request) {
            let (title, explained) = (request.title(), facts.explain(request));
            let healed = Seconds(healed);
            return Err(format!(
                "{title} failed ({failure}); all was well at {healed} s{explained}"
            ));
        }
        served += 1;
    }
    if served == 0 {
        let from = Seconds(from_ns);
        return Err(format!("no request was sent after {from} s: there is nothing to judge"));
    }
    traffic_returns(facts, from_ns, bound)?;
    Ok(format!("{served} requests from {} s on", Seconds(from_ns)))
}

fn traffic_returns(facts: &Facts<'_>, from_ns: u64, bound: Duration) -> Result<(), String> {
    for ailment in facts.ailments.iter().filter(|ailment| is_backend(facts, ailment)) {
        let mut arrivals = facts.requests.iter().flat_map(|request| &request.arrivals);
        if !arrivals.any(|(at, backend)| *at >= from_ns && *backend == ailment.host) {
            let (host, bound) = (&ailment.host, Seconds(nanos(bound)));
            return Err(format!("{host} got no request later than {bound} s after the last fault"));
        }
    }
    Ok(())
}

/// Whether a fault stands between the gateway and a backend, or strikes the backend itself.
fn is_backend(facts: &Facts<'_>, ailment: &Ailment) -> bool {
    let between = ailment.towards.as_ref().is_none_or(|other| other == GATEWAY);
    between && facts.backends().any(|name| name == ailment.host)
}

/// Whether the request's client or the gateway itself was unwell while it lasted.
fn is_cut(facts: &Facts<'_>, request: &Request<'_>) -> bool {
    facts.ailments.iter().any(|ailment| {
        let own = ailment.host == request.client
            || (ailment.host == GATEWAY && ailment.towards.is_none());
        own && request.overlaps(ailment.from_ns, ailment.end_ns())
    })
}
