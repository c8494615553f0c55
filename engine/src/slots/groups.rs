//! The protocol of the table over borrowed slots, names and locks, generic over the atomics.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use weir_protocol::limit::ban::{Ban, Strikes};
use weir_protocol::limit::meter::{Allowance, Meter, Moment, Shape, Word};

use super::Policy;
use super::deed::{Deed, Step};
use super::heap::{BLOCK_SLOTS, Heap};
use super::lock::{Held, lock};
use super::name::{Name, NameText};
use super::slot::{FREE, Owner, Slot};
use super::sync::Atomic;

/// Slots of a group in production.
pub(crate) const GROUP_SLOTS: usize = 8;

/// `G` slots make a group, a power of two of them.
pub(super) struct Groups<'a, A, const G: usize = GROUP_SLOTS> {
    pub(super) slots: &'a [Slot<A>],
    /// One for each slot; models that need no names have none.
    pub(super) names: &'a [Name<A>],
    pub(super) heap: &'a Heap<A>,
}

/// What is asked of a key's counter, and when.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) tag: u64,
    pub(super) policy: &'a Policy,
    pub(super) now: Moment,
}

/// The two groups a tag may live in, of a power of two of them; distinct when there are several.
#[inline]
pub(super) fn candidates(tag: u64, groups: usize) -> [usize; 2] {
    debug_assert!(groups.is_power_of_two());
    let mask = groups - 1;
    let pick = |bits: u64| usize::try_from(bits & u64::from(u32::MAX)).unwrap_or(0) & mask;
    let (first, second) = (pick(tag), pick(tag >> 32));
    [first, if first == second { second ^ (1 & mask) } else { second }]
}

impl<'a, A: Atomic, const G: usize> Groups<'a, A, G> {
    /// Does `deed` to the key's counter, which is made if it is not there. `None`: the table is
    /// full.
    #[inline]
    pub(super) fn run<D: Deed>(
        &self,
        ask: &Ask<'_>,
        deed: &D,
        name: &dyn Display,
    ) -> Option<D::Answer> {
        self.run_first(ask, deed).or_else(|| self.run_further(ask, deed, name))
    }

    /// What nearly always does: the key stands where it is looked for first, and nobody else writes
    /// at the same moment. `None` says nothing.
    #[inline]
    pub(super) fn run_first<D: Deed>(&self, ask: &Ask<'_>, deed: &D) -> Option<D::Answer> {
        let slot = self.find_first(ask.tag)?;
        let seen = slot.found_word(ask.tag, ask.policy.shape())?;
        run_step::<A, D>(slot, seen, ask, deed.to_live(ask.policy.meter(), seen, ask.now)?)
    }

    #[inline(never)]
    pub(super) fn run_further<D: Deed>(
        &self,
        ask: &Ask<'_>,
        deed: &D,
        name: &dyn Display,
    ) -> Option<D::Answer> {
        self.run_hit(ask, deed).or_else(|| self.run_locked(ask, deed, name))
    }

    /// The way without locks. `None` when the key has no slot, or one that is not to be written
    /// without them: sealed, expired, or counted in another shape.
    fn run_hit<D: Deed>(&self, ask: &Ask<'_>, deed: &D) -> Option<D::Answer> {
        let slot = self.find(ask.tag)?;
        loop {
            let seen = slot.own_word(ask.tag, ask.policy.shape())?;
            let step = deed.to_live(ask.policy.meter(), seen, ask.now)?;
            if let Some(answer) = run_step::<A, D>(slot, seen, ask, step) {
                return Some(answer);
            }
        }
    }

    #[cold]
    fn run_locked<D: Deed>(
        &self,
        ask: &Ask<'_>,
        deed: &D,
        name: &dyn Display,
    ) -> Option<D::Answer> {
        if self.heap.is_given_away() {
            return None;
        }
        // Outside of the lock: it is somebody else's code.
        let text = NameText::of(name);
        let _held = self.lock(ask.tag);
        match self.find(ask.tag) {
            Some(slot) => Some(run_found(slot, ask, deed)),
            None => self.run_new(ask, deed, &text),
        }
    }

