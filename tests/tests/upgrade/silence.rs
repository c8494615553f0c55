//! A successor that hangs, and does not even close when it is told that it is too late.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::time::Duration;

use weir_tests::{Backend, Client, Process, Runtime, Weir, wait};

use super::{HELLO, OPENED, READY, RELEASED, YOURS};
use super::{counted, expect_order, frame, limited, read_frame, serves_on};

/// It may prepare for 30 s. To open the ledger it has 15 s, and 5 s to notice that it failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of its own that says so much of a hand-over, and then nothing: what holds the ledger
/// too long is killed, and must not be this test.
fn fall_silent(weir: &Weir, messages: &[&[u8]]) -> Process {
    let path = weir.folder().join("weir.sock");
    let words: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
    let mut command = Command::new("sleep");
    command.arg("1000");
    // SAFETY: between fork and exec the closure makes four system calls, all async-signal-safe, by
    // way of functions that allocate nothing when they succeed, and touches no memory but its own
    // copy of the path and the words.
    unsafe {
        command.pre_exec(move || {
            let mut stream = UnixStream::connect(&path)?;
            stream.write_all(&words)?;
            // As its standard input the connection stays open.
            if libc::dup2(stream.as_raw_fd(), 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    Process::spawn(command)
}

#[track_caller]
fn until_told(weir: &mut Weir, words: &str) {
    wait::until_within(PATIENCE, words, || weir.process().stderr().contains(words));
}

/// Both at once, since most of this is waiting.
#[test]
fn a_successor_that_hangs_changes_nothing() {
    let backend = Backend::text("ok");
    // One hangs before it is ready, which holds up nobody; one with the ledger in its hands.
    let mut early = limited(Runtime::Epoll, &backend, "2").start();
    let on = if Runtime::Glommio.is_here() { Runtime::Glommio } else { Runtime::Epoll };
    let mut late = limited(on, &backend, "2").start();
    let (mut early_counts, mut late_counts) = (0, 0);
    serves_on(&mut early, &mut early_counts);
    serves_on(&mut late, &mut late_counts);
    let mut unready = fall_silent(&early, &[HELLO]);
    let holder = fall_silent(&late, &[HELLO, READY]);

    until_told(&mut early, "asks to take over");
    serves_on(&mut early, &mut early_counts);
    let refused = early.begin_upgrade(&limited(Runtime::Epoll, &backend, "2").toml()).wait();
    assert!(refused.stderr.contains("another upgrade is under way"), "{}", refused.stderr);

    // Who comes meanwhile waits in the kernel, and is served.
    until_told(&mut late, "asks to take over");
    let address = late.address("main");
    let mut waiting: Vec<_> = (0..8).map(|_| Client::connect(address).patience(PATIENCE)).collect();
    waiting.iter_mut().for_each(|client| client.send_get("/", &[]));
    assert!(waiting.iter_mut().all(|client| client.response().status == 200));
    late_counts += waiting.len();
    until_told(&mut late, "does not give up, and is killed");
    until_told(&mut late, "not handed over, and serves on: the other weir took too long");
    assert_eq!(holder.wait().status.signal(), Some(libc::SIGKILL));
    serves_on(&mut late, &mut late_counts);

    until_told(&mut early, "not handed over, and serves on: the other weir took too long");
    assert_eq!(unready.status(), None, "it holds nothing, and is left alone");
    serves_on(&mut early, &mut early_counts);
    for (mut weir, counts) in [(early, early_counts), (late, late_counts)] {
        expect_order(weir.upgrade());
        assert_eq!(counted(weir.address("main")), counts + 1, "a later one takes over");
    }
}

/// A successor that has everything, and takes its time over its sockets.
#[test]
fn who_leaves_answers_until_its_successor_does_and_keeps_off_its_socket() {
    let backend = Backend::text("ok");
    let mut weir = limited(Runtime::Epoll, &backend, "1").start();
    let path = weir.folder().join("weir.sock");
    let mut stream = UnixStream::connect(&path).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets");
    stream.write_all(&[frame(HELLO), frame(READY)].concat()).expect("sends");
    assert_eq!(read_frame(&mut stream)[0], 1, "its sockets");
    assert_eq!(read_frame(&mut stream), RELEASED);
    stream.write_all(&frame(OPENED)).expect("sends");
    assert_eq!(read_frame(&mut stream), YOURS);
    until_told(&mut weir, "has taken over");
    for _ in 0..3 {
        let status = weir.ctl(&["--json", "status"]);
        assert!(status.stdout.contains("\"draining\": true"), "{status:?}");
    }
    drop(stream);
    let finished = weir.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(path.exists(), "it was the successor's to replace");
}
