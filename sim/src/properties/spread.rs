//! While all backends are well, all of them get their part.

use super::{Facts, SLACK};
use crate::scenario::Spread;
use crate::trace::{Seconds, nanos};

/// Fewer requests than this many for each backend say nothing.
const REQUESTS_EACH_MIN: usize = 10;

/// Judges the time before the first fault.
pub(super) fn spread(facts: &Facts<'_>, expected: &Spread) -> Result<String, String> {
    let first_fault = facts.ailments.iter().map(|ailment| ailment.from_ns).min();
    let until = first_fault.map_or(facts.end_ns, |at| at.saturating_sub(nanos(SLACK)));
    let counts: Vec<(&str, usize)> = facts
        .backends()
        .map(|name| {
            let arrivals = facts.requests.iter().flat_map(|request| &request.arrivals);
            (name, arrivals.filter(|(at, backend)| *at < until && *backend == name).count())
        })
        .collect();
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    if total < REQUESTS_EACH_MIN * counts.len() {
        return Err(format!("only {total} requests before the first fault: too few to judge"));
    }
    let listed: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let listed = format!("until {} s: {}", Seconds(until), listed.join(", "));
    for (name, count) in &counts {
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
        let share = *count as f64 * counts.len() as f64 / total as f64;
        if share < expected.share_min {
            return Err(format!("{name} got {share:.2} of an even share; {listed}"));
        }
    }
    Ok(listed)
}
