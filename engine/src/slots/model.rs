//! loom explores the protocol's interleavings and reorderings over a table of one slot: there
//! every insertion is a change of hands.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;
use weir_protocol::limit::ban::{Ban, Ladder, LadderRules};
use weir_protocol::limit::meter::{Meter, Moment, Word};

use super::deed::Admit;
use super::groups::{Ask, Groups};
use super::heap::Heap;
use super::slot::Slot;
use super::sync::atomic;
use super::{Charge, Policy};

mod expired;

const SECOND: u64 = 1_000_000_000;
const OLD: u64 = 1;
const NEW: u64 = 2;

atomic!(AtomicU64, |_| thread::yield_now());

fn at(epoch: u64) -> Moment {
    Moment { table_ns: epoch * SECOND, wall_s: 0 }
}

struct Model {
    slots: [Slot<AtomicU64>; 1],
    heap: Heap<AtomicU64>,
    policy: Policy,
}

impl Model {
    /// One slot, free or the old key's with `spent` units in epoch 10.
    fn new(limit: u64, spent: u64) -> Arc<Self> {
        let meter = Meter::window(limit, SECOND).expect("within the bounds");
        let model = Self {
            slots: [Slot::free()],
            heap: Heap::new(1, 1),
            policy: Policy::new("model", meter),
        };
        if spent > 0 {
            model.slots[0].tag.store(OLD, Ordering::Relaxed);
            model.slots[0].shape.store(meter.shape().0, Ordering::Relaxed);
            model.slots[0].word.store(meter.holding(at(10), spent).0, Ordering::Relaxed);
        }
        Arc::new(model)
    }

    fn charge(&self, tag: u64, epoch: u64) -> Charge {
        self.charge_under(&self.policy, tag, epoch)
    }

    fn charge_under(&self, policy: &Policy, tag: u64, epoch: u64) -> Charge {
        let ask = Ask { tag, policy, now: at(epoch) };
        self.groups().run(&ask, &Admit(1), &"").unwrap_or(Charge::TableFull)
    }

    fn groups(&self) -> Groups<'_, AtomicU64, 1> {
        Groups { slots: &self.slots, names: &[], heap: &self.heap }
    }

    fn admits(&self, tag: u64, epoch: u64) -> bool {
        matches!(self.charge(tag, epoch), Charge::Admitted { .. })
    }

    fn ask<'a>(&self, policy: &'a Policy, tag: u64, epoch: u64) -> Ask<'a> {
        Ask { tag, policy, now: at(epoch) }
    }

    fn word(&self) -> Word {
        Word(self.slots[0].word.load(Ordering::Acquire))
    }

    fn tag(&self) -> u64 {
        self.slots[0].tag.load(Ordering::Acquire)
    }
}

/// Explores what up to three preemptions can do.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn two_insertions_of_a_key_make_one_slot_and_one_admission() {
    explore(|| {
        let model = Model::new(1, 0);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || other.admits(NEW, 10));
        let here = model.admits(NEW, 10);
        let there = thread.join().expect("no panic");
        assert_eq!(u32::from(here) + u32::from(there), 1);
        assert_eq!(model.word(), model.policy.meter().holding(at(10), 1));
    });
}

#[test]
fn two_hits_never_admit_more_than_is_left() {
    explore(|| {
        let model = Model::new(3, 2);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || other.admits(OLD, 10));
        let here = model.admits(OLD, 10);
        let there = thread.join().expect("no panic");
        assert_eq!(u32::from(here) + u32::from(there), 1);
        assert_eq!(model.word(), model.policy.meter().holding(at(10), 3));
    });
}

/// The old key's shard lags by two epochs and thinks its slot alive, the new key's shard takes it.
#[test]
fn a_slot_that_changes_hands_is_charged_to_its_owner_only() {
    explore(|| {
        let model = Model::new(9, 3);
        let other = Arc::clone(&model);
        let lagging = thread::spawn(move || other.charge(OLD, 10));
        let new = model.charge(NEW, 12);
        let old = lagging.join().expect("no panic");
        assert!(matches!(new, Charge::Admitted { remaining: 8, .. }), "{new:?}");
        match old {
            // Before the change: its own count. The slot was expired even so.
            Charge::Admitted { remaining: 5, .. } => {}
            // After it: the slot is another's, and alive.
            Charge::TableFull => {}
            Charge::Admitted { .. } | Charge::Refused { .. } => panic!("{old:?}"),
        }
        assert_eq!(model.tag(), NEW);
        assert_eq!(model.word(), model.policy.meter().holding(at(12), 1));
    });
}

/// The old key has spent its limit; the new one must not be refused for it.
#[test]
fn nobody_is_refused_for_anothers_count() {
    explore(|| {
        let model = Model::new(2, 2);
        let other = Arc::clone(&model);
        let second = thread::spawn(move || other.admits(NEW, 12));
        assert!(model.admits(NEW, 12));
        assert!(second.join().expect("no panic"));
        assert_eq!(model.word(), model.policy.meter().holding(at(12), 2));
    });
}

/// A shard of the new key that lags, so that the old key's count would still weigh for it.
#[test]
fn a_new_tag_is_never_seen_with_an_old_count() {
    explore(|| {
        let model = Model::new(2, 2);
        let other = Arc::clone(&model);
        let lagging = thread::spawn(move || other.charge(NEW, 10));
        assert!(model.admits(NEW, 12));
        let lagging = lagging.join().expect("no panic");
        // Before the change of hands the slot is another's; after it, one unit of two is left.
        let fits = matches!(lagging, Charge::TableFull | Charge::Admitted { remaining: 0, .. });
        assert!(fits, "{lagging:?}");
    });
}

