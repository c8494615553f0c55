//! One slot: 64 bytes, a cache line, eight atomic words. The layout is the file's format.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_protocol::limit::meter::{Moment, Shape, Word};

use super::Policy;
use super::name::{Name, NameText};
use super::sync::Atomic;

/// The size of a slot in memory and in the ledger.
pub const SLOT_BYTES: usize = 64;

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES && align_of::<Slot>() == SLOT_BYTES);

/// The tag of a slot that belongs to no key.
pub(super) const FREE: u64 = 0;

/// How often a copy is tried before the slot counts as busy.
const COPY_ROUNDS: u32 = 16;

#[repr(C, align(64))]
pub(super) struct Slot<A = AtomicU64> {
    /// The key's hash; [`FREE`] when there is none.
    pub(super) tag: A,
    /// A [`Word`]; sealed while the slot changes hands.
    pub(super) word: A,
    /// The ban ladder's two words; written under the group's lock.
    pub(super) ban: A,
    pub(super) strikes: A,
    /// About how many requests were admitted and refused since the key has the slot.
    pub(super) admitted: A,
    pub(super) refused: A,
    /// [`Policy::id`] of the policy the slot was last charged under; tells a reader of the ledger
    /// whose slot this is, decides nothing.
    pub(super) policy: A,
    /// The [`Shape`] of the word. Without it nobody but the key's own policy could tell whether the
    /// slot has expired.
    pub(super) shape: A,
}

/// To whom a slot goes.
pub(super) struct Owner<'a, A> {
    pub(super) tag: u64,
    pub(super) policy: &'a Policy,
    /// Where its name goes, when it is not the owner already.
    pub(super) name: Option<(&'a Name<A>, &'a NameText)>,
}

impl<A: Atomic> Slot<A> {
    #[cfg(test)]
    pub(super) fn free() -> Self {
        let [tag, word, ban, strikes, admitted, refused, policy, shape] = [0; 8].map(A::new);
        Self { tag, word, ban, strikes, admitted, refused, policy, shape }
    }

    /// The fields in the order in which they stand.
    pub(super) fn fields(&self) -> [&A; 8] {
        let Self { tag, word, ban, strikes, admitted, refused, policy, shape } = self;
        [tag, word, ban, strikes, admitted, refused, policy, shape]
    }

    /// The count of the key that holds `tag`, if it can be read in the policy's shape and is neither
    /// sealed nor expired.
    pub(super) fn live_word(&self, tag: u64, policy: &Policy, now: Moment) -> Option<Word> {
        let word = self.own_word(tag, policy.shape())?;
        (!policy.meter().is_expired(word, now)).then_some(word)
    }

    /// The same, expired or not.
    #[inline]
    pub(super) fn own_word(&self, tag: u64, shape: Shape) -> Option<Word> {
        // Acquire pairs with the release store of the tag in `publish`: who sees it sees the seal
        // that came before, so the word below is not an earlier owner's.
        (self.tag.load(Ordering::Acquire) == tag).then(|| self.found_word(tag, shape)).flatten()
    }

    /// The same for who has just loaded the tag, acquiring.
    #[inline]
    pub(super) fn found_word(&self, tag: u64, Shape(shape): Shape) -> Option<Word> {
        // Acquire pairs with the release store in `publish`, as for the tag.
        if self.shape.load(Ordering::Acquire) != shape {
            return None;
        }
        // Acquire pairs with the release that ends `publish` (later charges are read-modify-writes
        // and carry it on): who sees a new owner's word sees the new tag and shape below.
        let word = Word(self.word.load(Ordering::Acquire));
        // Relaxed suffices: the acquire above keeps these two behind it.
        let same =
            self.tag.load(Ordering::Relaxed) == tag && self.shape.load(Ordering::Relaxed) == shape;
        (same && word != Word::SEALED).then_some(word)
    }

    /// Replaces `seen` by `next`; false when the word is no longer `seen`.
    #[inline]
    pub(super) fn swap(&self, seen: Word, next: Word) -> bool {
        // Release passes on what this thread saw of the slot to the next acquiring reader, acquire
        // orders a seal before the stores that follow it. A failure is answered by a new load.
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        self.word.compare_exchange(seen.0, next.0, success, failure).is_ok()
    }

