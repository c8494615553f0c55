//! The file of a shard.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::super::ring::PAGE_BYTES;
use super::*;

const HEADER: Header = Header { identity: IDENTITY, epoch_base: BASE, capacity: 50 };

fn ring(dir: &Path, capacity: u64) -> RingFile {
    std::fs::create_dir_all(dir.join("flight")).expect("a folder");
    let header = Header { capacity, ..HEADER };
    let mut told = Vec::new();
    let ring = RingFile::open(&dir.join("flight/shard-0"), &header, &mut told).expect("a ring");
    assert_eq!(told, [""; 0]);
    ring
}

fn append(ring: &mut RingFile, numbers: std::ops::Range<u64>) {
    let records: Vec<_> = numbers.map(|n| record(n).words()).collect();
    ring.append(&records).expect("there is room");
}

fn forge(dir: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(dir.join("flight/shard-0"));
    file.and_then(|file| file.write_all_at(bytes, at)).expect("the file is there");
}

fn at_place(place: u64) -> u64 {
    PAGE_BYTES + place * RECORD_BYTES as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written in whatever pieces, with the file opened anew between them.
    #[test]
    fn a_ring_holds_the_newest(
        capacity in 1..300_u64,
        pieces in prop::collection::vec((0..250_u64, any::<bool>()), 0..8),
    ) {
        let folder = tempdir().expect("a temporary folder");
        let mut file = ring(folder.path(), capacity);
        let mut written = 0;
        for (piece, reopen) in pieces {
            append(&mut file, written..written + piece);
            written += piece;
            if reopen {
                file = ring(folder.path(), capacity);
            }
        }
        let kept = written.saturating_sub(capacity)..written;
        prop_assert_eq!(read(folder.path(), 0), (kept.collect(), Skipped::default()));
    }

    /// Damaged ones are counted and left out, and no other is; what is written next is read.
    #[test]
    fn damaged_records_are_skipped(
        written in 1..120_u64,
        places in prop::collection::btree_set(0..50_u64, 0..10),
        bit in 0..512_u64,
    ) {
        let folder = tempdir().expect("a temporary folder");
        append(&mut ring(folder.path(), 50), 0..written);
        let first = written.saturating_sub(50);
        let mut expected: Vec<u64> = (first..written).collect();
        let bytes = std::fs::read(folder.path().join("flight/shard-0")).expect("the file");
        for place in &places {
            let at = at_place(*place) + bit / 8;
            let flipped = bytes[usize::try_from(at).expect("small")] ^ 1 << (bit % 8);
            forge(folder.path(), at, &[flipped]);
            expected.retain(|n| n % 50 != *place);
        }
        let (found, skipped) = read(folder.path(), 0);
        // Nothing tells what damaged ones were: those at the end of what was written may hide it,
        // and then older ones are taken for newer.
        prop_assert!(found.iter().all(|n| expected.contains(n)), "{:?}", found);
        if found.len() == expected.len() && written >= 50 {
            prop_assert_eq!(skipped.damaged, places.len() as u64);
        }
        append(&mut ring(folder.path(), 50), 1_000..1_020);
        let (found, _) = read(folder.path(), 0);
        prop_assert!(found.ends_with(&(1_000..1_020).collect::<Vec<_>>()), "{:?}", found);
    }
}

#[test]
fn damage_in_the_middle_costs_what_was_damaged_only() {
    let folder = tempdir().expect("a temporary folder");
    append(&mut ring(folder.path(), 50), 0..120);
    // 120 is at place 20: of the newest round 100 to 119 stand in front.
    for place in [3, 10, 11, 30, 49] {
        forge(folder.path(), at_place(place) + 20, &[0x55]);
    }
    let damaged = [103, 110, 111, 80, 99];
    let expected: Vec<u64> = (70..120).filter(|n| !damaged.contains(n)).collect();
    assert_eq!(read(folder.path(), 0), (expected, Skipped { damaged: 5, overwritten: 0 }));
}

#[test]
fn a_ring_that_is_written_meanwhile_is_read_without_the_overwritten() {
    let folder = tempdir().expect("a temporary folder");
    let mut file = ring(folder.path(), 50);
    append(&mut file, 0..60);
    let mut reader = RingReader::open(&folder.path().join("flight/shard-0")).expect("a ring");
    append(&mut file, 60..65);
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().expect("readable") {
        found.push(record.key);
    }
    assert_eq!(found, (15..60).collect::<Vec<_>>());
    assert_eq!(reader.skipped(), Skipped { damaged: 0, overwritten: 5 });
}

#[test]
fn another_size_keeps_the_newest() {
    let folder = tempdir().expect("a temporary folder");
    append(&mut ring(folder.path(), 50), 0..70);
    append(&mut ring(folder.path(), 80), 70..75);
    assert_eq!(read(folder.path(), 0).0, (20..75).collect::<Vec<_>>());
    drop(ring(folder.path(), 10));
    assert_eq!(read(folder.path(), 0).0, (65..75).collect::<Vec<_>>());
}

#[test]
fn what_is_no_ring_of_this_ledger_is_set_aside() {
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join("flight/shard-0");
    let open = |header: &Header| {
        let mut told = Vec::new();
        RingFile::open(&path, header, &mut told).expect("a ring");
        told.join("\n")
    };
    append(&mut ring(folder.path(), 50), 0..5);
    let told = open(&Header { identity: 7, ..HEADER });
    assert!(told.contains("belongs to another ledger; it is now "), "{told}");
    assert!(folder.path().join("flight/shard-0.old").exists());
    for (at, bytes, reason) in [
        (8, &[9][..], "has format version 9"),
        (16, &[1], "has a damaged header"),
        (0, b"X", "is not a flight recorder's ring"),
    ] {
        for copy in [0, 2048] {
            forge(folder.path(), copy + at, bytes);
        }
        let told = open(&HEADER);
        assert!(told.contains(reason), "{reason}: {told}");
        assert_eq!(read(folder.path(), 0).0, [0; 0]);
    }
    let cut = OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(5_000));
    cut.expect("the file is there");
    assert!(open(&HEADER).contains("is not as long as its header promises"));
}

#[test]
fn one_damaged_copy_of_the_header_does_not_matter() {
    let folder = tempdir().expect("a temporary folder");
    append(&mut ring(folder.path(), 50), 0..5);
    forge(folder.path(), 0, &[0; 512]);
    assert_eq!(read(folder.path(), 0).0, [0, 1, 2, 3, 4]);
}
