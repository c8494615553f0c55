use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tempfile::{TempDir, tempdir};
use weir_protocol::limit::meter::Meter;

use super::header::{Chosen, Header, PAGE_BYTES};
use super::journal::Report;
use super::*;
use crate::slots::{Charge, Policy, SLOT_BYTES, SubjectHash};

mod damage;
mod left;
mod offline;
mod power;
mod shelf;

const SECOND: u64 = 1_000_000_000;
const SLOTS: usize = 64;
/// Some moment of 2026.
const WALL: UnixNanos = UnixNanos(1_780_000_000 * SECOND);
const NOW: Instant = Instant::from_nanos(5_000 * SECOND);

fn sized(slots: usize) -> Settings {
    Settings { slots, ..settings() }
}

/// With the live table on tmpfs.
fn settings() -> Settings {
    Settings::new(SLOTS, LiveTable::Tmpfs)
}

fn open(dir: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(dir, &settings(), WALL, NOW)
}

/// The live table of the ledger in `dir`, in shared memory.
fn live_path(dir: &Path) -> PathBuf {
    live::tmpfs_path(Path::new("/dev/shm"), &header_of(dir).identity)
}

fn header_of(dir: &Path) -> Header {
    let folder = RealFolder::new(dir).expect("it is there");
    let counters = Counters::open(&folder).expect("it opens").expect("it is there");
    counters.read_header().expect("it is sound").header
}

fn refused(dir: &Path) -> String {
    open(dir).map(|_| ()).expect_err("a ledger that must be refused").to_string()
}

fn policy() -> Policy {
    Policy::new("test", Meter::window(1_000, 60 * SECOND).expect("within the bounds"))
}

fn key(table: &SlotTable) -> SubjectHash {
    table.subject(&[b"203.0.113.7"])
}

fn charge(table: &SlotTable, units: u32) {
    for _ in 0..units {
        let charge = table.charge(key(table), &policy(), NOW, 1, &"");
        assert!(matches!(charge, Charge::Admitted { .. }), "{charge:?}");
    }
}

fn remaining(ledger: &Ledger, now: Instant) -> u64 {
    let table = ledger.table();
    table.peek(key(&table), &policy(), now).remaining
}

/// Overwrites bytes of `counters`.
fn forge(dir: &Path, at: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(dir.join("counters"));
    file.and_then(|file| file.write_all_at(bytes, at)).expect("the file is there");
}

/// Between fork and exec a child holds copies of this process's locks, whichever test forked it. So
/// nobody forks while a test may open a ledger again.
pub(super) static FORKING: RwLock<()> = RwLock::new(());

pub(super) struct Folder {
    dir: TempDir,
    _nobody_forks: RwLockReadGuard<'static, ()>,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Folder {
    /// Shared memory outlives the folder.
    fn drop(&mut self) {
        let folder = RealFolder::new(self.path()).expect("it is there");
        if let Ok(Some(counters)) = Counters::open(&folder)
            && let Ok(Chosen { header: Header { identity, .. }, .. }) = counters.read_header()
        {
            let _ = fs::remove_file(live::tmpfs_path(Path::new("/dev/shm"), &identity));
        }
    }
}

pub(super) fn folder() -> Folder {
    let nobody_forks = FORKING.read().unwrap_or_else(PoisonError::into_inner);
    Folder { dir: tempdir().expect("a temporary folder"), _nobody_forks: nobody_forks }
}

#[test]
fn counts_survive_a_close_and_an_opening() {
    let folder = folder();
    let dir = folder.path().join("a/b");
    let ledger = open(&dir).expect("a new ledger");
    let created = Opening {
        origin: Origin::Created,
        clean: true,
        recovered: Recovered::default(),
        damage: Damage::default(),
        copies_age: Duration::ZERO,
        live: LivePlace::Tmpfs,
        journal: Report::default(),
    };
    assert_eq!(*ledger.opening(), created);
    charge(&ledger.table(), 400);
    ledger.close(WALL).expect("a clean end");

    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!([mode(&dir.join("counters")), mode(&dir.join("lock"))], [0o600; 2]);

    let again = open(&dir).expect("the same ledger");
    let recovered = Recovered { kept: 1, ..Recovered::default() };
    assert_eq!(*again.opening(), Opening { origin: Origin::Copies, recovered, ..created });
    assert_eq!(remaining(&again, NOW), 600);
    drop(again);
    let again = open(&dir).expect("the same ledger");
    assert!(!again.opening().clean, "it was not closed");
    again.close(WALL).expect("a clean end");
}

