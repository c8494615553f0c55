use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::header::VERSION;
use super::journal::JournalError;

/// Why a ledger cannot be used. Whichever it is, the counters were left as they are.
#[derive(Debug, Error)]
pub enum LedgerError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "another weir already uses the ledger at {} (pid {pid}); stop it, or give this one a \
         folder of its own",
        dir.display()
    )]
    InUse { dir: PathBuf, pid: String },
    #[error(
        "the running weir has another ledger than {}; an upgrade keeps it, only a restart changes \
         it",
        dir.display()
    )]
    OtherLedger { dir: PathBuf },
    #[error(
        "cannot reserve {bytes} bytes for {}: {source}; make room there or lower `slots`",
        path.display()
    )]
    NoRoom { path: PathBuf, bytes: u64, source: io::Error },
    #[error("`slots` must be a power of two and at least 8; {slots} is not, or is beyond memory")]
    Slots { slots: usize },
    #[error(
        "{} is not a weir ledger; move it away, or give weir another folder",
        path.display()
    )]
    NotALedger { path: PathBuf },
    #[error(
        "{} has format version {found}, this weir reads version {VERSION}; use the weir that wrote \
         it, or move the file away and start counting anew",
        path.display()
    )]
    OtherVersion { path: PathBuf, found: u32 },
    #[error(
        "{} lays out its slots differently; use the weir that wrote it, or move the file away and \
         start counting anew",
        path.display()
    )]
    OtherLayout { path: PathBuf },
    #[error(
        "both headers of {} are damaged; restore it from a backup, or move the file away and start \
         counting anew",
        path.display()
    )]
    Damaged { path: PathBuf },
    #[error(
        "{} is {found} bytes long, its header promises {expected}; restore it from a backup, or \
         move the file away and start counting anew",
        path.display()
    )]
    WrongSize { path: PathBuf, found: u64, expected: u64 },
    #[error(
        "{} has {found} slots, the configuration says {configured}; set `slots = {found}`, or move \
         the file away and start counting anew",
        path.display()
    )]
    OtherSlots { path: PathBuf, found: u64, configured: usize },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the system gave no randomness for the ledger's hash key")]
    Random,
}

impl LedgerError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
