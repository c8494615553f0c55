//! What must hold, judged from outside: by what clients sent and received and what backends saw.
//!
//! Invariant: no property looks into the engine, but for the gauges that it shows to everybody
//! ([`ends::drained`]). The gateway's verdicts on its backends stand in explanations only. A property that found nothing to judge has not passed.

use std::time::Duration;

use crate::scenario::Scenario;
use crate::trace::Seconds;
use crate::world::Run;

mod admission;
mod ailments;
mod answered;
mod ends;
mod facts;
mod failover;
mod spread;
#[cfg(test)]
mod tests;

pub use facts::{Facts, Request};

/// Added to every bound: messages on their way, and the ticks that timers round to.
const SLACK: Duration = Duration::from_millis(100);

/// The judgement of one property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub name: String,
    pub passed: bool,
    /// What was checked, or the rule that was broken, by which request, and what came before.
    pub detail: String,
}

/// Judges a run by everything its scenario expects.
pub fn judge(scenario: &Scenario, run: &Run) -> Vec<Verdict> {
    let facts = Facts::new(scenario, run);
    let expect = &scenario.expect;
    let mut verdicts = vec![runs_to_the_end(run)];
    if let Some(answered) = &expect.answered_once {
        verdicts.push(verdict("answered_once", answered::once(&facts, answered)));
    }
    if expect.at_most_once {
        verdicts.push(verdict("at_most_once", answered::at_most_once(&facts)));
    }
    if expect.no_reuse {
        verdicts.push(verdict("no_reuse", ends::no_reuse(&facts)));
    }
    for admitted in &expect.no_over_admission {
        let groups: Vec<_> = admitted.clients.iter().map(|c| c.get_ref().as_str()).collect();
        let name = format!("no_over_admission({})", groups.join(","));
        verdicts.push(verdict(&name, admission::no_over_admission(&facts, admitted)));
    }
    if let Some(within) = &expect.failover {
        verdicts.push(verdict("failover", failover::failover(&facts, within)));
    }
    if let Some(within) = &expect.recovery {
        verdicts.push(verdict("recovery", failover::recovery(&facts, within)));
    }
    if let Some(spread) = &expect.spread {
        verdicts.push(verdict("spread", spread::spread(&facts, spread)));
    }
    if expect.drained.is_some() {
        verdicts.push(verdict("drained", ends::drained(run)));
    }
    verdicts
}

fn verdict(name: &str, result: Result<String, String>) -> Verdict {
    let (passed, detail) = match result {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    Verdict { name: name.to_owned(), passed, detail }
}

/// Always on: the simulation got to its end.
fn runs_to_the_end(run: &Run) -> Verdict {
    let at = Seconds(crate::trace::nanos(run.elapsed));
    let result = match &run.stopped {
        None => Ok(format!("until {at} s")),
        Some(reason) => Err(format!("stopped at {at} s by {reason}")),
    };
    verdict("runs_to_the_end", result)
}
