//! How it stands with the ledger, and what can be done with its files while it is in use.

use std::path::PathBuf;

use weir_protocol::control::{LedgerRequest, LedgerStatus, Response};

use super::Engine;
use crate::ledger::journal::Journal;
use crate::ledger::tools::{self, ToolError};
use crate::runtime::os;

impl Engine {
    pub(super) fn answer_ledger(
        &self,
        request: LedgerRequest,
        by: &str,
    ) -> Result<Response, String> {
        match request {
            LedgerRequest::Status => Ok(Response::Ledger(self.ledger_status())),
            LedgerRequest::Verify => self.verify_ledger().map(Response::Done),
            LedgerRequest::Compact => self.compact_journal(by).map(Response::Done),
            LedgerRequest::Backup { to } => {
                self.back_up_ledger(PathBuf::from(to), by).map(Response::Done)
            }
        }
    }

    fn ledger_status(&self) -> LedgerStatus {
        let (occupancy, standing) = (self.table.occupancy(), &self.standing);
        let live = self.table.live(os::now());
        let journal = self.journal.metrics();
        let age_ms = standing.sync_age(os::now()).as_millis();
        LedgerStatus {
            folder: self.ledger_folder().display().to_string(),
            live_table: standing.live().to_owned(),
            slots_used: occupancy.used as u64,
            slots_capacity: occupancy.capacity as u64,
            slots_live: live.slots as u64,
            slots_oldest_s: live.oldest_ns.map(|ns| ns / 1_000_000_000),
            synced_ms_ago: u64::try_from(age_ms).unwrap_or(u64::MAX),
            sync_failures: standing.failures(),
            failing: standing.is_failing(),
            journal_segments: journal.segments.get(),
            journal_bytes: journal.bytes.get(),
            journal_records: journal.records.get(),
            journal_failures: journal.failures.get(),
        }
    }

    /// The ledger's folder; a reload does not change it.
    fn ledger_folder(&self) -> PathBuf {
        self.snapshot().config.engine.ledger.clone()
    }

    /// The journal's own thread reads it, so that nothing is found half written.
    fn verify_ledger(&self) -> Result<String, String> {
        let dir = self.ledger_folder();
        let verified = self.with_journal(move |_| tools::verify(&dir))?;
        Ok(verified.to_string())
    }

    fn compact_journal(&self, by: &str) -> Result<String, String> {
        self.with_journal(|journal| Ok(journal.compact()?))?;
        let done = "the journal has what still matters and nothing else".to_owned();
        Ok(self.noted(done, by, "ledger compact", ""))
    }

    fn back_up_ledger(&self, to: PathBuf, by: &str) -> Result<String, String> {
        if !to.is_absolute() {
            return Err(format!("{} is not an absolute path", to.display()));
        }
        let (dir, shown) = (self.ledger_folder(), to.display().to_string());
        self.with_journal(move |journal| tools::back_up(&dir, &to, || Ok(journal.backup(&to)?)))?;
        let done = format!("the ledger is copied to {shown}");
        Ok(self.noted(done, by, "ledger backup", &shown))
    }

    /// Has the thread that writes the journal do something with it.
    fn with_journal<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Journal) -> Result<T, ToolError> + Send + 'static,
    ) -> Result<T, String> {
        match self.journal.run_and_wait(run) {
            Some(done) => done.map_err(|error| error.to_string()),
            None => Err("the ledger's thread has ended".to_owned()),
        }
    }
}
