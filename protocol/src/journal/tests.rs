use proptest::prelude::*;

use super::*;

fn network(address: [u8; 4], prefix: u8) -> Network {
    Network::new(address.into(), prefix).expect("no longer than an address")
}

/// One of each kind, with its body's bytes.
fn golden() -> Vec<(Record, Vec<u8>)> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let key = Subject::Key("k".into());
    let block = Block {
        subject: Subject::Address(network([192, 0, 2, 9], 24)),
        reason: "why".into(),
        until_ms: Some(251),
        by: "me".into(),
        at_ms: 7,
    };
    let six = "2001:db8::".parse().expect("an address");
    let six = Subject::Address(Network::new(six, 32).expect("short enough"));
    let mut six_bytes = vec![2, 0, 1, 0x20, 0x01, 0x0d, 0xb8];
    six_bytes.extend([[0; 12].as_slice(), &[32, 0, 0, 0, 0]].concat());
    let forever = |subject| {
        Record::Block(Block {
            subject,
            reason: String::new(),
            until_ms: None,
            by: String::new(),
            at_ms: 0,
        })
    };
    let lift = Lift { subject: key, reason: "b".into(), by: "c".into(), at_ms: 1 };
    let audit = Audit { at_ms: 2, actor: "a".into(), action: "b".into(), detail: "c".into() };
    let reset = Reset { limit: "l".into(), key: "k".into(), by: "b".into(), at_ms: 3 };
    vec![
        (Record::SnapshotBegin { records: 3 }, vec![0, 3]),
        (Record::SnapshotEnd { records: 70_000 }, vec![1, 252, 0x70, 0x11, 1, 0]),
        (
            Record::Block(block),
            [&[2, 0, 0, 192, 0, 2, 0, 24][..], &text("why"), &[1, 251, 251, 0], &text("me"), &[7]]
                .concat(),
        ),
        (forever(six), six_bytes),
        (forever(Subject::User("u".into())), vec![2, 2, 1, b'u', 0, 0, 0, 0]),
        (Record::Lift(lift), vec![3, 1, 1, b'k', 1, b'b', 1, b'c', 1]),
        (Record::Audit(audit), vec![4, 2, 1, b'a', 1, b'b', 1, b'c']),
        (Record::Reset(reset), vec![5, 1, b'l', 1, b'k', 1, b'b', 3]),
    ]
}

#[test]
fn records_have_these_bytes() {
    for (record, body) in golden() {
        let (mut bytes, mut position) = (Vec::new(), Position::START);
        append(&mut bytes, &mut position, &record, Place::Later).expect("small");
        assert_eq!(bytes[24..], body, "{record:?}");
        assert_eq!(bytes[..4], u32::try_from(body.len()).expect("small").to_le_bytes());
        assert_eq!(bytes[8..24], [[1, 0, 0, 0, 0, 0, 0, 0], [0; 8]].concat());
        let scan = scan(&bytes, Position::START);
        assert_eq!(scan.entries, [Entry { sequence: 1, at: 0, record }]);
    }
}

#[test]
fn frames_have_these_bytes() {
    let (mut bytes, mut position) = (Vec::new(), Position::START);
    let record = Record::SnapshotBegin { records: 3 };
    append(&mut bytes, &mut position, &record, Place::First).expect("small");
    let mut frame = vec![2, 0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    frame[4..8].copy_from_slice(&[0xff, 0xe0, 0x20, 0x13]);
    assert_eq!(bytes, frame);
    assert_eq!(position, Position { sequence: 2, chain: 0xbd71_bcf7_a20e_30b2 });
}

#[test]
fn headers_have_these_bytes_and_no_bit_of_them_may_differ() {
    let header = Header {
        kind: Kind::Snapshot,
        identity: *b"0123456789abcdef",
        number: 2,
        start: Position { sequence: 3, chain: 4 },
        bytes: 4096,
    };
    let mut expected = [0; HEADER_BYTES];
    expected[..8].copy_from_slice(b"WEIRJRNL");
    (expected[8], expected[12]) = (1, 1);
    expected[16..32].copy_from_slice(b"0123456789abcdef");
    (expected[32], expected[40], expected[48], expected[57]) = (2, 3, 4, 16);
    let crc = crc32c::crc32c(&expected[..508]).to_le_bytes();
    expected[508..].copy_from_slice(&crc);
    assert_eq!(header.encode(), expected);
    assert_eq!(Header::decode(&expected), Ok(header));
    for bit in 0..8 * HEADER_BYTES {
        let mut flipped = expected;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::decode(&flipped).is_err(), "bit {bit}");
    }
    assert_eq!(Header::decode(&expected[..511]), Err(HeaderFault::NotASegment));
    expected[8] = 2;
    let crc = crc32c::crc32c(&expected[..508]).to_le_bytes();
    expected[508..].copy_from_slice(&crc);
    assert_eq!(Header::decode(&expected), Err(HeaderFault::OtherVersion(2)));
}

