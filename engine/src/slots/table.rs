//! The table as the engine holds it: memory, locks, secret and clock around the protocol.

use std::fs::File;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use memmap2::{MmapRaw, UncheckedAdvice};
use siphasher::sip::SipHasher13;
use weir_protocol::limit::window::Allowance;

use super::groups::{Ask, GROUP_SLOTS, Groups};
use super::recover::{self, Recovered};
use super::slot::{FREE, SLOT_BYTES, Slot};
use super::{Charge, Occupancy, Policy, SubjectHash, TableClock};
use crate::runtime::Instant;

/// All counters of an engine. Shared by its shards behind an `Arc`.
pub struct SlotTable {
    memory: Memory,
    locks: Box<[AtomicU64]>,
    hash_key: [u8; 16],
    clock: TableClock,
    full_answers: AtomicU64,
}

enum Memory {
    Heap(Box<[Slot]>),
    Map(Arc<Mapping>),
}

/// Slots in a file, and what keeps every other process away from them. The lock is given up with
/// the last user of the map, or to a successor once nobody here charges any more.
pub(crate) struct Mapping {
    /// Shared and writable.
    pub(crate) map: MmapRaw,
    /// Of the first slot, in bytes from the beginning of the map.
    pub(crate) offset: usize,
    pub(crate) slots: usize,
    pub(crate) lock: Mutex<Option<File>>,
}

impl Memory {
    #[inline]
    fn slots(&self) -> &[Slot] {
        match self {
            Self::Heap(slots) => slots,
            Self::Map(mapping) => {
                // SAFETY: `over_map` checked that the slots lie within the map and are aligned; the
                // map is shared, writable, and lives as long as `self`. A slot is atomics only, so
                // every bit pattern is a value and writes through shared references are allowed.
                // Nothing in this process makes another kind of reference into these bytes, and
                // the mapping's lock keeps other processes out.
                unsafe {
                    let first = mapping.map.as_ptr().add(mapping.offset);
                    std::slice::from_raw_parts(first.cast::<Slot>(), mapping.slots)
                }
            }
        }
    }
}

impl Memory {
    /// Looking at every slot has made all of them resident, most of which may be free for ever.
    fn forget_unused(&self) {
        if let Self::Map(mapping) = self {
            // SAFETY: the map is shared and of a file, so its bytes stay in the page cache, from
            // where the next access takes them; only private maps lose what was written.
            let advised = unsafe { mapping.map.unchecked_advise(UncheckedAdvice::DontNeed) };
            // Advice that was not taken costs memory and nothing else.
            let _ = advised;
        }
    }
}

impl SlotTable {
    /// A table on the heap of `slots` slots (rounded up to a power of two, at least 8), whose hash
    /// key is `seed`: for simulations and tests, and for gateways without a ledger.
    pub fn in_memory(slots: usize, seed: [u8; 16]) -> Self {
        let slots = slots.max(GROUP_SLOTS).next_power_of_two();
        let heap = (0..slots).map(|_| Slot::free()).collect();
        Self::new(Memory::Heap(heap), slots, seed, TableClock::default())
    }

    /// A table over slots in a file, as a process before this one left them. What cannot be trusted
    /// is freed first.
    pub(crate) fn over_map(
        mapping: Arc<Mapping>,
        hash_key: [u8; 16],
        clock: TableClock,
        now: Instant,
    ) -> (Self, Recovered) {
        let (slots, offset) = (mapping.slots, mapping.offset);
        assert!(slots.is_power_of_two() && slots >= GROUP_SLOTS, "slots make whole groups");
        let end = slots.checked_mul(SLOT_BYTES).and_then(|bytes| bytes.checked_add(offset));
        assert!(end.is_some_and(|end| end <= mapping.map.len()), "the slots lie within the map");
        let first = mapping.map.as_ptr() as usize + offset;
        assert!(first.is_multiple_of(SLOT_BYTES), "slots are aligned");
        let table = Self::new(Memory::Map(mapping), slots, hash_key, clock);
        let recovered = recover::recover(table.slots(), clock.at(now).0);
        table.memory.forget_unused();
        (table, recovered)
    }

    /// Frees what cannot be trusted, after another process has used the slots. Nobody may be
    /// charging.
    pub(crate) fn recover(&self, now: Instant) -> Recovered {
        recover::recover(self.slots(), self.clock.at(now).0)
    }

    fn new(memory: Memory, slots: usize, hash_key: [u8; 16], clock: TableClock) -> Self {
        let locks = (0..slots / GROUP_SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { memory, locks, hash_key, clock, full_answers: AtomicU64::new(0) }
    }

    /// The subject that `parts` name, in order: a kind and a name, or several of both. Parts are
    /// told apart: `["ab", "c"]` and `["a", "bc"]` are different subjects.
    pub fn subject(&self, parts: &[&[u8]]) -> SubjectHash {
        SubjectHash(hash_parts(self.hash_key, parts))
    }

    /// Charges `cost` units to a subject, or says when to come back. Lock-free when it has a slot
    /// that still counts.
    pub fn charge(&self, subject: SubjectHash, policy: &Policy, now: Instant, cost: u32) -> Charge {
        let charge = self.groups().charge(&self.ask(subject, policy, now, cost));
        if charge == Charge::TableFull {
            // A statistic.
            self.full_answers.fetch_add(1, Ordering::Relaxed);
        }
        charge
    }

    /// Gives back what [`charge`](Self::charge) admitted at `charged_at`, if it still counts.
    pub fn refund(&self, subject: SubjectHash, policy: &Policy, charged_at: Instant, cost: u32) {
        let ask = self.ask(subject, policy, charged_at, cost);
        self.groups().refund(&ask, ask.now_ns);
    }

    /// What is left to a subject, charging nothing.
    pub fn peek(&self, subject: SubjectHash, policy: &Policy, now: Instant) -> Allowance {
        self.groups().peek(&self.ask(subject, policy, now, 0))
    }

    /// Reads every slot: for the control plane, never for a shard.
    pub fn occupancy(&self) -> Occupancy {
        // Relaxed: a picture of a table in motion.
        let taken = |slot: &&Slot| slot.tag.load(Ordering::Relaxed) != FREE;
        Occupancy {
            used: self.slots().iter().filter(taken).count(),
            capacity: self.slots().len(),
            full_answers: self.full_answers.load(Ordering::Relaxed),
        }
    }

    pub const fn clock(&self) -> TableClock {
        self.clock
    }

    pub(super) fn slots(&self) -> &[Slot] {
        self.memory.slots()
    }

    fn groups(&self) -> Groups<'_, AtomicU64> {
        Groups { slots: self.slots(), locks: &self.locks }
    }

    fn ask<'a>(
        &self,
        subject: SubjectHash,
        policy: &'a Policy,
        now: Instant,
        cost: u32,
    ) -> Ask<'a> {
        Ask { tag: subject.tag(policy.seed), policy, now_ns: self.clock.at(now).0, cost }
    }
}

/// SipHash-1-3 of the parts, told apart by their lengths.
pub(super) fn hash_parts(key: [u8; 16], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&key);
    parts.iter().for_each(|part| write_part(&mut hasher, part));
    hasher.finish()
}

/// A length before each part makes the encoding of a list of parts unambiguous.
fn write_part(hasher: &mut SipHasher13, part: &[u8]) {
    hasher.write(&(part.len() as u64).to_le_bytes());
    hasher.write(part);
}
