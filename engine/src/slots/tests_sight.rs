//! What people, the ledger and a successor see of a table; bans; permits.

use std::sync::atomic::Ordering;

use weir_protocol::limit::ban::{Ladder, LadderRules};
use weir_protocol::limit::meter::{Meter, Word};
use weir_protocol::limit::quota::Period;

use super::tests::{SECOND, SEED, admitted, at, charge, key, policy, slot_index};
use super::*;
use crate::runtime::{Instant, UnixNanos};

#[test]
fn entries_tell_who_it_is_and_what_was_counted() {
    let table = SlotTable::in_memory(256, SEED);
    let policy = policy(2, 60);
    for number in 0..3_u32 {
        for _ in 0..=number {
            let name =
                format!("key-{number}\u{1b} with a name longer than fifty-six bytes of text,ü");
            table.charge(key(&table, number), &policy, at(5), 1, &name);
        }
    }
    let mut entries: Vec<Entry> = table.entries().collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let rest = "\u{FFFD} with a name longer than fifty-six bytes of text,";
    let expected: Vec<String> = (0..3).map(|number| format!("key-{number}{rest}")).collect();
    assert_eq!(names, expected);
    let counted: Vec<[u64; 2]> = entries.iter().map(|e| [e.admitted, e.refused]).collect();
    assert_eq!(counted, [[1, 0], [2, 0], [2, 1]]);
    for entry in &entries {
        assert_eq!((entry.policy, entry.shape), (policy.id(), policy.meter().shape()));
        assert!(table.touched_blocks().any(|block| block == entry.slot / BLOCK_SLOTS));
    }
}

#[test]
fn live_slots_are_those_that_count_and_the_oldest_is_told() {
    let table = SlotTable::in_memory(256, SEED);
    assert_eq!(table.live(at(1_000)), Live::default());
    let bucket = Meter::bucket(1, 60 * SECOND, 5).expect("within the bounds");
    let (minute, bucket) = (policy(5, 60), Policy::new("bucket", bucket));
    charge(&table, key(&table, 1), &bucket, at(1_000), 5);
    assert_eq!(table.live(at(1_001)), Live { slots: 1, oldest_ns: None });
    // A window is cut at multiples of its length: 1020, 1080, 1140.
    charge(&table, key(&table, 2), &minute, at(1_030), 1);
    charge(&table, key(&table, 3), &minute, at(1_090), 1);
    assert_eq!(table.live(at(1_100)), Live { slots: 3, oldest_ns: Some(80 * SECOND) });
    // The first of the two has expired; the bucket fills until 1300.
    assert_eq!(table.live(at(1_145)), Live { slots: 2, oldest_ns: Some(65 * SECOND) });
    assert_eq!(table.live(at(1_400)), Live::default());
    assert_eq!(table.occupancy().used, 3);
}

/// The ledger's way: what was copied out of one table is another's, after a recovery.
#[test]
fn copies_make_the_same_table_again() {
    let table = SlotTable::in_memory(256, SEED);
    let policy = policy(5, 60);
    for number in 0..40 {
        charge(&table, key(&table, number), &policy, at(5), 1 + u64::from(number % 5));
    }
    let again = SlotTable::in_memory(256, SEED);
    let mapping = again.memory.mapping();
    for block in table.touched_blocks() {
        for slot in block * BLOCK_SLOTS..(block + 1) * BLOCK_SLOTS {
            mapping.restore_slot(slot, table.copy_slot(slot).expect("nobody charges"));
            mapping.restore_name(slot, table.copy_name(slot));
        }
    }
    let recovered = again.recover(at(5));
    assert_eq!(recovered, Recovered { kept: 40, ..Recovered::default() });
    assert!(table.entries().eq(again.entries()));
    assert_eq!(again.occupancy().used, 40);
    assert_eq!(again.peek(key(&again, 39), &policy, at(5)).remaining, 0);
}

