//! What a process left in shared memory: taken up when it is this ledger's, of this boot and of
//! this time, and never otherwise.

use std::os::unix::fs::symlink;

use super::*;

/// A ledger with 100 counts on the disk and 200 in its live table, whose process was killed.
fn killed() -> Folder {
    let folder = folder();
    let mut ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.sync(WALL).expect("the disk works");
    charge(&ledger.table(), 100);
    assert!(live_path(folder.path()).exists());
    drop(ledger);
    folder
}

#[track_caller]
fn check(folder: &Folder, origin: Origin, left: u64) {
    let ledger = open(folder.path()).expect("the same ledger");
    assert_eq!((ledger.opening().origin, remaining(&ledger, NOW)), (origin, left));
}

#[test]
fn it_is_taken_up_after_a_kill_and_gone_after_a_clean_end() {
    let folder = killed();
    check(&folder, Origin::LiveTable, 800);
    check(&folder, Origin::LiveTable, 800);
    let ledger = open(folder.path()).expect("the same ledger");
    ledger.close(WALL).expect("a clean end");
    assert!(!live_path(folder.path()).exists());
    check(&folder, Origin::Copies, 800);
}

#[test]
fn that_of_another_boot_is_not_believed() {
    let folder = killed();
    let header = header_of(folder.path());
    let file = fs::OpenOptions::new().write(true).open(live_path(folder.path()));
    let forged = file.and_then(|file| file.write_all_at(&live::encode(&[7; 16], &header), 0));
    forged.expect("it is there");
    check(&folder, Origin::Copies, 900);
}

#[test]
fn a_ledger_that_was_put_back_is_not_mixed_with_a_newer_table() {
    let folder = folder();
    let mut ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.sync(WALL).expect("the disk works");
    let backup = fs::read(folder.path().join("counters")).expect("it is there");
    for _ in 0..2 {
        charge(&ledger.table(), 100);
        ledger.sync(WALL).expect("the disk works");
    }
    drop(ledger);
    fs::write(folder.path().join("counters"), backup).expect("it can be written");
    check(&folder, Origin::Copies, 900);
}

#[test]
fn a_kill_between_announcing_a_header_and_writing_it_loses_nothing() {
    let folder = killed();
    // As if the next header had been announced.
    let header = header_of(folder.path());
    let next = Header { generation: header.generation + 1, ..header };
    let file = fs::OpenOptions::new().write(true).open(live_path(folder.path()));
    let forged =
        file.and_then(|file| file.write_all_at(&live::encode(&files::boot_id(), &next), 0));
    forged.expect("it is there");
    check(&folder, Origin::LiveTable, 800);
}

#[test]
fn a_file_that_is_not_as_it_should_be_is_replaced_and_not_followed() {
    type Spoil<'a> = &'a dyn Fn(&Path);
    let victim = tempdir().expect("a temporary folder");
    let victim = victim.path().join("victim");
    fs::write(&victim, "precious").expect("it can be written");
    let cases: [(&str, Spoil<'_>); 5] = [
        ("open to others", &|path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("it is there");
        }),
        ("cut short", &|path| {
            let file = fs::OpenOptions::new().write(true).open(path);
            file.and_then(|file| file.set_len(5_000)).expect("it is there");
        }),
        ("damaged", &|path| {
            let file = fs::OpenOptions::new().write(true).open(path);
            file.and_then(|file| file.write_all_at(b"?", 20)).expect("it is there");
        }),
        ("a link", &|path| {
            fs::remove_file(path).and_then(|()| symlink(&victim, path)).expect("it is there");
        }),
        ("gone", &|path| fs::remove_file(path).expect("it is there")),
    ];
    for (name, spoil) in cases {
        let folder = killed();
        spoil(&live_path(folder.path()));
        let ledger = open(folder.path()).expect("the same ledger");
        assert_eq!(ledger.opening().origin, Origin::Copies, "{name}");
        assert_eq!(remaining(&ledger, NOW), 900, "{name}");
        assert_eq!(ledger.opening().live, LivePlace::Tmpfs, "{name}");
        let metadata = fs::symlink_metadata(live_path(folder.path())).expect("it was made");
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{name}");
    }
    assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
}

