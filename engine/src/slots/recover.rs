//! What must be put right in slots that a process left behind, before any shard sees them.

use std::sync::atomic::Ordering;

use weir_protocol::limit::window::{self, Age, Word};

use super::groups::{GROUP_SLOTS, candidates};
use super::slot::{FREE, Slot, window_of};
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

enum Verdict {
    Keep,
    Free,
    Sealed,
    Future,
    Damaged,
}

/// Frees every slot that cannot be trusted. Nobody else may use the slots meanwhile.
pub(super) fn recover<A: Atomic>(slots: &[Slot<A>], now_ns: u64) -> Recovered {
    let groups = slots.len() / GROUP_SLOTS;
    let mut recovered = Recovered::default();
    for (index, slot) in slots.iter().enumerate() {
        match judge(slot, candidates_hold(slot, index / GROUP_SLOTS, groups), now_ns) {
            Verdict::Keep => recovered.kept += 1,
            Verdict::Free => clear(slot),
            Verdict::Sealed => recovered.sealed += clear_counted(slot),
            Verdict::Future => recovered.future += clear_counted(slot),
            Verdict::Damaged => recovered.damaged += clear_counted(slot),
        }
    }
    recovered
}

fn candidates_hold<A: Atomic>(slot: &Slot<A>, group: usize, groups: usize) -> bool {
    candidates(slot.tag.load(Ordering::Relaxed), groups).contains(&group)
}

// Relaxed throughout: nobody else has the slots yet, and sharing the table publishes them.
fn judge<A: Atomic>(slot: &Slot<A>, in_place: bool, now_ns: u64) -> Verdict {
    let word = Word(slot.word.load(Ordering::Relaxed));
    let window = window_of(slot.shape.load(Ordering::Relaxed), 1);
    match window {
        _ if word == Word::SEALED => Verdict::Sealed,
        _ if slot.tag.load(Ordering::Relaxed) == FREE => Verdict::Free,
        Some(window) if in_place => match window::age(word, &window, now_ns) {
            // One epoch is within what clocks of two boots may differ by.
            Age::Ahead(2..) => Verdict::Future,
            Age::Ahead(_) | Age::Current | Age::Previous | Age::Expired => Verdict::Keep,
        },
        Some(_) | None => Verdict::Damaged,
    }
}

fn clear_counted<A: Atomic>(slot: &Slot<A>) -> usize {
    clear(slot);
    1
}

fn clear<A: Atomic>(slot: &Slot<A>) {
    let fields = [&slot.tag, &slot.word, &slot.ban, &slot.admitted];
    let more = [&slot.refused, &slot.policy, &slot.name, &slot.shape];
    for field in fields.into_iter().chain(more) {
        // Writing only what differs leaves the pages of an empty table untouched.
        if field.load(Ordering::Relaxed) != 0 {
            field.store(0, Ordering::Relaxed);
        }
    }
}
