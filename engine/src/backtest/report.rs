//! What a backtest found, for people and for programs.

use std::fmt::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Replay;
use super::merge::Merge;
use super::redecide::{Redecision, undecidable};
use super::subject::Subject;
use super::tally::{Counts, Tally};
use crate::ledger::flight::{Kind, Skipped};
use crate::snapshot::Limit;

/// Everything that was counted, with names.
pub struct Report {
    tally: Tally,
    limits: Vec<LimitLine>,
    /// Routes of the records that the configuration lacks, and their requests.
    missing: Vec<(String, u64)>,
    dictionary: Vec<(Subject, String)>,
    skipped: Skipped,
    late: u64,
    /// Charges for which the largest table had no room.
    pub table_full: u64,
}

struct LimitLine {
    name: String,
    dry_run: bool,
    /// Why it was not decided on.
    undecidable: Option<&'static str>,
    /// Names of which no record tells whom they mean.
    unknown_overrides: Vec<String>,
}

impl Report {
    pub(super) fn new(
        replay: &Replay<'_>,
        redecision: &Redecision<'_>,
        tally: Tally,
        merge: &Merge,
    ) -> Self {
        let Replay { config, limits, dictionary, .. } = *replay;
        let lines = limits.iter().zip(&redecision.unknown_overrides).map(|(limit, unknown)| {
            let Limit { name, dry_run, .. } = limit;
            let unknown_overrides = unknown.clone();
            let undecidable = undecidable(limit);
            LimitLine { name: name.clone(), dry_run: *dry_run, undecidable, unknown_overrides }
        });
        let missing = redecision.missing.iter().map(|(number, requests)| {
            let name = dictionary.get(Kind::Route, u64::from(*number));
            let unnamed = || format!("a route without a name (number {number})");
            (name.map_or_else(unnamed, str::to_owned), *requests)
        });
        let mut named: Vec<Subject> = tally.keys.keys().map(|(_, key)| *key).collect();
        named.sort_unstable();
        named.dedup();
        Self {
            limits: lines.collect(),
            missing: missing.collect(),
            dictionary: named.into_iter().map(|key| (key, key.text(dictionary, config))).collect(),
            skipped: merge.skipped(),
            late: merge.late,
            table_full: redecision.table_full,
            tally,
        }
    }

    fn name(&self, key: &Subject) -> &str {
        let found = self.dictionary.binary_search_by(|(known, _)| known.cmp(key));
        found.map_or("", |at| &self.dictionary[at].1)
    }

    /// All of it, with the `top` most refused keys of each limit. Times are Unix seconds.
    pub fn json(&self, top: usize) -> Value {
        let tally = &self.tally;
        let limits: Vec<Value> = self
            .limits
            .iter()
            .enumerate()
            .map(|(index, limit)| {
                let keys: Vec<Value> = tally
                    .top(index, top)
                    .into_iter()
                    .map(|(key, counts)| with_counts(json!({ "key": self.name(key) }), counts))
                    .collect();
                let line = json!({
                    "limit": limit.name,
                    "dry_run": limit.dry_run,
                    "undecidable": limit.undecidable,
                    "unknown_overrides": limit.unknown_overrides,
                    "keys": keys,
                });
                with_counts(line, &tally.limits[index])
            })
            .collect();
        let minutes = tally
            .minutes
            .iter()
            .map(|(minute, counts)| with_counts(json!({ "start_s": minute * 60 }), counts));
        let missing = self.missing.iter();
        let missing =
            missing.map(|(route, requests)| json!({ "route": route, "requests": requests }));
        json!({
            "records": tally.records,
            "from_s": tally.first.unwrap_or(0) / 1_000_000_000,
            "to_s": tally.last / 1_000_000_000,
            "requests": with_counts(json!({}), &tally.requests),
            "newly_refused": tally.newly_refused,
            "newly_admitted": tally.newly_admitted,
            "refused_otherwise": tally.otherwise,
            "without_route": tally.no_route,
            "caller_unknown": tally.unknown,
            "limits": limits,
            "keys_left_out": tally.keys_left_out,
            "minutes": minutes.collect::<Vec<_>>(),
            "missing_routes": missing.collect::<Vec<_>>(),
            "damaged": self.skipped.damaged,
            "overwritten": self.skipped.overwritten,
            "out_of_order": self.late,
            "table_full": self.table_full,
        })
    }

