use weir_protocol::journal::{Audit, Block, Lift, Network, Reset, Subject};

use super::*;
use crate::ledger::disk::SimDisk;

mod crash;
mod damage;
mod tools;

const IDENTITY: [u8; 16] = [7; 16];

/// Segments in which a few groups fit, so that little is needed to fill some.
const SMALL: Options =
    Options { segment_bytes: 512 + 400, segments_max: 3, clock: || Instant::from_nanos(0) };

fn open(disk: &SimDisk) -> Result<Journal, JournalError> {
    Journal::open(&*disk.root(), IDENTITY, SMALL, Repair::No)
}

/// A journal on a disk of its own.
fn new() -> (SimDisk, Journal) {
    let disk = SimDisk::new(0);
    let journal = open(&disk).expect("nothing there");
    (disk, journal)
}

/// Some record; each number has another.
fn record(number: u64) -> Record {
    let subject = |number: u64| match number % 3 {
        0 => Subject::Key(format!("key {number}")),
        1 => Subject::User(format!("user {number}")),
        _ => {
            let bits = u32::try_from(number).expect("few");
            Subject::Address(Network::new(std::net::IpAddr::from(bits.to_be_bytes()), 32).unwrap())
        }
    };
    let (by, reason, at_ms) = ("me".to_owned(), "why".to_owned(), number);
    match number % 5 {
        0..=1 => {
            Record::Block(Block { subject: subject(number), reason, until_ms: None, by, at_ms })
        }
        2 => Record::Lift(Lift { subject: subject(number - 1), reason, by, at_ms }),
        3 => {
            let (actor, action, detail) = (by, "tried".to_owned(), number.to_string());
            Record::Audit(Audit { at_ms, actor, action, detail })
        }
        _ => Record::Reset(Reset { limit: "l".to_owned(), key: number.to_string(), by, at_ms }),
    }
}

fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(record).collect()
}

fn append_to(journal: &mut Journal, records: &[Record]) -> Result<u64, AppendError> {
    journal.append(&records.iter().collect::<Vec<_>>())
}

/// What can be seen of a state.
type Seen = (Vec<Block>, Vec<Record>);

fn seen(state: &State) -> Seen {
    (state.blocks().cloned().collect(), state.history().cloned().collect())
}

/// What records add up to.
fn sum(records: &[Record]) -> Seen {
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    seen(&state)
}

#[test]
fn what_is_appended_is_there_after_another_opening() {
    let (disk, mut journal) = new();
    assert_eq!((journal.report(), journal.identity()), (Report::default(), IDENTITY));
    let all = records(0..40);
    for (at, group) in all.chunks(2).enumerate() {
        append_to(&mut journal, group).expect("acknowledged");
        assert_eq!(journal.look(seen), sum(&all[..2 * at + 2]));
    }
    let journal = open(&disk).expect("whole");
    assert_eq!(journal.look(seen), sum(&all));
    let other = Journal::open(&*disk.root(), [8; 16], SMALL, Repair::No).expect("whole");
    assert_eq!(other.identity(), IDENTITY, "an existing one keeps its own");
    assert!((1..=3).contains(&other.report().segments), "{:?}", other.report());
}

#[test]
fn numbers_go_on_over_openings_and_snapshots() {
    let (disk, mut journal) = new();
    // Before the first group stands an empty snapshot: its begin and its end.
    assert_eq!(append_to(&mut journal, &records(0..2)), Ok(3));
    assert_eq!(append_to(&mut journal, &records(2..3)), Ok(5));
    let mut journal = open(&disk).expect("whole");
    assert_eq!(journal.report().last, 5);
    let left = journal.look(|state| state.blocks().count() + state.history().count()) as u64;
    assert_eq!(append_to(&mut journal, &records(3..4)), Ok(6 + 2 + left));
}

#[test]
fn segments_stay_few_and_their_files_too() {
    let (disk, mut journal) = new();
    for number in 0..60 {
        append_to(&mut journal, &[record(number)]).expect("acknowledged");
        assert!(journal.segments <= SMALL.segments_max);
        let files = journal.folder.list().expect("listed");
        assert_eq!(files.len(), journal.segments, "{files:?}");
    }
    assert_eq!(open(&disk).expect("whole").look(seen), sum(&records(0..60)));
}

#[test]
fn a_group_that_fits_no_segment_is_refused_alone() {
    let (_disk, mut journal) = new();
    assert_eq!(append_to(&mut journal, &records(0..30)).map_err(|e| e.to_string()), {
        let bytes = encode(&records(0..30).iter().collect::<Vec<_>>(), Position::START);
        Err(AppendError::TooLarge(bytes.expect("small").0.len() as u64).to_string())
    });
    append_to(&mut journal, &records(0..1)).expect("acknowledged");
}