#[test]
fn a_record_that_is_too_large_changes_nothing() {
    let audit = |bytes: usize| {
        let detail = "x".repeat(bytes);
        Record::Audit(Audit { at_ms: 0, actor: String::new(), action: String::new(), detail })
    };
    let (mut bytes, mut position) = (vec![1, 2], Position::START);
    // The variant, three short fields, and three bytes for the text's own length.
    let fits = RECORD_BYTES_MAX - 7;
    let refused = append(&mut bytes, &mut position, &audit(fits + 1), Place::First);
    assert_eq!(refused, Err(RecordError::TooLarge(RECORD_BYTES_MAX + 1)));
    assert_eq!((bytes.len(), position), (2, Position::START));
    append(&mut bytes, &mut position, &audit(fits), Place::First).expect("fits");
    assert_eq!(bytes.len(), 2 + FRAME_BYTES_MAX);
    assert_eq!(scan(&bytes[2..], Position::START).entries.len(), 1);
}

#[test]
fn a_record_of_a_later_weir_is_told_from_damage() {
    let (mut bytes, mut position) = (Vec::new(), Position::START);
    for (record, _) in &golden()[..2] {
        append(&mut bytes, &mut position, record, Place::First).expect("small");
    }
    let at = 24 + 2;
    bytes[at + 24] = 200;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[at..at + 4]), &bytes[at + 8..]);
    bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    let scan = scan(&bytes, Position::START);
    assert_eq!((scan.entries.len(), scan.verdict), (1, Verdict::Unknown { at }));
}

/// Frames of records, the first of each group marked, and zeros behind them.
#[derive(Debug, Clone)]
struct Written {
    bytes: Vec<u8>,
    /// Where each frame begins, and the last ends; whether it begins a group.
    frames: Vec<(usize, bool)>,
    records: Vec<Record>,
}

impl Written {
    fn end(&self) -> usize {
        self.frames[self.frames.len() - 1].0
    }

    fn frame(&self, at: usize) -> std::ops::Range<usize> {
        self.frames[at].0..self.frames[at + 1].0
    }

    fn count(&self) -> usize {
        self.records.len()
    }

    /// What was read is what was written, up to somewhere.
    fn read(&self, bytes: &[u8]) -> Scan {
        let scan = scan(bytes, Position::START);
        let read: Vec<_> = scan.entries.iter().map(|entry| entry.record.clone()).collect();
        assert_eq!(read, self.records[..read.len()]);
        assert_eq!(scan.end, self.frames[read.len()].0);
        scan
    }

    /// Whether a group begins with a frame after that one.
    fn proves(&self, frame: usize) -> bool {
        self.frames[..self.count()].iter().skip(frame + 1).any(|(_, first)| *first)
    }
}

