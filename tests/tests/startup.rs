//! Starts that cannot succeed: one clear line, a status that is not 0, and nothing damaged.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::Value;
use weir_tests::{Backend, Client, Finished, Launch, Runtime, Setup, Weir, client};
use weir_tests::{Process, binaries, sandbox, wait};

fn setup() -> Setup {
    Setup::new(Runtime::Epoll).backend(weir_tests::ports::free_address())
}

/// Expects a refusal of exactly one line, which holds all of `words`.
#[track_caller]
fn expect_line(finished: &Finished, words: &[&str]) {
    let text = &finished.stderr;
    assert_eq!(finished.status.code(), Some(1), "{text}");
    assert_eq!((text.lines().count(), finished.stdout.as_str()), (1, ""), "{text}");
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[track_caller]
fn expect_order(finished: &Finished) {
    assert!(finished.status.success(), "{finished:#?}");
}

fn status(weir: &Weir) -> Value {
    serde_json::from_str(&weir.ctl(&["--json", "status"]).stdout).expect("JSON")
}

#[test]
fn every_fault_of_a_configuration_has_its_line() {
    let text = setup().toml();
    let broken = text.replace("shards = 1", "shards = 0").replace("output = \"off\"", "outptu = 1");
    let line_of = |text: &str, word: &str| {
        1 + text.lines().position(|line| line.starts_with(word)).expect("it is there")
    };
    let finished = Launch::new(broken.clone()).refused(|_| {});
    assert_eq!(finished.status.code(), Some(1));
    let lines: Vec<_> = finished.stderr.lines().collect();
    let expected = [
        (format!("weir.toml:{}:", line_of(&broken, "shards")), "must be"),
        (format!("weir.toml:{}:", line_of(&broken, "outptu")), "output"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, (place, word)) in lines.iter().zip(expected) {
        assert!(line.contains(&place) && line.contains(word), "{place} and {word} in {line}");
    }
}

#[test]
fn what_is_not_toml_and_what_is_not_there() {
    expect_line(
        &Launch::new("[engine\nshards = 1\n").refused(|_| {}),
        &["weir.toml:1:", "not TOML"],
    );
    let mut command = std::process::Command::new(binaries::weir());
    command.args(["run", "--config", "/nonexistent/weir.toml"]);
    expect_line(&Process::run(command), &["/nonexistent/weir.toml", "No such file"]);
}

#[test]
fn check_says_what_run_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).expect("writes");
        let mut command = std::process::Command::new(binaries::weir());
        command.arg("check").arg(&path);
        Process::run(command)
    };
    let right = include_str!("../../weir.toml");
    let finished = check(right);
    assert!(finished.status.success(), "{}", finished.stderr);
    assert!(finished.stdout.contains("right"), "{}", finished.stdout);
    let wrong = right.replace("name = \"api\"", "nmae = \"api\"");
    let finished = check(&wrong);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("nmae"), "{}", finished.stderr);
    assert!(!folder.path().join("weir-ledger").exists(), "a check makes nothing");
}

#[test]
fn a_port_that_a_stranger_has() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stranger.local_addr().expect("is bound").to_string();
    for name in ["main", "control"] {
        let config = setup().toml().replace(&format!("127.0.0.1:@port:{name}@"), &address);
        let finished = Launch::new(config).refused(|_| {});
        expect_line(&finished, &["cannot listen on", &address, "another process, or another weir"]);
    }
}

/// Whether the ledger was closed in order, by the newer of its two headers.
fn is_clean(ledger: &Path) -> bool {
    let bytes = std::fs::read(ledger.join("counters")).expect("is there");
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let newest = [0, 2048].into_iter().max_by_key(|at| word(at + 72)).expect("two");
    word(newest + 80) == 1
}