/// The child of [`a_killed_process_loses_no_count`] runs that same test with this set.
const CHILD: &str = "WEIR_LEDGER_TEST_CHILD";

#[test]
fn a_killed_process_loses_no_count() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return count_until_killed(Path::new(&dir));
    }
    let folder = tempdir().expect("a temporary folder");
    let mut child = counting_child(folder.path());
    let in_use = refused(folder.path());
    assert!(in_use.starts_with("another weir already uses the ledger at "), "{in_use}");
    assert!(in_use.contains(&format!("(pid {})", child.id())), "{in_use}");
    // SIGKILL.
    child.kill().expect("it is running");
    child.wait().expect("it was killed");

    let ledger = open(folder.path()).expect("the lock died with the process");
    assert!(!ledger.opening().clean);
    assert_eq!(ledger.opening().origin, Origin::LiveTable);
    assert_eq!(remaining(&ledger, NOW), 1_000 - 321);
    ledger.close(WALL).expect("a clean end");
}

fn count_until_killed(dir: &Path) {
    let ledger = open(dir).expect("a new ledger");
    charge(&ledger.table(), 321);
    println!("\ncounted");
    // The parent never writes: this ends with the process.
    let _ = std::io::stdin().read(&mut [0]);
}

fn counting_child(dir: &Path) -> Child {
    let alone = FORKING.write().unwrap_or_else(PoisonError::into_inner);
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "ledger::tests::a_killed_process_loses_no_count", "--nocapture"])
        .env(CHILD, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test can run itself");
    drop(alone);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line == "counted")), "the child counts");
    child
}

#[test]
fn the_lock_lasts_as_long_as_the_table_is_used() {
    let folder = folder();
    let ledger = open(folder.path()).expect("a new ledger");
    let table = ledger.table();
    drop(ledger);
    assert!(matches!(open(folder.path()), Err(LedgerError::InUse { .. })));
    drop(table);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn time_goes_on_within_a_boot_and_across_boots() {
    let folder = folder();
    let ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 400);
    ledger.close(WALL).expect("a clean end");

    // The same boot: the wall clock may do as it likes.
    let wall = UnixNanos(WALL.0 + 86_400 * SECOND);
    let ledger = Ledger::open(folder.path(), &settings(), wall, NOW).expect("the same ledger");
    assert_eq!(remaining(&ledger, NOW), 600);
    ledger.close(WALL).expect("a clean end");

    // Another boot 70 s later, whose clock began anew. 5,070 s of table time are 30 s within the
    // next epoch: half of the 400 weighs.
    let now = Instant::from_nanos(7 * SECOND);
    let ledger = open_in_boot(folder.path(), [7; 16], WALL.0 + 70 * SECOND, now);
    assert_eq!(remaining(&ledger, now), 800);
    ledger.close(WALL).expect("a clean end");

    // The wall clock was set back by an hour: what counts in the future is freed.
    let ledger = open_in_boot(folder.path(), [8; 16], WALL.0 - 3_600 * SECOND, now);
    assert_eq!(ledger.opening().recovered, Recovered { future: 1, ..Recovered::default() });
    assert_eq!(remaining(&ledger, now), 1_000);
}

/// Opens the ledger as if it had last been used in another boot.
fn open_in_boot(dir: &Path, last_boot: BootId, wall_ns: u64, now: Instant) -> Ledger {
    let folder = RealFolder::new(dir).expect("it is there");
    let counters = Counters::open(&folder).expect("it opens").expect("it is there");
    let header = counters.read_header().expect("it is sound").header;
    counters.write_header(&Header { boot_id: last_boot, ..header }).expect("it can be written");
    Ledger::open(dir, &settings(), UnixNanos(wall_ns), now).expect("the same ledger")
}

