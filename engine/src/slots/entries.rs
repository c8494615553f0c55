//! The table as the control plane and the ledger's thread see it: slot by slot, each as of one
//! owner, while shards go on charging.

use std::sync::atomic::Ordering;

use weir_protocol::limit::ban::{Ban, Strikes};
use weir_protocol::limit::meter::{Shape, Word};

use super::heap::BLOCK_SLOTS;
use super::slot::FREE;
use super::table::SlotTable;
use super::{Policy, SubjectHash};
use crate::runtime::Instant;

/// A key's counter under one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub slot: usize,
    pub tag: u64,
    /// Who it is, for people; cut to 56 bytes. Empty where it is not known.
    pub name: String,
    /// [`Policy::id`](super::Policy::id) of the policy it was last charged under.
    pub policy: u64,
    pub shape: Shape,
    pub word: Word,
    pub ban: Ban,
    pub strikes: Strikes,
    /// Since the key has the slot; charges of several shards at once may be counted as one.
    pub admitted: u64,
    pub refused: u64,
}

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Slots that belong to a key, expired ones included: those are taken over when needed.
    pub used: usize,
    pub capacity: usize,
    /// [`Charge::TableFull`](super::Charge::TableFull) answers since the table was opened.
    pub full_answers: u64,
}

/// What of a table cannot be given to other keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Live {
    /// Slots in which something counts, or is remembered against a key.
    pub slots: usize,
    /// For how long something has counted in the oldest of them that can tell.
    pub oldest_ns: Option<u64>,
}

impl SlotTable {
    /// Every counter that can be read now. One that changes hands all the while is left out.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.touched_slots().filter_map(|slot| self.entry(slot))
    }

    /// The counter of a subject, if it has one that can be read now.
    pub fn entry_of(&self, subject: SubjectHash, policy: &Policy) -> Option<Entry> {
        let tag = policy.tag(subject);
        let groups = self.groups();
        let entry = self.entry(groups.index_of(groups.find(tag)?))?;
        (entry.tag == tag).then_some(entry)
    }

    fn entry(&self, slot: usize) -> Option<Entry> {
        let copy = self.copy_slot(slot)?;
        let [tag, word, ban, strikes, admitted, refused, policy, shape] = copy;
        let name = self.memory.names()[slot].read(tag).unwrap_or_default();
        let (shape, word, ban, strikes) = (Shape(shape), Word(word), Ban(ban), Strikes(strikes));
        let entry = Entry { slot, tag, name, policy, shape, word, ban, strikes, admitted, refused };
        (tag != FREE).then_some(entry)
    }

    /// Looks at the slots of touched blocks: for the control plane, never for a shard.
    pub fn occupancy(&self) -> Occupancy {
        // Relaxed: a picture of a table in motion.
        let taken = |slot: &usize| self.memory.slots()[*slot].tag.load(Ordering::Relaxed) != FREE;
        Occupancy {
            used: self.touched_slots().filter(taken).count(),
            capacity: self.memory.slots().len(),
            full_answers: self.full_answers.load(Ordering::Relaxed),
        }
    }

    /// Looks at the slots of touched blocks, each as of one owner: for the control plane, never for
    /// a shard.
    pub fn live(&self, now: Instant) -> Live {
        let now = self.moment(now);
        let mut live = Live::default();
        for slot in self.touched_slots() {
            let Some([tag, word, ban, .., shape]) = self.copy_slot(slot) else { continue };
            let (word, shape) = (Word(word), Shape(shape));
            let spent = shape.is_expired(word, now) && Ban(ban).is_spent(now.table_ns);
            if tag != FREE && !spent {
                live.slots += 1;
                live.oldest_ns = live.oldest_ns.max(shape.counting_for_ns(word, now));
            }
        }
        live
    }

    /// How many slots there are.
    pub fn capacity(&self) -> usize {
        self.memory.slots().len()
    }

    /// The blocks of [`BLOCK_SLOTS`] slots that hold anything: all others are zeros, names included.
    pub fn touched_blocks(&self) -> impl Iterator<Item = usize> + '_ {
        self.heap.touched.iter()
    }

    fn touched_slots(&self) -> impl Iterator<Item = usize> + '_ {
        let end = self.memory.slots().len();
        self.touched_blocks()
            .flat_map(move |block| block * BLOCK_SLOTS..((block + 1) * BLOCK_SLOTS).min(end))
    }

    /// A slot as it stands in the ledger, whole and of one owner; `None`: busy changing hands.
    pub fn copy_slot(&self, slot: usize) -> Option<[u64; 8]> {
        self.memory.slots()[slot].copy()
    }

    /// A name as it stands in the ledger; zeros while it is written.
    pub fn copy_name(&self, slot: usize) -> [u64; 8] {
        self.memory.names()[slot].copy()
    }
}