#[test]
fn a_start_in_vain_leaves_the_ledger_as_it_was() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stranger.local_addr().expect("is bound").to_string();
    let mut weir = setup().start();
    let ledger = weir.folder().join("ledger");
    assert!(!is_clean(&ledger), "it is in use");
    expect_order(&weir.terminate());
    assert!(is_clean(&ledger));
    let taken = weir.rival(&setup().toml().replace("127.0.0.1:@port:main@", &address));
    expect_line(&taken, &["cannot listen on", &address]);
    assert!(is_clean(&ledger));
}

#[test]
fn a_port_or_a_socket_that_another_weir_has() {
    let backend = Backend::text("first");
    for runtime in [Runtime::Epoll, Runtime::Glommio] {
        if !runtime.is_here() {
            continue;
        }
        // SO_REUSEPORT must not let a second engine share the address unnoticed.
        let mut weir = Setup::before(runtime, &backend).shards("2").start();
        let elsewhere = setup().toml().replace("@folder@/ledger", "@folder@/other");
        let port = elsewhere.replace("@port:control@", "@port:control2@");
        let port = port.replace("weir.sock", "other.sock");
        let address = weir.address("main").to_string();
        expect_line(&weir.rival(&port), &["cannot listen on", &address, "another weir"]);
        let socket = elsewhere.replace("@port:control@", "@port:control3@");
        let socket = socket.replace("@port:main@", "@port:main3@");
        expect_line(&weir.rival(&socket), &["another weir answers on", "weir.sock"]);
        assert_eq!(client::get(weir.address("main"), "/", &[]).text(), "first");
        assert_eq!(status(&weir)["pid"], weir.process().pid());
    }
}

#[test]
fn two_engines_on_one_ledger() {
    let backend = Backend::text("ok");
    let mut weir = Setup::before(Runtime::Epoll, &backend).start();
    let rival = setup().toml().replace("@port:main@", "@port:main2@");
    let rival = rival.replace("@port:control@", "@port:control2@").replace("weir.sock", "b.sock");
    let pid = format!("pid {}", weir.process().pid());
    expect_line(&weir.rival(&rival), &["another weir already uses the ledger", &pid]);
    assert_eq!(client::get(weir.address("main"), "/", &[]).text(), "ok");
    expect_order(&weir.terminate());
}

/// A ledger that was closed in order, then changed by `change`; what the next start says of it.
fn refused_ledger(change: impl FnOnce(&mut Vec<u8>)) -> Finished {
    let mut weir = setup().start();
    expect_order(&weir.terminate());
    let path = weir.folder().join("ledger/counters");
    let mut bytes = std::fs::read(&path).expect("is there");
    change(&mut bytes);
    std::fs::write(&path, &bytes).expect("writes");
    let finished = weir.rival(&setup().toml());
    assert!(std::fs::read(&path).expect("is there") == bytes, "a refused ledger was written to");
    finished
}

#[test]
fn a_ledger_that_cannot_be_trusted() {
    // Both copies of the header; their version stands behind eight bytes of magic.
    let other_version = refused_ledger(|bytes| {
        for at in [8, 2048 + 8] {
            bytes[at..at + 4].copy_from_slice(&7_u32.to_le_bytes());
        }
    });
    expect_line(&other_version, &["counters", "format version 7", "reads version 2"]);
    let damaged = refused_ledger(|bytes| {
        bytes[30] ^= 1;
        bytes[2048 + 30] ^= 1;
    });
    expect_line(&damaged, &["counters", "damaged", "backup"]);
    let stranger = refused_ledger(|bytes| bytes[..4096].fill(b'x'));
    expect_line(&stranger, &["counters", "is not a weir ledger"]);
    let short = refused_ledger(|bytes| bytes.truncate(bytes.len() / 2));
    expect_line(&short, &["counters", "bytes long"]);
}

#[test]
fn one_damaged_copy_of_the_header_is_survived() {
    for at in [0, 2048] {
        let mut weir = setup().start();
        expect_order(&weir.terminate());
        let path = weir.folder().join("ledger/counters");
        let mut bytes = std::fs::read(&path).expect("is there");
        bytes[at + 30] ^= 1;
        std::fs::write(&path, bytes).expect("writes");
        weir.restart();
    }
}

