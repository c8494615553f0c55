use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use weir_protocol::limit::meter::{Allowance, Meter, Word};

use super::recover::recover;
use super::*;
use crate::runtime::Instant;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const SEED: [u8; 16] = *b"a seed of tests!";

pub(super) fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * SECOND)
}

pub(super) fn policy(limit: u64, window_s: u64) -> Policy {
    Policy::new("test", Meter::window(limit, window_s * SECOND).expect("within the bounds"))
}

pub(super) fn key(table: &SlotTable, number: u32) -> SubjectHash {
    table.subject(&[&number.to_le_bytes()])
}

pub(super) fn admitted(charge: Charge) -> bool {
    matches!(charge, Charge::Admitted { .. })
}

pub(super) fn charge(
    table: &SlotTable,
    key: SubjectHash,
    policy: &Policy,
    now: Instant,
    cost: u64,
) -> Charge {
    table.charge(key, policy, now, cost, &"a key")
}

/// The slot that holds a key.
pub(super) fn slot_index(table: &SlotTable, key: SubjectHash) -> usize {
    let tag = key.tag(policy(1, 1).seed);
    let holds = |slot: &slot::Slot| slot.tag.load(Ordering::Relaxed) == tag;
    table.memory.slots().iter().position(holds).expect("the key has a slot")
}

#[test]
fn a_limit_is_admitted_whole_and_not_once_more() {
    let table = SlotTable::in_memory(64, SEED);
    let (key, policy) = (key(&table, 1), policy(3, 60));
    for left in [2, 1, 0] {
        let expected = Charge::Admitted { remaining: left, reset_ns: 100 * SECOND };
        assert_eq!(charge(&table, key, &policy, at(20), 1), expected);
    }
    let refused = Charge::Refused { retry_after_ns: 60 * SECOND, reset_ns: 100 * SECOND };
    assert_eq!(charge(&table, key, &policy, at(20), 1), refused);
    assert_eq!(table.peek(key, &policy, at(20)).remaining, 0);
    assert!(!admitted(charge(&table, key, &policy, at(79), 1)));
    assert!(admitted(charge(&table, key, &policy, at(80), 1)));
    assert_eq!(table.occupancy(), Occupancy { used: 1, capacity: 64, full_answers: 0 });
}

