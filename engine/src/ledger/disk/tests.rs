use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::tempdir;

use super::*;

fn contents(folder: &dyn Folder, name: &str) -> io::Result<Vec<u8>> {
    read_all(&*folder.open(name)?)
}

/// What both disks must do alike.
fn conforms(folder: &dyn Folder) {
    assert_eq!(folder.open("a").map(drop).map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
    let file = folder.create("a").expect("a new file");
    file.allocate(10).expect("room");
    file.write_at(b"there", 8).expect("written");
    file.allocate(3).expect("it has that");
    file.sync().expect("synced");
    assert_eq!(contents(folder, "a").expect("there"), b"\0\0\0\0\0\0\0\0there");
    let mut middle = [0; 8];
    assert_eq!(file.read_at(&mut middle, 10).expect("read"), 3);
    assert_eq!(&middle[..3], b"ere");
    assert_eq!(file.read_at(&mut middle, 100).expect("beyond the end"), 0);
    assert_eq!(file.size().expect("there"), 13);

    let anew = folder.create("a").expect("in its place");
    assert_eq!((anew.size().expect("empty"), file.size().expect("still open")), (0, 13));
    folder.rename("a", "b").expect("renamed");
    folder.create("c").expect("a new file").write_at(b"c", 0).expect("written");
    folder.rename("c", "b").expect("in the other's place");
    let inner = folder.folder("inner").expect("a new folder");
    inner.create("d").expect("a new file");
    assert_eq!(folder.folder("inner").expect("the same").list().expect("listed"), ["d"]);
    assert_eq!(inner.path(), folder.path().join("inner"));
    assert_eq!(folder.list().expect("listed"), ["b"]);
    assert_eq!(contents(folder, "b").expect("there"), b"c");
    folder.sync().expect("synced");
    folder.remove("b").expect("removed");
    assert_eq!(folder.remove("b").map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
    assert_eq!(folder.rename("b", "e").map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
    assert!(folder.list().expect("listed").is_empty());
}

#[test]
fn real_and_simulated_folders_do_the_same() {
    let dir = tempdir().expect("a temporary folder");
    conforms(&RealFolder::new(&dir.path().join("a/b")).expect("made"));
    conforms(&*SimDisk::new(0).root());
}

#[test]
fn real_files_are_their_owners_only_and_no_link_is_followed() {
    let dir = tempdir().expect("a temporary folder");
    let folder = RealFolder::new(&dir.path().join("inner")).expect("made");
    folder.create("a").expect("made");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder.path()), mode(&folder.path().join("a"))), (0o700, 0o600));
    std::os::unix::fs::symlink("a", folder.path().join("link")).expect("made");
    let refused = folder.open("link").map(drop).expect_err("a link");
    assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
    folder.create("link").expect("in the link's place").write_at(b"x", 0).expect("written");
    assert!(contents(&folder, "a").expect("there").is_empty());
}

/// Four synced sectors of ones, of which the first, then all, are written over in part and not
/// synced; or in doubt. What a crash leaves.
fn crashed(seed: u64, doubtful: bool) -> Vec<u8> {
    let disk = SimDisk::new(0);
    let root = disk.root();
    let file = root.create("a").expect("made");
    file.write_at(&[1; 4 * SECTOR_BYTES], 0).expect("written");
    file.sync().expect("synced");
    root.sync().expect("synced");
    file.write_at(&[2; 1], 0).expect("written");
    file.write_at(&[3; 3 * SECTOR_BYTES], 1).expect("written");
    if doubtful {
        disk.fail_sync(disk.syncs() + 1);
        file.sync().expect_err("told to fail");
        file.sync().expect("which says nothing about what failed before");
    }
    disk.crash(seed);
    disk.contents(Path::new("/a")).expect("synced")
}

