//! The recorder from shard to disk.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;

use tempfile::tempdir;

use super::*;
use crate::ledger::tests::{FORKING, folder};
use crate::metrics::Counter;

mod names;
mod rings;

const SECOND: u64 = 1_000_000_000;
const BYTES: u64 = 1 << 20;
const IDENTITY: u128 = 0x1234_5678_9abc_def0 << 60;
const BASE: UnixNanos = UnixNanos(1_780_000_000 * SECOND);
const NOW: Instant = Instant::from_nanos(5_000 * SECOND);

/// Everything in one folder: what is in `tmpfs` survives the process as tmpfs does.
fn place(dir: &Path) -> Place<'_> {
    Place { ledger: dir, tmpfs: dir, identity: IDENTITY, epoch_base: BASE }
}

fn at(now: Instant) -> Moment {
    Moment { now, wall: UnixNanos(BASE.0 + now.as_nanos()), clock_offset_ns: 0 }
}

fn open(dir: &Path, shards: usize, now_s: u64) -> Flight {
    let now = at(Instant::from_nanos(now_s * SECOND));
    Flight::open(&place(dir), shards, BYTES, false, now).expect("a recorder")
}

/// The `n`-th of a kind.
fn record(n: u64) -> Record {
    Record {
        time: UnixNanos(BASE.0 + n),
        address: Ipv6Addr::from(u128::from(n)),
        key: n,
        user: n + 1,
        cost: 1,
        latency_us: 7,
        status: 200,
        route: 1,
        tier: 2,
        decision: Decision::Forwarded,
        limit: 0,
        flags: IDENTIFIED,
    }
}

fn write(recorder: &Recorder, numbers: std::ops::Range<u64>) {
    let dropped = Counter::new();
    numbers.for_each(|n| recorder.record(&record(n), &dropped));
    assert_eq!(dropped.get(), 0);
}

/// What a file holds, by the records' numbers.
fn read(dir: &Path, shard: usize) -> (Vec<u64>, Skipped) {
    let path = dir.join("flight").join(format!("shard-{shard}"));
    let mut reader = RingReader::open(&path).expect("a ring");
    let mut numbers = Vec::new();
    while let Some(found) = reader.next_record().expect("the file can be read") {
        assert_eq!(found, record(found.key));
        numbers.push(found.key);
    }
    (numbers, reader.skipped())
}

fn live_rings(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("weir-")).count()
}

#[test]
fn what_shards_record_is_read_in_their_order_and_goes_on_after_a_restart() {
    let folder = folder();
    let dir = folder.path();
    let Flight { recorders, mut drain, .. } = open(dir, 2, 1);
    assert_eq!(recorders[0].time(NOW), UnixNanos(BASE.0 + 5_000 * SECOND));
    write(&recorders[0], 0..500);
    drain.run();
    write(&recorders[0], 500..700);
    write(&recorders[1], 10_000..10_010);
    assert_eq!(live_rings(dir), 2);
    drain.close();
    assert_eq!(live_rings(dir), 0);
    let Flight { recorders, drain, .. } = open(dir, 2, 2);
    write(&recorders[0], 700..800);
    drain.close();
    assert_eq!(read(dir, 0), ((0..800).collect(), Skipped::default()));
    assert_eq!(read(dir, 1), ((10_000..10_010).collect(), Skipped::default()));
}

#[test]
fn a_full_live_ring_drops_and_counts() {
    let folder = folder();
    let Flight { recorders, mut drain, .. } = open(folder.path(), 1, 1);
    let dropped = Counter::new();
    (0..live::LIVE_RECORDS + 7).for_each(|n| recorders[0].record(&record(n), &dropped));
    assert_eq!(dropped.get(), 7);
    drain.run();
    assert_eq!(drain.stats().records.get(), live::LIVE_RECORDS);
    recorders[0].record(&record(1), &dropped);
    assert_eq!(dropped.get(), 7, "there is room again");
}

#[test]
fn a_shard_and_the_thread_agree_on_every_record() {
    const RECORDS: u64 = 300_000;
    let folder = folder();
    let path = folder.path().join("ring");
    let ring = Arc::new(LiveRing::create(path, IDENTITY).expect("a ring"));
    let recorder = Recorder::new(Arc::clone(&ring), 0);
    let writer = std::thread::spawn(move || {
        let dropped = Counter::new();
        (0..RECORDS).for_each(|n| recorder.record(&record(n), &dropped));
        dropped.get()
    });
    let (mut buffer, mut seen, mut last) = (Vec::with_capacity(100), 0, None);
    loop {
        let ended = writer.is_finished();
        ring.drain(&mut buffer, |records| {
            for words in records {
                assert_eq!(*words, record(words[3]).words(), "none is torn");
                assert!(last < Some(words[3]), "none comes twice, or too early");
                last = Some(words[3]);
                seen += 1;
            }
        });
        if ended {
            break;
        }
    }
    assert_eq!(seen + writer.join().expect("it ends"), RECORDS);
}

/// The child of [`a_killed_process_loses_no_record`] runs that same test with this set.
const CHILD: &str = "WEIR_FLIGHT_TEST_CHILD";

