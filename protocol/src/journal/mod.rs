//! The journal's bytes: what is written before an account change is acknowledged.
//!
//! A journal is a row of segments. Each is a [`Header`], then [`Record`]s in frames, then zeros:
//!
//! ```text
//! | length: u32 | CRC32C: u32 | sequence: u64 | chain: u64 | body: bincode |     little-endian
//! ```
//!
//! - `length` counts the body's bytes; its highest bit marks the first record of a group.
//! - the checksum is of everything but itself.
//! - `sequence` counts the ledger's records from 1, over all segments.
//! - `chain` is a hash of the whole frame before, so that no record is believed in another's place.
//!
//! A **group** is what was written at once and synced before the next. So of the last group any
//! part may be missing after a loss of power, and none of the others: a record of a later group
//! proves that what is bad before it was once good. That is how [`scan`] tells a torn tail from
//! corruption.
//!
//! Invariants:
//! - no bytes, whatever they are, make a reader panic or claim memory out of proportion;
//! - what [`scan`] returns was written in that order, one after the other, from the start it was
//!   given; the first byte that cannot have been is where it ends.

mod frame;
mod header;
mod record;

#[cfg(test)]
mod tests;

pub use frame::{
    Entry, FRAME_BYTES_MAX, Place, Position, RECORD_BYTES_MAX, RecordError, Scan, Verdict, append,
    scan,
};
pub use header::{HEADER_BYTES, Header, HeaderFault, Kind, VERSION};
pub use record::{Audit, Block, Lift, Network, Record, Reset, Subject};