#[test]
fn threads_never_admit_more_than_the_limit_to_one_key() {
    let table = SlotTable::in_memory(64, SEED);
    let (key, policy, admissions) = (key(&table, 1), policy(10_000, 60), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..4_000 {
                    if admitted(charge(&table, key, &policy, at(5), 1)) {
                        admissions.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admissions.load(Ordering::Relaxed), 10_000);
    let slot = &table.memory.slots()[slot_index(&table, key)];
    // The statistics may lose what is counted at the same moment, and are never too high.
    assert!((1..=10_000).contains(&slot.admitted.load(Ordering::Relaxed)));
    assert!((1..=6_000).contains(&slot.refused.load(Ordering::Relaxed)));
}

/// Four threads race to insert the same keys into a table that has room for most of them.
#[test]
fn threads_insert_a_key_once_and_charge_it_exactly() {
    const KEYS: u32 = 90;
    let table = SlotTable::in_memory(128, SEED);
    let policy = policy(7, 60);
    let admissions: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    let full: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for worker in 0..4_u32 {
            let (table, policy, admissions, full) = (&table, &policy, &admissions, &full);
            scope.spawn(move || {
                for step in 0..KEYS * 40 {
                    let number = (step * (2 * worker + 1)) % KEYS;
                    let index = usize::try_from(number).expect("small");
                    match charge(table, key(table, number), policy, at(5), 1) {
                        Charge::Admitted { .. } => &admissions[index],
                        Charge::TableFull => &full[index],
                        Charge::Refused { .. } => continue,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let mut held = 0;
    for (admissions, full) in admissions.iter().zip(&full) {
        match full.load(Ordering::Relaxed) {
            0 => assert_eq!(admissions.load(Ordering::Relaxed), 7),
            _ => assert_eq!(admissions.load(Ordering::Relaxed), 0),
        }
        held += usize::from(full.load(Ordering::Relaxed) == 0);
    }
    assert!(held > 80, "two choices fill the table well, but only {held} keys found a slot");
    assert_eq!(table.occupancy().used, held);
}

/// Slots change hands all the time while threads charge: per key and epoch the limit still holds.
#[test]
fn reclaiming_under_load_never_admits_too_much() {
    const KEYS: u32 = 64;
    const EPOCHS: u64 = 60;
    let table = SlotTable::in_memory(32, SEED);
    let policy = policy(3, 1);
    let cells = usize::try_from(u64::from(KEYS) * EPOCHS).expect("small");
    let admissions: Vec<AtomicU32> = (0..cells).map(|_| AtomicU32::new(0)).collect();
    let barrier = std::sync::Barrier::new(3);
    thread::scope(|scope| {
        for worker in 0..3_u32 {
            let (table, policy, admissions) = (&table, &policy, &admissions);
            let barrier = &barrier;
            scope.spawn(move || {
                for epoch in 0..EPOCHS {
                    let now = at(10 + epoch);
                    for step in 0..KEYS * 6 {
                        let number = (step * 7 + worker * 5) % KEYS;
                        if admitted(charge(table, key(table, number), policy, now, 1)) {
                            let cell = usize::try_from(epoch).expect("small") * 64;
                            let cell = cell + usize::try_from(number).expect("small");
                            admissions[cell].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    // Half of the epochs are entered together, so that many slots expire at once.
                    if epoch % 2 == 0 {
                        barrier.wait();
                    }
                }
            });
        }
    });
    assert!(admissions.iter().all(|cell| cell.load(Ordering::Relaxed) <= 3));
    let total: u32 = admissions.iter().map(|cell| cell.load(Ordering::Relaxed)).sum();
    assert!(total > 1_000, "slots were reclaimed: {total}");
    assert!(table.occupancy().full_answers > 0);
}

#[test]
fn a_full_table_answers_so_and_takes_expired_slots_only() {
    let table = SlotTable::in_memory(8, SEED);
    let policy = policy(5, 60);
    for number in 0..8 {
        assert!(admitted(charge(&table, key(&table, number), &policy, at(60), 1)));
    }
    assert_eq!(charge(&table, key(&table, 8), &policy, at(60), 1), Charge::TableFull);
    // One window later the slots still weigh.
    assert_eq!(charge(&table, key(&table, 8), &policy, at(179), 1), Charge::TableFull);
    assert_eq!(table.occupancy(), Occupancy { used: 8, capacity: 8, full_answers: 2 });
    assert!(admitted(charge(&table, key(&table, 8), &policy, at(180), 1)));
    let slot = &table.memory.slots()[slot_index(&table, key(&table, 8))];
    assert_eq!(slot.admitted.load(Ordering::Relaxed), 1, "statistics start anew with the key");
    assert_eq!(table.occupancy().used, 8);
}

#[test]
fn a_cost_above_the_limit_takes_no_slot() {
    let table = SlotTable::in_memory(8, SEED);
    let never = Charge::Refused { retry_after_ns: u64::MAX, reset_ns: 0 };
    assert_eq!(charge(&table, key(&table, 1), &policy(5, 60), at(1), 6), never);
    assert_eq!(table.occupancy().used, 0);
}

#[test]
fn a_refund_gives_back_within_two_epochs() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, policy) = (key(&table, 1), policy(5, 60));
    let charged_at = at(65);
    assert!(admitted(charge(&table, key, &policy, charged_at, 3)));
    table.refund(key, &policy, charged_at, charged_at, 2);
    assert_eq!(table.peek(key, &policy, charged_at).remaining, 4);
    // More than stands there is not given back.
    table.refund(key, &policy, charged_at, charged_at, 2);
    assert_eq!(table.peek(key, &policy, charged_at).remaining, 4);
    // One epoch on, the charge is in the previous half.
    assert!(admitted(charge(&table, key, &policy, at(120), 1)));
    table.refund(key, &policy, charged_at, charged_at, 1);
    assert_eq!(table.peek(key, &policy, at(120)).remaining, 4);
    // Two epochs on, there is nothing to give back.
    assert!(admitted(charge(&table, key, &policy, at(240), 1)));
    table.refund(key, &policy, charged_at, charged_at, 1);
    assert_eq!(table.peek(key, &policy, at(240)).remaining, 4);
}

#[test]
fn a_lagging_shard_counts_in_the_later_epoch() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, policy) = (key(&table, 1), policy(4, 1));
    assert!(admitted(charge(&table, key, &policy, at(100), 3)));
    assert!(admitted(charge(&table, key, &policy, at(97), 1)));
    assert!(!admitted(charge(&table, key, &policy, at(97), 1)));
    assert!(!admitted(charge(&table, key, &policy, at(100), 1)));
}

/// Two policies of one limit share a key's slot though their windows differ: what counts in one
/// counts in the other, and going to and fro gains nothing.
#[test]
fn another_window_length_neither_misreads_nor_forgets() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, short, long) = (key(&table, 1), policy(5, 1), policy(8, 60));
    let now = at(1_000);
    let mut total = 0;
    for _ in 0..20 {
        total += u32::from(admitted(charge(&table, key, &long, now, 1)));
        total += u32::from(admitted(charge(&table, key, &short, now, 1)));
    }
    assert_eq!(total, 8);
    // Read in windows of a second, the epoch of a minute would be long past.
    assert_eq!(charge(&table, key, &short, now, 1), charge(&table, key, &short, now, 1));
    assert!(!admitted(charge(&table, key, &short, at(1_001), 1)));
    assert!(admitted(charge(&table, key, &short, at(1_140), 1)));
    assert_eq!(table.occupancy().used, 1);
}

#[test]
fn a_refusal_across_window_lengths_says_exactly_when() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, short, long) = (key(&table, 1), policy(2, 1), policy(8, 60));
    assert!(admitted(charge(&table, key, &long, at(960), 8)));
    let Charge::Refused { retry_after_ns, .. } = charge(&table, key, &short, at(960), 1) else {
        panic!("eight are more than two");
    };
    let then = Instant::from_nanos(960 * SECOND + retry_after_ns);
    let early = Instant::from_nanos(then.as_nanos() - 1);
    assert!(!admitted(charge(&table, key, &short, early, 1)));
    let admitted_at = charge(&table, key, &short, then, 1);
    assert!(matches!(admitted_at, Charge::Admitted { remaining: 0, .. }), "{admitted_at:?}");
}

#[test]
fn sealed_debris_is_taken_over() {
    let table = SlotTable::in_memory(8, SEED);
    let (key, policy) = (key(&table, 1), policy(5, 60));
    assert!(admitted(charge(&table, key, &policy, at(60), 3)));
    let slot = &table.memory.slots()[slot_index(&table, key)];
    slot.word.store(Word::SEALED.0, Ordering::Relaxed);
    assert_eq!(table.peek(key, &policy, at(60)).remaining, 5);
    table.refund(key, &policy, at(60), at(60), 1);
    assert!(matches!(
        charge(&table, key, &policy, at(60), 1),
        Charge::Admitted { remaining: 4, .. }
    ));
}

#[test]
fn recovery_frees_what_cannot_be_trusted_and_keeps_the_rest() {
    let table = SlotTable::in_memory(64, SEED);
    let policy = policy(5, 60);
    let keys: Vec<SubjectHash> = (0..5).map(|number| key(&table, number)).collect();
    for &key in &keys {
        assert!(admitted(charge(&table, key, &policy, at(6_000), 4)));
    }
    let slot = |key: usize| &table.memory.slots()[slot_index(&table, keys[key])];
    slot(0).word.store(Word::SEALED.0, Ordering::Relaxed);
    slot(1).shape.store(15 << 60, Ordering::Relaxed);
    let epoch_ahead = 102_u64 << 40 | 4;
    slot(2).word.store(epoch_ahead, Ordering::Relaxed);
    let (stray, group) = (slot(3), slot_index(&table, keys[3]) / 8);
    let stranger = |tag: &u64| !groups::candidates(*tag, 8).contains(&group);
    let tag = (1..8).map(|n| n | n << 32).find(stranger).expect("two of eight groups are not all");
    stray.tag.store(tag, Ordering::Relaxed);
    let recovered = recover(table.memory.slots(), &table.heap, table.moment(at(6_000)));
    assert_eq!(recovered, Recovered { kept: 1, sealed: 1, future: 1, damaged: 2 });
    assert_eq!(table.occupancy().used, 1);
    let left: Vec<u64> =
        keys.iter().map(|&key| table.peek(key, &policy, at(6_000)).remaining).collect();
    assert_eq!(left, [5, 5, 5, 5, 1]);
    let again = recover(table.memory.slots(), &table.heap, table.moment(at(6_000)));
    assert_eq!(again, Recovered { kept: 1, ..Recovered::default() });
}

#[test]
fn subjects_are_told_apart() {
    let table = SlotTable::in_memory(8, SEED);
    let hashes = [
        table.subject(&[b"a", b"bc"]),
        table.subject(&[b"ab", b"c"]),
        table.subject(&[b"a", b"b", b"c"]),
        table.subject(&[b"a", b"", b"bc"]),
        table.subject(&[b"a", b"bc", b""]),
        SlotTable::in_memory(8, [0; 16]).subject(&[b"a", b"bc"]),
    ];
    for (index, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..index].contains(hash), "{index}");
    }
    assert_eq!(table.subject(&[b"a", b"bc"]), hashes[0]);
    // SipHash-1-3 computed apart from this crate. The ledger's format: a later version must find
    // the counts of this one.
    assert_eq!(hashes[0], SubjectHash(0x975F_D9F3_A444_8BD4));
}

#[test]
fn each_limit_has_a_counter_of_its_own_for_a_subject() {
    let table = SlotTable::in_memory(64, SEED);
    let subject = key(&table, 1);
    let meter = Meter::window(1, 60 * SECOND).expect("within the bounds");
    let [first, second] = ["first", "second"].map(|name| Policy::new(name, meter));
    for policy in [&first, &second] {
        assert!(admitted(charge(&table, subject, policy, at(5), 1)));
        assert!(!admitted(charge(&table, subject, policy, at(5), 1)));
    }
    // The format: the tag of a limit called "first" (seed and mixing computed apart).
    assert_eq!(first.seed, table::hash_parts([0; 16], &[b"first"]));
    assert_ne!(subject.tag(first.seed), subject.tag(second.seed));
}

#[test]
fn an_untouched_key_has_all_of_its_allowance() {
    let table = SlotTable::in_memory(8, SEED);
    let expected = Allowance { remaining: 5, reset_ns: 0 };
    assert_eq!(table.peek(key(&table, 1), &policy(5, 60), at(9)), expected);
}
