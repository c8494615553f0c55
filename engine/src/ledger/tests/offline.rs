//! Looking through a ledger from outside, and copying it.

use super::super::offline::{Verified, backup, dump, verify};
use super::*;

#[test]
fn a_running_ledger_is_verified_dumped_and_backed_up() {
    let (folder, copy) = (folder(), folder());
    let to = copy.path().join("backup");
    let mut ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.sync(WALL).expect("the disk works");
    charge(&ledger.table(), 1);
    let found = verify(folder.path()).expect("it is sound");
    let Verified { slots, clean, blocks, live_table, .. } = found;
    assert_eq!((slots, clean, live_table), (SLOTS as u64, false, true));
    assert!(blocks >= 1 && found.is_sound(), "{found:?}");

    backup(folder.path(), &to).expect("it can be written");
    let again = backup(folder.path(), &to).expect_err("there is one already").to_string();
    assert!(again.contains("counters"), "{again}");
    ledger.close(WALL).expect("a clean end");
    assert!(verify(folder.path()).expect("it is sound").clean);
    assert!(!verify(folder.path()).expect("it is sound").live_table);

    let restored = open(&to).expect("a ledger");
    assert_eq!((restored.opening().clean, remaining(&restored, NOW)), (false, 900));
    assert_eq!(restored.opening().damage, Damage::default());
    restored.close(WALL).expect("a clean end");
    let mut lines = Vec::new();
    dump(&to, &mut lines).expect("memory takes it");
    let lines = String::from_utf8(lines).expect("text");
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let entry: serde_json::Value = serde_json::from_str(&lines).expect("JSON");
    assert_eq!((&entry["admitted"], &entry["refused"]), (&100.into(), &0.into()));
    let tag = entry["tag"].as_str().and_then(|tag| u64::from_str_radix(tag, 16).ok());
    assert!(tag.is_some_and(|tag| tag != 0), "{entry}");
}

#[test]
fn damage_is_found_without_changing_anything() {
    let folder = folder();
    let ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.close(WALL).expect("a clean end");
    // The first revision is in the second place.
    forge(folder.path(), (PAGE_BYTES + block::RECORD_BYTES) as u64 + 9, b"?");
    let before = fs::read(folder.path().join("counters")).expect("it is there");
    let found = verify(folder.path()).expect("its header is sound");
    assert!(!found.is_sound());
    assert_eq!((found.damage.blocks, &*found.damage.named, found.damage.lost), (1, &[0][..], 1));
    assert!(before == fs::read(folder.path().join("counters")).expect("it is there"));
    for (at, other) in [(0, 2048), (2048, 0)] {
        let whole = fs::read(folder.path().join("counters")).expect("it is there");
        forge(folder.path(), at + 30, b"xyz");
        assert!(verify(folder.path()).expect("the other is sound").damage.header, "{other}");
        forge(folder.path(), 0, &whole[..PAGE_BYTES]);
    }
    for at in [0, 2048] {
        forge(folder.path(), at + 30, b"xyz");
    }
    assert!(matches!(verify(folder.path()), Err(LedgerError::Damaged { .. })));
    let nothing = tempdir().expect("a temporary folder");
    assert!(matches!(verify(nothing.path()), Err(LedgerError::Io { .. })));
    assert!(fs::read_dir(nothing.path()).expect("it is there").next().is_none());
}
