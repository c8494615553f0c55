//! What was and what would be, counted by limit, by key and by minute.

use std::collections::BTreeMap;

use super::redecide::Verdict;
use super::subject::Subject;
use crate::ledger::flight::{Decision, Record};

/// Keys that are told of at most; those with the fewest refusals go first.
const KEYS_MAX: usize = 1 << 16;
const MINUTE_NS: u64 = 60_000_000_000;

/// A limit that a request would have been charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) limit: usize,
    pub(super) subject: Subject,
    pub(super) admitted: bool,
}

/// Requests, or charges, in fact and as they would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) admitted: u64,
    /// By a limit.
    pub(super) refused: u64,
    pub(super) would_admit: u64,
    pub(super) would_refuse: u64,
}

impl Counts {
    fn fact(&mut self, refused: bool) {
        *if refused { &mut self.refused } else { &mut self.admitted } += 1;
    }

    fn would(&mut self, refused: bool) {
        *if refused { &mut self.would_refuse } else { &mut self.would_admit } += 1;
    }

    pub(super) fn refusals(&self) -> u64 {
        self.refused.max(self.would_refuse)
    }
}

/// All counts of a replay.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) records: u64,
    /// Unix nanoseconds.
    pub(super) first: Option<u64>,
    pub(super) last: u64,
    /// Of the requests that limits decide on.
    pub(super) requests: Counts,
    pub(super) newly_refused: u64,
    pub(super) newly_admitted: u64,
    /// Refused by something else than a limit, both in fact and would be.
    pub(super) otherwise: u64,
    pub(super) no_route: u64,
    pub(super) unknown: u64,
    /// In the order of the configuration.
    pub(super) limits: Vec<Counts>,
    pub(super) keys: BTreeMap<(usize, Subject), Counts>,
    pub(super) keys_left_out: u64,
    /// By Unix minute.
    pub(super) minutes: BTreeMap<u64, Counts>,
}

impl Tally {
    pub(super) fn new(limits: usize) -> Self {
        Self { limits: vec![Counts::default(); limits], ..Self::default() }
    }

    /// `refused_by` is the limit that refused in fact.
    pub(super) fn note(
        &mut self,
        record: &Record,
        refused_by: Option<usize>,
        verdict: &Verdict,
        steps: &[Step],
    ) {
        self.records += 1;
        self.first.get_or_insert(record.time.0);
        self.last = self.last.max(record.time.0);
        let limited =
            matches!(record.decision, Decision::Limited | Decision::TableFull | Decision::Banned);
        let would = match verdict {
            Verdict::Admitted => false,
            Verdict::Limited | Verdict::TableFull => true,
            Verdict::Refused => {
                self.otherwise += 1;
                return;
            }
            Verdict::NoRoute => {
                self.no_route += 1;
                return;
            }
            Verdict::Unknown => {
                self.unknown += 1;
                return;
            }
        };
        let minute = self.minutes.entry(record.time.0 / MINUTE_NS).or_default();
        for counts in [&mut self.requests, minute] {
            counts.fact(limited);
            counts.would(would);
        }
        self.newly_refused += u64::from(would && !limited);
        self.newly_admitted += u64::from(limited && !would);
        for step in steps {
            self.note_step(step, limited, refused_by);
        }
        self.bound();
    }

    fn note_step(&mut self, step: &Step, limited: bool, refused_by: Option<usize>) {
        let by_this = refused_by == Some(step.limit);
        let counts = &mut self.limits[step.limit];
        // What another limit refused was no charge of this one.
        if by_this || !limited {
            counts.fact(by_this);
        }
        counts.would(!step.admitted);
        if by_this || !step.admitted || self.keys.contains_key(&(step.limit, step.subject)) {
            let counts = self.keys.entry((step.limit, step.subject)).or_default();
            if by_this || !limited {
                counts.fact(by_this);
            }
            counts.would(!step.admitted);
        }
    }

    /// Leaves out the keys with the fewest refusals once there are twice too many.
    fn bound(&mut self) {
        if self.keys.len() < 2 * KEYS_MAX {
            return;
        }
        let mut refusals: Vec<u64> = self.keys.values().map(Counts::refusals).collect();
        refusals.sort_unstable_by(|one, other| other.cmp(one));
        let least = refusals[KEYS_MAX];
        let before = self.keys.len();
        self.keys.retain(|_, counts| counts.refusals() > least);
        self.keys_left_out += (before - self.keys.len()) as u64;
    }

    /// Keys of one limit, the most refused first.
    pub(super) fn top(&self, limit: usize, most: usize) -> Vec<(&Subject, &Counts)> {
        let own = self.keys.iter().filter(|((of, _), _)| *of == limit);
        let mut own: Vec<_> = own.map(|((_, key), counts)| (key, counts)).collect();
        own.sort_by(|(_, one), (_, other)| {
            (other.would_refuse, other.refused).cmp(&(one.would_refuse, one.refused))
        });
        own.truncate(most);
        own
    }
}