fn written() -> impl Strategy<Value = Written> {
    let records = prop::collection::vec((0..8_usize, any::<bool>(), ".{0,40}"), 1..12);
    (records, 0..100_usize).prop_map(|(drawn, zeros)| {
        let (mut bytes, mut position) = (Vec::new(), Position::START);
        let (mut frames, mut records) = (Vec::new(), Vec::new());
        for (kind, first, text) in drawn {
            let mut record = golden()[kind].0.clone();
            if let Record::Audit(audit) = &mut record {
                audit.detail = text;
            }
            let first = first || records.is_empty();
            let place = if first { Place::First } else { Place::Later };
            frames.push((bytes.len(), first));
            append(&mut bytes, &mut position, &record, place).expect("small");
            records.push(record);
        }
        frames.push((bytes.len(), false));
        bytes.resize(bytes.len() + zeros, 0);
        Written { bytes, frames, records }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read(written in written()) {
        let scan = written.read(&written.bytes);
        prop_assert_eq!((scan.verdict, scan.entries.len()), (Verdict::Whole, written.count()));
        prop_assert_eq!(scan.next.sequence, written.count() as u64 + 1);
    }

    #[test]
    fn every_truncation_leaves_a_beginning(written in written()) {
        for cut in 0..written.end() {
            let scan = written.read(&written.bytes[..cut]);
            let whole = written.frames.iter().filter(|(at, _)| *at <= cut).count() - 1;
            let at = written.frames[whole].0;
            prop_assert_eq!(scan.entries.len(), whole);
            let torn = if at == cut { Verdict::Whole } else { Verdict::TornTail { at } };
            prop_assert_eq!(scan.verdict, torn);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed(written in written()) {
        for bit in 0..8 * written.bytes.len() {
            let mut bytes = written.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verdict = written.read(&bytes).verdict;
            let frame = written.frames.iter().filter(|(at, _)| *at <= bit / 8).count() - 1;
            let at = written.frames[frame].0;
            if written.proves(frame) {
                let corrupt = matches!(verdict, Verdict::Corrupt { at: found, .. } if found == at);
                prop_assert!(corrupt, "bit {}: {:?}", bit, verdict);
            } else {
                prop_assert_eq!(verdict, Verdict::TornTail { at });
            }
        }
    }

    #[test]
    fn records_in_the_wrong_place_are_corruption(
        written in written(), one: prop::sample::Index, other: prop::sample::Index,
    ) {
        let (one, other) = (one.index(written.count()), other.index(written.count()));
        let (one, other) = (written.frame(one.min(other)), written.frame(one.max(other)));
        let bytes = &written.bytes;
        let mut doubled = bytes[..other.end].to_vec();
        doubled.extend_from_slice(&bytes[one.clone()]);
        doubled.extend_from_slice(&bytes[other.end..]);
        let corrupt = |verdict| matches!(verdict, Verdict::Corrupt { .. });
        prop_assert!(corrupt(written.read(&doubled).verdict));
        if one != other {
            let swapped = [
                &bytes[..one.start], &bytes[other.clone()], &bytes[one.end..other.start],
                &bytes[one.clone()], &bytes[other.end..],
            ].concat();
            prop_assert!(corrupt(written.read(&swapped).verdict));
        }
    }

    #[test]
    fn zeroed_ranges_are_noticed_but_for_whole_records_at_the_end(
        written in written(), from: prop::sample::Index, bytes in 1..200_usize,
    ) {
        let from = from.index(written.end());
        let to = (from + bytes).min(written.bytes.len());
        let mut zeroed = written.bytes.clone();
        zeroed[from..to].fill(0);
        prop_assume!(zeroed != written.bytes);
        let scan = written.read(&zeroed);
        if scan.verdict == Verdict::Whole {
            prop_assert!(scan.entries.len() < written.count());
            prop_assert!(zeroed[scan.end..].iter().all(|byte| *byte == 0));
        }
        let frame = scan.entries.len();
        if to <= written.frames[frame + 1].0 && written.proves(frame) {
            prop_assert!(matches!(scan.verdict, Verdict::Corrupt { .. }), "{:?}", scan.verdict);
        }
    }

    /// What a loss of power may leave of the last group is never taken for corruption.
    #[test]
    fn a_torn_group_is_no_corruption(written in written(), sector in 1..64_usize, lost: u64) {
        let last = (0..written.count()).rev().find(|at| written.frames[*at].1).expect("the first");
        let start = written.frames[last].0;
        let mut bytes = written.bytes.clone();
        for (at, byte) in bytes.iter_mut().enumerate().skip(start) {
            if lost >> (at / sector % 64) & 1 == 1 {
                *byte = 0;
            }
        }
        let scan = written.read(&bytes);
        prop_assert!(scan.entries.len() >= last);
        prop_assert!(!matches!(scan.verdict, Verdict::Corrupt { .. }), "{:?}", scan.verdict);
    }

    #[test]
    fn any_bytes_are_scanned(bytes: Vec<u8>, sequence: u64, chain: u64) {
        let scan = scan(&bytes, Position { sequence, chain });
        prop_assert!(scan.entries.is_empty() && scan.end == 0);
        let _ = Header::decode(&bytes);
    }
}
