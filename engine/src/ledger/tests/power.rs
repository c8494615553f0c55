//! Loss of power, failing syncs and full disks: what the disk acknowledged is there, and nothing
//! that never was.

use super::super::disk::SimDisk;
use super::shelf::{self, Draws, Shelf};
use super::*;

const ROUNDS: u64 = 6;

/// A ledger is made, used for some rounds and closed; where the power fails, it stops.
fn session(shelf: &mut Shelf, disk: &SimDisk, draws: &mut Draws) -> Result<(), LedgerError> {
    let (mut copies, _, _) = shelf::open(disk)?;
    for _ in 0..ROUNDS {
        let changes = draws.below(12);
        shelf.change(draws, changes);
        shelf::round(shelf, &mut copies, draws)?;
    }
    copies.mark(true, WALL, |_| ())
}

#[test]
fn a_loss_of_power_at_any_operation_leaves_what_was_acknowledged() {
    for seed in 1..=12 {
        let whole = SimDisk::new(seed);
        session(&mut Shelf::new(), &whole, &mut Draws(seed)).expect("nothing fails");
        for operation in 1..=whole.operations() {
            let context = format!("seed {seed}, operation {operation}");
            let (disk, mut shelf, mut draws) = (SimDisk::new(seed), Shelf::new(), Draws(seed));
            disk.cut_power_at(operation);
            session(&mut shelf, &disk, &mut draws).expect_err(&context);
            disk.crash(seed * 1_000 + operation);
            let (copies, damage, found) = shelf::open(&disk).expect(&context);
            shelf.recover(&found, true, &context);
            // A copy may be torn, but never the acknowledged one.
            assert_eq!((damage.lost, damage.older), (0, 0), "{context}: {damage}");
            drop(copies);
            // And the same again, wherever that leads.
            disk.cut_power_at(disk.operations() + 1 + draws.below(60));
            let ended = session(&mut shelf, &disk, &mut draws);
            disk.crash(seed * 2_000 + operation);
            let (_, damage, found) = shelf::open(&disk).expect(&context);
            shelf.recover(&found, true, &format!("{context}, again, {ended:?}"));
            assert_eq!((damage.lost, damage.older), (0, 0), "{context}, again: {damage}");
        }
    }
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_the_next_round_writes_it_anew() {
    for seed in 1..=12 {
        let whole = SimDisk::new(seed);
        session(&mut Shelf::new(), &whole, &mut Draws(seed)).expect("nothing fails");
        let made = {
            let disk = SimDisk::new(seed);
            shelf::open(&disk).expect("nothing fails");
            disk.syncs()
        };
        for sync in made + 1..=whole.syncs() {
            let context = format!("seed {seed}, sync {sync}");
            let (disk, mut shelf, mut draws) = (SimDisk::new(seed), Shelf::new(), Draws(seed));
            let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails yet");
            disk.fail_sync(sync);
            let mut failures = 0;
            for _ in 0..ROUNDS {
                let changes = draws.below(12);
                shelf.change(&mut draws, changes);
                failures += u32::from(shelf::round(&mut shelf, &mut copies, &mut draws).is_err());
            }
            assert!(failures <= 1, "{context}: {failures} rounds failed");
            disk.crash(seed * 3_000 + sync);
            let (_, damage, found) = shelf::open(&disk).expect(&context);
            shelf.recover(&found, true, &context);
            assert_eq!((damage.lost, damage.older), (0, 0), "{context}: {damage}");
        }
    }
}

/// A value that comes back to what was acknowledged before the failure is not taken for it: a copy
/// of the value in between may be on the disk.
#[test]
fn what_is_in_doubt_is_written_though_it_looks_like_what_is_acknowledged() {
    for seed in 1..=40 {
        let (disk, mut draws) = (SimDisk::new(seed), Draws(seed));
        let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
        let mut round = |shelf: &Shelf| {
            copies.begin(shelf);
            while copies.step(shelf, WALL, |_| ())? {}
            copies.finish(shelf, WALL, |_| ())
        };
        let (mut before, mut between) = (Shelf::new(), Shelf::new());
        before.change(&mut Draws(seed), 500);
        between.change(&mut draws, 600);
        round(&before).expect("nothing fails");
        disk.fail_sync(disk.syncs() + 1);
        round(&between).expect_err("the sync fails");
        round(&before).expect("nothing fails");
        disk.crash(seed);
        let (_, _, found) = shelf::open(&disk).expect("it opens");
        assert_eq!(found, before.values(), "seed {seed}");
    }
}

/// A sync fails, the process is killed, its successor goes on, and then the power fails: what the
/// failed sync left in the page cache was never on the disk, and looks as if it were.
#[test]
fn a_kill_after_a_failed_sync_does_not_make_it_true() {
    for seed in 1..=60 {
        for operation in 1..40 {
            let context = format!("seed {seed}, operation {operation}");
            let (disk, mut shelf, mut draws) = (SimDisk::new(seed), Shelf::new(), Draws(seed));
            let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
            for _ in 0..2 {
                shelf.change(&mut draws, 30);
                shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
            }
            disk.fail_sync(disk.syncs() + 1);
            shelf.change(&mut draws, 30);
            shelf::round(&mut shelf, &mut copies, &mut draws).expect_err("the sync fails");
            let acknowledged = copies.header.generation;
            drop(copies);
            disk.cut_power_at(disk.operations() + operation);
            let ended = shelf::open_after(&disk, acknowledged)
                .and_then(|(mut copies, _, _)| shelf::round(&mut shelf, &mut copies, &mut draws));
            disk.crash(seed * 4_000 + operation);
            let (_, damage, found) = shelf::open(&disk).expect(&context);
            shelf.recover(&found, true, &format!("{context}: {ended:?}"));
            assert_eq!(damage.lost, 0, "{context}: {damage}");
        }
    }
}

#[test]
fn a_full_disk_stops_copies_until_there_is_room() {
    let seed = 7;
    let (disk, mut shelf, mut draws) = (SimDisk::new(seed), Shelf::new(), Draws(seed));
    let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
    shelf.change(&mut draws, 20);
    shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
    disk.fill_at(disk.claims() + 2);
    shelf.change(&mut draws, 20);
    for _ in 0..3 {
        shelf::round(&mut shelf, &mut copies, &mut draws).expect_err("it is full");
    }
    disk.make_room();
    shelf::round(&mut shelf, &mut copies, &mut draws).expect("there is room");
    disk.crash(seed);
    let (_, damage, found) = shelf::open(&disk).expect("it opens");
    shelf.recover(&found, true, "full");
    assert_eq!(damage, Damage::default());
}

#[test]
fn a_block_that_does_not_come_to_rest_is_not_acknowledged() {
    let (disk, mut shelf, mut draws) = (SimDisk::new(1), Shelf::new(), Draws(1));
    let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
    shelf.change(&mut draws, 20);
    // For a moment: it is waited for.
    shelf.disturb(5);
    shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
    shelf.change(&mut draws, 20);
    shelf.disturb(u32::MAX);
    copies.begin(&shelf);
    while copies.step(&shelf, WALL, |_| ()).expect("nothing fails") {}
    let outcome = copies.finish(&shelf, WALL, |_| ()).expect("nothing fails");
    assert_eq!((outcome.written, outcome.complete), (0, false));
    shelf.disturb(0);
    shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
    disk.crash(1);
    let (_, _, found) = shelf::open(&disk).expect("it opens");
    shelf.recover(&found, true, "at rest");
}

#[test]
fn what_did_not_change_is_not_written() {
    let (disk, mut shelf, mut draws) = (SimDisk::new(1), Shelf::new(), Draws(1));
    let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
    shelf.change(&mut draws, 20);
    for _ in 0..2 {
        shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
    }
    // What changed during the last round.
    copies.begin(&shelf);
    while copies.step(&shelf, WALL, |_| ()).expect("nothing fails") {}
    copies.finish(&shelf, WALL, |_| ()).expect("nothing fails");
    let before = disk.operations();
    shelf::round(&mut shelf, &mut copies, &mut Draws(1)).expect("nothing fails");
    assert_eq!(disk.operations(), before);
}

/// The whole ledger on a disk that fills up: serving goes on, each change is told once.
#[test]
fn a_ledger_tells_once_that_copies_fail_and_once_that_they_go_on() {
    let folder = folder();
    let disk = SimDisk::new(1);
    let root = disk.root();
    let lock = files::lock(folder.path()).expect("nobody has it");
    let moment = (WALL, NOW);
    let opened = Ledger::open_locked(folder.path(), &*root, &settings(), moment, lock);
    let mut ledger = opened.expect("a new ledger");
    let (table, standing) = (ledger.table(), ledger.standing());
    charge(&table, 1);
    assert!(work(&mut ledger).is_none());
    assert_eq!((standing.syncs(), standing.failures(), standing.is_failing()), (1, 0, false));
    disk.fill_at(disk.claims() + 1);
    for round in 1..=3 {
        charge(&table, 1);
        let news = work(&mut ledger);
        assert_eq!(matches!(news, Some(News::Failing(LedgerError::Io { .. }))), round == 1);
        assert_eq!((standing.failures(), standing.is_failing()), (round, true));
    }
    let later = Instant::from_nanos(NOW.as_nanos() + 7 * SECOND);
    assert_eq!(standing.sync_age(later), Duration::from_secs(7));
    disk.make_room();
    assert!(matches!(work(&mut ledger), Some(News::Recovered)));
    assert_eq!((standing.syncs(), standing.failures(), standing.is_failing()), (2, 3, false));
    ledger.live.remove().expect("it is there");
}

/// Slices until a round has ended; the clock stands.
fn work(ledger: &mut Ledger) -> Option<News> {
    loop {
        let Work { news, .. } = ledger.work(|| NOW, WALL);
        if ledger.round.is_none() {
            return news;
        }
    }
}

/// With a small disk behind it, so that reads of a file that is cut short are seen too.
#[test]
fn a_file_cut_short_while_in_use_is_damage() {
    let (disk, mut shelf, mut draws) = (SimDisk::new(1), Shelf::new(), Draws(1));
    let (mut copies, _, _) = shelf::open(&disk).expect("nothing fails");
    shelf.change(&mut draws, 20);
    shelf::round(&mut shelf, &mut copies, &mut draws).expect("nothing fails");
    let root = disk.root();
    let bytes = root.open("counters").and_then(|file| file.size()).expect("it is there");
    let bytes = usize::try_from(bytes).expect("small");
    disk.truncate(&root.path().join("counters"), bytes / 2).expect("it is there");
    let refused = shelf::open(&disk).map(|_| ()).expect_err("it is too short");
    assert!(matches!(refused, LedgerError::WrongSize { .. }), "{refused}");
    let damage = copies.read(u64::MAX, |_, _| ()).expect("it can be read");
    assert_ne!(damage, Damage::default());
}
