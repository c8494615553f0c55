use std::io;
use std::path::PathBuf;

use thiserror::Error;
use weir_protocol::journal::{HeaderFault, RecordError};

/// Why a journal cannot be used. It was left as it is.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot use {}: {fault}; use the weir that wrote it", path.display())]
    OtherVersion { path: PathBuf, fault: HeaderFault },
    #[error(
        "{} has a record that a later weir wrote, at byte {at}; use that weir", path.display()
    )]
    LaterRecord { path: PathBuf, at: u64 },
    #[error(
        "{} is damaged at byte {at}: {reason}; restore the ledger from a backup, or give up what \
         comes after with weir run --repair",
        path.display()
    )]
    Damaged { path: PathBuf, at: u64, reason: String },
    #[error("{} holds a journal already", path.display())]
    Exists { path: PathBuf },
    #[error("{} holds no journal", path.display())]
    Missing { path: PathBuf },
    #[error("the journal at {} is closed", path.display())]
    Closed { path: PathBuf },
    #[error("the state cannot be written: {reason}")]
    Snapshot { reason: String },
}

impl JournalError {
    pub(super) const fn io(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        Self::Io { action, path, source }
    }
}

/// Why records were not acknowledged. They may be found after a crash all the same, if it was a
/// write or a sync that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    #[error("the disk of the ledger is full")]
    NoRoom,
    #[error("the ledger's journal cannot be written: {0}")]
    Failed(String),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{0} bytes of records are too many at once")]
    TooLarge(u64),
    #[error("the ledger is being handed over or closed")]
    Closed,
}

impl AppendError {
    pub(super) fn of(error: &JournalError) -> Self {
        match error {
            JournalError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::NoRoom
            }
            error => Self::Failed(error.to_string()),
        }
    }
}
