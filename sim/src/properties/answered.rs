//! Every request is answered once; one that changes something is passed on at most once; none is
//! passed on again once some of its answer was there.

use super::{Facts, Request, SLACK};
use crate::scenario::{Answered, GATEWAY};
use crate::trace::{Outcome, Seconds, nanos};

/// Every request ends in time with its own answer, or with its connection broken.
pub(super) fn once(facts: &Facts<'_>, expected: &Answered) -> Result<String, String> {
    if facts.requests.is_empty() {
        return Err("no request was sent: there is nothing to judge".to_owned());
    }
    let bound_ns = nanos(expected.within.0 + SLACK);
    for request in &facts.requests {
        let rule = match request.done {
            Some((_, Outcome::Wrong(reason))) => format!("was given a wrong answer: {reason}"),
            // The gateway cannot tell a client that it cannot reach.
            _ if is_cut_off(facts, request) => continue,
            None => "was not over when the simulation ended".to_owned(),
            Some((_, Outcome::Hung)) => "hung until its client's deadline".to_owned(),
            Some((at, _)) if at - request.sent_ns > bound_ns => {
                format!("took {} s, more than within", Seconds(at - request.sent_ns))
            }
            Some(_) => continue,
        };
        return Err(format!("{} {rule}{}", request.title(), facts.explain(request)));
    }
    let times = facts.requests.iter().map(|request| request.done_ns() - request.sent_ns);
    let slowest = times.max().unwrap_or(0);
    Ok(format!("{} requests, the slowest in {} s", facts.requests.len(), Seconds(slowest)))
}

/// Whether the way between client and gateway was cut, or the gateway down, while it lasted.
fn is_cut_off(facts: &Facts<'_>, request: &Request<'_>) -> bool {
    facts.ailments.iter().any(|ailment| {
        let concerned = match &ailment.towards {
            Some(other) => ailment.host == request.client && other == GATEWAY,
            None => ailment.host == GATEWAY,
        };
        concerned && request.overlaps(ailment.from_ns, ailment.end_ns())
    })
}

/// A request that is not idempotent (RFC 9110 section 9.2.2) reaches backends at most once, and
/// none reaches another one when its answer had begun.
pub(super) fn at_most_once(facts: &Facts<'_>) -> Result<String, String> {
    let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
    let mut judged = 0;
    for request in &facts.requests {
        let Some(broken_off) = request.broken_off_ns else { continue };
        judged += 1;
        if request.arrivals.iter().any(|(at, _)| *at > broken_off) {
            let title = request.title();
            let explained = facts.explain(request);
            return Err(format!("{title} was sent again after part of an answer{explained}"));
        }
    }
    for request in facts.requests.iter().filter(|r| !idempotent.contains(&r.method)) {
        judged += 1;
        if request.arrivals.len() > 1 {
            let count = request.arrivals.len();
            let title = request.title();
            return Err(format!(
                "{title} reached backends {count} times{}",
                facts.explain(request)
            ));
        }
    }
    if judged == 0 {
        return Err(
            "every method is idempotent, no answer broke off: there is nothing to judge".to_owned()
        );
    }
    Ok(format!("{judged} requests that must not be sent again"))
}
