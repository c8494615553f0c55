//! The power fails at every operation of a run, syncs fail, the disk is full: what was acknowledged
//! is there, in order, and nothing that nobody appended.

use super::*;

/// Groups that a run appends; some steps put a snapshot in between.
const GROUPS: u64 = 36;

/// The records of one group.
fn group(at: u64) -> Vec<Record> {
    // One to three, not the same ones twice.
    records(3 * at..3 * at + 1 + at % 3)
}

/// What is known of a journal from outside.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<Record>,
    /// Records of the last group, if that failed: any of the first of them may be there.
    doubtful: Vec<Record>,
    failures: Vec<AppendError>,
}

impl Ledger {
    fn append(&mut self, journal: &mut Journal, at: u64) {
        match append_to(journal, &group(at)) {
            Ok(_) => {
                self.acknowledged.append(&mut group(at));
                self.doubtful.clear();
            }
            Err(error) => {
                self.doubtful = group(at);
                self.failures.push(error);
            }
        }
        assert_eq!(journal.look(seen), sum(&self.acknowledged), "the state is what was told");
    }

    /// Appends all groups, whatever comes in between.
    fn run(&mut self, journal: &mut Journal) {
        for at in 0..GROUPS {
            self.append(journal, at);
            if at % 9 == 7 {
                // It may fail as everything here may.
                let _ = journal.compact();
            }
        }
    }

    /// Holds what is found after a crash against it, and goes on with that.
    fn check(&mut self, found: &Seen, what: &str) {
        let with = |count: usize| [&self.acknowledged[..], &self.doubtful[..count]].concat();
        let count = (0..=self.doubtful.len()).find(|&count| sum(&with(count)) == *found);
        let Some(count) = count else {
            let expected = sum(&self.acknowledged);
            panic!("{what}: found {found:?}\nafter {expected:?}\nand of {:?}", self.doubtful);
        };
        self.acknowledged = with(count);
        self.doubtful.clear();
    }
}

/// Crashes, and goes on; then crashes again, when nothing is in doubt any more.
fn crash_and_go_on(disk: &SimDisk, ledger: &mut Ledger, seed: u64, what: &str) {
    disk.crash(seed);
    let mut journal = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    ledger.check(&journal.look(seen), what);
    for at in GROUPS..GROUPS + 2 {
        ledger.append(&mut journal, at);
    }
    assert!(ledger.doubtful.is_empty(), "{what}: {:?}", ledger.failures.last());
    disk.crash(seed + 1);
    let journal = open(disk).unwrap_or_else(|error| panic!("{what}, then again: {error}"));
    assert_eq!(journal.look(seen), sum(&ledger.acknowledged), "{what}, then again");
}

/// A journal in which an earlier process has written a little.
fn begun() -> (SimDisk, Journal, Ledger) {
    let (disk, mut journal) = new();
    let mut ledger = Ledger::default();
    ledger.append(&mut journal, GROUPS + 5);
    let journal = open(&disk).expect("whole");
    (disk, journal, ledger)
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    let (disk, mut journal, mut ledger) = begun();
    let first = disk.operations() + 1;
    ledger.run(&mut journal);
    assert!(ledger.failures.is_empty());
    let last = disk.operations();
    assert!(last - first > 100, "with segments and snapshots among it: {}", last - first);
    for operation in first..=last {
        for seed in 0..8 {
            let (disk, mut journal, mut ledger) = begun();
            disk.cut_power_at(operation);
            let mut at = 0;
            while ledger.failures.is_empty() && at < GROUPS {
                ledger.append(&mut journal, at);
                if at % 9 == 7 && journal.compact().is_err() && ledger.failures.is_empty() {
                    break;
                }
                at += 1;
            }
            let what = format!("power lost at operation {operation}, seed {seed}");
            crash_and_go_on(&disk, &mut ledger, 1000 * operation + 2 * seed, &what);
        }
    }
}