#[test]
fn a_sealed_slot_is_busy_to_who_copies_it() {
    let table = SlotTable::in_memory(8, SEED);
    let key = key(&table, 1);
    charge(&table, key, &policy(5, 60), at(5), 1);
    let slot = slot_index(&table, key);
    assert!(table.copy_slot(slot).is_some());
    table.memory.slots()[slot].word.store(Word::SEALED.0, Ordering::Relaxed);
    assert_eq!(table.copy_slot(slot), None);
    assert_eq!(table.entries().count(), 0);
}

#[test]
fn a_reset_lets_a_counter_begin_anew_and_leaves_it_its_slot() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, policy) = (key(&table, 1), policy(2, 60));
    assert!(!table.reset(key, &policy, at(60)), "it has no slot");
    for _ in 0..3 {
        charge(&table, key, &policy, at(60), 1);
    }
    assert!(table.reset(key, &policy, at(61)));
    assert_eq!(table.peek(key, &policy, at(61)).remaining, 2);
    let [entry] = &table.entries().collect::<Vec<_>>()[..] else { panic!("one slot") };
    assert_eq!((entry.admitted, entry.refused, entry.name.as_str()), (2, 1, "a key"));
    assert!(table.reset_tag(entry.tag, &policy, at(61)));
    assert!(admitted(charge(&table, key, &policy, at(61), 2)));
}

#[test]
fn what_turns_out_afterwards_may_exceed_the_limit() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, policy) = (key(&table, 1), policy(5, 60));
    assert!(admitted(charge(&table, key, &policy, at(60), 1)));
    assert!(table.settle(key, &policy, at(60), 9, &"a key"));
    assert_eq!(table.peek(key, &policy, at(60)).remaining, 0);
    // Ten weigh five when half of the next window has passed.
    assert!(!admitted(charge(&table, key, &policy, at(149), 1)));
    assert!(admitted(charge(&table, key, &policy, at(168), 1)));
}

#[test]
fn what_is_settled_late_makes_a_counter() {
    let table = SlotTable::in_memory(8, SEED);
    let policy = policy(5, 60);
    assert!(table.settle(key(&table, 1), &policy, at(60), 4, &"a key"));
    assert_eq!(table.peek(key(&table, 1), &policy, at(60)).remaining, 1);
    for number in 2..9 {
        assert!(table.settle(key(&table, number), &policy, at(60), 4, &"a key"));
    }
    assert!(!table.settle(key(&table, 9), &policy, at(60), 4, &"a key"));
    assert_eq!(table.occupancy().full_answers, 1);
}

/// After a change of the window's length what is left is what the old windows leave.
#[test]
fn what_is_left_is_told_across_window_lengths() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, short, long) = (key(&table, 1), policy(5, 1), policy(8, 60));
    assert!(admitted(charge(&table, key, &long, at(960), 3)));
    assert_eq!(table.peek(key, &short, at(960)).remaining, 2);
    assert!(table.settle(key, &short, at(960), 1, &"a key"));
    assert_eq!(table.peek(key, &short, at(960)).remaining, 1);
}

/// A successor has the slots: here nothing changes hands until they are taken back.
#[test]
fn a_table_given_away_makes_no_counters() {
    let table = SlotTable::in_memory(8, SEED);
    let (known, new, policy) = (key(&table, 1), key(&table, 2), policy(5, 60));
    assert!(admitted(charge(&table, known, &policy, at(60), 1)));
    table.end_tenure();
    assert!(admitted(charge(&table, known, &policy, at(60), 1)));
    assert_eq!(charge(&table, new, &policy, at(60), 1), Charge::TableFull);
    assert!(!table.reset(known, &policy, at(60)));
    table.recover(at(60));
    assert!(admitted(charge(&table, new, &policy, at(60), 1)));
}

/// Two strikes within a minute ban for 300 s, then 600; a step is forgotten in an hour.
fn banning(limit: u64) -> Policy {
    let rules = LadderRules {
        after: 2,
        within_s: 60,
        for_s: 300,
        factor: 2,
        ceiling_s: 86_400,
        decay_s: 3_600,
    };
    policy(limit, 60).with_ladder(Ladder::new(rules).expect("within the bounds"))
}

