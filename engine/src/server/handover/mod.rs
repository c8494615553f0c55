//! Giving sockets and ledger to another process, and taking them from one: an upgrade of the binary
//! without a refused connection.
//!
//! Invariants:
//! - two processes never insert into the slot table at once: admission is closed on every shard of
//!   the one before the other opens the ledger, and stays closed until that one is gone or has it;
//! - the ledger's lock is held throughout, by one of them or by both;
//! - a listening socket is open throughout: who connects meanwhile waits in the kernel;
//! - until `Yours` is sent, the predecessor can go on as before, and does when anything fails;
//! - the predecessor answers `weirctl` until the successor, whose sockets are then in their places,
//!   closes the connection, and never touches those files again.

mod predecessor;
mod successor;

pub(super) use predecessor::Predecessor;
pub(super) use successor::{Offer, offer, refuse, see_off, yield_to};

use std::io;

use weir_protocol::control::codec::FrameError;

use super::ServerError;

/// Why nothing was handed over. One line each.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error("nobody answers on {path}: {source}; start without --upgrade")]
    Nobody { path: String, source: io::Error },
    #[error("the running weir refuses: {0}")]
    Refused(String),
    #[error("the other weir is gone: {0}")]
    Gone(io::Error),
    #[error("{0}; stop it, and start this one without --upgrade")]
    Frame(#[from] FrameError),
    #[error("the other weir says something else than it should")]
    OutOfTurn,
    #[error("the other weir took too long")]
    TimedOut,
    #[error("the shards did not settle in time")]
    Unsettled,
    #[error("the ledger cannot be handed over: {0}")]
    Ledger(Box<ServerError>),
}

impl From<io::Error> for HandoverError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Gone(error),
        }
    }
}
