//! The protocol of the table over borrowed slots and locks, generic over the atomics.

use std::sync::atomic::Ordering;

use weir_protocol::limit::window::{self, Allowance, Outcome, Window, Word};

use super::lock::lock;
use super::slot::{FREE, Slot, shape_of, window_of};
use super::sync::Atomic;
use super::{Charge, Policy, untouched};

/// Slots of a group in production.
pub(crate) const GROUP_SLOTS: usize = 8;

/// `G` slots make a group; there is a lock for each group.
pub(super) struct Groups<'a, A, const G: usize = GROUP_SLOTS> {
    pub(super) slots: &'a [Slot<A>],
    pub(super) locks: &'a [A],
}

/// One request for units of a key's allowance.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) tag: u64,
    pub(super) policy: &'a Policy,
    pub(super) now_ns: u64,
    pub(super) cost: u32,
}

/// The two groups a tag may live in, of a power of two of them; distinct when there are several.
pub(super) fn candidates(tag: u64, groups: usize) -> [usize; 2] {
    debug_assert!(groups.is_power_of_two());
    let mask = groups - 1;
    let pick = |bits: u64| usize::try_from(bits & u64::from(u32::MAX)).unwrap_or(0) & mask;
    let (first, second) = (pick(tag), pick(tag >> 32));
    [first, if first == second { second ^ (1 & mask) } else { second }]
}

impl<'a, A: Atomic, const G: usize> Groups<'a, A, G> {
    pub(super) fn charge(&self, ask: &Ask<'_>) -> Charge {
        self.charge_hit(ask).unwrap_or_else(|| self.charge_locked(ask))
    }

    /// The way without locks. `None` when the key has no slot, or one that is not to be charged
    /// without them: sealed, expired, or counted in windows of another length.
    fn charge_hit(&self, ask: &Ask<'_>) -> Option<Charge> {
        let slot = self.find(ask.tag)?;
        let window = ask.policy.window();
        loop {
            let seen = slot.live_word(ask.tag, window, ask.now_ns)?;
            if let Some(charge) = charge_word(slot, seen, ask) {
                return Some(charge);
            }
        }
    }

    fn charge_locked(&self, ask: &Ask<'_>) -> Charge {
        let _held = lock(self.locks, self.candidates(ask.tag));
        match self.find(ask.tag) {
            Some(slot) => charge_found(slot, ask),
            None => self.charge_new(ask),
        }
    }

    /// Gives the key a slot. Under the lock.
    fn charge_new(&self, ask: &Ask<'_>) -> Charge {
        let window = ask.policy.window();
        let fresh = window.word_at(ask.now_ns, 0);
        let outcome = window::charge(fresh, window, ask.now_ns, u64::from(ask.cost));
        let Outcome::Admitted { word: next, .. } = outcome else {
            // A cost above the limit: there is nothing to remember.
            return answer(outcome);
        };
        for slot in self.emptier_first(ask).into_iter().flat_map(|g| self.probe(g, ask.tag)) {
            // Its old owner, if its clock lags, may charge it in between: then the seal fails, the
            // slot still counts and stays.
            let seen = slot.reclaimable(ask.now_ns);
            if seen.is_some_and(|seen| slot.take(seen, ask.tag, ask.policy, next)) {
                slot.note(ask.policy, true);
                return answer(outcome);
            }
        }
        Charge::TableFull
    }

    /// The key's groups, the one with more room first: two choices keep the groups even.
    fn emptier_first(&self, ask: &Ask<'_>) -> [usize; 2] {
        let [first, second] = self.candidates(ask.tag);
        let room = |group: usize| {
            self.group(group).iter().filter(|s| s.reclaimable(ask.now_ns).is_some()).count()
        };
        if room(second) > room(first) { [second, first] } else { [first, second] }
    }

    /// Gives back `cost` units charged at `charged_at_ns`. What has changed since (the word's
    /// epoch, the slot's key, the window's length) voids it.
    pub(super) fn refund(&self, ask: &Ask<'_>, charged_at_ns: u64) {
        let Some(slot) = self.find(ask.tag) else {
            return;
        };
        let window = ask.policy.window();
        while let Some(seen) = slot.live_word(ask.tag, window, charged_at_ns) {
            let next = window::refund(seen, window, charged_at_ns, u64::from(ask.cost));
            if next.is_none_or(|next| slot.swap(seen, next)) {
                return;
            }
        }
    }

