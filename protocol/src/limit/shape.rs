//! How words are read by those who do not know the limit.

use super::bucket::Bucket;
use super::meter::{Age, Meter, Moment, Word};
use super::quota::{self, Period};
use super::strict::{self, Strict};
use super::window;

/// How a word is to be read, without the limit it is held against: algorithm (4 bits), its
/// parameter (5 bits), a length in nanoseconds (55 bits). Kept beside the word, so that recovery
/// and reclaim can tell a live counter from a dead one. Any `u64` may come from a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape(pub u64);

impl Shape {
    /// Length: the window's.
    pub(super) const WINDOW: u64 = 0;
    /// Parameter: counters; length: a sub-window's.
    pub(super) const STRICT: u64 = 1;
    /// Length: what a bucket takes to fill.
    pub(super) const BUCKET: u64 = 2;
    /// Parameter: 0 for days, 1 for months.
    pub(super) const QUOTA: u64 = 3;
    pub(super) const IN_FLIGHT: u64 = 4;

    const LENGTH_MASK: u64 = (1 << 55) - 1;

    pub(super) const fn new(algorithm: u64, parameter: u64, length: u64) -> Self {
        Self(algorithm << 60 | parameter << 55 | length & Self::LENGTH_MASK)
    }

    /// Where `word` stands; `None` for a shape that this version does not know. The word must not
    /// be sealed.
    pub fn age(self, word: Word, now: Moment) -> Option<Age> {
        self.read_with(1).map(|meter| meter.age(word, now))
    }

    /// Whether nothing in `word` counts; false for a shape that this version does not know.
    pub fn is_expired(self, word: Word, now: Moment) -> bool {
        self.age(word, now) == Some(Age::Expired)
    }

    /// For how long at most something in `word`, not sealed, has counted already, in nanoseconds.
    /// `None` where nothing counts, or the word does not say since when: that of a bucket is when
    /// it will be full, and permits have no time.
    pub fn counting_for_ns(self, word: Word, now: Moment) -> Option<u64> {
        let meter = self.read_with(1).filter(|meter| !meter.is_expired(word, now))?;
        match meter {
            Meter::Window(window) => Some(window::counting_for_ns(word, &window, now.table_ns)),
            Meter::Strict(strict) => Some(strict::counting_for_ns(word, &strict, now.table_ns)),
            Meter::Quota(quota) => Some(quota::counting_for_ns(&quota, now.wall_s)),
            Meter::Bucket(_) | Meter::InFlight(_) => None,
        }
    }

    /// Whether what is counted ends with the process that counted it: permits do.
    pub const fn dies_with_process(self) -> bool {
        self.0 == Self::new(Self::IN_FLIGHT, 0, 0).0
    }

    /// A limit whose words have this shape. A limit that cannot count so far is none.
    pub(super) fn read_with(self, limit: u64) -> Option<Meter> {
        let (parameter, length) = (self.0 >> 55 & 0x1F, self.0 & Self::LENGTH_MASK);
        match (self.0 >> 60, parameter, length) {
            (Self::WINDOW, 0, _) => Meter::window(limit, length).ok(),
            (Self::STRICT, _, _) => Strict::of_shape(limit, parameter, length).map(Meter::Strict),
            (Self::BUCKET, 0, _) => Bucket::of_shape(limit, length).map(Meter::Bucket),
            (Self::QUOTA, 0, 0) => Meter::quota(limit, Period::Day).ok(),
            (Self::QUOTA, 1, 0) => Meter::quota(limit, Period::Month).ok(),
            (Self::IN_FLIGHT, 0, 0) => Meter::in_flight(limit).ok(),
            _ => None,
        }
    }
}
