use tempfile::tempdir;

use super::*;
use crate::ledger::LedgerError;
use crate::ledger::disk::RealFolder;

fn real(dir: &std::path::Path) -> Journal {
    let folder = RealFolder::new(dir).expect("made");
    Journal::open(&folder, IDENTITY, SMALL, Repair::No).expect("whole")
}

#[test]
fn a_journal_is_verified_dumped_compacted_and_copied() {
    let dir = tempdir().expect("a temporary folder");
    let (ledger, copy) = (dir.path().join("ledger"), dir.path().join("copy"));
    let missing = verify(&ledger).expect_err("there is none");
    assert!(matches!(missing, JournalError::Missing { .. }) && !ledger.exists());
    let mut journal = real(&ledger);
    let all = records(0..12);
    for record in &all {
        append_to(&mut journal, std::slice::from_ref(record)).expect("acknowledged");
    }
    let report = verify(&ledger).expect("whole");
    assert_eq!((report.records, report.last), (14, 14), "with a snapshot of nothing");
    assert!(report.segments > 1);

    let mut lines = Vec::new();
    assert_eq!(dump(&ledger, &mut lines).expect("whole"), report);
    let lines = String::from_utf8(lines).expect("text");
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines[0], r#"{"record":"snapshot_begin","records":0,"sequence":1}"#);
    let block = r#"{"at_ms":0,"by":"me","reason":"why","record":"block","sequence":3,"#;
    assert_eq!(lines[2], format!(r#"{block}"subject":{{"key":"key 0"}},"until_ms":null}}"#));
    assert!(lines[7].contains(r#""subject":{"address":"0.0.0.5/32"}"#), "{}", lines[7]);
    assert_eq!(lines.len(), 14);

    assert_eq!(backup(&ledger, &copy).expect("room"), report);
    assert_eq!(real(&copy).look(seen), sum(&all));
    assert_eq!(journal.backup(&dir.path().join("another")).expect("room"), report);
    let refused = backup(&ledger, &copy).expect_err("there is one already");
    assert!(matches!(refused, LedgerError::Journal(JournalError::Exists { .. })), "{refused}");

    compact(&ledger).expect("room");
    let compacted = verify(&ledger).expect("whole");
    assert_eq!((compacted.segments, compacted.torn_bytes), (1, 0));
    assert_eq!(real(&ledger).look(seen), sum(&all));
}

#[test]
fn a_damaged_journal_is_not_copied_but_repaired() {
    let dir = tempdir().expect("a temporary folder");
    let ledger = dir.path().join("ledger");
    let mut journal = real(&ledger);
    append_to(&mut journal, &[record(0)]).expect("acknowledged");
    let at = HEADER_BYTES as u64 + SMALL.segment_bytes - journal.active.as_ref().unwrap().room();
    append_to(&mut journal, &[record(1)]).expect("acknowledged");
    append_to(&mut journal, &[record(3)]).expect("acknowledged");
    drop(journal);
    let path = ledger.join(FOLDER).join("00000001.log");
    let mut bytes = std::fs::read(&path).expect("there");
    let middle = bytes.windows(6).position(|window| window == b"user 1").expect("the second");
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let refused = verify(&ledger).expect_err("damaged").to_string();
    assert!(refused.contains("00000001.log is damaged at byte "), "{refused}");
    assert!(refused.contains("1 after that are good"), "{refused}, {at}");
    backup(&ledger, &dir.path().join("copy")).expect_err("damaged");
    compact(&ledger).expect_err("damaged");
    assert_eq!(repair(&ledger).expect("room").damaged, 1);
    assert_eq!(real(&ledger).look(seen), sum(&records(0..1)));
    assert!(path.with_extension("log.damaged").exists());
}

#[test]
fn a_ledger_in_use_is_left_alone() {
    let dir = tempdir().expect("a temporary folder");
    drop(real(dir.path()));
    let lock = std::fs::File::create(dir.path().join("lock")).expect("made");
    lock.try_lock().expect("nobody has it");
    for refused in
        [compact(dir.path()), repair(dir.path()), backup(dir.path(), &dir.path().join("copy"))]
    {
        assert!(matches!(refused, Err(LedgerError::InUse { .. })), "{refused:?}");
    }
}
