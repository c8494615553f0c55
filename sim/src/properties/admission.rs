//! What each algorithm promises, seen from outside.
//!
//! A request is charged at some moment between being sent and being answered, so:
//! - requests that were admitted for sure, charged within an interval for sure, are at most what the
//!   algorithm allows in it;
//! - a request that was refused needs enough others that may have been charged by then: a count
//!   that a crash, a shard or a lost permit made up would show here.
//!
//! A sliding window can be judged more closely: see [`window`].

use std::collections::BTreeMap;

use super::{Facts, Request};
use crate::scenario::{Admitted, Per, Promise};
use crate::trace::Outcome;

mod bounds;
mod window;

pub(super) fn no_over_admission(facts: &Facts<'_>, expected: &Admitted) -> Result<String, String> {
    let mut callers: BTreeMap<&str, Vec<&Request<'_>>> = BTreeMap::new();
    for request in &facts.requests {
        if expected.clients.iter().any(|group| is_of(request.client, group.get_ref())) {
            let caller = if expected.per == Per::All { "" } else { request.client };
            callers.entry(caller).or_default().push(request);
        }
    }
    let (mut admitted, mut refused, mut exact) = (0, 0, 0);
    for requests in callers.values() {
        match expected.promise {
            Promise::Window(rate) => exact += window::judge(facts, requests, rate)?,
            Promise::Strict(rate) => bounds::strict(facts, requests, rate)?,
            Promise::Bucket { rate, burst } => bounds::bucket(facts, requests, rate, burst)?,
            Promise::Concurrency { max } => bounds::concurrency(facts, requests, max)?,
        }
        admitted += requests.iter().filter(|request| is_admitted(request)).count();
        refused += requests.iter().filter(|request| is_refused(request)).count();
    }
    if refused == 0 {
        return Err(format!("nothing was refused ({admitted} admitted): the limit was not tried"));
    }
    let counts = format!("{admitted} admitted, {refused} refused");
    Ok(match expected.promise {
        Promise::Window(_) => format!("{counts}; exact in {exact} windows"),
        _ => format!("{counts}, each with reason"),
    })
}

/// Whether a host belongs to a group: `burst-12` to `burst`.
fn is_of(host: &str, group: &str) -> bool {
    host.strip_prefix(group)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_refused(request: &Request<'_>) -> bool {
    request.status() == Some(429)
}

/// Whether it was charged for sure: a backend saw it, or the gateway answered in a backend's stead.
fn is_admitted(request: &Request<'_>) -> bool {
    let gateway_tried =
        matches!(request.done, Some((_, Outcome::Answered { status: 502..=504, backend: None })));
    !request.arrivals.is_empty() || gateway_tried
}

/// The moment by which an admitted request had been charged.
fn charged_by(request: &Request<'_>) -> u64 {
    request.arrivals.first().map_or(request.done_ns(), |(at, _)| (*at).min(request.done_ns()))
}
