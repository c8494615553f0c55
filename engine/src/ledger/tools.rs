//! The whole ledger from outside: counters and journal together.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::journal::{self, JournalError, Report};
use super::offline::{self, Verified};
use super::{LedgerError, files};

/// Why a tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("process {pid} uses the ledger: stop it first, or ask it with weirctl ledger")]
    InUse { pid: String },
    #[error(transparent)]
    Ledger(LedgerError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the output: {0}")]
    Output(#[from] offline::DumpError),
    #[error("{0}")]
    Damaged(Box<Soundness>),
}

impl ToolError {
    /// Whether nobody reads the output any more.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Output(offline::DumpError::Out(source))
            | Self::Journal(JournalError::Io { source, .. }) => {
                source.kind() == io::ErrorKind::BrokenPipe
            }
            _ => false,
        }
    }
}

impl From<LedgerError> for ToolError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::InUse { pid, .. } => Self::InUse { pid },
            error => Self::Ledger(error),
        }
    }
}

/// What was found in a ledger that can be read.
#[derive(Debug)]
pub struct Soundness {
    counters: Verified,
    journal: Report,
}

impl Soundness {
    /// # Errors
    /// [`ToolError::Damaged`] when some of the counters cannot be trusted.
    pub(crate) fn of(counters: Verified, journal: Report) -> Result<Self, ToolError> {
        let sound = Self { counters, journal };
        if sound.counters.is_sound() { Ok(sound) } else { Err(ToolError::Damaged(Box::new(sound))) }
    }
}

impl std::fmt::Display for Soundness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { counters, journal } = self;
        if counters.is_sound() {
            f.write_str("in order: ")?;
        } else {
            let damage = &counters.damage;
            let header = if damage.header { "the header and " } else { "" };
            write!(
                f,
                "damaged: {header}{} blocks of the counters have a bad copy, {} have none left, and copies \
                 are {} rounds behind; ",
                damage.blocks, damage.lost, damage.older
            )?;
        }
        let closed = if counters.clean { "closed in order" } else { "not closed" };
        write!(
            f,
            "{} slots in {} blocks, {closed}; {} records of the journal in {} segments",
            counters.slots, counters.blocks, journal.records, journal.segments
        )?;
        match journal.torn_bytes {
            0 => Ok(()),
            torn => write!(f, ", the last {torn} bytes of which broke off"),
        }
    }
}

/// Reads all files of the ledger in `dir`. An engine may be using it: what that is writing to the
/// journal just then reads like a tail that broke off.
///
/// # Errors
/// What is wrong with it.
pub fn verify(dir: &Path) -> Result<Soundness, ToolError> {
    let counters = offline::verify(dir)?;
    Soundness::of(counters, journal::verify(dir)?)
}

/// Writes the counters and then the journal of the ledger in `dir` as lines of JSON.
///
/// # Errors
/// When an engine uses it, it cannot be read, or what `out` says.
pub fn dump(dir: &Path, out: &mut dyn Write) -> Result<(), ToolError> {
    offline::check(dir)?;
    let _lock = files::lock(dir)?;
    offline::dump(dir, out)?;
    journal::dump(dir, out)?;
    Ok(())
}

/// Writes the journal of the ledger in `dir` anew, without what no longer matters.
///
/// # Errors
/// When an engine uses it, or it is damaged.
pub fn compact(dir: &Path) -> Result<Report, ToolError> {
    Ok(journal::compact(dir)?)
}

/// Makes a journal usable again that was damaged, with what comes before the damage. A ledger
/// without a journal is left as it is.
///
/// # Errors
/// When an engine uses it, or for another reason than damage.
pub fn repair(dir: &Path) -> Result<Option<Report>, ToolError> {
    match journal::repair(dir) {
        Ok(report) => Ok(Some(report)),
        Err(LedgerError::Journal(JournalError::Missing { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Copies the ledger in `dir`, which no engine uses, to the folder `to`, which has none.
///
/// # Errors
/// When an engine uses it, it is damaged, or the copy cannot be written.
pub fn backup(dir: &Path, to: &Path) -> Result<(), ToolError> {
    back_up(dir, to, || Ok(journal::backup(dir, to)?))
}

/// Copies counters, and the journal by `copy_journal`. Half a copy is none.
pub(crate) fn back_up(
    dir: &Path,
    to: &Path,
    copy_journal: impl FnOnce() -> Result<Report, ToolError>,
) -> Result<(), ToolError> {
    offline::backup(dir, to)?;
    copy_journal().map(drop).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(to.join(super::counters::NAME));
    })
}
