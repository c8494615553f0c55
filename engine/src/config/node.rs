//! One value of the document: read as what its key asks for, or reported.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;

use toml::Spanned;
use toml::de::DeValue;

use super::document::{Report, Table};
use super::fault::Quoted;
use super::scalar::{self, ScalarError};
use super::suggest::did_you_mean;

pub(super) const A_DURATION: &str = "a duration such as \"10s\"";

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
    pub(super) fn new(
        report: &'d Report<'d>,
        label: Rc<str>,
        key: &'d str,
        value: &'d DeValue<'d>,
        at: usize,
    ) -> Self {
        Self { report, label, key, value, at }
    }

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

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn list_is_empty(&self) -> bool {
        self.value.as_array().is_some_and(|array| array.is_empty())
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

    pub(super) fn tables(&self) -> Vec<Table<'d>> {
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
