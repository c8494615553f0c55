//! A TOML document read by hand, so that one pass reports every fault with its place.
//!
//! A [`Table`] hands out its values by key and remembers which keys it was asked for; what is left
//! at [`Table::finish`] is unknown. A reader that meets a fault reports it and answers `None`, and
//! its caller goes on with a placeholder: the whole is discarded when anything was reported.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults, Position, Quoted};
use super::scalar::{self, ScalarError};
use super::suggest::did_you_mean;

pub(super) const A_DURATION: &str = "a duration such as \"10s\"";

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

    fn new(report: &'d Report<'d>, table: &'d DeTable<'d>, label: Rc<str>, at: usize) -> Self {
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
        Node {
            report: self.report,
            label: self.label.clone(),
            key: entry.key,
            value: entry.value,
            at: entry.value_at,
        }
    }

    fn place(&self) -> String {
        if self.label.is_empty() { String::new() } else { format!(" in {}", self.label) }
    }
}

/// One value with its key and its place.
#[derive(Clone)]
pub(super) struct Node<'d> {
    report: &'d Report<'d>,
    label: Rc<str>,
    key: &'d str,
    value: &'d DeValue<'d>,
    at: usize,
}

impl<'d> Node<'d> {
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.report.line(at)
    }

    /// Reports `"key" in [table]: message`. The message must not quote a secret.
    pub(super) fn fault(&self, message: impl Display) {
        let key = Quoted(self.key);
        self.report.add(self.at, format!("{key} in {}: {message}", self.label));
    }

    pub(super) fn text(&self) -> Option<&'d str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type("a string");
        }
        text
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    pub(super) fn integer<T>(&self, range: &RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(integer) = self.value.as_integer() else {
            self.wrong_type("a whole number");
            return None;
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|value| T::try_from(value).ok())
            .filter(|value| range.contains(value));
        if value.is_none() {
            let (low, high) = (range.start(), range.end());
            self.fault(format_args!("must be between {low} and {high}, not {integer}"));
        }
        value
    }

    /// A string that `parse` turns into something better; `right` says what it is.
    pub(super) fn scalar<T>(
        &self,
        right: &str,
        parse: impl FnOnce(&'d str) -> Result<T, ScalarError>,
    ) -> Option<T> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type(right);
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(error);
                None
            }
        }
    }

    /// Bytes, as a whole number or as a string with a unit.
    pub(super) fn size(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        if self.value.is_integer() {
            return self.integer(range);
        }
        let right = "a size such as \"16KiB\" or a number of bytes";
        self.scalar(right, |text| scalar::size_within(text, range))
    }

    /// One of a few words. `later` are words of the design that this version lacks.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        let right: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let right = right.join(" or ");
        let Some(text) = self.value.as_str() else {
            self.wrong_type(&right);
            return None;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let quoted = Quoted(text);
        if later.contains(&text) {
            self.fault(format_args!("{quoted} is not available yet in this version; use {right}"));
        } else {
            let hint = did_you_mean(text, words.iter().map(|(word, _)| *word));
            self.fault(format_args!("{quoted} must be {right}{hint}"));
        }
        None
    }

    pub(super) fn is_boolean(&self) -> bool {
        self.value.is_bool()
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    /// The items of a list, each under the list's own key.
    pub(super) fn list(&self) -> Option<Vec<Node<'d>>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_type("a list");
            return None;
        };
        Some(array.iter().map(|item| self.item(item)).collect())
    }

    pub(super) fn table(&self) -> Option<Table<'d>> {
        let label = self.path();
        let Some(table) = self.value.as_table() else {
            self.wrong_type(&format!("a table: write [{label}]"));
            return None;
        };
        Some(Table::new(self.report, table, Rc::from(format!("[{label}]")), self.at))
    }

    fn tables(&self) -> Vec<Table<'d>> {
        let label = self.path();
        let array = self.value.as_array().filter(|a| a.iter().all(|i| i.get_ref().is_table()));
        let Some(array) = array else {
            self.wrong_type(&format!("a list of tables: write [[{label}]]"));
            return Vec::new();
        };
        let label: Rc<str> = Rc::from(format!("[[{label}]]"));
        let tables = array.iter().filter_map(|item| {
            let Range { start, .. } = item.span();
            let table = item.get_ref().as_table()?;
            Some(Table::new(self.report, table, label.clone(), start))
        });
        tables.collect()
    }

    fn item(&self, item: &'d Spanned<DeValue<'d>>) -> Self {
        Self { value: item.get_ref(), at: item.span().start, ..self.clone() }
    }

    /// The dotted name of this key: `upstream.health`.
    fn path(&self) -> String {
        let parent = self.label.trim_matches(['[', ']']);
        if parent.is_empty() { self.key.to_owned() } else { format!("{parent}.{}", self.key) }
    }

    /// Says what belongs here; of what is there, only its type, for it may be a secret.
    fn wrong_type(&self, right: &str) {
        let (key, found) = (Quoted(self.key), self.value.type_str());
        let place =
            if self.label.is_empty() { String::new() } else { format!(" in {}", self.label) };
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("{key}{place} must be {right}, not {article} {found}");
        self.report.add(self.at, message);
    }
}
