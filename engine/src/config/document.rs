//! A TOML document read by hand, so that one pass reports every fault with its place.
//!
//! A [`Table`] hands out its values by key and remembers which keys it was asked for; what is left
//! at [`Table::finish`] is unknown. A reader that meets a fault reports it and answers `None`, and
//! its caller goes on with a placeholder: the whole is discarded when anything was reported.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults, Position, Quoted};
use super::node::{A_DURATION, Node};
use super::scalar;
use super::suggest::did_you_mean;

/// Collects the faults of one text.
pub(super) struct Report<'d> {
    source: &'d str,
    text: &'d str,
    /// Byte offsets with messages, in the order of discovery.
    faults: RefCell<Vec<(usize, String)>>,
}

impl<'d> Report<'d> {
    pub(super) fn new(source: &'d str, text: &'d str) -> Self {
        Self { source, text, faults: RefCell::new(Vec::new()) }
    }

    pub(super) fn add(&self, at: usize, message: String) {
        self.faults.borrow_mut().push((at, message));
    }

    pub(super) fn line(&self, at: usize) -> usize {
        Position::of(self.text, at).line
    }

    /// Everything that was reported, in the order of the text; `None` when nothing was.
    pub(super) fn into_faults(self) -> Option<Faults> {
        let mut faults = self.faults.into_inner();
        if faults.is_empty() {
            return None;
        }
        faults.sort_by_key(|(at, _)| *at);
        let place = |(at, message)| Fault { position: Some(Position::of(self.text, at)), message };
        Some(Faults::new(self.source, faults.into_iter().map(place).collect()))
    }
}

struct Entry<'d> {
    key: &'d str,
    key_at: usize,
    value: &'d DeValue<'d>,
    value_at: usize,
}

/// A table being read.
pub(super) struct Table<'d> {
    report: &'d Report<'d>,
    /// As a reader would write it: `[http]`, `[[upstream]]`; empty for the document itself.
    label: Rc<str>,
    at: usize,
    /// What was not asked for yet, in the order of the text.
    entries: Vec<Entry<'d>>,
    known: Vec<&'static str>,
}

impl<'d> Table<'d> {
    pub(super) fn document(report: &'d Report<'d>, table: &'d DeTable<'d>) -> Self {
        Self::new(report, table, Rc::from(""), 0)
    }

    pub(super) fn new(
        report: &'d Report<'d>,
        table: &'d DeTable<'d>,
        label: Rc<str>,
        at: usize,
    ) -> Self {
        let mut entries: Vec<Entry<'d>> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref(),
                key_at: key.span().start,
                value: value.get_ref(),
                value_at: value.span().start,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at);
        Self { report, label, at, entries, known: Vec::new() }
    }

    /// The value of `key`, once.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node<'d>> {
        self.known.push(key);
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(index);
        Some(self.node(&entry))
    }

    /// The value of `key`, without which the table means nothing; `example` shows how to write it.
    pub(super) fn require(&mut self, key: &'static str, example: &str) -> Option<Node<'d>> {
        let node = self.take(key);
        if node.is_none() {
            self.fault(format!("{} has no {key:?}; add one, such as {example}", self.label));
        }
        node
    }

    /// The tables under `[[key]]`, none when there is no such key.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'d>> {
        self.take(key).map(|node| node.tables()).unwrap_or_default()
    }

    /// The table under `[key]`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'d>> {
        self.take(key)?.table()
    }

    /// What is left, for tables whose keys the user chooses.
    pub(super) fn take_all(&mut self) -> Vec<(&'d str, Node<'d>)> {
        let entries = std::mem::take(&mut self.entries);
        entries.iter().map(|entry| (entry.key, self.node(entry))).collect()
    }

    /// Keys of features that the design names and this version lacks: refused, never ignored.
    pub(super) fn not_yet(&mut self, keys: &[&str]) {
        let (later, entries) =
            std::mem::take(&mut self.entries).into_iter().partition(|e| keys.contains(&e.key));
        self.entries = entries;
        let later: Vec<Entry<'d>> = later;
        for Entry { key, key_at, .. } in later {
            let place = self.place();
            let message = format!("{key:?}{place} is not available yet in this version; remove it");
            self.report.add(key_at, message);
        }
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        let place = self.place();
        for entry in &self.entries {
            let hint = did_you_mean(entry.key, self.known.iter().copied());
            let hint = if hint.is_empty() { "; remove it".to_owned() } else { hint };
            let message = format!("unknown key {}{place}{hint}", Quoted(entry.key));
            self.report.add(entry.key_at, message);
        }
    }

    /// Reports a fault of the table as a whole, at its header.
    pub(super) fn fault(&self, message: String) {
        self.report.add(self.at, message);
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.take(key)?.boolean()
    }

    pub(super) fn integer<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        self.take(key)?.integer(&range)
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.take(key)?.scalar(A_DURATION, |text| scalar::duration_within(text, &range))
    }

    fn node(&self, entry: &Entry<'d>) -> Node<'d> {
        Node::new(self.report, self.label.clone(), entry.key, entry.value, entry.value_at)
    }

    fn place(&self) -> String {
        if self.label.is_empty() { String::new() } else { format!(" in {}", self.label) }
    }
}