    /// Gives the key a slot. Under the lock.
    fn run_new<D: Deed>(&self, ask: &Ask<'_>, deed: &D, text: &NameText) -> Option<D::Answer> {
        let meter = ask.policy.meter();
        let (next, answer) = match deed.to(meter, meter.fresh(ask.now), ask.now) {
            Step::Write(next, answer) => (next, answer),
            // A cost above the limit: there is nothing to remember.
            Step::Keep(answer) => return Some(answer),
        };
        for slot in self.emptier_first(ask).into_iter().flat_map(|g| self.probe(g, ask.tag)) {
            let index = self.index_of(slot);
            let name = self.names.get(index).map(|name| (name, text));
            let owner = Owner { tag: ask.tag, policy: ask.policy, name };
            // Its old owner, if its clock lags, may charge it in between: then the seal fails, the
            // slot still counts and stays.
            // A word that equals the old owner's would be charged by who has seen that one.
            let free = slot.tag.load(Ordering::Relaxed) == FREE;
            let seen = self.reclaimable(slot, ask.now).filter(|seen| *seen != next || free);
            if seen.is_some_and(|seen| slot.take(seen, &owner, next)) {
                self.heap.touched.insert(index / BLOCK_SLOTS);
                if D::COUNTS {
                    slot.note(ask.policy, true);
                }
                return Some(answer);
            }
        }
        None
    }

    /// The slot's word, if another key may have the slot: it counts nothing, and nothing is
    /// remembered against its key. Under the lock.
    fn reclaimable(&self, slot: &Slot<A>, now: Moment) -> Option<Word> {
        // Relaxed: written under the lock only, which this thread holds.
        let strikes = Strikes(slot.strikes.load(Ordering::Relaxed));
        let spent = Ban(slot.ban.load(Ordering::Relaxed)).is_spent(now.table_ns);
        // Relaxed: a bound that only grows, with the first strike of a ladder.
        let fresh = || {
            let within_s = self.heap.strikes_within_s.load(Ordering::Relaxed);
            strikes.count() > 0 && strikes.is_fresh(now.table_ns, within_s)
        };
        slot.reclaimable(now).filter(|_| spent && !fresh())
    }

    /// The key's groups, the one with more room first: two choices keep the groups even.
    fn emptier_first(&self, ask: &Ask<'_>) -> [usize; 2] {
        let [first, second] = self.candidates(ask.tag);
        let room = |group: usize| {
            self.group(group).iter().filter(|s| self.reclaimable(s, ask.now).is_some()).count()
        };
        if room(second) > room(first) { [second, first] } else { [first, second] }
    }

    /// Gives back `cost` units charged at `charged_at`. What has changed since (the word's epoch,
    /// the slot's key, its shape) voids it.
    pub(super) fn refund(&self, ask: &Ask<'_>, charged_at: Moment, cost: u64) {
        let Some(slot) = self.find(ask.tag) else {
            return;
        };
        let meter = ask.policy.meter();
        while let Some(seen) = slot.live_word(ask.tag, ask.policy, ask.now) {
            let next = meter.refund(seen, charged_at, ask.now, cost);
            if next.is_none_or(|next| slot.swap(seen, next)) {
                return;
            }
        }
    }

    pub(super) fn peek(&self, ask: &Ask<'_>) -> Allowance {
        let (meter, now) = (ask.policy.meter(), ask.now);
        let untouched = || meter.peek(meter.fresh(now), now);
        let slot = self.find(ask.tag);
        if let Some(word) = slot.and_then(|slot| slot.live_word(ask.tag, ask.policy, now)) {
            return meter.peek(word, now);
        }
        match slot.and_then(Slot::copy) {
            Some([tag, word, .., shape]) if tag == ask.tag && shape != ask.policy.shape().0 => {
                meter.peek(meter.carry(Shape(shape), Word(word), now), now)
            }
            _ => untouched(),
        }
    }

    /// Lets a key's counter begin anew. The slot stays the key's until it expires: were it given to
    /// another at once, a charge in flight could take that one's equal word for the old.
    pub(super) fn reset(&self, ask: &Ask<'_>) -> bool {
        let _held = self.lock(ask.tag);
        let Some(slot) = self.find(ask.tag).filter(|_| !self.heap.is_given_away()) else {
            return false;
        };
        let meter = ask.policy.meter();
        let owner = Owner { tag: ask.tag, policy: ask.policy, name: None };
        loop {
            // Acquire as in `own_word`; the shape changes under the lock.
            let seen = Word(slot.word.load(Ordering::Acquire));
            if Shape(slot.shape.load(Ordering::Relaxed)).dies_with_process() {
                return false;
            }
            if slot.take(seen, &owner, meter.fresh(ask.now)) {
                return true;
            }
        }
    }