/// One key, two policies whose windows differ in length; the longer one's epoch 5 is the same time
/// as the shorter one's 10. Neither reads a word in the other's windows, nor loses an admission.
#[test]
fn windows_of_another_length_share_one_count() {
    explore(|| {
        let model = Model::new(2, 1);
        let longer = Meter::window(2, 2 * SECOND).expect("within the bounds");
        let longer = Policy::new("model", longer);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || other.charge_under(&longer, OLD, 10));
        let here = model.charge(OLD, 10);
        let there = thread.join().expect("no panic");
        let admitted = |charge: Charge| matches!(charge, Charge::Admitted { remaining: 0, .. });
        let waits = |charge: Charge| matches!(charge, Charge::Refused { .. });
        let one_each = admitted(here) && waits(there) || admitted(there) && waits(here);
        assert!(one_each, "{here:?} {there:?}");
        assert_eq!(model.word().0 & 0xF_FFFF, 2);
    });
}

/// A limit spent in epoch 10 of one second, long past, must not be read as spent in epoch 10 of
/// two seconds, which is now.
#[test]
fn an_old_length_is_never_read_in_the_new_one() {
    explore(|| {
        let model = Model::new(2, 2);
        let longer = Meter::window(2, 2 * SECOND).expect("within the bounds");
        let longer = Policy::new("model", longer);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || other.charge_under(&longer, OLD, 20));
        let here = model.charge_under(&longer, OLD, 20);
        let there = thread.join().expect("no panic");
        let admitted = |charge: Charge| matches!(charge, Charge::Admitted { .. });
        assert!(admitted(here) && admitted(there), "{here:?} {there:?}");
    });
}

/// The slot goes over to windows of 1.1 s, in which now is epoch 9, while it is charged in windows
/// of 1 s, to which an epoch 9 would look like the one before.
#[test]
fn a_new_length_is_never_read_in_the_old_one() {
    explore(|| {
        let model = Model::new(4, 1);
        let longer = Meter::window(4, SECOND + SECOND / 10).expect("within the bounds");
        let longer = Policy::new("model", longer);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || other.charge_under(&longer, OLD, 10));
        let here = model.charge(OLD, 10);
        let there = thread.join().expect("no panic");
        let admitted = |charge: Charge| matches!(charge, Charge::Admitted { .. });
        assert!(admitted(here) && admitted(there), "{here:?} {there:?}");
        // All three in the current epoch, none taken for the one before.
        assert_eq!(model.word().0 & 0xFF_FFFF_FFFF, 3);
    });
}

/// A reset comes before the charge or after it: nothing of the old count stays, no unit is lost.
#[test]
fn a_reset_leaves_the_charges_that_came_after_it() {
    explore(|| {
        let model = Model::new(3, 2);
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || other.charge(OLD, 10));
        assert!(model.groups().reset(&model.ask(&model.policy, OLD, 10)));
        let left = match thread.join().expect("no panic") {
            Charge::Admitted { remaining: 0, .. } => 0,
            Charge::Admitted { remaining: 2, .. } => 1,
            other => panic!("{other:?}"),
        };
        assert_eq!(model.word(), model.policy.meter().holding(at(10), left));
    });
}

/// Two refusals at once, of which the later is one too many: just one of them bans.
#[test]
fn the_last_strike_bans_once() {
    let rules =
        LadderRules { after: 2, within_s: 60, for_s: 300, factor: 2, ceiling_s: 600, decay_s: 60 };
    let ladder = Ladder::new(rules).expect("within the bounds");
    explore(move || {
        let model = Model::new(2, 2);
        let strike = move |model: &Model| {
            let ask = model.ask(&model.policy, OLD, 10);
            model.groups().strike(&ask, &ladder, 9 * SECOND)
        };
        assert!(!strike(&model), "the first refusal is none");
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || strike(&other));
        let here = strike(&model);
        let there = thread.join().expect("no panic");
        assert!(here ^ there, "{here} {there}");
        let ban = Ban(model.slots[0].ban.load(Ordering::Acquire));
        assert_eq!(ban.remaining_ns(10 * SECOND), 300 * SECOND);
        assert_eq!(model.heap.banned_groups.load(Ordering::Acquire), 1);
    });
}

/// The old key's last permit is released while another key wants the slot, and while the old key
/// asks again: a permit is never taken off the new owner.
#[test]
fn a_permit_is_released_to_its_own_counter_only() {
    explore(|| {
        let permits = Policy::new("model", Meter::in_flight(1).expect("within the bounds"));
        let model = Model::new(1, 0);
        assert!(matches!(model.charge_under(&permits, OLD, 10), Charge::Admitted { .. }));
        let other = Arc::clone(&model);
        let thread = thread::spawn(move || {
            other.groups().refund(&other.ask(&permits, OLD, 10), at(10), 1);
            other.charge_under(&permits, OLD, 11)
        });
        let new = model.charge_under(&permits, NEW, 12);
        let old = thread.join().expect("no panic");
        let admitted = |charge| matches!(charge, Charge::Admitted { .. });
        assert!(!admitted(new) || !admitted(old), "one slot: {new:?} {old:?}");
        let count = model.word().0 & u64::from(u32::MAX);
        assert_eq!(count, u64::from(admitted(new) || admitted(old)));
    });
}
