//! Files that were changed: reported, never trusted, never a panic; repaired on request.

use std::path::Path;

use super::*;

/// A journal of a snapshot and two more segments, and what is in it; each record is a group.
fn written() -> (SimDisk, Vec<Record>) {
    let (disk, mut journal) = new();
    append_to(&mut journal, &[record(0)]).expect("acknowledged");
    journal.compact().expect("room");
    let mut number = 1;
    while journal.segments < 3 || journal.active.as_ref().is_some_and(|s| s.room() > 250) {
        append_to(&mut journal, &[record(number)]).expect("acknowledged");
        number += 1;
    }
    (disk, records(0..number))
}

fn names(disk: &SimDisk) -> Vec<PathBuf> {
    let folder = disk.root().folder(FOLDER).expect("there");
    folder.list().expect("listed").iter().map(|name| folder.path().join(name)).collect()
}

/// The journal is refused, and repaired has only what was written; whether that was all of it but
/// for the last group, as after a loss of power.
fn is_noticed(disk: &SimDisk, all: &[Record], what: &str) {
    let before: Vec<_> = names(disk).iter().map(|name| disk.contents(name).unwrap()).collect();
    let opened = open(disk);
    let after: Vec<_> = names(disk).iter().map(|name| disk.contents(name).unwrap()).collect();
    assert!(before == after, "{what}: it is left as it is");
    match opened {
        Err(JournalError::Damaged { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
        Ok(journal) => {
            assert!(journal.report().torn_bytes > 0, "{what}: {:?}", journal.report());
            let found = journal.look(seen);
            assert!([all.len(), all.len() - 1].iter().any(|&n| found == sum(&all[..n])), "{what}");
        }
    }
    let repaired = Journal::open(&*disk.root(), IDENTITY, SMALL, Repair::Yes);
    let mut repaired = repaired.unwrap_or_else(|error| panic!("{what}: {error}"));
    let kept = repaired.look(seen);
    assert!((0..=all.len()).any(|count| sum(&all[..count]) == kept), "{what}");
    append_to(&mut repaired, &[record(1_000)]).unwrap_or_else(|error| panic!("{what}: {error}"));
    let aside = names(disk).iter().filter(|name| name.extension().unwrap() == "damaged").count();
    assert_eq!(aside, repaired.report().damaged, "{what}");
    let expected = repaired.look(seen);
    assert_eq!(open(disk).expect(what).look(seen), expected, "{what}");
}

#[test]
fn any_flipped_bit_is_noticed() {
    let (disk, all) = written();
    let files = names(&disk);
    assert_eq!(files.len(), 3);
    for name in files {
        let bytes = disk.contents(&name).expect("there").len();
        // Each byte of it, and each bit over the bytes.
        for byte in 0..bytes {
            let (disk, _) = written();
            let bit = 8 * byte + byte % 8;
            disk.flip_bit(&name, bit).expect("there");
            is_noticed(&disk, &all, &format!("bit {bit} of {}", name.display()));
        }
    }
}

#[test]
fn any_truncation_is_noticed() {
    let (disk, all) = written();
    for name in names(&disk) {
        for bytes in (0..disk.contents(&name).expect("there").len()).step_by(7) {
            let (disk, _) = written();
            disk.truncate(&name, bytes).expect("there");
            is_noticed(&disk, &all, &format!("{} cut to {bytes}", name.display()));
        }
    }
}

#[test]
fn zeroed_sectors_are_noticed() {
    let (disk, all) = written();
    for name in names(&disk) {
        let bytes = disk.contents(&name).expect("there");
        let is_last = name.ends_with("00000004.log");
        for at in (0..bytes.len()).step_by(512) {
            // The last records of all, or nothing at all, may be gone without a trace.
            let end = bytes.len().min(at + 512);
            if (is_last && at > 0) || bytes[at..end].iter().all(|byte| *byte == 0) {
                continue;
            }
            let (disk, _) = written();
            disk.forge(&name, at, &[0; 512]).expect("there");
            is_noticed(&disk, &all, &format!("{} zeroed at {at}", name.display()));
        }
    }
}

#[test]
fn segments_in_the_wrong_place_are_noticed() {
    let files = names(&written().0);
    let [first, second, third] = &files[..] else { panic!("three segments: {files:?}") };
    let with = |changes: &[(&Path, &Path)], what: &str| {
        let (disk, all) = written();
        let root = disk.root().folder(FOLDER).expect("there");
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        for (from, to) in changes {
            match from == to {
                true => root.remove(&name(from)).expect("there"),
                false => root.rename(&name(from), &name(to)).expect("there"),
            }
        }
        is_noticed(&disk, &all, what);
    };
    let spare = first.with_extension("spare");
    with(&[(second, &spare), (third, second), (&spare, third)], "swapped");
    with(&[(second, second)], "one missing");
    with(&[(first, first)], "the first missing");
    with(&[(first, second)], "one in another's place");
}

#[test]
fn another_ledgers_segment_is_noticed() {
    let (disk, all) = written();
    let other = SimDisk::new(0);
    let mut journal = Journal::open(&*other.root(), [8; 16], SMALL, Repair::No).expect("nothing");
    for number in 0..40 {
        append_to(&mut journal, &[record(number)]).expect("acknowledged");
    }
    let foreign = names(&other).pop().expect("several");
    let mine = names(&disk).pop().expect("several");
    disk.forge(&mine, 0, &other.contents(&foreign).expect("there")).expect("there");
    is_noticed(&disk, &all, "a segment of another ledger");
}

#[test]
fn a_later_format_is_refused_and_not_repaired() {
    let (disk, _) = written();
    let name = names(&disk).pop().expect("several");
    let mut header = disk.contents(&name).expect("there")[..HEADER_BYTES].to_vec();
    header[8] = 2;
    let crc = crc32c::crc32c(&header[..508]).to_le_bytes();
    header[508..].copy_from_slice(&crc);
    disk.forge(&name, 0, &header).expect("there");
    for repair in [Repair::No, Repair::Yes] {
        let refused = Journal::open(&*disk.root(), IDENTITY, SMALL, repair).map(drop);
        assert!(matches!(refused, Err(JournalError::OtherVersion { .. })), "{refused:?}");
    }
}

#[test]
fn what_is_no_segment_is_left_alone() {
    let (disk, mut journal) = new();
    let folder = disk.root().folder(FOLDER).expect("there");
    for name in ["1.log", "notes", "00000001.log.damaged", "x.new"] {
        folder.create(name).expect("made");
    }
    folder.create("00000009.new").expect("made");
    append_to(&mut journal, &[record(0)]).expect("acknowledged");
    let mut journal = open(&disk).expect("whole");
    append_to(&mut journal, &[record(1)]).expect("acknowledged");
    let expected = ["00000001.log.damaged", "00000002.log", "1.log", "notes", "x.new"];
    assert_eq!(folder.list().expect("listed"), expected);
}
