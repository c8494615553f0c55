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
//! - a counter that begins anew keeps its slot: the word a charge in flight has seen is its own;
//! - lock words live on the heap: what a kill leaves behind is whole slots and, at worst, a sealed
//!   word, which recovery frees when the memory is taken up again;
//! - no clock: the caller brings the time, and a caller whose time lags never resets a count.

use weir_protocol::limit::ban::Ladder;
use weir_protocol::limit::meter::{Meter, Shape};

mod bans;
mod clock;
mod deed;
mod entries;
mod groups;
mod heap;
mod lock;
mod memory;
mod name;
mod recover;
mod slot;
mod sync;
mod table;

#[cfg(test)]
mod model;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_sight;

pub use clock::{TableClock, TableTime};
pub use entries::{Entry, Live, Occupancy};
pub(crate) use groups::GROUP_SLOTS;
pub use heap::BLOCK_SLOTS;
pub(crate) use memory::{Mapping, table_bytes};
pub use recover::Recovered;
pub use slot::SLOT_BYTES;
pub use table::{SlotTable, Tenure};

/// Whom limits count, whichever they are: the keyed hash of an address, a key, a user. It is made
/// once for a request, or before it; each limit makes its own tag of it. Two subjects are taken for
/// one with a probability of 2^-64, which no caller can influence without the table's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectHash(u64);

impl SubjectHash {
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Both together, in this order. Their bits are random to everybody outside, so that cheap mixing
    /// keeps pairs apart.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let mixed = (self.0.rotate_left(23) ^ other.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(mixed ^ mixed >> 29)
    }

    /// Names the counter that a limit keeps for this subject. A bijection for each limit, so that
    /// its subjects stay apart; the subject's bits are random to everybody outside, so that cheap
    /// mixing is enough to keep limits apart.
    #[inline]
    const fn tag(self, seed: u64) -> u64 {
        // An odd factor permutes the 64-bit numbers and carries low bits up; the shift brings the
        // mixed half back down. The factor is 2^64 divided by the golden ratio (Knuth, volume 3,
        // section 6.4).
        let mixed = (self.0 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let tag = mixed ^ mixed >> 32;
        if tag == slot::FREE { 1 } else { tag }
    }
}

/// What a limit allows, and the name under which a slot remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    meter: Meter,
    /// The meter's.
    shape: Shape,
    /// Hash of the limit's name: tells its counters from another limit's of the same subject.
    seed: u64,
    /// Hash of the limit's name and its rate: tells slots of one revision from another's.
    id: u64,
    ladder: Option<Ladder>,
}

impl Policy {
    /// The policy of the limit called `limit_name`, with this rate. Equal arguments make equal
    /// policies in every process.
    pub fn new(limit_name: &str, meter: Meter) -> Self {
        let shape = meter.shape();
        let rate = [meter.limit().to_le_bytes(), shape.0.to_le_bytes()];
        let seed = table::hash_parts([0; 16], &[limit_name.as_bytes()]);
        let id = table::hash_parts([0; 16], &[limit_name.as_bytes(), &rate[0], &rate[1]]);
        Self { meter, shape, seed, id, ladder: None }
    }

    /// The same, banning by `ladder` who does not wait when refused.
    pub const fn with_ladder(self, ladder: Ladder) -> Self {
        Self { ladder: Some(ladder), ..self }
    }

    #[inline]
    pub const fn ladder(&self) -> Option<&Ladder> {
        self.ladder.as_ref()
    }

    #[inline]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    #[inline]
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// What tells a subject's counter under the limit from all others: [`Entry::tag`].
    #[inline]
    pub const fn tag(&self, subject: SubjectHash) -> u64 {
        subject.tag(self.seed)
    }

    pub const fn id(&self) -> u64 {
        self.id
    }
}

/// The answer to a request for units of an allowance. Times are nanoseconds from the request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    Admitted {
        remaining: u64,
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