#[test]
fn a_killed_process_loses_no_record() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return record_until_killed(Path::new(&dir));
    }
    let folder = tempdir().expect("a temporary folder");
    let mut child = recording_child(folder.path());
    // SIGKILL.
    child.kill().expect("it is running");
    child.wait().expect("it was killed");
    // With fewer shards: every ring is found nevertheless.
    let alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    let Flight { drain, .. } = open(folder.path(), 2, 2);
    assert_eq!(live_rings(folder.path()), 2, "only the new ones are left");
    drain.close();
    drop(alone);
    let (first, skipped) = read(folder.path(), 0);
    assert_eq!(first, (0..100).chain(100..321).chain(2_000..2_321).collect::<Vec<_>>());
    assert_eq!(skipped, Skipped::default());
    assert_eq!(read(folder.path(), 1).0, (1_000..1_321).collect::<Vec<_>>());
}

fn record_until_killed(dir: &Path) {
    let Flight { recorders, mut drain, .. } = open(dir, 3, 1);
    write(&recorders[0], 0..100);
    drain.run();
    for (shard, recorder) in (0..).zip(&recorders) {
        let start = if shard == 0 { 100 } else { shard * 1_000 };
        write(recorder, start..shard * 1_000 + 321);
    }
    println!("\nrecorded");
    // The parent never writes: this ends with the process.
    let _ = io::stdin().read(&mut [0]);
}

fn recording_child(dir: &Path) -> Child {
    let alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "ledger::flight::tests::a_killed_process_loses_no_record"])
        .arg("--nocapture")
        .env(CHILD, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test can run itself");
    drop(alone);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line == "recorded")), "the child records");
    child
}

#[test]
fn a_successor_takes_what_its_predecessor_still_records() {
    let folder = folder();
    let dir = folder.path();
    let Flight { recorders: old, drain: mut predecessor, .. } = open(dir, 1, 1);
    write(&old[0], 0..10);
    predecessor.run();
    let later = at(Instant::from_nanos(2 * SECOND));
    let opened = Flight::open(&place(dir), 1, BYTES, true, later).expect("a recorder");
    let Flight { recorders: new, drain: mut successor, .. } = opened;
    // The predecessor has given up, and its last requests end.
    write(&old[0], 10..12);
    write(&new[0], 20..22);
    successor.run();
    write(&old[0], 12..13);
    drop((old, predecessor));
    successor.run();
    assert_eq!(live_rings(dir), 1);
    successor.close();
    assert_eq!(read(dir, 0).0, (0..10).chain(20..22).chain(10..13).collect::<Vec<_>>());
}

#[test]
fn a_process_that_goes_on_takes_up_what_a_failed_successor_wrote() {
    let folder = folder();
    let dir = folder.path();
    let Flight { recorders, mut drain, .. } = open(dir, 1, 1);
    write(&recorders[0], 0..5);
    let later = at(Instant::from_nanos(2 * SECOND));
    drop(Flight::open(&place(dir), 1, BYTES, true, later).expect("a recorder"));
    drain.resume();
    write(&recorders[0], 5..9);
    drain.close();
    assert_eq!(read(dir, 0).0, (0..9).collect::<Vec<_>>());
}

#[test]
fn rings_of_an_engine_that_runs_on_a_copy_of_the_ledger_are_left_to_it() {
    let folder = folder();
    let dir = folder.path();
    let Flight { recorders, drain, .. } = open(dir, 1, 1);
    write(&recorders[0], 0..3);
    let other = folder.path().join("copy");
    let copy = Place { ledger: &other, ..place(dir) };
    let now = at(Instant::from_nanos(2 * SECOND));
    let copied = Flight::open(&copy, 1, BYTES, false, now).expect("a recorder");
    assert_eq!(copied.drain.stats().records.get(), 0);
    drain.close();
    assert_eq!(read(dir, 0).0, [0, 1, 2]);
}

#[test]
fn without_a_tmpfs_the_folder_serves_and_the_operator_hears_so() {
    let folder = folder();
    let dir = folder.path();
    let nowhere = dir.join("nowhere");
    let place = Place { tmpfs: &nowhere, ..place(dir) };
    let opened = Flight::open(&place, 1, BYTES, false, at(NOW)).expect("a recorder");
    let told = opened.told.join("\n");
    assert!(told.starts_with("no room on ") && told.contains("shard 0"), "{told}");
    write(&opened.recorders[0], 0..3);
    drop(opened);
    let opened = Flight::open(&place, 1, BYTES, false, at(Instant::from_nanos(9_000 * SECOND)))
        .expect("a recorder");
    opened.drain.close();
    assert_eq!(read(dir, 0).0, [0, 1, 2]);
}

#[test]
fn a_wall_clock_that_was_set_is_the_one_to_record() {
    let set = UnixNanos(BASE.0 + 90_000 * SECOND);
    let folder = folder();
    let moment = Moment { wall: set, ..at(NOW) };
    let place = place(folder.path());
    let opened = Flight::open(&place, 1, BYTES, false, moment).expect("a recorder");
    assert_eq!(opened.recorders[0].time(NOW), set);
}
