//! The ledger's disk is full: limits go on, nothing that was counted is lost, and whoever is killed
//! then comes up again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use weir_tests::{Backend, Runtime, Setup, Weir, client, wait};
use weir_tests::{on_both_runtimes, sandbox};

on_both_runtimes!(counts_outlive_kills_on_a_full_disk);

const LIMIT: usize = 100_000;
const DISK_BYTES: u64 = 16 << 20;

/// A small filesystem of its own, mounted until it is dropped.
struct Disk {
    at: PathBuf,
    _image: tempfile::TempDir,
}

impl Disk {
    /// `None`, said on the test's output, where this machine lets nobody mount.
    fn mount(at: &Path) -> Option<Self> {
        let image = tempfile::tempdir().expect("a temporary folder");
        let file = image.path().join("image");
        fs::File::create_new(&file).and_then(|f| f.set_len(DISK_BYTES)).expect("a sparse file");
        let run = |command: &mut Command| match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        };
        let made = run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&file));
        let mounted =
            made.and_then(|()| run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(at)));
        if let Err(reason) = mounted {
            sandbox::say_skipped(&format!("no filesystem can be mounted: {}", reason.trim()));
            return None;
        }
        fs::set_permissions(at, fs::Permissions::from_mode(0o700)).expect("it is ours");
        Some(Self { at: at.to_owned(), _image: image })
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(self.at.join("fill"))
            .expect("a file, which takes no block");
        for piece in [1 << 20, 4096, 1] {
            while file.write(&vec![1; piece]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.at.join("fill")).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that failed goes on to say why.
        let _ = Command::new("umount").arg(&self.at).status();
        let folder = self.at.parent().expect("a gateway's folder");
        let _ = fs::remove_dir_all(folder);
    }
}

/// How many were counted, this request included.
#[track_caller]
fn counted(weir: &Weir) -> usize {
    let answer = client::get(weir.address("main"), "/", &[]);
    assert_eq!(answer.status, 200);
    let left = answer.get("x-ratelimit-remaining").expect("the limit's standing");
    LIMIT - left.parse::<usize>().expect("a number")
}

fn counts_outlive_kills_on_a_full_disk(runtime: Runtime) {
    let backend = Backend::text("ok");
    let table = format!("[[limit]]\nname = \"all\"\nkey = \"address\"\nrate = \"{LIMIT}/366d\"\n");
    let setup = Setup::before(runtime, &backend).tables(&table);
    let setup = setup.engine("slots = 1024\nsync_interval = \"100ms\"");
    let setup = setup.access_log("@folder@/ledger/access.log");
    let setup = setup.route("path = \"/*\"\nlimits = [\"all\"]");
    // Goes after the gateway.
    let disk;
    let mut weir = setup.start();
    assert!(weir.terminate().status.success());
    let ledger = weir.folder().join("ledger");
    let Some(mounted) = Disk::mount(&ledger) else { return };
    disk = mounted;
    weir.restart();
    assert_eq!(counted(&weir), 1);
    disk.fill();
    for count in 2..40 {
        assert_eq!(counted(&weir), count);
    }
    // Its files are allocated, so that the disk takes what they say.
    let syncs = weir.metric("weir_ledger_syncs_total");
    wait::until("counts are brought to it", || {
        counted(&weir);
        weir.metric("weir_ledger_syncs_total") >= syncs + 2
    });
    assert_eq!(weir.metric("weir_ledger_failing"), 0);
    wait::until("the log says so", || weir.process().stderr().contains("access log: cannot write"));
    let block = ["bans", "add", "--key", "ann"];
    let refused = weir.ctl(&block);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("is full"), "{refused:?}");
    let mut before = counted(&weir);
    for _ in 0..2 {
        weir.kill();
        disk.fill();
        weir.restart();
        before += 1;
        assert_eq!(counted(&weir), before, "nothing is lost, though there is no room");
    }
    assert!(weir.terminate().status.success(), "an end in order needs none");
    disk.fill();
    weir.restart();
    assert_eq!(counted(&weir), before + 1);
    disk.make_room();
    let log = ledger.join("access.log");
    let length = || fs::metadata(&log).expect("the log").len();
    let full = length();
    wait::until("lines are written again", || {
        counted(&weir);
        length() > full
    });
    let made = weir.ctl(&block);
    assert!(made.status.success(), "without a restart: {made:?}");
    assert!(weir.terminate().status.success());
}
