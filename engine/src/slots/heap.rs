//! What a table keeps on the heap, beside its slots: it ends with the process, so that no kill
//! leaves any of it behind, and is made anew from the slots.

use std::sync::atomic::{AtomicU64, Ordering};

use super::sync::Atomic;

/// Slots of a block: what the ledger copies at once, and what the bitmap of touched slots counts.
pub const BLOCK_SLOTS: usize = 64;

pub(super) struct Heap<A = AtomicU64> {
    /// A lock for each group.
    pub(super) locks: Box<[A]>,
    /// Blocks of which a slot ever belonged to a key.
    pub(super) touched: Bitmap<A>,
    /// Groups in which a key may be banned, and how many they are: more than there are until
    /// somebody [looks](super::SlotTable::live_bans). Written under the group's lock.
    pub(super) banned: Bitmap<A>,
    pub(super) banned_groups: A,
    /// The longest time over which a ladder of this process counts strikes together, in seconds.
    pub(super) strikes_within_s: A,
    /// Counts the tenures of this process, see [`Heap::end_tenure`]; odd between two of them.
    tenure: A,
}

impl<A: Atomic> Heap<A> {
    pub(super) fn new(slots: usize, group_slots: usize) -> Self {
        let groups = slots / group_slots;
        Self {
            locks: (0..groups).map(|_| A::new(0)).collect(),
            touched: Bitmap::new(slots.div_ceil(BLOCK_SLOTS)),
            banned: Bitmap::new(groups),
            banned_groups: A::new(0),
            strikes_within_s: A::new(0),
            tenure: A::new(0),
        }
    }

    /// A key of the group is banned. Under the group's lock, as all that follows until it is seen.
    pub(super) fn mark_banned(&self, group: usize) {
        if self.banned.insert(group) {
            // Relaxed: who looks there a moment early or late finds what the slot says.
            self.banned_groups.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// No key of the group is banned.
    pub(super) fn clear_banned(&self, group: usize) {
        if self.banned.remove(group) {
            // Relaxed as above; adding all ones takes one away.
            self.banned_groups.fetch_add(u64::MAX, Ordering::Relaxed);
        }
    }

    /// The slots are another process's from here on: permits taken before are void, and no slot
    /// changes hands in this process any more, whose locks the other does not see.
    pub(super) fn end_tenure(&self) {
        // Relaxed, here and below: nobody charges while a table is handed over, and the messages
        // of the handover order the rest.
        let tenure = self.tenure.load(Ordering::Relaxed);
        self.tenure.store(tenure | 1, Ordering::Relaxed);
    }

    /// The slots are this process's again, or for the first time.
    pub(super) fn begin_tenure(&self) {
        let tenure = self.tenure.load(Ordering::Relaxed);
        self.tenure.store((tenure | 1).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn tenure(&self) -> u64 {
        self.tenure.load(Ordering::Relaxed)
    }

    pub(super) fn is_given_away(&self) -> bool {
        !self.tenure().is_multiple_of(2)
    }
}

/// A bit for each of a number of things. All relaxed: a bit is a hint of where to look, and what is
/// found there has an order of its own.
pub(super) struct Bitmap<A> {
    words: Box<[A]>,
}

impl<A: Atomic> Bitmap<A> {
    fn new(bits: usize) -> Self {
        Self { words: (0..bits.div_ceil(64)).map(|_| A::new(0)).collect() }
    }

    #[inline]
    pub(super) fn contains(&self, bit: usize) -> bool {
        self.words[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 == 1
    }

    /// Whether it was not there before.
    pub(super) fn insert(&self, bit: usize) -> bool {
        let mask = 1_u64 << (bit % 64);
        !self.contains(bit) && self.words[bit / 64].fetch_or(mask, Ordering::Relaxed) & mask == 0
    }

    /// Whether it was there before.
    pub(super) fn remove(&self, bit: usize) -> bool {
        let mask = 1_u64 << (bit % 64);
        self.words[bit / 64].fetch_and(!mask, Ordering::Relaxed) & mask != 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let word = word.load(Ordering::Relaxed);
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }
}