#[test]
fn another_number_of_slots() {
    let mut weir = setup().engine("slots = 1024").start();
    expect_order(&weir.terminate());
    let finished = weir.rival(&setup().engine("slots = 2048").toml());
    expect_line(&finished, &["has 1024 slots", "says 2048", "slots = 1024"]);
    weir.restart();
}

#[test]
fn a_ledger_or_a_socket_that_cannot_be_made() {
    let in_the_way = |name: &'static str| {
        setup().launch().refused(move |folder: &Path| {
            std::fs::write(folder.join(name), "precious").expect("writes");
        })
    };
    expect_line(&in_the_way("ledger"), &["cannot create", "ledger"]);
    expect_line(&in_the_way("weir.sock"), &["weir.sock", "not a socket"]);
}

#[test]
fn a_dead_socket_is_replaced_and_a_live_one_of_a_stranger_is_not() {
    let weir = setup().start();
    drop(weir);
    let mut weir = setup().start();
    weir.kill();
    assert!(weir.folder().join("weir.sock").exists(), "killed, it could not clean up");
    weir.restart();
    assert!(weir.ctl(&["status"]).status.success());
    let stranger = |folder: &Path| {
        // Listens for as long as this process lives.
        std::mem::forget(UnixListener::bind(folder.join("weir.sock")).expect("binds"));
    };
    expect_line(&setup().launch().refused(stranger), &["answers on", "weir.sock"]);
}

#[test]
fn a_cpu_that_does_not_exist() {
    for runtime in ["epoll", "auto"] {
        let setup = Setup::on(runtime).backend(weir_tests::ports::free_address());
        let finished = setup.shards("[0, 1023]").launch().refused(|_| {});
        expect_line(&finished, &["shards = [0, 1023]", "CPU 1023"]);
    }
}

#[test]
fn where_io_uring_is_forbidden() {
    let backend = Backend::text("ok");
    let behind = |runtime: &str| Setup::on(runtime).backend(backend.address());
    for runtime in ["auto", "epoll"] {
        let mut weir = behind(runtime).shards("2").launch().without_io_uring().start();
        assert_eq!(Client::connect(weir.address("main")).get("/", &[]).text(), "ok");
        let found = status(&weir);
        assert_eq!(found["runtime"], "epoll");
        let reason = found["runtime_reason"].as_str().expect("a reason").to_owned();
        let forbidden = "io_uring is forbidden here (seccomp or kernel.io_uring_disabled)";
        assert_eq!(reason.contains(forbidden), runtime == "auto", "{reason}");
        let said = weir.process().stderr();
        assert!(said.contains("on epoll") && said.contains(&reason), "{said}");
    }
    let finished = behind("glommio").launch().without_io_uring().refused(|_| {});
    expect_line(&finished, &["runtime = \"glommio\"", "forbidden", "\"auto\" or \"epoll\""]);
}

#[test]
fn auto_takes_io_uring_where_it_may() {
    if !Runtime::Glommio.is_here() {
        return;
    }
    let backend = Backend::text("ok");
    let weir = Setup::on("auto").backend(backend.address()).start();
    let found = status(&weir);
    assert_eq!(
        (&found["runtime"], &found["runtime_reason"]),
        (&"glommio".into(), &"io_uring is available".into())
    );
    // IORING_SETUP_COOP_TASKRUN came with Linux 5.19.
    if sandbox::kernel() < (5, 19) {
        sandbox::say_skipped("the kernel has no cooperative rings");
        return;
    }
    wait::until("its rings are cooperative", || {
        let found = status(&weir);
        found["rings_cooperative"].as_u64() > Some(0) && found["rings_plain"] == 0
    });
    let text = weir.ctl(&["status"]).stdout;
    assert!(text.contains("cooperative, 0 plain"), "{text}");
}
