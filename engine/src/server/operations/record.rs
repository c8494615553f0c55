//! The record that is kept of what was done to the engine, and by whom.

use weir_protocol::journal::{Audit, Record};

use super::Engine;
use crate::ledger::journal::AppendError;
use crate::runtime::os;

/// That somebody did something now.
pub(super) fn audit(by: &str, action: &str, detail: String) -> Record {
    let at_ms = os::wall().as_millis();
    Record::Audit(Audit { at_ms, actor: by.to_owned(), action: action.to_owned(), detail })
}

impl Engine {
    /// Keeps a record of what was done already. Nothing is undone for want of it, but whoever asked
    /// is told.
    pub(super) fn note(&self, by: &str, action: &str, detail: &str) -> Option<String> {
        let written = self.journal.append_and_wait(vec![audit(by, action, detail.to_owned())]);
        written.err().map(|error| unrecorded(action, &error))
    }

    /// What was done, with a remark where it could not be put on record.
    pub(super) fn noted(&self, done: String, by: &str, action: &str, detail: &str) -> String {
        match self.note(by, action, detail) {
            Some(remark) => format!("{done}; {remark}"),
            None => done,
        }
    }

    /// As [`Engine::note`], for the control plane's own thread, which waits for nothing.
    pub(in crate::server) fn note_later(&self, by: &'static str, action: &'static str) {
        let journal = self.journal.clone();
        tokio::spawn(async move {
            if let Err(error) = journal.append(vec![audit(by, action, String::new())]).await {
                eprintln!("weir: {}", unrecorded(action, &error));
            }
        });
    }
}

fn unrecorded(action: &str, error: &AppendError) -> String {
    format!("there is no record of the {action}: {error}")
}