/// Uses the limit up, is told to wait, and comes too early twice.
fn misbehave(table: &SlotTable, key: SubjectHash, policy: &Policy, now: Instant) {
    while admitted(charge(table, key, policy, now, 1)) {}
    assert_eq!(table.banned_for_ns(key, policy, now), None, "the first refusal is no strike");
    for _ in 0..2 {
        assert!(!admitted(charge(table, key, policy, now, 1)));
    }
}

#[test]
fn who_does_not_wait_is_banned_for_longer_each_time() {
    let table = SlotTable::in_memory(64, SEED);
    let (bad, good, policy) = (key(&table, 1), key(&table, 2), banning(3));
    assert!(admitted(charge(&table, good, &policy, at(600), 1)));
    misbehave(&table, bad, &policy, at(600));
    assert_eq!(table.banned_for_ns(bad, &policy, at(600)), Some(300 * SECOND));
    assert_eq!(table.banned_for_ns(good, &policy, at(600)), None);
    assert_eq!(table.banned_for_ns(bad, &policy, at(899)), Some(SECOND));
    assert_eq!((table.live_bans(at(899)), table.bans_set()), (1, 1));
    assert_eq!(table.banned_for_ns(bad, &policy, at(900)), None);
    assert_eq!((table.live_bans(at(900)), table.bans_set()), (0, 1));
    assert_eq!(table.heap.banned_groups.load(Ordering::Relaxed), 0);
    misbehave(&table, bad, &policy, at(900));
    assert_eq!(table.banned_for_ns(bad, &policy, at(900)), Some(600 * SECOND));
}

#[test]
fn a_ban_is_lifted_and_then_forgotten() {
    let table = SlotTable::in_memory(64, SEED);
    let (bad, policy) = (key(&table, 1), banning(3));
    assert!(!table.lift(bad, &policy));
    misbehave(&table, bad, &policy, at(600));
    let tag = table.entries().next().expect("it has a slot").tag;
    assert!(table.lift_tag(tag));
    assert_eq!(table.banned_for_ns(bad, &policy, at(600)), None);
    misbehave(&table, bad, &policy, at(1_200));
    assert_eq!(table.banned_for_ns(bad, &policy, at(1_200)), Some(300 * SECOND));
}

/// A counter that has long expired is not given to others while something stands against its key.
#[test]
fn a_slot_with_a_ban_is_not_reclaimed_until_all_is_forgotten() {
    let table = SlotTable::in_memory(8, SEED);
    let (bad, policy) = (key(&table, 1), banning(3));
    misbehave(&table, bad, &policy, at(600));
    let fill = |first: u32, now: Instant| {
        let keys = (first..first + 8).map(|number| key(&table, number));
        keys.filter(|key| admitted(charge(&table, *key, &policy, now, 1))).count()
    };
    assert_eq!(fill(10, at(800)), 7, "the ban runs");
    assert_eq!(fill(20, at(4_400)), 7, "its step is remembered");
    assert_eq!(fill(30, at(4_600)), 8);
    assert_eq!(table.live_bans(at(4_600)), 0);
}

#[test]
fn a_slot_with_a_strike_is_not_reclaimed_while_it_counts() {
    let table = SlotTable::in_memory(8, SEED);
    // Windows of a second expire long before the strike does.
    let ladder = *banning(3).ladder().expect("it has one");
    let policy = policy(3, 1).with_ladder(ladder);
    while admitted(charge(&table, key(&table, 1), &policy, at(600), 1)) {}
    assert!(!admitted(charge(&table, key(&table, 1), &policy, at(600), 1)));
    let fill = |first: u32, now: Instant| {
        let keys = (first..first + 8).map(|number| key(&table, number));
        keys.filter(|key| admitted(charge(&table, *key, &policy, now, 1))).count()
    };
    assert_eq!(fill(10, at(660)), 7);
    assert_eq!(fill(20, at(663)), 8);
}

