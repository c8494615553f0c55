//! `weir ledger` on a ledger that nobody uses, and `weirctl ledger` on one in use.

use std::fs;
use std::path::Path;
use std::process::Command;

use weir_tests::{Backend, Finished, Process, Runtime, Setup, Weir, binaries, client};
use weir_tests::{on_both_runtimes, tools, wait};

on_both_runtimes!(
    tools_work_on_the_ledger_of_a_killed_gateway,
    tools_keep_off_a_ledger_in_use,
    damage_is_reported_and_never_a_panic,
    a_damaged_journal_is_refused_and_repaired_on_demand,
);

fn setup(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .tables("[[limit]]\nname = \"all\"\nkey = \"address\"\nrate = \"9/366d\"")
        .route("path = \"/*\"\nlimits = [\"all\"]")
}

fn tool(command: &str, paths: &[&Path]) -> Finished {
    let paths = paths.iter().map(|path| path.to_str().expect("UTF-8"));
    let arguments: Vec<_> = ["ledger", command].into_iter().chain(paths).collect();
    tools::weir(&arguments)
}

#[track_caller]
fn done(command: &str, paths: &[&Path]) -> String {
    let finished = tool(command, paths);
    assert!(finished.status.success(), "{command}: {}", finished.stderr);
    finished.stdout
}

/// With something counted and something blocked.
fn used(runtime: Runtime, backend: &Backend) -> Weir {
    let weir = setup(runtime, backend).start();
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    for name in ["ann", "bob"] {
        assert!(weir.ctl(&["bans", "add", "--key", name]).status.success());
    }
    weir
}

fn tools_work_on_the_ledger_of_a_killed_gateway(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = used(runtime, &backend);
    weir.kill();
    let ledger = weir.folder().join("ledger");
    let verified = done("verify", &[&ledger]);
    assert!(verified.contains("in order") && verified.contains("not closed"), "{verified}");
    let dumped = done("dump", &[&ledger]);
    assert!(dumped.contains("\"record\":\"block\"") && dumped.contains("ann"), "{dumped}");
    let compacted = done("compact", &[&ledger]);
    assert!(compacted.contains("records are left"), "{compacted}");
    let copy = weir.folder().join("copy");
    done("backup", &[&ledger, &copy]);
    let again = tool("backup", &[&ledger, &copy]);
    assert_eq!(again.status.code(), Some(1), "a copy is not written over");
    // The copy is a ledger that a gateway can be started on.
    fs::remove_dir_all(&ledger).expect("removes");
    fs::rename(&copy, &ledger).expect("renames");
    weir.restart();
    let listed = weir.ctl(&["bans", "list"]).stdout;
    assert!(listed.contains("key ann") && listed.contains("key bob"), "{listed}");
}

fn tools_keep_off_a_ledger_in_use(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = used(runtime, &backend);
    let (ledger, copy) = (weir.folder().join("ledger"), weir.folder().join("copy"));
    let pid = weir.process().pid();
    for (command, paths) in
        [("dump", &[&*ledger][..]), ("compact", &[&ledger]), ("backup", &[&ledger, &copy])]
    {
        let refused = tool(command, paths);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        assert!(refused.stderr.contains(&format!("process {pid} uses")), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1);
    }
    assert!(!copy.exists() || fs::read_dir(&copy).expect("reads").next().is_none());
    assert!(done("verify", &[&ledger]).contains("in order"));
    // Asked itself, it does all that.
    let status = weir.ctl(&["ledger", "status"]);
    assert!(status.stdout.contains("live table"), "{status:?}");
    assert!(weir.ctl(&["ledger", "verify"]).stdout.contains("in order"));
    assert!(weir.ctl(&["ledger", "compact"]).status.success());
    let relative = weir.ctl(&["ledger", "backup", "copy"]);
    assert!(relative.stderr.contains("not an absolute path"), "{}", relative.stderr);
    let to = weir.folder().join("copy of its own");
    let backed_up = weir.ctl(&["ledger", "backup", to.to_str().expect("UTF-8")]);
    assert!(backed_up.status.success(), "{}", backed_up.stderr);
    assert!(done("verify", &[&to]).contains("in order"));
    assert!(weir.ctl(&["status"]).status.success());
}

fn damage_is_reported_and_never_a_panic(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = used(runtime, &backend);
    assert!(weir.terminate().status.success());
    let ledger = weir.folder().join("ledger");
    let segment = segment(&ledger);
    let whole = [ledger.join("counters"), segment].map(|path| {
        let bytes = fs::read(&path).expect("reads");
        (path, bytes)
    });
    let damages: [(&str, Damage); 4] = [
        ("empty", Vec::clear),
        ("half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("zeroed", |bytes| bytes.fill(0)),
        ("flipped", |bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte)),
    ];
    for (path, bytes) in &whole {
        for (name, damage) in damages {
            let mut damaged = bytes.clone();
            damage(&mut damaged);
            fs::write(path, damaged).expect("writes");
            for command in ["verify", "dump"] {
                let finished = tool(command, &[&ledger]);
                let context = format!("{command} of {name} {}: {finished:?}", path.display());
                // Half of a journal may be whole: its rest was never written.
                let fails = command == "verify" && name != "half";
                assert!(finished.status.code() <= Some(1), "{context}");
                assert!(!fails || finished.status.code() == Some(1), "{context}");
                assert!(!finished.stderr.contains("panicked"), "{context}");
                assert!(finished.stderr.lines().count() <= 2, "{context}");
            }
            fs::write(path, bytes).expect("writes");
        }
    }
    let missing = tool("verify", &[&weir.folder().join("nothing")]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(!weir.folder().join("nothing").exists(), "looking makes no folder");
}

fn a_damaged_journal_is_refused_and_repaired_on_demand(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = setup(runtime, &backend);
    let mut weir = used(runtime, &backend);
    assert!(weir.terminate().status.success());
    let segment = segment(&weir.folder().join("ledger"));
    let mut bytes = fs::read(&segment).expect("reads");
    // The first of the names; the record of the other is whole and comes later.
    let at = bytes.windows(3).position(|window| window == b"ann").expect("a record");
    bytes[at] = b'x';
    fs::write(&segment, &bytes).expect("writes");
    let refused = weir.rival(&setup.toml());
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("weir run --repair"), "{}", refused.stderr);
    assert_eq!(fs::read(&segment).expect("reads"), bytes, "it is left as it is");
    let mut command = Command::new(binaries::weir());
    command.args(["run", "--repair", "--config"]).arg(weir.config_path());
    let process = Process::spawn(command);
    wait::until("it serves", || process.stderr().contains("(control)"));
    assert!(process.stderr().contains("the journal is repaired"), "{}", process.stderr());
    assert_eq!(weir.ctl(&["bans", "list"]).stdout, "nobody is banned\n");
}

/// What is done to a file.
type Damage = fn(&mut Vec<u8>);

/// The journal's only one.
fn segment(ledger: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(ledger.join("journal")).expect("a journal");
    let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    let logs: Vec<_> =
        paths.iter().filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    assert_eq!(logs.len(), 1, "{paths:?}");
    logs[0].clone()
}
