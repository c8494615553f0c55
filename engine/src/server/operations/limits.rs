//! What limits have counted.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use weir_protocol::control::{CounterStatus, LimitsRequest, Response, Subject, TopBy};
use weir_protocol::journal::{Record, Reset};

use super::Engine;
use super::record::audit;
use crate::inspect::Catalogue;
use crate::runtime::os;
use crate::slots::Entry;
use crate::snapshot::{Limit, Snapshot};

/// Counters in one answer, which has to fit a frame.
const COUNTERS_MAX: usize = 1_000;

impl Engine {
    pub(super) fn answer_limits(
        &self,
        request: LimitsRequest,
        by: &str,
    ) -> Result<Response, String> {
        match request {
            LimitsRequest::Top { by, limit, count } => {
                self.top(by, limit.as_deref(), count).map(Response::Counters)
            }
            LimitsRequest::Show { subject } => self.show(subject).map(Response::Counters),
            LimitsRequest::Reset { subject, limit } => {
                self.reset(subject, limit.as_deref(), by).map(Response::Done)
            }
        }
    }

    /// The counters that still mean something, with the most of `by` first.
    fn top(
        &self,
        by: TopBy,
        limit: Option<&str>,
        count: u32,
    ) -> Result<Vec<CounterStatus>, String> {
        let snapshot = self.snapshot();
        known_limit(&snapshot, limit)?;
        let catalogue = Catalogue::new(&snapshot);
        let now = self.table.moment(os::now());
        let lives = |entry: &Entry| {
            !entry.shape.is_expired(entry.word, now) || catalogue.ban(entry, now).is_some()
        };
        let entries = self.table.entries().filter(lives);
        let all = entries.map(|entry| catalogue.status(&entry, None, now));
        let mut counters: Vec<_> =
            all.filter(|counter| limit.is_none_or(|limit| counter.limit == limit)).collect();
        counters.sort_by_cached_key(|counter| Reverse(rank(by, counter)));
        counters.truncate(usize::try_from(count).map_or(COUNTERS_MAX, |n| n.min(COUNTERS_MAX)));
        Ok(counters)
    }

    fn show(&self, subject: Subject) -> Result<Vec<CounterStatus>, String> {
        let snapshot = self.snapshot();
        let catalogue = Catalogue::new(&snapshot);
        let wanted = catalogue.wanted(subject, &self.table)?;
        let now = self.table.moment(os::now());
        let found = self.table.entries().filter_map(|entry| {
            let limit = wanted.find(&entry, &catalogue)?;
            Some(catalogue.status(&entry, limit, now))
        });
        let mut counters: Vec<_> = found.take(COUNTERS_MAX).collect();
        counters.sort_by_cached_key(|counter| (counter.limit.clone(), counter.subject.clone()));
        Ok(counters)
    }

    fn reset(&self, subject: Subject, limit: Option<&str>, by: &str) -> Result<String, String> {
        let snapshot = self.snapshot();
        known_limit(&snapshot, limit)?;
        let catalogue = Catalogue::new(&snapshot);
        let who = subject.to_string();
        let wanted = catalogue.wanted(subject, &self.table)?;
        let mut found: BTreeMap<&str, Vec<(Entry, &Limit)>> = BTreeMap::new();
        for entry in self.table.entries() {
            let Some(own) = wanted.find(&entry, &catalogue) else { continue };
            let own = own.or_else(|| catalogue.limit(&entry).map(|(limit, _)| limit));
            if let Some(own) = own.filter(|own| limit.is_none_or(|limit| own.name == limit)) {
                found.entry(&own.name).or_default().push((entry, own));
            }
        }
        if found.is_empty() {
            return Err(format!("nothing is counted for {who}"));
        }
        let names = found.keys().copied().collect::<Vec<_>>().join(", ");
        let mut records = vec![audit(by, "limits reset", format!("{who}: {names}"))];
        records.extend(found.keys().map(|limit| reset_record(limit, &who, by)));
        let written = self.journal.append_and_wait(records);
        written.map_err(|error| format!("nothing was reset, for want of a record: {error}"))?;
        let now = os::now();
        let entries = found.values().flatten();
        let (reset, held): (Vec<_>, Vec<_>) = entries.partition(|(entry, limit)| {
            let policy = limit.quotas().next().map(|quota| &quota.policy);
            policy.is_some_and(|policy| self.table.reset_tag(entry.tag, policy, now))
        });
        let held = match held.len() {
            0 => String::new(),
            held => format!("; {held} of requests in flight stay until those end"),
        };
        Ok(format!("{} counters of {who} begin anew, under {names}{held}", reset.len()))
    }
}

fn reset_record(limit: &str, key: &str, by: &str) -> Record {
    let (limit, key, by) = (limit.to_owned(), key.to_owned(), by.to_owned());
    Record::Reset(Reset { limit, key, by, at_ms: os::wall().as_millis() })
}

fn known_limit(snapshot: &Snapshot, name: Option<&str>) -> Result<(), String> {
    let Some(name) = name else { return Ok(()) };
    let names: Vec<_> = snapshot.limits.iter().map(|limit| limit.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    Err(format!("no limit is called {name:?}; there are {}", names.join(", ")))
}

/// Greater comes first.
fn rank(by: TopBy, counter: &CounterStatus) -> (u64, u64) {
    match by {
        TopBy::Used => {
            let parts = u128::from(counter.used) * 1_000_000 / u128::from(counter.quota.max(1));
            (u64::try_from(parts).unwrap_or(u64::MAX), counter.used)
        }
        TopBy::Refused => (counter.refused, counter.used),
        TopBy::Admitted => (counter.admitted, counter.used),
    }
}