    pub(super) fn peek(&self, ask: &Ask<'_>) -> Allowance {
        let window = ask.policy.window();
        let word = self.find(ask.tag).and_then(|s| s.live_word(ask.tag, window, ask.now_ns));
        word.map_or(untouched(window), |word| window::peek(word, window, ask.now_ns))
    }

    fn find(&self, tag: u64) -> Option<&'a Slot<A>> {
        debug_assert_ne!(tag, FREE);
        // Acquire: the first of `live_word`'s conditions, here already.
        let mine = |slot: &&Slot<A>| slot.tag.load(Ordering::Acquire) == tag;
        self.candidates(tag).into_iter().find_map(|group| self.probe(group, tag).find(mine))
    }

    /// The slots of a group, from the one that the tag's own bits point at: a key whose slot was
    /// free is found in the first cache line.
    fn probe(&self, group: usize, tag: u64) -> impl Iterator<Item = &'a Slot<A>> + use<'a, A, G> {
        let slots = self.group(group);
        let start = usize::try_from(tag >> 61).unwrap_or(0);
        (0..G).map(move |step| &slots[(start + step) % G])
    }

    fn candidates(&self, tag: u64) -> [usize; 2] {
        candidates(tag, self.locks.len())
    }

    fn group(&self, group: usize) -> &'a [Slot<A>] {
        &self.slots[group * G..(group + 1) * G]
    }
}

/// Decides on `seen` and writes the decision; `None` when another charge came first.
fn charge_word<A: Atomic>(slot: &Slot<A>, seen: Word, ask: &Ask<'_>) -> Option<Charge> {
    let outcome = window::charge(seen, ask.policy.window(), ask.now_ns, u64::from(ask.cost));
    let admitted = match outcome {
        Outcome::Admitted { word: next, .. } if !slot.swap(seen, next) => return None,
        Outcome::Admitted { .. } => true,
        Outcome::Refused { .. } => false,
    };
    slot.note(ask.policy, admitted);
    Some(answer(outcome))
}

/// Charges the key's own slot, whatever its state. Under the lock, so the tag stays.
fn charge_found<A: Atomic>(slot: &Slot<A>, ask: &Ask<'_>) -> Charge {
    loop {
        // Acquire as in `live_word`; the lock already orders this after the last change of hands.
        let seen = Word(slot.word.load(Ordering::Acquire));
        let shape = slot.shape.load(Ordering::Relaxed);
        let charged = if seen != Word::SEALED && shape == shape_of(ask.policy.window()) {
            charge_word(slot, seen, ask)
        } else {
            charge_reshaped(slot, seen, shape, ask)
        };
        if let Some(charge) = charged {
            return charge;
        }
    }
}

/// Charges a slot whose windows had another length (or whose word is debris). What still counts in
/// the old windows is carried into the new: were it dropped, a caller that two policies share a key
/// for could empty one by using the other. Until something is admitted the old windows stand.
fn charge_reshaped<A: Atomic>(
    slot: &Slot<A>,
    seen: Word,
    shape: u64,
    ask: &Ask<'_>,
) -> Option<Charge> {
    let window = ask.policy.window();
    let old = window_of(shape, window.limit()).filter(|_| seen != Word::SEALED);
    let (seen_in, judged) =
        old.map_or((*window, window.word_at(ask.now_ns, 0)), |old: Window| (old, seen));
    let outcome = window::charge(judged, &seen_in, ask.now_ns, u64::from(ask.cost));
    let Outcome::Admitted { remaining, .. } = outcome else {
        slot.note(ask.policy, false);
        return Some(answer(outcome));
    };
    let left = u32::try_from(remaining).unwrap_or(u32::MAX);
    let next = window.word_at(ask.now_ns, window.limit().saturating_sub(left));
    if !slot.take(seen, ask.tag, ask.policy, next) {
        return None;
    }
    slot.note(ask.policy, true);
    let Allowance { remaining, reset_ns } = window::peek(next, window, ask.now_ns);
    Some(Charge::Admitted { remaining, reset_ns })
}

fn answer(outcome: Outcome) -> Charge {
    match outcome {
        Outcome::Admitted { remaining, reset_ns, .. } => Charge::Admitted { remaining, reset_ns },
        Outcome::Refused { retry_after_ns, reset_ns } => {
            Charge::Refused { retry_after_ns, reset_ns }
        }
    }
}
