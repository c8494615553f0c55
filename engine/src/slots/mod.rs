//! The slot table: one 64-byte slot for each (limit, key), shared by all shards, lock-free where a
//! key is already known, and laid out so that it can live in a file and outlive the process.
//!
//! A key has two candidate groups of eight slots.
//!
//! ```text
//! hit    find the tag ─► load the word ─► load the tag again ─► decide ─► compare-and-swap
//! miss   lock both groups, in order ─► look again ─► take a free or expired slot:
//!        seal the word ─► tag and the rest ─► publish the word
//! ```
//!
//! Invariants:
//! - a tag changes only under its group's lock and while the word is sealed; a reader that saw the
//!   same tag before and after it loaded an unsealed word read that key's count;
//! - an admission is a compare-and-swap of the word it was decided on: a limit is exact however
//!   many shards charge at once;
//! - a slot that still counts is never taken from its key: a full table is an answer;
//! - lock words live on the heap: what a kill leaves behind is whole slots and, at worst, a sealed
//!   word, which recovery frees when the memory is taken up again;
//! - no clock: the caller brings the time, and a caller whose time lags never resets a count.

use weir_protocol::limit::window::{Allowance, Window};

use crate::runtime::Instant;

mod groups;
mod lock;
mod recover;
mod slot;
mod sync;
mod table;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub(crate) use groups::GROUP_SLOTS;
pub use recover::Recovered;
pub use slot::SLOT_BYTES;
pub(crate) use table::Mapping;
pub use table::SlotTable;

/// Names one counter: the keyed hash of a limit's name and a caller's key. Two keys share a counter
/// with a probability of 2^-64, which no caller can influence without the table's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    pub(crate) const fn as_u64(self) -> u64 {
        self.0
    }
}

/// What a limit allows, and the name under which a slot remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    window: Window,
    /// Hash of the limit's name and its rate: tells slots of one revision from another's.
    id: u64,
}

impl Policy {
    /// The policy of the limit called `limit_name`, at this rate. Equal arguments make equal
    /// policies in every process.
    pub fn new(limit_name: &str, window: Window) -> Self {
        let rate = [u64::from(window.limit()).to_le_bytes(), window.window_ns().to_le_bytes()];
        let id = table::hash_parts([0; 16], &[limit_name.as_bytes(), &rate[0], &rate[1]]);
        Self { window, id }
    }

    pub const fn window(&self) -> &Window {
        &self.window
    }

    pub const fn id(&self) -> u64 {
        self.id
    }
}

/// The answer to a request for units of an allowance. Times are nanoseconds from the request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    Admitted {
        remaining: u32,
        reset_ns: u64,
    },
    /// `retry_after_ns` is exact if nobody else is admitted; `u64::MAX` means never.
    Refused {
        retry_after_ns: u64,
        reset_ns: u64,
    },
    /// Nothing was counted: every slot this key could have still counts for another.
    TableFull,
}

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Slots that belong to a key, expired ones included: those are taken over when needed.
    pub used: usize,
    pub capacity: usize,
    /// [`Charge::TableFull`] answers since the table was opened.
    pub full_answers: u64,
}

/// Nanoseconds since a table's epoch base, which stays when the process and the boot do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableTime(pub u64);

/// Translates the runtime's time, which starts anew with every boot, into the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableClock {
    offset_ns: i64,
}

impl TableClock {
    /// A clock that shows `offset_ns` more than the runtime's.
    pub const fn with_offset_ns(offset_ns: i64) -> Self {
        Self { offset_ns }
    }

    pub const fn offset_ns(&self) -> i64 {
        self.offset_ns
    }

    pub const fn at(&self, now: Instant) -> TableTime {
        TableTime(now.as_nanos().saturating_add_signed(self.offset_ns))
    }
}

/// What is left of an untouched allowance: all of it.
const fn untouched(window: &Window) -> Allowance {
    Allowance { remaining: window.limit(), reset_ns: 0 }
}
