//! Of any bytes, as a segment's records: what is read stands one after the other from the start,
//! reads the same without what follows, and reads the same when it is written anew.

use weir_protocol::journal::{Header, Place, Position, Scan, Verdict, append, scan};

pub(crate) fn check(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert_eq!(header.encode(), data[..header.encode().len()]);
    }
    let found = scan(data, Position::START);
    let Scan { entries, end, next, verdict } = &found;
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, (1..next.sequence).collect::<Vec<_>>());
    let bad = data[*end..].iter().any(|byte| *byte != 0);
    match verdict {
        Verdict::Whole => assert!(!bad),
        Verdict::TornTail { at } | Verdict::Corrupt { at, .. } | Verdict::Unknown { at } => {
            assert!(bad && at == end);
        }
    }
    let without = scan(&data[..*end], Position::START);
    assert_eq!(without, Scan { verdict: Verdict::Whole, ..found.clone() });
    let (mut bytes, mut position) = (Vec::new(), Position::START);
    for entry in entries {
        append(&mut bytes, &mut position, &entry.record, Place::First).expect("it fitted before");
    }
    let anew = scan(&bytes, Position::START);
    assert_eq!(anew.verdict, Verdict::Whole);
    assert!(anew.entries.iter().map(|e| &e.record).eq(entries.iter().map(|e| &e.record)));
}