    /// For people.
    pub fn text(&self, top: usize) -> String {
        let mut out = String::new();
        self.write(&mut out, top).expect("a String takes every write");
        out
    }

    fn write(&self, out: &mut String, top: usize) -> fmt::Result {
        let tally = &self.tally;
        let span_s = (tally.last - tally.first.unwrap_or(tally.last)) / 1_000_000_000;
        writeln!(out, "{} requests of {span_s} s", tally.records)?;
        let all = &tally.requests;
        writeln!(out, "{:<40} {:>12} {:>12}", "", "in fact", "would be")?;
        writeln!(out, "{:<40} {:>12} {:>12}", "admitted by limits", all.admitted, all.would_admit)?;
        writeln!(out, "{:<40} {:>12} {:>12}", "refused by limits", all.refused, all.would_refuse)?;
        let (refused, admitted) = (tally.newly_refused, tally.newly_admitted);
        writeln!(out, "newly refused: {refused}; newly admitted: {admitted}")?;
        for (index, limit) in self.limits.iter().enumerate() {
            self.write_limit(out, index, limit, top)?;
        }
        self.write_minutes(out, top)?;
        self.write_notes(out)
    }

    fn write_limit(
        &self,
        out: &mut String,
        index: usize,
        limit: &LimitLine,
        top: usize,
    ) -> fmt::Result {
        let dry = if limit.dry_run { " (dry run)" } else { "" };
        writeln!(out, "\nlimit {}{dry}", limit.name)?;
        if let Some(reason) = limit.undecidable {
            return writeln!(out, "  not decided: {reason}");
        }
        for name in &limit.unknown_overrides {
            writeln!(out, "  not told by records: whom the override {name} means")?;
        }
        let counts = &self.tally.limits[index];
        writeln!(out, "  {:<38} {:>12} {:>12}", "admitted", counts.admitted, counts.would_admit)?;
        writeln!(out, "  {:<38} {:>12} {:>12}", "refused", counts.refused, counts.would_refuse)?;
        for (key, counts) in self.tally.top(index, top) {
            let (fact, would) = (counts.refused, counts.would_refuse);
            writeln!(out, "    {:<36} {fact:>12} {would:>12}", self.name(key))?;
        }
        Ok(())
    }

    /// The minutes in which most would be, or were, refused, in their order.
    fn write_minutes(&self, out: &mut String, top: usize) -> fmt::Result {
        let refusing = self.tally.minutes.iter().filter(|(_, counts)| counts.refusals() > 0);
        let mut worst: Vec<_> = refusing.collect();
        worst.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.refusals()));
        worst.truncate(top);
        worst.sort_by_key(|(minute, _)| **minute);
        if !worst.is_empty() {
            writeln!(out, "\nrefused in the minute from")?;
        }
        for (minute, counts) in worst {
            let (fact, would) = (counts.refused, counts.would_refuse);
            let from = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(minute * 60));
            writeln!(out, "  {from:<38} {fact:>12} {would:>12}")?;
        }
        Ok(())
    }

    fn write_notes(&self, out: &mut String) -> fmt::Result {
        let Skipped { damaged, overwritten } = self.skipped;
        let notes = [
            (self.tally.otherwise, "refused by something else than a limit"),
            (self.tally.no_route, "without a route, or one that this configuration has"),
            (
                self.tally.unknown,
                "refused before anybody asked who called: what they would do now \
                is not known",
            ),
            (self.late, "took so long that they were decided on after later ones"),
            (self.tally.keys_left_out, "keys with few refusals were left out"),
            (damaged, "damaged records were left out"),
            (overwritten, "records were overwritten meanwhile"),
            (self.table_full, "charges found no room in the largest table"),
        ];
        if notes.iter().any(|(count, _)| *count > 0) {
            writeln!(out)?;
        }
        for (count, note) in notes.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(out, "{count} {note}")?;
        }
        for (route, requests) in &self.missing {
            writeln!(out, "{requests} of them took the route {route}, which is not there")?;
        }
        Ok(())
    }
}

fn with_counts(mut line: Value, counts: &Counts) -> Value {
    let Counts { admitted, refused, would_admit, would_refuse } = *counts;
    line["admitted"] = admitted.into();
    line["refused"] = refused.into();
    line["would_admit"] = would_admit.into();
    line["would_refuse"] = would_refuse.into();
    line
}
