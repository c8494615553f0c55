//! A run's records put together request by request.

use std::collections::BTreeMap;

use super::ailments::{Ailment, ailments};
use crate::scenario::Scenario;
use crate::trace::{Outcome, Record, Seconds, Step};
use crate::world::Run;

/// How many records an explanation shows besides the request's own.
const CONTEXT_RECORDS: usize = 6;

/// One request as its client and the backends saw it.
#[derive(Debug)]
pub struct Request<'r> {
    pub id: &'r str,
    /// The client's host.
    pub client: &'r str,
    pub method: &'r str,
    pub sent_ns: u64,
    pub done: Option<(u64, &'r Outcome)>,
    /// When it arrived at which backend.
    pub arrivals: Vec<(u64, &'r str)>,
    /// When a backend first broke an answer to it off.
    pub broken_off_ns: Option<u64>,
}

/// What properties are judged by.
pub struct Facts<'r> {
    pub scenario: &'r Scenario,
    pub run: &'r Run,
    /// In the order in which they were sent.
    pub requests: Vec<Request<'r>>,
    pub(super) ailments: Vec<Ailment>,
    pub end_ns: u64,
}

impl<'r> Facts<'r> {
    pub fn new(scenario: &'r Scenario, run: &'r Run) -> Self {
        Self {
            scenario,
            run,
            requests: requests(&run.records),
            ailments: ailments(&scenario.events),
            end_ns: crate::trace::nanos(run.elapsed),
        }
    }

    /// Why a request was not served: an error of the gateway's side, or no answer at all.
    pub fn failure(&self, request: &Request<'_>) -> Option<String> {
        let (_, outcome) = request.done?;
        match outcome {
            Outcome::Answered { status, backend } if *status >= 500 => {
                let usual = backend.as_ref().is_some_and(|name| self.usual_status(name, *status));
                (!usual).then(|| outcome.to_string())
            }
            Outcome::Answered { .. } | Outcome::Left => None,
            Outcome::Broken(_) | Outcome::Hung | Outcome::Wrong(_) => Some(outcome.to_string()),
        }
    }

    fn usual_status(&self, backend: &str, status: u16) -> bool {
        let spec = self.scenario.backends.iter().find(|spec| spec.name.get_ref() == backend);
        spec.is_some_and(|spec| spec.status == status)
    }

    /// The records of a request, and what happened to hosts before it was over.
    pub fn explain(&self, request: &Request<'_>) -> String {
        let until = request.done.map_or(self.end_ns, |(at, _)| at);
        let records = || self.run.records.iter().filter(|record| record.at_ns <= until);
        let context: Vec<_> = records().filter(|record| record.concerns_hosts()).collect();
        let shown = &context[context.len().saturating_sub(CONTEXT_RECORDS)..];
        let mut lines: Vec<_> =
            records().filter(|record| id_of(&record.step) == Some(request.id)).collect();
        lines.extend(shown);
        lines.sort_by_key(|record| record.at_ns);
        lines.iter().map(|record| format!("\n    {record}")).collect()
    }

    /// Backends that a request can be told to have come from, by name.
    pub fn backends(&self) -> impl Iterator<Item = &'r str> {
        self.scenario.backends.iter().map(|spec| spec.name.get_ref().as_str())
    }
}

impl Request<'_> {
    /// When it was over; the end of all time if it never was.
    pub fn done_ns(&self) -> u64 {
        self.done.map_or(u64::MAX, |(at, _)| at)
    }

    pub fn overlaps(&self, from_ns: u64, to_ns: u64) -> bool {
        self.sent_ns <= to_ns && self.done_ns() >= from_ns
    }

    pub fn status(&self) -> Option<u16> {
        match self.done {
            Some((_, Outcome::Answered { status, .. })) => Some(*status),
            _ => None,
        }
    }

    /// As a rule that was broken names it.
    pub fn title(&self) -> String {
        format!("{} ({}, sent at {} s)", self.id, self.method, Seconds(self.sent_ns))
    }
}

fn requests(records: &[Record]) -> Vec<Request<'_>> {
    let mut requests = Vec::new();
    let mut places = BTreeMap::new();
    for Record { at_ns, step } in records {
        match step {
            Step::Sent { id, client, method, .. } => {
                places.insert(id, requests.len());
                requests.push(Request {
                    id,
                    client,
                    method,
                    sent_ns: *at_ns,
                    done: None,
                    arrivals: Vec::new(),
                    broken_off_ns: None,
                });
            }
            Step::Done { id, outcome } => {
                if let Some(place) = places.get(id) {
                    requests[*place].done = Some((*at_ns, outcome));
                }
            }
            Step::Arrived { id, backend } => {
                if let Some(place) = places.get(id) {
                    requests[*place].arrivals.push((*at_ns, backend));
                }
            }
            Step::Trouble { id: Some(id), broken_off: true, .. } => {
                if let Some(place) = places.get(id) {
                    requests[*place].broken_off_ns.get_or_insert(*at_ns);
                }
            }
            Step::Trouble { .. }
            | Step::Reused { .. }
            | Step::Checked { .. }
            | Step::Health { .. }
            | Step::Event { .. }
            | Step::Started { .. } => {}
        }
    }
    requests
}

fn id_of(step: &Step) -> Option<&str> {
    match step {
        Step::Sent { id, .. } | Step::Done { id, .. } | Step::Arrived { id, .. } => Some(id),
        Step::Trouble { id, .. } => id.as_deref(),
        Step::Reused { .. }
        | Step::Checked { .. }
        | Step::Health { .. }
        | Step::Event { .. }
        | Step::Started { .. } => None,
    }
}