    /// Locks the key's groups until the returned value is dropped.
    pub(super) fn lock(&self, tag: u64) -> Held<'a, A> {
        lock(&self.heap.locks, self.candidates(tag))
    }

    /// The key's slot. Both groups are looked at in turns, from where the tag points: keys stand
    /// near there in either.
    #[inline]
    pub(super) fn find(&self, tag: u64) -> Option<&'a Slot<A>> {
        debug_assert_ne!(tag, FREE);
        self.find_first(tag).or_else(|| self.find_further(tag))
    }

    /// The key's slot, if it is in the first place of either group, where most stand.
    #[inline]
    fn find_first(&self, tag: u64) -> Option<&'a Slot<A>> {
        let [first, second] = self.candidates(tag);
        let at = |group| &self.group(group)[probe_start(tag) % G];
        // Acquire: the first of `own_word`'s conditions, here already.
        let mine = |slot: &&Slot<A>| slot.tag.load(Ordering::Acquire) == tag;
        Some(at(first)).filter(mine).or_else(|| Some(at(second)).filter(mine))
    }

    #[inline(never)]
    fn find_further(&self, tag: u64) -> Option<&'a Slot<A>> {
        let [first, second] = self.candidates(tag).map(|group| self.group(group));
        (1..G).find_map(|step| {
            let at = (probe_start(tag) + step) % G;
            // Acquire as above.
            let mine = |slot: &&Slot<A>| slot.tag.load(Ordering::Acquire) == tag;
            Some(&first[at]).filter(mine).or_else(|| Some(&second[at]).filter(mine))
        })
    }

    /// The slots of a group, from the one that the tag points at.
    fn probe(&self, group: usize, tag: u64) -> impl Iterator<Item = &'a Slot<A>> + use<'a, A, G> {
        let (slots, start) = (self.group(group), probe_start(tag));
        (0..G).map(move |step| &slots[(start + step) % G])
    }

    #[inline]
    pub(super) fn candidates(&self, tag: u64) -> [usize; 2] {
        candidates(tag, self.heap.locks.len())
    }

    #[inline]
    pub(super) fn group(&self, group: usize) -> &'a [Slot<A>; G] {
        let slots = &self.slots[group * G..];
        slots.first_chunk().expect("slots make whole groups")
    }

    pub(super) fn index_of(&self, slot: &Slot<A>) -> usize {
        (std::ptr::from_ref(slot).addr() - self.slots.as_ptr().addr()) / size_of::<Slot<A>>()
    }
}

/// Bits of the tag that do not choose its groups, but in tables of more than 2^32 slots.
#[inline]
fn probe_start(tag: u64) -> usize {
    usize::try_from(tag >> 61).unwrap_or(0)
}

/// Decides on `seen` and writes the decision; `None` when another came first.
#[inline]
fn run_word<A: Atomic, D: Deed>(
    slot: &Slot<A>,
    seen: Word,
    ask: &Ask<'_>,
    deed: &D,
) -> Option<D::Answer> {
    run_step::<A, D>(slot, seen, ask, deed.to(ask.policy.meter(), seen, ask.now))
}

/// Writes what was decided on `seen`; `None` when another came first.
#[inline]
fn run_step<A: Atomic, D: Deed>(
    slot: &Slot<A>,
    seen: Word,
    ask: &Ask<'_>,
    step: Step<D::Answer>,
) -> Option<D::Answer> {
    let (admitted, answer) = match step {
        Step::Write(next, _) if !slot.swap(seen, next) => return None,
        Step::Write(_, answer) => (true, answer),
        Step::Keep(answer) => (false, answer),
    };
    if D::COUNTS {
        slot.note(ask.policy, admitted);
    }
    Some(answer)
}

/// Writes the key's own slot, whatever its state. Under the lock, so the tag stays.
fn run_found<A: Atomic, D: Deed>(slot: &Slot<A>, ask: &Ask<'_>, deed: &D) -> D::Answer {
    loop {
        // Acquire as in `own_word`; the lock already orders this after the last change of hands.
        let seen = Word(slot.word.load(Ordering::Acquire));
        let shape = Shape(slot.shape.load(Ordering::Relaxed));
        let done = if seen != Word::SEALED && shape == ask.policy.shape() {
            run_word(slot, seen, ask, deed)
        } else {
            run_reshaped(slot, seen, shape, ask, deed)
        };
        if let Some(answer) = done {
            return answer;
        }
    }
}

/// Writes a slot that was counted in another shape (or whose word is debris). What still counts in
/// the old shape is carried into the new: were it dropped, a caller that two policies share a key
/// for could empty one by using the other.
fn run_reshaped<A: Atomic, D: Deed>(
    slot: &Slot<A>,
    seen: Word,
    shape: Shape,
    ask: &Ask<'_>,
    deed: &D,
) -> Option<D::Answer> {
    let meter: &Meter = ask.policy.meter();
    let step = if seen == Word::SEALED {
        deed.to(meter, meter.fresh(ask.now), ask.now)
    } else {
        deed.carried(meter, shape, seen, ask.now)
    };
    let owner = Owner { tag: ask.tag, policy: ask.policy, name: None };
    let (admitted, answer) = match step {
        Step::Write(next, _) if !slot.take(seen, &owner, next) => return None,
        Step::Write(_, answer) => (true, answer),
        Step::Keep(answer) => (false, answer),
    };
    if D::COUNTS {
        slot.note(ask.policy, admitted);
    }
    Some(answer)
}