#[test]
fn without_shared_memory_a_file_of_the_ledger_serves() {
    let (folder, elsewhere) = (folder(), tempdir().expect("a temporary folder"));
    for shared_memory in [elsewhere.path().join("missing"), PathBuf::from("/proc")] {
        let settings = Settings { live_table: LiveTable::Auto, shared_memory, ..settings() };
        let open = || Ledger::open(folder.path(), &settings, WALL, NOW).expect("a ledger");
        let ledger = open();
        let spent = 1_000 - remaining(&ledger, NOW);
        assert!(matches!(ledger.opening().live, LivePlace::File { .. }));
        assert_eq!(ledger.standing().live(), "file");
        charge(&ledger.table(), 50);
        drop(ledger);
        let ledger = open();
        assert_eq!(ledger.opening().origin, Origin::LiveTable);
        assert_eq!(remaining(&ledger, NOW), 950 - spent);
        ledger.close(WALL).expect("a clean end");
        assert!(!folder.path().join("counters.live").exists());
        let wanted = Settings { live_table: LiveTable::Tmpfs, ..settings.clone() };
        let refused = Ledger::open(folder.path(), &wanted, WALL, NOW).map(|_| ());
        assert!(matches!(refused, Err(LedgerError::NoRoom { .. })), "{refused:?}");
    }
}

#[test]
fn a_running_copy_of_the_folder_does_not_share_a_table() {
    let (folder, copy) = (folder(), folder());
    let mut ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.sync(WALL).expect("the disk works");
    fs::copy(folder.path().join("counters"), copy.path().join("counters")).expect("a copy");
    let settings = Settings { live_table: LiveTable::Auto, ..settings() };
    let other = Ledger::open(copy.path(), &settings, WALL, NOW).expect("a ledger of its own");
    assert!(matches!(&other.opening().live, LivePlace::File { reason } if reason.contains("copy")));
    charge(&other.table(), 100);
    assert_eq!((remaining(&ledger, NOW), remaining(&other, NOW)), (900, 800));
    other.close(WALL).expect("a clean end");
    assert!(live_path(folder.path()).exists());
}

#[test]
fn a_successor_takes_it_up_and_a_predecessor_has_it_back() {
    let folder = folder();
    let mut ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.release(WALL).expect("the disk works");
    let lock = ledger.lock().expect("it has it");
    Ledger::check_successor(folder.path(), SLOTS, &lock).expect("it would");
    let take_over = |lock| Ledger::take_over(folder.path(), &settings(), WALL, NOW, lock);
    let mut successor = take_over(lock).expect("it does");
    assert_eq!(successor.opening().origin, Origin::LiveTable);
    charge(&successor.table(), 100);
    successor.sync(WALL).expect("the disk works");
    // It fails, and is gone.
    drop(successor);
    ledger.resume(WALL, NOW).expect("as before");
    assert_eq!(remaining(&ledger, NOW), 800);
    charge(&ledger.table(), 100);
    ledger.sync(WALL).expect("the disk works");
    ledger.release(WALL).expect("the disk works");
    let successor = take_over(ledger.lock().expect("it has it")).expect("it does");
    ledger.give_up();
    assert_eq!(remaining(&successor, NOW), 700);
    successor.close(WALL).expect("a clean end");
    check(&folder, Origin::Copies, 700);
}

#[test]
fn a_kill_while_copies_are_read_into_a_new_table_loses_nothing() {
    let folder = folder();
    let ledger = open(folder.path()).expect("a new ledger");
    charge(&ledger.table(), 100);
    ledger.close(WALL).expect("a clean end");
    let (header, settings) = (header_of(folder.path()), settings());
    let search = live::Search {
        dir: folder.path(),
        shared_memory: &settings.shared_memory,
        choice: settings.live_table,
        boot_id: files::boot_id(),
        header: &header,
    };
    // What there is of it by then.
    drop(Live::make(&search).expect("there is room"));
    check(&folder, Origin::Copies, 900);
    check(&folder, Origin::LiveTable, 900);
}

#[test]
fn one_that_somebody_has_taken_away_is_no_obstacle_to_an_end() {
    let folder = killed();
    let ledger = open(folder.path()).expect("the same ledger");
    fs::remove_file(live_path(folder.path())).expect("it is there");
    ledger.close(WALL).expect("the counts are on the disk");
    check(&folder, Origin::Copies, 800);
}
