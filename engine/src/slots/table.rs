//! The table as the engine holds it: memory, locks, secret and clock around the protocol.

use std::fmt::Display;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;
use weir_protocol::limit::meter::{Allowance, Moment};

use super::clock::WallOffset;
use super::deed::{Admit, Settle, Throttle};
use super::groups::{Ask, GROUP_SLOTS, Groups};
use super::heap::Heap;
use super::memory::{Mapping, Memory};
use super::recover::{self, Recovered};
use super::{Charge, Policy, SubjectHash, TableClock};
use crate::runtime::{Instant, UnixNanos};

/// Parts up to so many bytes together, with their lengths, are hashed in one piece.
const WHOLE_BYTES_MAX: usize = 64;
const LENGTH_BYTES: usize = 8;

/// All counters of an engine. Shared by its shards behind an `Arc`.
///
/// Who names a counter brings the `name` that people are shown for it, such as an address or a
/// key's name, never a secret; it is written out only when the counter is made.
pub struct SlotTable {
    pub(super) memory: Memory,
    pub(super) heap: Heap,
    hash_key: [u8; 16],
    clock: TableClock,
    wall: WallOffset,
    pub(super) full_answers: AtomicU64,
    pub(super) bans_set: AtomicU64,
}

/// A time during which the slots are this process's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure(u64);

impl SlotTable {
    /// A table of `slots` slots (rounded up to a power of two, at least 8) that ends with the
    /// process, whose hash key is `seed`: for simulations and tests.
    ///
    /// # Panics
    ///
    /// When there is no memory for it.
    pub fn in_memory(slots: usize, seed: [u8; 16]) -> Self {
        let slots = slots.max(GROUP_SLOTS).next_power_of_two();
        Self::new(Memory::anonymous(slots), seed, TableClock::default())
    }

    /// A table over slots in a file, as a process before this one left them. What cannot be trusted
    /// is freed first. `wall` and `now` are the same moment.
    pub(crate) fn over_map(
        mapping: Arc<Mapping>,
        hash_key: [u8; 16],
        clock: TableClock,
        wall: UnixNanos,
        now: Instant,
    ) -> (Self, Recovered) {
        let table = Self::new(Memory::new(mapping), hash_key, clock);
        table.set_wall(now, wall);
        let recovered = recover::recover(table.memory.slots(), &table.heap, table.moment(now));
        table.memory.forget_unused();
        (table, recovered)
    }

    fn new(memory: Memory, hash_key: [u8; 16], clock: TableClock) -> Self {
        let heap = Heap::new(memory.slots().len(), GROUP_SLOTS);
        let (full_answers, bans_set) = (AtomicU64::new(0), AtomicU64::new(0));
        let wall = WallOffset::default();
        Self { memory, heap, hash_key, clock, wall, full_answers, bans_set }
    }

    /// Frees what cannot be trusted, after another process has used the slots. Nobody may be
    /// charging.
    pub(crate) fn recover(&self, now: Instant) -> Recovered {
        let recovered = recover::recover(self.memory.slots(), &self.heap, self.moment(now));
        self.heap.begin_tenure();
        recovered
    }

    /// The slots go to another process: until [`recover`](Self::recover) only what has a slot is
    /// counted here, and permits from before are void.
    pub(crate) fn end_tenure(&self) {
        self.heap.end_tenure();
    }

    /// Tells what the wall clock shows at `now`. Quotas follow the calendar by it; to be told anew
    /// each second, so that a clock that is set is followed.
    pub fn set_wall(&self, now: Instant, wall: UnixNanos) {
        self.wall.set(self.clock.at(now), wall);
    }

    /// `now` as words are judged by.
    #[inline]
    pub fn moment(&self, now: Instant) -> Moment {
        self.wall.moment(self.clock.at(now))
    }

    /// The subject that `parts` name, in order: a kind and a name, or several of both. Parts are
    /// told apart: `["ab", "c"]` and `["a", "bc"]` are different subjects.
    pub fn subject(&self, parts: &[&[u8]]) -> SubjectHash {
        SubjectHash(hash_parts(self.hash_key, parts))
    }

    /// Charges `cost` units to a subject, or says when to come back. Lock-free when it has a slot
    /// that still counts, or whose words never come again.
    pub fn charge(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        now: Instant,
        cost: u64,
        name: &dyn Display,
    ) -> Charge {
        self.charge_at(subject, policy, self.moment(now), cost, name)
    }

    /// The same for who has the [`moment`](Self::moment) at hand.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the answer would go through memory otherwise")]
    pub fn charge_at(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        now: Moment,
        cost: u64,
        name: &dyn Display,
    ) -> Charge {
        let ask = Ask { tag: policy.tag(subject), policy, now };
        match self.groups().run_first(&ask, &Admit(cost)) {
            Some(admitted @ Charge::Admitted { .. }) => admitted,
            refused => self.charge_further(&ask, refused, cost, name),
        }
    }