#[test]
fn what_is_no_ledger_of_this_version_is_refused_and_left_alone() {
    type Spoil<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Spoil<'_>, &str); 6] = [
        ("magic", &|dir| [0, 2048].iter().for_each(|&at| forge(dir, at, b"x")), "is not a weir"),
        (
            "version",
            &|dir| [0, 2048].iter().for_each(|&at| forge(dir, at + 8, &[9])),
            "format version 9, this weir reads version 2",
        ),
        (
            "checksum",
            &|dir| [0, 2048].iter().for_each(|&at| forge(dir, at + 30, b"xyz")),
            "damaged",
        ),
        (
            "length",
            &|dir| forge(dir, 4096 + 4 * 4608, b"more"),
            "is 22532 bytes long, its header promises 22528",
        ),
        (
            "text",
            &|dir| fs::write(dir.join("counters"), "hello").expect("written"),
            "is not a weir",
        ),
        ("nothing", &|dir| fs::write(dir.join("counters"), "").expect("written"), "is not a weir"),
    ];
    for (name, spoil, expected) in cases {
        let folder = folder();
        let ledger = open(folder.path()).expect("a new ledger");
        charge(&ledger.table(), 4);
        ledger.close(WALL).expect("a clean end");
        spoil(folder.path());
        let before = fs::read(folder.path().join("counters")).expect("it is there");
        let error = refused(folder.path());
        assert!(error.contains(expected), "{name}: {error}");
        assert!(error.contains("counters"), "{name}: {error}");
        let after = fs::read(folder.path().join("counters")).expect("it is there");
        assert!(before == after, "{name}: the file was changed");
    }
}

#[test]
fn another_number_of_slots_is_refused_with_the_right_one() {
    let folder = folder();
    open(folder.path()).expect("a new ledger").close(WALL).expect("a clean end");
    let error =
        Ledger::open(folder.path(), &sized(128), WALL, NOW).map(|_| ()).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("has 64 slots, the configuration says 128; set `slots = 64`"), "{text}");
    for slots in [0, 4, 65, 1 << 63] {
        let error = Ledger::open(folder.path(), &sized(slots), WALL, NOW).map(|_| ());
        assert!(matches!(error, Err(LedgerError::Slots { .. })), "{slots}");
    }
}

#[test]
fn a_header_cut_short_leaves_the_other() {
    for damaged in [0, 2048] {
        let folder = folder();
        let ledger = open(folder.path()).expect("a new ledger");
        charge(&ledger.table(), 400);
        ledger.close(WALL).expect("a clean end");
        forge(folder.path(), damaged + 70, b"torn");
        let ledger = open(folder.path()).expect("one copy is enough");
        assert_eq!(remaining(&ledger, NOW), 600, "{damaged}");
        let told = Damage { header: true, ..Damage::default() };
        assert_eq!(ledger.opening().damage, told, "{damaged}");
        ledger.close(WALL).expect("a clean end");
        // The damaged copy was the next to be written.
        forge(folder.path(), 2048 - damaged + 70, b"torn");
        assert_eq!(remaining(&open(folder.path()).expect("and again"), NOW), 600, "{damaged}");
    }
}

#[test]
fn a_file_that_does_not_fit_is_not_left_half_made() {
    let folder = folder();
    // 2^57 bytes and more: beyond what any filesystem stores.
    let error = Ledger::open(folder.path(), &sized(1 << 49), WALL, NOW).map(|_| ());
    assert!(matches!(error, Err(LedgerError::NoRoom { .. })), "{error:?}");
    let names: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["lock"]);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn a_sealed_slot_of_a_killed_process_is_freed() {
    let folder = folder();
    let ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 4);
    drop(ledger);
    let path = live_path(folder.path());
    let bytes = fs::read(&path).expect("it is there");
    let slot = (0..SLOTS).find(|slot| bytes[PAGE_BYTES + slot * SLOT_BYTES..][..8] != [0; 8]);
    let word_at = PAGE_BYTES + slot.expect("a key has a slot") * SLOT_BYTES + 8;
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.write_all_at(&[0xFF; 8], word_at as u64).expect("it can be written");
    let ledger = open(folder.path()).expect("the same ledger");
    assert_eq!(ledger.opening().recovered, Recovered { sealed: 1, ..Recovered::default() });
    assert_eq!(remaining(&ledger, NOW), 1_000);
    assert_eq!(ledger.table().occupancy().used, 0);
}