#[test]
fn a_crash_keeps_any_unsynced_sectors_whole() {
    const OLD: &[u8] = &[1; SECTOR_BYTES];
    let mut between = [1; SECTOR_BYTES];
    between[0] = 2;
    let (mut first, mut last) = ([3; SECTOR_BYTES], [1; SECTOR_BYTES]);
    (first[0], last[0]) = (2, 3);
    let middle = [3; SECTOR_BYTES];
    let allowed: [&[&[u8]]; 4] =
        [&[OLD, &between, &first], &[OLD, &middle], &[OLD, &middle], &[OLD, &last]];
    for doubtful in [false, true] {
        let outcomes: BTreeSet<Vec<u8>> = (0..400).map(|seed| crashed(seed, doubtful)).collect();
        for outcome in &outcomes {
            let mut sectors = outcome.chunks(SECTOR_BYTES).zip(allowed);
            assert!(sectors.all(|(sector, allowed)| allowed.contains(&sector)));
        }
        assert_eq!(outcomes.len(), 3 * 2 * 2 * 2, "every combination");
        assert_eq!(crashed(7, doubtful), crashed(7, doubtful), "the seed decides");
    }
}

#[test]
fn names_last_from_the_sync_of_their_folder_on() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(0);
        let root = disk.root();
        root.create("old").expect("made");
        root.sync().expect("synced");
        root.create("a").expect("made").sync().expect("synced");
        root.rename("a", "b").expect("renamed");
        root.remove("old").expect("removed");
        disk.crash(seed);
        root.list().expect_err("from before the crash");
        outcomes.insert(disk.root().list().expect("the power is back"));
    }
    let all = [&["a"][..], &["a", "old"], &["b"], &["b", "old"], &[], &["old"]];
    assert_eq!(
        outcomes,
        all.iter().map(|names| names.iter().map(|&n| n.into()).collect()).collect()
    );
}

#[test]
fn a_failed_sync_of_a_folder_leaves_its_changes_in_doubt() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(0);
        let root = disk.root();
        root.create("a").expect("made");
        disk.fail_sync(1);
        root.sync().expect_err("told to fail");
        root.create("b").expect("made");
        root.sync().expect("synced");
        disk.crash(seed);
        outcomes.insert(disk.root().list().expect("the power is back"));
    }
    assert_eq!(outcomes, [vec!["a".to_owned(), "b".into()], vec!["b".into()]].into());
}

#[test]
fn from_the_cut_on_everything_fails_until_the_crash() {
    let disk = SimDisk::new(0);
    let root = disk.root();
    let file = root.create("a").expect("made");
    file.sync().expect("synced");
    root.sync().expect("synced");
    disk.cut_power_at(disk.operations() + 1);
    file.write_at(b"x", 0).expect_err("the power fails");
    assert!(file.sync().is_err() && file.size().is_err() && root.list().is_err());
    assert_eq!(disk.operations(), 4, "what is tried without power does not count");
    disk.crash(1);
    assert!(disk.root().open("a").expect("synced").size().expect("there") <= 1);
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let disk = SimDisk::new(3);
    let root = disk.root();
    let file = root.create("a").expect("made");
    disk.fill_at(disk.claims() + 2);
    file.write_at(b"fits", 0).expect("room");
    for refused in [
        file.write_at(b"written over", 0),
        file.allocate(100),
        root.create("b").map(drop),
        root.folder("c").map(drop),
    ] {
        assert_eq!(refused.map_err(|e| e.kind()), Err(io::ErrorKind::StorageFull));
    }
    file.sync().expect("which needs no room");
    disk.make_room();
    file.allocate(100).expect("room");
    assert_eq!(file.size().expect("there"), 100);
}

#[test]
fn bits_flip_and_files_shrink_behind_everybodys_back() {
    let disk = SimDisk::new(0);
    let root = disk.root().folder("inner").expect("made");
    root.create("a").expect("made").write_at(b"abc", 0).expect("written");
    let path = root.path().join("a");
    disk.flip_bit(&path, 8).expect("there");
    assert_eq!(disk.contents(&path).expect("there"), b"acc");
    disk.forge(&path, 2, b"xyz").expect("there");
    disk.truncate(&path, 3).expect("there");
    assert_eq!(contents(&*root, "a").expect("there"), b"acx");
    assert!(disk.flip_bit(&path, 24).is_err() && disk.contents(Path::new("/b")).is_err());
}
