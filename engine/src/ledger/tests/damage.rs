//! Flipped, zeroed, swapped and cut files: reported, never trusted, never a panic.

use proptest::prelude::*;

use super::super::block::{Place, RECORD_BYTES};
use super::super::disk::SimDisk;
use super::shelf::{self, Draws, Shelf};
use super::*;

#[derive(Debug, Clone)]
enum Harm {
    Flip(usize),
    Zero(usize, usize),
    /// Of the records, counted from the first.
    Swap(usize, usize),
    Cut(usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let bytes = PAGE_BYTES + 8 * RECORD_BYTES;
    prop_oneof![
        (0..bytes * 8).prop_map(Harm::Flip),
        (0..bytes, 1..2 * RECORD_BYTES).prop_map(|(at, count)| Harm::Zero(at, count)),
        (0..8_usize)
            .prop_map(|record| Harm::Zero(PAGE_BYTES + record * RECORD_BYTES, RECORD_BYTES)),
        (0..8_usize, 0..8_usize).prop_map(|(one, other)| Harm::Swap(one, other)),
        (0..bytes).prop_map(Harm::Cut),
    ]
}

/// A ledger that was used and closed.
fn closed(seed: u64, rounds: u64) -> (SimDisk, Shelf) {
    let (disk, mut shelf, mut draws) = (SimDisk::new(seed), Shelf::new(), Draws(seed));
    let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
    for _ in 0..rounds {
        shelf.change(&mut draws, 6);
        shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
    }
    copies.mark(true, WALL, |_| ()).expect("nothing fails");
    (disk, shelf)
}

fn inflict(disk: &SimDisk, harm: &Harm) {
    let path = disk.root().path().join("counters");
    let bytes = disk.contents(&path).expect("it is there");
    let done = match *harm {
        Harm::Flip(bit) => disk.flip_bit(&path, bit),
        Harm::Zero(at, count) => disk.forge(&path, at, &vec![0; count.min(bytes.len() - at)]),
        Harm::Swap(one, other) => {
            let at = |record: usize| PAGE_BYTES + record * RECORD_BYTES;
            let first = disk.forge(&path, at(one), &bytes[at(other)..][..RECORD_BYTES]);
            first.and_then(|()| disk.forge(&path, at(other), &bytes[at(one)..][..RECORD_BYTES]))
        }
        Harm::Cut(length) => disk.truncate(&path, length),
    };
    done.expect("it is there");
}

/// Opens a ledger that was used and then harmed.
fn open_harmed(seed: u64, rounds: u64, harms: &[Harm]) {
    let (disk, mut shelf) = closed(seed, rounds);
    let path = disk.root().path().join("counters");
    for harm in harms {
        let bytes = disk.contents(&path).expect("it is there").len();
        if bytes == PAGE_BYTES + 8 * RECORD_BYTES {
            inflict(&disk, harm);
        }
    }
    match shelf::open(&disk) {
        Ok((_, damage, found)) => {
            assert!(!shelf.misses(&found) || damage != Damage::default(), "nothing is said");
            shelf.recover(&found, false, "damaged");
        }
        Err(error) => {
            let refused = matches!(
                error,
                LedgerError::NotALedger { .. }
                    | LedgerError::OtherVersion { .. }
                    | LedgerError::OtherLayout { .. }
                    | LedgerError::Damaged { .. }
                    | LedgerError::WrongSize { .. }
            );
            assert!(refused, "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_is_reported_and_never_trusted(
        seed in 1..1_000_u64, rounds in 1..5_u64, harms in prop::collection::vec(harm(), 1..4),
    ) {
        open_harmed(seed, rounds, &harms);
    }
}

/// The only copy of a block is gone, and with the newer header what it said of that.
#[test]
fn a_lost_block_is_reported_though_the_header_that_counted_it_is_lost_too() {
    let second_place_of_block_2 = Harm::Zero(PAGE_BYTES + 5 * RECORD_BYTES, RECORD_BYTES);
    open_harmed(36, 1, &[second_place_of_block_2, Harm::Zero(1862, 187)]);
}

#[test]
fn every_flipped_bit_of_a_record_is_noticed() {
    let (disk, _) = closed(1, 3);
    let path = disk.root().path().join("counters");
    let copies = Copies::open(&*disk.root(), shelf::SLOTS, [3; 16], WALL, NOW);
    let (copies, _) = copies.expect("it opens");
    let identity = copies.header.identity;
    let mut record = [0; RECORD_BYTES];
    let bytes = disk.contents(&path).expect("it is there");
    record.copy_from_slice(&bytes[PAGE_BYTES + RECORD_BYTES..][..RECORD_BYTES]);
    let judge = |record: &_| block::decode(&identity, 0, Place::Second, record);
    assert!(matches!(judge(&record), block::Found::Whole(_)));
    for bit in 0..RECORD_BYTES * 8 {
        record[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(judge(&record), block::Found::Damaged, "bit {bit}");
        record[bit / 8] ^= 1 << (bit % 8);
    }
    // In another place, block or ledger it is nothing either.
    let elsewhere = [
        block::decode(&identity, 0, Place::First, &record),
        block::decode(&identity, 1, Place::Second, &record),
        block::decode(&[9; 16], 0, Place::Second, &record),
    ];
    assert_eq!(elsewhere, [block::Found::Damaged; 3]);
}

#[test]
fn the_copy_before_a_damaged_one_is_used_and_that_is_said() {
    let folder = folder();
    let mut ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.sync(WALL).expect("the disk works");
    charge(&ledger.table(), 100);
    ledger.close(WALL).expect("a clean end");
    // The second revision is in the first place of the only block of slots.
    forge(folder.path(), PAGE_BYTES as u64 + 20, b"?");
    let ledger = open(folder.path()).expect("one copy is enough");
    assert_eq!(remaining(&ledger, NOW), 900);
    let damage = &ledger.opening().damage;
    assert_eq!((damage.blocks, &*damage.named, damage.lost, damage.older), (1, &[0][..], 0, 1));
    let remarks = ledger.opening().remarks().join("\n");
    assert!(remarks.contains("1 blocks of counters have a torn or damaged copy (0)"), "{remarks}");
    ledger.close(WALL).expect("a clean end");
    // Both of them.
    let first = PAGE_BYTES as u64 + 20;
    [first, first + RECORD_BYTES as u64].into_iter().for_each(|at| forge(folder.path(), at, b"?"));
    let ledger = open(folder.path()).expect("a table without counts");
    assert_eq!(remaining(&ledger, NOW), 1_000);
    assert_eq!((ledger.opening().damage.blocks, ledger.opening().damage.lost), (1, 1));
}
