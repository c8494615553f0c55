//! The table's time: what the runtime's clocks show, in the terms that words are kept in.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_protocol::limit::meter::Moment;

use crate::runtime::{Instant, UnixNanos};

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

/// What the wall clock is ahead of the table's, as last told. Both go on at one pace in between, so
/// that nobody on the way of a request asks the wall clock.
#[derive(Default)]
pub(super) struct WallOffset {
    /// The bits of an `i64` of nanoseconds.
    ns: AtomicU64,
}

impl WallOffset {
    pub(super) fn set(&self, at: TableTime, wall: UnixNanos) {
        // Relaxed: the number guards no other memory, and an old one is a second old.
        self.ns.store(wall.0.wrapping_sub(at.0), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn moment(&self, at: TableTime) -> Moment {
        // Relaxed as in `set`.
        let offset_ns = self.ns.load(Ordering::Relaxed).cast_signed();
        let wall_s = at.0.saturating_add_signed(offset_ns) / 1_000_000_000;
        Moment { table_ns: at.0, wall_s }
    }
}
