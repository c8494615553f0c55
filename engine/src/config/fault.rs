//! What is wrong with a configuration, in lines that an editor can jump to.

use std::error::Error;
use std::fmt;

/// A place in the text; both count from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The place of byte `offset` of `text`; its end when `offset` lies beyond.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// One thing that is wrong and what would be right, in one line. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `None` when the fault is not in the text: a file that cannot be read, a key that a reload
    /// cannot change.
    pub position: Option<Position>,
    pub message: String,
}

/// Everything that is wrong with one configuration, in the order of the text; never empty.
///
/// Displays one line each: `weir.toml:12:9: unknown key "stratgy" in [[upstream]]; ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    source: String,
    list: Vec<Fault>,
}

impl Faults {
    /// `source` is the name of the text, usually its path; empty to leave it out.
    pub(super) fn new(source: &str, list: Vec<Fault>) -> Self {
        assert!(!list.is_empty(), "an error without a fault");
        Self { source: source.to_owned(), list }
    }

    /// One fault that concerns the source as a whole.
    pub(super) fn whole(source: &str, message: String) -> Self {
        Self::new(source, vec![Fault { position: None, message }])
    }

    pub fn list(&self) -> &[Fault] {
        &self.list
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if !self.source.is_empty() {
                write!(f, "{}:", self.source)?;
            }
            if let Some(Position { line, column }) = fault.position {
                write!(f, "{line}:{column}:")?;
            }
            if !self.source.is_empty() || fault.position.is_some() {
                f.write_str(" ")?;
            }
            f.write_str(&fault.message)?;
        }
        Ok(())
    }
}

impl Error for Faults {}

/// Shows text from the file in a fault: quoted, control characters escaped, cut when long.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARACTERS_MAX: usize = 60;
        match self.0.char_indices().nth(CHARACTERS_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
        }
    }
}
