//! One slot: 64 bytes, a cache line, eight atomic words. The layout is the file's format.

use std::sync::atomic::{AtomicU64, Ordering};

use weir_protocol::limit::window::{self, Window, Word};

use super::Policy;
use super::sync::Atomic;

/// The size of a slot in memory and in the ledger.
pub const SLOT_BYTES: usize = 64;

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES && align_of::<Slot>() == SLOT_BYTES);

/// The tag of a slot that belongs to no key.
pub(super) const FREE: u64 = 0;

#[repr(C, align(64))]
pub(super) struct Slot<A = AtomicU64> {
    /// The key's hash; [`FREE`] when there is none.
    pub(super) tag: A,
    /// A [`Word`]; sealed while the slot changes hands.
    pub(super) word: A,
    /// Zero; the ban ladder's.
    pub(super) ban: A,
    /// Requests admitted and refused since the key has the slot.
    pub(super) admitted: A,
    pub(super) refused: A,
    /// [`Policy::id`] of the policy the slot was last charged under; tells a reader of the ledger
    /// whose slot this is, decides nothing.
    pub(super) policy: A,
    /// Zero; where the key's readable name stands.
    pub(super) name: A,
    /// How to read the word: algorithm in the upper 8 bits (0: sliding window), below it the
    /// window's length in nanoseconds. Without it nobody but the key's own policy could tell
    /// whether the slot has expired.
    pub(super) shape: A,
}

/// The shape of words counted in windows of this length (at most 366 days: below 2^56 ns).
pub(super) const fn shape_of(window: &Window) -> u64 {
    window.window_ns()
}

/// The window a shape describes, with this limit; `None` for what this version cannot read.
pub(super) fn window_of(shape: u64, limit: u32) -> Option<Window> {
    Window::new(limit, shape).ok()
}

impl<A: Atomic> Slot<A> {
    pub(super) fn free() -> Self {
        let zero = || A::new(0);
        Self {
            tag: zero(),
            word: zero(),
            ban: zero(),
            admitted: zero(),
            refused: zero(),
            policy: zero(),
            name: zero(),
            shape: zero(),
        }
    }

    /// The count of the key that holds `tag`, if it can be read in the policy's windows and is
    /// neither sealed nor expired.
    pub(super) fn live_word(&self, tag: u64, window: &Window, now_ns: u64) -> Option<Word> {
        let shape = shape_of(window);
        // Acquire pairs with the release stores of tag and shape in `publish`: who sees them sees
        // the seal that came before, so the word below is not an earlier owner's.
        if self.tag.load(Ordering::Acquire) != tag || self.shape.load(Ordering::Acquire) != shape {
            return None;
        }
        // Acquire pairs with the release that ends `publish` (later charges are read-modify-writes
        // and carry it on): who sees a new owner's word sees the new tag and shape below.
        let word = Word(self.word.load(Ordering::Acquire));
        // Relaxed suffices: the acquire above keeps these two behind it.
        let same =
            self.tag.load(Ordering::Relaxed) == tag && self.shape.load(Ordering::Relaxed) == shape;
        (same && word != Word::SEALED && !window::is_expired(word, window, now_ns)).then_some(word)
    }

    /// Replaces `seen` by `next`; false when the word is no longer `seen`.
    pub(super) fn swap(&self, seen: Word, next: Word) -> bool {
        // Release passes on what this thread saw of the slot to the next acquiring reader, acquire
        // orders a seal before the stores that follow it. A failure is answered by a new load.
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        self.word.compare_exchange(seen.0, next.0, success, failure).is_ok()
    }

    /// The slot's word, if the slot may be given to another key. Only a holder of the group's lock
    /// may ask: to it a sealed word is nobody's change in progress, but debris.
    pub(super) fn reclaimable(&self, now_ns: u64) -> Option<Word> {
        // Acquire as in `live_word`; relaxed for tag and shape: they change under the lock, which
        // this thread holds.
        let word = Word(self.word.load(Ordering::Acquire));
        let expired = || {
            window_of(self.shape.load(Ordering::Relaxed), 1)
                .is_some_and(|window| window::is_expired(word, &window, now_ns))
        };
        let free = self.tag.load(Ordering::Relaxed) == FREE;
        (free || word == Word::SEALED || expired()).then_some(word)
    }

    /// Makes the slot `tag`'s, with `next` as its count, if its word still is `seen`. Only a holder
    /// of the group's lock may call it.
    pub(super) fn take(&self, seen: Word, tag: u64, policy: &Policy, next: Word) -> bool {
        if seen != Word::SEALED && !self.swap(seen, Word::SEALED) {
            return false;
        }
        if self.tag.load(Ordering::Relaxed) != tag {
            self.forget();
        }
        self.publish(tag, policy, next);
        true
    }

    /// Clears what was remembered about the key that had the slot.
    fn forget(&self) {
        // Relaxed: the release stores in `publish` come after.
        for field in [&self.ban, &self.admitted, &self.refused, &self.name] {
            field.store(0, Ordering::Relaxed);
        }
    }

    fn publish(&self, tag: u64, policy: &Policy, next: Word) {
        // Statistics; read without order.
        self.policy.store(policy.id(), Ordering::Relaxed);
        // Release pairs with the first loads in `live_word`: the seal is seen with them.
        self.tag.store(tag, Ordering::Release);
        self.shape.store(shape_of(policy.window()), Ordering::Release);
        // Release pairs with the load of the word there: tag and shape are seen with it.
        self.word.store(next.0, Ordering::Release);
    }

    /// Counts a decision; statistics only, so that a slot that changed hands meanwhile is no harm.
    pub(super) fn note(&self, policy: &Policy, admitted: bool) {
        let counter = if admitted { &self.admitted } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.policy.load(Ordering::Relaxed) != policy.id() {
            self.policy.store(policy.id(), Ordering::Relaxed);
        }
    }
}
