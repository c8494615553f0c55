//! The thread that brings counters to the disk, so that no shard ever waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ledger::{Ledger, LedgerError};

/// What a power loss may cost of counts.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct LedgerSync {
    stop: Sender<()>,
    thread: JoinHandle<Result<(), LedgerError>>,
}

impl LedgerSync {
    pub(super) fn start(ledger: Ledger) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || sync_until(ledger, &stopped));
        Self { stop, thread }
    }

    /// Syncs once more and marks the ledger as closed in order.
    pub(super) fn stop(self) -> Result<(), LedgerError> {
        drop(self.stop);
        self.thread.join().expect("the ledger's thread does not panic")
    }
}

fn sync_until(ledger: Ledger, stopped: &Receiver<()>) -> Result<(), LedgerError> {
    let mut reported = false;
    while stopped.recv_timeout(SYNC_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if let Err(error) = ledger.sync()
            && !std::mem::replace(&mut reported, true)
        {
            eprintln!("weir: {error}");
        }
    }
    ledger.close()
}
