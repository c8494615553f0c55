//! What a sliding window of `limit` in `window` promises:
//! - **any interval** of the window's length has at most 2 × limit admitted requests that began
//!   and ended in it;
//! - **an epoch** (windows are cut at multiples of their length) has at most limit of them;
//! - **an epoch that nothing came before** admits exactly as many as were asked for, up to the
//!   limit: what came in the epoch before is the only other thing that counts.

use std::collections::BTreeMap;

use super::{charged_by, is_admitted, is_refused};
use crate::properties::{Facts, Request};
use crate::scenario::Quota;
use crate::trace::{Seconds, nanos};

/// How many epochs could be judged exactly.
pub(super) fn judge(
    facts: &Facts<'_>,
    requests: &[&Request<'_>],
    rate: Quota,
) -> Result<usize, String> {
    any_interval(facts, requests, rate)?;
    epochs(facts, requests, rate)
}

fn any_interval(facts: &Facts<'_>, requests: &[&Request<'_>], rate: Quota) -> Result<(), String> {
    let window_ns = nanos(rate.window);
    let admitted: Vec<_> = requests.iter().filter(|request| is_admitted(request)).collect();
    let most = 2 * rate.count as usize;
    for (index, first) in admitted.iter().enumerate() {
        let end = first.sent_ns.saturating_add(window_ns);
        let within = admitted[index..].iter().filter(|request| charged_by(request) <= end).count();
        if within > most {
            let from = Seconds(first.sent_ns);
            return Err(format!(
                "{within} requests admitted in the window from {from} s, more than {most}; the first is {}{}",
                first.title(),
                facts.explain(first)
            ));
        }
    }
    Ok(())
}

/// The requests that surely belong to one epoch.
#[derive(Default)]
struct Epoch<'q, 'r> {
    admitted: Vec<&'q Request<'r>>,
    /// Those whose moment or fate is in doubt.
    doubtful: usize,
    asked: usize,
}

/// Judges every epoch; how many of them could be judged exactly.
fn epochs(facts: &Facts<'_>, requests: &[&Request<'_>], rate: Quota) -> Result<usize, String> {
    let epochs = sort(requests, nanos(rate.window));
    let limit = rate.count as usize;
    let mut exact = 0;
    for (number, epoch) in &epochs {
        let from = Seconds(number * nanos(rate.window));
        let count = epoch.admitted.len();
        if let Some(excess) = epoch.admitted.get(limit) {
            return Err(format!(
                "{count} requests admitted in the window cut at {from} s, more than {limit}; {} is one too many{}",
                excess.title(),
                facts.explain(excess)
            ));
        }
        let idle_before = number.checked_sub(1).is_none_or(|before| !epochs.contains_key(&before));
        if idle_before && epoch.doubtful == 0 {
            let owed = epoch.asked.min(limit);
            if count != owed {
                return Err(format!(
                    "{count} requests admitted in the window cut at {from} s that nothing came \
                     before, not {owed} (limit {limit}, {} asked)",
                    epoch.asked
                ));
            }
            exact += 1;
        }
    }
    Ok(exact)
}

fn sort<'q, 'r>(requests: &[&'q Request<'r>], window_ns: u64) -> BTreeMap<u64, Epoch<'q, 'r>> {
    let mut epochs: BTreeMap<u64, Epoch<'q, 'r>> = BTreeMap::new();
    for request in requests {
        let first = request.sent_ns / window_ns;
        let last = charged_by(request) / window_ns;
        let known = is_admitted(request) || is_refused(request);
        if first == last && known {
            let epoch = epochs.entry(first).or_default();
            epoch.asked += 1;
            if is_admitted(request) {
                epoch.admitted.push(request);
            }
        } else {
            // One that never ended was charged, if at all, in one of the first two it touched.
            for number in [first, last.min(first + 1)] {
                epochs.entry(number).or_default().doubtful += 1;
            }
        }
    }
    epochs
}