    /// The slot's word, if the slot may be given to another key. Only a holder of the group's lock
    /// may ask: to it a sealed word is nobody's change in progress, but debris.
    pub(super) fn reclaimable(&self, now: Moment) -> Option<Word> {
        // Acquire as in `own_word`; relaxed for tag and shape: they change under the lock, which
        // this thread holds.
        let word = Word(self.word.load(Ordering::Acquire));
        let expired = || Shape(self.shape.load(Ordering::Relaxed)).is_expired(word, now);
        let free = self.tag.load(Ordering::Relaxed) == FREE;
        (free || word == Word::SEALED || expired()).then_some(word)
    }

    /// Makes the slot `owner`'s, with `next` as its count, if its word still is `seen`. Only a
    /// holder of the group's lock may call it.
    pub(super) fn take(&self, seen: Word, owner: &Owner<'_, A>, next: Word) -> bool {
        if seen != Word::SEALED && !self.swap(seen, Word::SEALED) {
            return false;
        }
        if self.tag.load(Ordering::Relaxed) != owner.tag {
            self.forget();
        }
        if let Some((name, text)) = owner.name {
            name.write(owner.tag, text);
        }
        self.publish(owner, next);
        true
    }

    /// Clears what was remembered about the key that had the slot.
    fn forget(&self) {
        for field in [&self.ban, &self.strikes, &self.admitted, &self.refused] {
            // Release pairs with the acquire loads in `copy`: who sees the nought sees the seal.
            field.store(0, Ordering::Release);
        }
    }

    fn publish(&self, owner: &Owner<'_, A>, next: Word) {
        // Release as in `forget`.
        self.policy.store(owner.policy.id(), Ordering::Release);
        // Release pairs with the first loads in `own_word`: the seal is seen with them.
        self.tag.store(owner.tag, Ordering::Release);
        self.shape.store(owner.policy.shape().0, Ordering::Release);
        // Release pairs with the load of the word there: tag and shape are seen with it.
        self.word.store(next.0, Ordering::Release);
    }

    /// Counts a decision, for people to see. Two shards that count at once may lose one: a second
    /// read-modify-write of the line would cost as much as the charge itself.
    #[inline]
    pub(super) fn note(&self, policy: &Policy, admitted: bool) {
        let counter = if admitted { &self.admitted } else { &self.refused };
        // Relaxed: nothing is decided by it.
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        if self.policy.load(Ordering::Relaxed) != policy.id() {
            self.policy.store(policy.id(), Ordering::Relaxed);
        }
    }

    /// The fields as of one owner, in the order in which they stand; `None` while the slot keeps
    /// changing hands. Counts may move while it is read.
    pub(super) fn copy(&self) -> Option<[u64; 8]> {
        (0..COPY_ROUNDS).find_map(|round| {
            let copy = self.copy_at_once();
            if copy.is_none() {
                A::pause(round);
            }
            copy
        })
    }

    fn copy_at_once(&self) -> Option<[u64; 8]> {
        // Acquire as in `own_word`. A field of a later owner brings the seal with it, so that the
        // word, which is read after it, is sealed, or that owner's: then its tag is seen below.
        let tag = self.tag.load(Ordering::Acquire);
        let shape = self.shape.load(Ordering::Acquire);
        let fields = [&self.ban, &self.strikes, &self.admitted, &self.refused, &self.policy];
        let [ban, strikes, admitted, refused, policy] =
            fields.map(|field| field.load(Ordering::Acquire));
        let word = self.word.load(Ordering::Acquire);
        let same =
            self.tag.load(Ordering::Relaxed) == tag && self.shape.load(Ordering::Relaxed) == shape;
        let whole = same && word != Word::SEALED.0;
        whole.then_some([tag, word, ban, strikes, admitted, refused, policy, shape])
    }

    /// Puts a copy back, before anybody else has the table.
    pub(super) fn restore(&self, words: [u64; 8]) {
        for (field, word) in self.fields().into_iter().zip(words) {
            // Relaxed: sharing the table publishes it. Writing only what differs leaves the pages
            // of an empty table untouched.
            if field.load(Ordering::Relaxed) != word {
                field.store(word, Ordering::Relaxed);
            }
        }
    }
}