#[test]
fn a_crash_while_recovering_loses_nothing_either() {
    // Of the first operations after an opening, which clear up what a crash left.
    for (torn, operation) in (0..8).flat_map(|torn| (1..14).map(move |at| (torn, at))) {
        let (disk, mut journal, mut ledger) = begun();
        (0..5).for_each(|at| ledger.append(&mut journal, at));
        disk.cut_power_at(disk.operations() + 1);
        ledger.append(&mut journal, 5);
        disk.crash(torn);
        let mut journal = open(&disk).expect("a torn tail at most");
        ledger.check(&journal.look(seen), "the first crash");
        ledger.failures.clear();
        disk.cut_power_at(disk.operations() + operation);
        ledger.append(&mut journal, 8);
        let what = format!("torn as {torn}, then power lost at operation {operation}");
        crash_and_go_on(&disk, &mut ledger, 100 * torn + operation, &what);
    }
}

#[test]
fn after_a_failed_sync_nothing_in_doubt_is_acknowledged() {
    let (disk, mut journal, mut ledger) = begun();
    let first = disk.syncs() + 1;
    ledger.run(&mut journal);
    let mut failed = 0;
    for sync in first..=disk.syncs() {
        for seed in 0..6 {
            // Two in a row as well: what is tried next may fail, too.
            for more in [0, 1] {
                let (disk, mut journal, mut ledger) = begun();
                disk.fail_sync(sync);
                disk.fail_sync(sync + more);
                ledger.run(&mut journal);
                failed += ledger.failures.len();
                let what = format!("sync {sync} and {more} more fail, seed {seed}");
                crash_and_go_on(&disk, &mut ledger, 100 * sync + seed, &what);
            }
        }
    }
    assert!(failed > 500, "the syncs of groups are among them: {failed}");
}

#[test]
fn a_failed_sync_closes_its_segment_for_ever() {
    let (disk, mut journal, mut ledger) = begun();
    ledger.append(&mut journal, 0);
    let before = journal.active.as_ref().expect("just written to").name();
    disk.fail_sync(disk.syncs() + 1);
    ledger.append(&mut journal, 1);
    assert!(matches!(ledger.failures[..], [AppendError::Failed(_)]), "{:?}", ledger.failures);
    assert!(journal.active.is_none());
    assert_eq!(journal.shared.metrics.failures.get(), 1);
    ledger.append(&mut journal, 2);
    assert_eq!(ledger.failures.len(), 1);
    assert_ne!(journal.active.as_ref().expect("just written to").name(), before);
    assert!(!journal.folder.list().expect("listed").contains(&before));
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let (disk, mut journal, mut ledger) = begun();
    let first = disk.claims() + 1;
    ledger.run(&mut journal);
    for claim in first..=disk.claims() {
        let (disk, mut journal, mut ledger) = begun();
        disk.fill_at(claim);
        ledger.run(&mut journal);
        assert!(ledger.failures.iter().all(|error| *error == AppendError::NoRoom));
        assert!(claim + 8 > disk.claims() || !ledger.failures.is_empty(), "at claim {claim}");
        disk.make_room();
        let what = format!("full at claim {claim}");
        ledger.append(&mut journal, GROUPS + 3);
        assert!(ledger.doubtful.is_empty(), "{what}: goes on without a restart");
        let files = journal.folder.list().expect("listed");
        assert_eq!(files.len(), journal.segments, "{what}: nothing is left lying about: {files:?}");
        crash_and_go_on(&disk, &mut ledger, claim, &what);
    }
}

#[test]
fn a_full_disk_leaves_what_fits_the_segment() {
    let (disk, mut journal) = new();
    append_to(&mut journal, &records(0..1)).expect("acknowledged");
    // Room inside the segment is not claimed on most filesystems; a snapshot's is.
    let claims = disk.claims();
    disk.fill_at(claims + 1);
    assert!(matches!(journal.compact(), Err(JournalError::Io { .. })));
    disk.make_room();
    append_to(&mut journal, &records(1..2)).expect("in the same segment");
    assert_eq!(journal.active.as_ref().expect("just written to").name(), "00000001.log");
}