/// A ban outlives the process, a change of the rate, a word that was sealed by a kill, and one of
/// the future; a ban that no ladder can have set does not.
#[test]
fn a_ban_survives_whatever_happens_to_its_count() {
    let table = SlotTable::in_memory(64, SEED);
    let ladder = banning(3);
    let keys: Vec<SubjectHash> = (0..4).map(|number| key(&table, number)).collect();
    for key in &keys {
        misbehave(&table, *key, &ladder, at(6_000));
    }
    let slot = |key: usize| &table.memory.slots()[slot_index(&table, keys[key])];
    slot(1).word.store(Word::SEALED.0, Ordering::Relaxed);
    slot(2).word.store(102 << 40 | 4, Ordering::Relaxed);
    slot(3).ban.store(u64::MAX, Ordering::Relaxed);
    let recovered = table.recover(at(6_010));
    assert_eq!(recovered, Recovered { kept: 2, sealed: 1, future: 1, damaged: 0 });
    let faster = policy(5, 1).with_ladder(*ladder.ladder().expect("it has one"));
    charge(&table, keys[0], &faster, at(6_010), 1);
    let left: Vec<Option<u64>> =
        keys.iter().map(|key| table.banned_for_ns(*key, &faster, at(6_010))).collect();
    let ban = Some(290 * SECOND);
    assert_eq!(left, [ban, ban, ban, None]);
    assert_eq!(table.peek(keys[1], &ladder, at(6_010)).remaining, 3);
}

#[test]
fn permits_of_an_earlier_tenure_release_nothing() {
    let table = SlotTable::in_memory(64, SEED);
    let policy = Policy::new("test", Meter::in_flight(3).expect("within the bounds"));
    let (key, now) = (key(&table, 1), at(60));
    let before = table.tenure();
    for _ in 0..3 {
        assert!(admitted(charge(&table, key, &policy, now, 1)));
    }
    assert!(!admitted(charge(&table, key, &policy, now, 1)));
    table.release(key, &policy, now, 1, before);
    assert_eq!(table.peek(key, &policy, now).remaining, 1);
    assert!(!table.reset(key, &policy, now), "permits are out");
    table.end_tenure();
    table.release(key, &policy, now, 1, before);
    assert_eq!(table.peek(key, &policy, now).remaining, 1);
    // Taken up again: nobody holds a permit, whoever thinks so.
    table.recover(now);
    assert_eq!(table.peek(key, &policy, now).remaining, 3);
    let after = table.tenure();
    assert!(admitted(charge(&table, key, &policy, now, 1)));
    table.release(key, &policy, now, 1, before);
    assert_eq!(table.peek(key, &policy, now).remaining, 2);
    table.release(key, &policy, now, 1, after);
    assert_eq!(table.peek(key, &policy, now).remaining, 3);
}

#[test]
fn quotas_follow_the_wall_clock() {
    let table = SlotTable::in_memory(64, SEED);
    let policy = Policy::new("test", Meter::quota(2, Period::Day).expect("within the bounds"));
    let key = key(&table, 1);
    // Ten seconds before midnight.
    table.set_wall(at(60), UnixNanos((86_400 * 20_000 - 10) * SECOND));
    assert!(admitted(charge(&table, key, &policy, at(60), 2)));
    assert!(!admitted(charge(&table, key, &policy, at(69), 1)));
    assert!(admitted(charge(&table, key, &policy, at(70), 1)));
}

#[test]
fn bytes_are_held_back_for_as_long_as_they_are_too_many() {
    let table = SlotTable::in_memory(64, SEED);
    let meter = Meter::bucket(1_000, SECOND, 500).expect("within the bounds");
    let (key, policy) = (key(&table, 1), Policy::new("test", meter));
    assert_eq!(table.throttle(key, &policy, at(60), 500, &"a key"), Some(0));
    assert_eq!(table.throttle(key, &policy, at(60), 2_000, &"a key"), Some(2 * SECOND));
}