    /// What is left to do when the first look did not admit.
    #[inline(never)]
    fn charge_further(
        &self,
        ask: &Ask<'_>,
        first: Option<Charge>,
        cost: u64,
        name: &dyn Display,
    ) -> Charge {
        let charge = first.or_else(|| self.groups().run_further(ask, &Admit(cost), name));
        let charge = charge.unwrap_or_else(|| self.full());
        if let (Charge::Refused { retry_after_ns, .. }, Some(ladder)) =
            (charge, ask.policy.ladder())
        {
            self.strike(ask, ladder, retry_after_ns);
        }
        charge
    }

    /// Adds units that turned out after the charge; never refuses, so that the count may exceed the
    /// limit. False: the table is full, and they are not counted.
    pub fn settle(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        now: Instant,
        extra: u64,
        name: &dyn Display,
    ) -> bool {
        let done = self.groups().run(&self.ask(subject, policy, now), &Settle(extra), name);
        if done.is_none() {
            self.full();
        }
        done.is_some()
    }

    /// Counts `bytes` that are under way in any case, and says for how many nanoseconds to hold
    /// them back; `None`: the table is full, and they are not counted.
    pub fn throttle(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        now: Instant,
        bytes: u64,
        name: &dyn Display,
    ) -> Option<u64> {
        let done = self.groups().run(&self.ask(subject, policy, now), &Throttle(bytes), name);
        if done.is_none() {
            self.full();
        }
        done
    }

    #[cold]
    fn full(&self) -> Charge {
        // A statistic.
        self.full_answers.fetch_add(1, Ordering::Relaxed);
        Charge::TableFull
    }

    /// Gives back what [`charge`](Self::charge) admitted at `charged_at`, if it still counts.
    pub fn refund(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        charged_at: Instant,
        now: Instant,
        cost: u64,
    ) {
        let ask = self.ask(subject, policy, now);
        self.groups().refund(&ask, self.moment(charged_at), cost);
    }

    /// For how long permits that are charged from now on hold, at most; to be asked before.
    pub fn tenure(&self) -> Tenure {
        Tenure(self.heap.tenure())
    }

    /// Gives back `permits` of a limit of requests in flight, charged in `tenure`. When the table
    /// has been another process's since, they are gone already.
    pub fn release(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        now: Instant,
        permits: u64,
        tenure: Tenure,
    ) {
        if tenure == self.tenure() {
            self.refund(subject, policy, now, now, permits);
        }
    }

    /// What is left to a subject, charging nothing.
    pub fn peek(&self, subject: SubjectHash, policy: &Policy, now: Instant) -> Allowance {
        self.groups().peek(&self.ask(subject, policy, now))
    }

    /// Lets a subject's counter begin anew; false when it has none, or one of requests in flight,
    /// which is reset by nothing but their end.
    pub fn reset(&self, subject: SubjectHash, policy: &Policy, now: Instant) -> bool {
        self.groups().reset(&self.ask(subject, policy, now))
    }

    /// Like [`reset`](Self::reset), for the tag that [`entries`](Self::entries) showed.
    pub fn reset_tag(&self, tag: u64, policy: &Policy, now: Instant) -> bool {
        self.groups().reset(&Ask { tag, policy, now: self.moment(now) })
    }

    pub const fn clock(&self) -> TableClock {
        self.clock
    }

    #[inline]
    pub(super) fn groups(&self) -> Groups<'_, AtomicU64> {
        Groups { slots: self.memory.slots(), names: self.memory.names(), heap: &self.heap }
    }

    #[inline]
    pub(super) fn ask<'a>(
        &self,
        subject: SubjectHash,
        policy: &'a Policy,
        now: Instant,
    ) -> Ask<'a> {
        Ask { tag: subject.tag(policy.seed), policy, now: self.moment(now) }
    }
}

/// SipHash-1-3 of the parts, told apart by their lengths.
pub(super) fn hash_parts(key: [u8; 16], parts: &[&[u8]]) -> u64 {
    // In one piece where they are short: each write to a hasher costs as much as hashing them.
    let (mut whole, mut end) = ([0; WHOLE_BYTES_MAX], 0);
    for part in parts {
        let (at, length) = (end + LENGTH_BYTES, part.len());
        let Some(place) = whole.get_mut(end..at.saturating_add(length)) else {
            return hash_long_parts(key, parts);
        };
        let (before, rest) = place.split_at_mut(LENGTH_BYTES);
        before.copy_from_slice(&part_length(part));
        rest.copy_from_slice(part);
        end = at + length;
    }
    SipHasher13::new_with_key(&key).hash(&whole[..end])
}

#[cold]
fn hash_long_parts(key: [u8; 16], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&key);
    for part in parts {
        hasher.write(&part_length(part));
        hasher.write(part);
    }
    hasher.finish()
}

/// A length before each part makes the encoding of a list of parts unambiguous.
const fn part_length(part: &[u8]) -> [u8; LENGTH_BYTES] {
    (part.len() as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_hash_alike_in_one_piece_or_several() {
        let key = [9; 16];
        let long = [b'x'; 200];
        for length in [0, 1, 7, 8, 41, 42, 43, 63, 64, 200] {
            let parts: &[&[u8]] = &[b"header", &long[..length]];
            assert_eq!(hash_parts(key, parts), hash_long_parts(key, parts), "{length}");
        }
        assert_ne!(hash_parts(key, &[b"ab", b"c"]), hash_parts(key, &[b"a", b"bc"]));
    }
}