#[test]
fn expired_blocks_and_old_history_end_with_a_snapshot() {
    let block = |until_ms, name: &str, at_ms| {
        let (subject, reason) = (Subject::Key(name.to_owned()), String::new());
        Record::Block(Block { subject, reason, until_ms, by: String::new(), at_ms })
    };
    let (disk, mut journal) = new();
    let blocks = [block(Some(5), "a", 1), block(Some(6), "b", 2), block(None, "c", 5)];
    append_to(&mut journal, &blocks).expect("acknowledged");
    let is_blocked = |journal: &Journal, name: &str, now_ms| {
        journal.look(|state| state.block(&Subject::Key(name.to_owned()), now_ms).is_some())
    };
    assert!(is_blocked(&journal, "a", 4) && !is_blocked(&journal, "a", 5));
    journal.compact().expect("room");
    for journal in [journal, open(&disk).expect("whole")] {
        assert_eq!(journal.look(|state| state.blocks().count()), 2);
        assert!(is_blocked(&journal, "b", 5) && is_blocked(&journal, "c", u64::MAX));
    }

    let mut state = State::default();
    (0..20_000).filter(|number| number % 5 > 2).for_each(|n| state.apply(&record(n)));
    state.apply(&record(3));
    assert_eq!((state.history().count(), state.history().last()), (8_001, Some(&record(3))));
    (0..20_000).filter(|number| number % 5 > 2).for_each(|n| state.apply(&record(n)));
    assert_eq!((state.history().count(), state.history().last()), (10_000, Some(&record(19_999))));
}

#[test]
fn a_journal_that_was_closed_goes_on_with_what_another_process_wrote() {
    let (disk, mut journal) = new();
    append_to(&mut journal, &records(0..1)).expect("acknowledged");
    let handle = journal.handle(drop);
    journal.close();
    assert_eq!(append_to(&mut journal, &records(1..2)), Err(AppendError::Closed));
    assert!(matches!(journal.compact(), Err(JournalError::Closed { .. })));
    append_to(&mut open(&disk).expect("whole"), &records(1..2)).expect("acknowledged");
    journal.reopen().expect("whole");
    append_to(&mut journal, &records(2..4)).expect("acknowledged");
    assert_eq!(handle.look(seen), sum(&records(0..4)));
    assert_eq!(open(&disk).expect("whole").look(seen), sum(&records(0..4)));
}

#[test]
fn records_that_come_together_are_synced_together_and_each_is_told() {
    let disk = SimDisk::new(0);
    let options = Options { segment_bytes: 1 << 20, ..SMALL };
    let mut journal =
        Journal::open(&*disk.root(), IDENTITY, options, Repair::No).expect("nothing there");
    append_to(&mut journal, &records(0..1)).expect("acknowledged");
    let (sender, tasks) = std::sync::mpsc::channel();
    let handle = journal.handle(move |task| {
        // A thread that is gone drops what it is asked.
        let _ = sender.send(task);
    });
    let start = journal.next.sequence;
    let told: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (1..9_u64)
            .map(|at| {
                let handle = handle.clone();
                scope.spawn(move || handle.append_and_wait(records(2 * at..2 * at + 2)))
            })
            .collect();
        let looking = scope.spawn(|| handle.run_and_wait(|journal| journal.next.sequence));
        let waiting: Vec<Task> = tasks.iter().take(9).collect();
        let syncs = disk.syncs();
        journal.serve(waiting);
        assert!(disk.syncs() - syncs <= 2, "one group before the look, one after");
        assert!(looking.join().expect("no panic").is_some());
        asking.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    });
    let mut told: Vec<u64> = told.into_iter().map(|told| told.expect("acknowledged")).collect();
    told.sort_unstable();
    assert_eq!(told, (0..8).map(|at| start + 2 * at).collect::<Vec<_>>());
    assert_eq!(handle.metrics().records.get(), 17);
    drop(tasks);
    assert_eq!(handle.append_and_wait(records(0..1)), Err(AppendError::Closed));
    assert_eq!(handle.run_and_wait(|_| ()), None);
}

#[test]
fn who_hands_over_too_much_fails_alone() {
    let (_disk, mut journal) = new();
    let (sender, tasks) = std::sync::mpsc::channel();
    let handle = journal.handle(move |task| sender.send(task).expect("somebody serves"));
    std::thread::scope(|scope| {
        let fits = scope.spawn(|| handle.append_and_wait(records(0..2)));
        let large = scope.spawn(|| handle.append_and_wait(records(0..30)));
        let also = scope.spawn(|| handle.append_and_wait(records(2..4)));
        let waiting: Vec<Task> = tasks.iter().take(3).collect();
        journal.serve(waiting);
        fits.join().expect("no panic").expect("acknowledged");
        also.join().expect("no panic").expect("acknowledged");
        let refused = large.join().expect("no panic");
        assert!(matches!(refused, Err(AppendError::TooLarge(_))), "{refused:?}");
    });
}
