//! The ledger of a running engine, as `weirctl` asks and is told.

use bincode::{Decode, Encode};
use serde::Serialize;

/// About the ledger. The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum LedgerRequest {
    Status,
    /// Read every file again and compare the checksums.
    Verify,
    /// Write the journal anew, without what no longer matters.
    Compact,
    /// Copy it to a folder on the engine's host, which must not exist or be empty.
    Backup {
        to: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct LedgerStatus {
    /// The ledger's folder.
    pub folder: String,
    /// `tmpfs` or `file`: where the shards count.
    pub live_table: String,
    pub slots_used: u64,
    pub slots_capacity: u64,
    /// Slots in which something counts: they cannot be taken over.
    pub slots_live: u64,
    /// For how long something has counted in the oldest of them that can tell.
    pub slots_oldest_s: Option<u64>,
    /// Age of what a loss of power would leave of the counts.
    pub synced_ms_ago: u64,
    /// Attempts to write counts to the disk that failed.
    pub sync_failures: u64,
    /// Whether the last one did.
    pub failing: bool,
    pub journal_segments: u64,
    /// Bytes, records and failed groups of records, since the process began.
    pub journal_bytes: u64,
    pub journal_records: u64,
    pub journal_failures: u64,
}
