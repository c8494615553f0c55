//! What must be put right in slots that a process left behind, before any shard sees them.

use std::sync::atomic::Ordering;

use weir_protocol::limit::ban::{Ban, CEILING_S_MAX};
use weir_protocol::limit::meter::{Age, Moment, Shape, Word};

use super::groups::{GROUP_SLOTS, candidates};
use super::heap::{BLOCK_SLOTS, Heap};
use super::slot::{FREE, Slot};
use super::sync::Atomic;

/// Slots that were freed when a table was taken up again, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Slots that belong to a key now.
    pub kept: usize,
    /// The process died while the slot changed hands; the request was never answered.
    pub sealed: usize,
    /// The epoch is later than now: the wall clock was set back between two boots.
    pub future: usize,
    /// The tag cannot live in its group, or the word is in no form this version knows: damage.
    pub damaged: usize,
}

#[derive(Clone, Copy)]
enum Verdict {
    Keep,
    /// Kept, but what it counts ended with the process.
    Empty,
    Free,
    Sealed,
    Future,
    Damaged,
}

/// Frees every slot that cannot be trusted, and fills the heap's side in from the others. Nobody
/// else may use the slots meanwhile.
pub(super) fn recover<A: Atomic>(slots: &[Slot<A>], heap: &Heap<A>, now: Moment) -> Recovered {
    let groups = slots.len() / GROUP_SLOTS;
    let mut recovered = Recovered::default();
    for (index, slot) in slots.iter().enumerate() {
        let group = index / GROUP_SLOTS;
        let in_place = candidates_hold(slot, group, groups);
        let verdict = judge(slot, in_place, now);
        if let Some(count) = count_of(&mut recovered, verdict) {
            *count += 1;
        }
        let kept = match verdict {
            Verdict::Keep => true,
            Verdict::Empty => empty(slot),
            // What is remembered against a key outlives a count that cannot be used.
            Verdict::Sealed | Verdict::Future if in_place && holds_ban(slot, now) => empty(slot),
            Verdict::Free | Verdict::Sealed | Verdict::Future | Verdict::Damaged => false,
        };
        if !kept {
            slot.restore([0; 8]);
            continue;
        }
        heap.touched.insert(index / BLOCK_SLOTS);
        if ban_of(slot, now).is_running(now.table_ns) {
            heap.mark_banned(group);
        }
    }
    recovered
}

fn count_of(recovered: &mut Recovered, verdict: Verdict) -> Option<&mut usize> {
    match verdict {
        Verdict::Free => None,
        Verdict::Keep | Verdict::Empty => Some(&mut recovered.kept),
        Verdict::Sealed => Some(&mut recovered.sealed),
        Verdict::Future => Some(&mut recovered.future),
        Verdict::Damaged => Some(&mut recovered.damaged),
    }
}

/// Leaves the slot to its key with a count of nought, which all zeros are in every shape.
fn empty<A: Atomic>(slot: &Slot<A>) -> bool {
    // Relaxed as in `judge`.
    slot.word.store(0, Ordering::Relaxed);
    true
}

/// The slot of a sealed word is its tag's while it holds a ban: those are not given to others.
fn holds_ban<A: Atomic>(slot: &Slot<A>, now: Moment) -> bool {
    let shape = Shape(slot.shape.load(Ordering::Relaxed));
    slot.tag.load(Ordering::Relaxed) != FREE
        && shape.age(Word(0), now).is_some()
        && !ban_of(slot, now).is_spent(now.table_ns)
}

/// The slot's ban; one that ends later than any can is struck out.
fn ban_of<A: Atomic>(slot: &Slot<A>, now: Moment) -> Ban {
    let ban = Ban(slot.ban.load(Ordering::Relaxed));
    if ban.remaining_ns(now.table_ns) <= (CEILING_S_MAX + 1) * 1_000_000_000 {
        return ban;
    }
    slot.ban.store(0, Ordering::Relaxed);
    Ban::default()
}

fn candidates_hold<A: Atomic>(slot: &Slot<A>, group: usize, groups: usize) -> bool {
    candidates(slot.tag.load(Ordering::Relaxed), groups).contains(&group)
}

// Relaxed throughout: nobody else has the slots yet, and sharing the table publishes them.
fn judge<A: Atomic>(slot: &Slot<A>, in_place: bool, now: Moment) -> Verdict {
    let word = Word(slot.word.load(Ordering::Relaxed));
    let shape = Shape(slot.shape.load(Ordering::Relaxed));
    if word == Word::SEALED {
        return Verdict::Sealed;
    }
    if slot.tag.load(Ordering::Relaxed) == FREE {
        return Verdict::Free;
    }
    match shape.age(word, now) {
        Some(_) if in_place && shape.dies_with_process() => Verdict::Empty,
        // One epoch is within what clocks of two boots may differ by.
        Some(Age::Ahead(2..)) if in_place => Verdict::Future,
        Some(Age::Ahead(_) | Age::Current | Age::Previous | Age::Expired) if in_place => {
            Verdict::Keep
        }
        Some(_) | None => Verdict::Damaged,
    }
}
