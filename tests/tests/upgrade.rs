//! Another process takes over: nobody is refused, nothing is lost, and when it fails, nothing has
//! happened.

#[path = "upgrade/silence.rs"]
mod silence;
#[path = "upgrade/under_way.rs"]
mod under_way;

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use weir_tests::{After, Backend, Client, Gate, Process, Runtime, Setup, Weir, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    nobody_notices_under_load_and_counts_go_on,
    a_download_under_way_arrives_whole,
    listeners_come_and_go,
    a_successor_that_cannot_start_changes_nothing,
    a_successor_that_gives_up_on_the_way_changes_nothing,
    a_successor_that_is_killed_changes_nothing,
);

const LIMIT: usize = 1_000_000;

fn limited(runtime: Runtime, backend: &Backend, shards: &str) -> Setup {
    // A window so long that nothing of the count fades.
    let table = format!("[[limit]]\nname = \"all\"\nkey = \"address\"\nrate = \"{LIMIT}/366d\"\n");
    let setup = Setup::before(runtime, backend).shards(shards).tables(&table);
    setup.route("path = \"/*\"\nlimits = [\"all\"]")
}

/// How many were counted, this request included.
#[track_caller]
fn counted(address: SocketAddr) -> usize {
    let response = client::get(address, "/", &[]);
    let remaining = response.get("x-ratelimit-remaining").expect("a limited route");
    LIMIT - remaining.parse::<usize>().expect("a number")
}

#[track_caller]
fn pid(weir: &Weir) -> serde_json::Value {
    let status = weir.ctl(&["--json", "status"]);
    assert!(status.status.success(), "{status:?}");
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    status["pid"].clone()
}

#[track_caller]
fn expect_order(old: Process) {
    let finished = old.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
}

/// One request after another, until told; each must be answered 200. A connection that was used
/// before may be found closed, which a client meets with another one (RFC 9112 section 9.3.1).
fn ask(address: SocketAddr, keep_alive: bool, done: &AtomicBool, answered: &AtomicUsize) {
    let mut kept: Option<Client> = None;
    while !done.load(Ordering::Relaxed) {
        let reused = kept.is_some();
        let mut client = kept.take().unwrap_or_else(|| Client::connect(address));
        let sent = client.try_send(client::request("GET", "/", &[], b""));
        match sent.and_then(|()| client.try_response("GET")) {
            Ok(response) => {
                assert_eq!((response.status, response.text()), (200, "ok"));
                answered.fetch_add(1, Ordering::Relaxed);
                let closes = response.get("connection") == Some("close");
                kept = (keep_alive && !closes).then_some(client);
            }
            Err(error) => {
                let is_closed = matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                );
                assert!(reused && is_closed, "{error}");
            }
        }
    }
}

/// Ends the load, however the test ends.
struct Done<'d>(&'d AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn nobody_notices_under_load_and_counts_go_on(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = limited(runtime, &backend, "1").start();
    let address = weir.address("main");
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for index in 0..6 {
            let (done, answered) = (&done, &answered);
            scope.spawn(move || ask(address, index % 2 == 0, done, answered));
        }
        let _done = Done(&done);
        let some_more = || {
            let before = answered.load(Ordering::Relaxed);
            wait::until("some more", || answered.load(Ordering::Relaxed) > before + 200);
        };
        for shards in ["2", "1", "3", "2"] {
            some_more();
            weir.write_config(&limited(runtime, &backend, shards).toml());
            let mut old = weir.upgrade();
            assert_eq!(pid(&weir), weir.process().pid());
            some_more();
            wait::until("it has drained", || old.status().is_some());
            expect_order(old);
        }
    });
    let answered = answered.load(Ordering::Relaxed);
    assert_eq!(counted(address), answered + 1);
    assert_eq!(backend.requests(), answered + 1);
    assert!(weir.ctl(&["status"]).status.success(), "the socket is the last one's");
    assert!(weir.terminate().status.success());
    weir.restart();
    assert_eq!(counted(address), answered + 2);
    assert_eq!(client::get(weir.address("control"), "/health", &[]).status, 200);
}

/// More than all buffers on the way hold.
const DOWNLOAD_BYTES: usize = 64 << 20;

fn a_download_under_way_arrives_whole(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        if exchange.target() == "/held" {
            held.pass();
            return exchange.reply(200, &[], b"held");
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {DOWNLOAD_BYTES}\r\n\r\n");
        let sent = exchange.send(head.as_bytes()).and_then(|()| {
            let block = vec![b'x'; 1 << 20];
            (0..DOWNLOAD_BYTES >> 20).try_for_each(|_| exchange.send(&block))
        });
        sent.map_or(After::Close, |()| After::KeepAlive)
    });
    let mut weir = Setup::before(runtime, &backend).shards("2").start();
    let mut download = Client::connect(weir.address("main"));
    download.send_get("/download", &[]);
    assert_eq!(download.try_head("GET").expect("a head").0, 200);
    let mut waiting = Client::connect(weir.address("main"));
    waiting.send_get("/held", &[]);
    wait::until("it is at the backend", || backend.requests() == 2);
    let mut old = weir.upgrade();
    assert_eq!(old.status(), None, "it goes on with the download");
    gate.open();
    assert_eq!(waiting.response().text(), "held");
    assert_eq!(client::get(weir.address("main"), "/held", &[]).text(), "held");
    let mut left = DOWNLOAD_BYTES;
    while left > 0 {
        let bytes = download.read().expect("more of the body");
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == b'x'), "{left} are missing");
        left -= bytes.len();
    }
    expect_order(old);
    assert_eq!(pid(&weir), weir.process().pid());
}

fn listeners_come_and_go(runtime: Runtime) {
    let backend = Backend::text("ok");
    let listener = |port: &str| format!("[[listener]]\naddress = \"127.0.0.1:@port:{port}@\"\n");
    let setup = Setup::before(runtime, &backend);
    let mut weir = setup.clone().tables(&listener("gone")).start();
    assert_eq!(client::get(weir.address("gone"), "/", &[]).status, 200);
    weir.write_config(&setup.tables(&listener("fresh")).toml());
    expect_order(weir.upgrade());
    for port in ["main", "fresh"] {
        assert_eq!(client::get(weir.address(port), "/", &[]).status, 200);
    }
    assert!(Client::try_connect(weir.address("gone")).is_err());
}

/// It serves on, and nothing but `charged` more requests was counted.
#[track_caller]
fn serves_on(weir: &mut Weir, counts: &mut usize) {
    *counts += 1;
    assert_eq!(counted(weir.address("main")), *counts);
    assert_eq!(pid(weir), weir.process().pid());
}

fn a_successor_that_cannot_start_changes_nothing(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = limited(runtime, &backend, "2");
    let mut weir = setup.start();
    let mut kept = Client::connect(weir.address("main"));
    assert_eq!(kept.get("/", &[]).status, 200);
    let mut counts = 1;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = stranger.local_addr().expect("is bound").to_string();
    let toml = setup.toml();
    for (config, reason) in [
        (toml.replace("shards = 2", "shards = 0"), "must be"),
        (toml.replace("@folder@/ledger", "@folder@/other"), "has another ledger"),
        (setup.clone().engine("slots = 1024").toml(), "has 65536 slots"),
        (toml.replace("127.0.0.1:@port:control@", &taken), "cannot listen on"),
    ] {
        let refused = weir.begin_upgrade(&config).wait();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(reason), "{reason} in {}", refused.stderr);
        serves_on(&mut weir, &mut counts);
    }
    assert!(!weir.folder().join("other").exists());
    assert_eq!(kept.get("/", &[]).status, 200, "connections were left alone");
    counts += 1;
    let other = toml.replace("weir.sock", "nobody.sock");
    let refused = weir.begin_upgrade(&other).wait();
    assert!(refused.stderr.contains("nobody answers"), "{}", refused.stderr);
    serves_on(&mut weir, &mut counts);
}

/// A frame of the hand-over, version 1.
fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).expect("short");
    [&length.to_le_bytes()[..], &[0x81], body].concat()
}

/// The body of the next frame; descriptors that come with it are lost.
fn read_frame(stream: &mut UnixStream) -> Vec<u8> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).expect("a header");
    let mut payload = vec![0; u32::from_le_bytes(header) as usize];
    stream.read_exact(&mut payload).expect("a payload");
    assert_eq!(payload.remove(0), 0x81);
    payload
}

const HELLO: &[u8] = &[0, 1, b'x', 9];
const READY: &[u8] = &[1];
const OPENED: &[u8] = &[2];
const RELEASED: &[u8] = &[2];
const YOURS: &[u8] = &[3];

fn a_successor_that_gives_up_on_the_way_changes_nothing(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = limited(runtime, &backend, "2").start();
    let connect = |weir: &Weir| {
        let stream = UnixStream::connect(weir.folder().join("weir.sock")).expect("connects");
        stream.set_read_timeout(Some(wait::PATIENCE)).expect("sets");
        stream
    };
    let mut counts = 0;
    serves_on(&mut weir, &mut counts);
    // After Hello, and after a message that is out of turn.
    for message in [None, Some(RELEASED)] {
        let mut stream = connect(&weir);
        stream.write_all(&frame(HELLO)).expect("sends");
        assert_eq!(read_frame(&mut stream)[0], 1, "its sockets");
        if let Some(message) = message {
            stream.write_all(&frame(message)).expect("sends");
            assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
        }
        drop(stream);
        serves_on(&mut weir, &mut counts);
    }
    // When the ledger is its own already, while others wait to be let in.
    let mut stream = connect(&weir);
    stream.write_all(&frame(HELLO)).expect("sends");
    read_frame(&mut stream);
    let mut second = connect(&weir);
    second.write_all(&frame(HELLO)).expect("sends");
    assert_eq!(read_frame(&mut second)[0], 0, "a refusal: one at a time");
    stream.write_all(&frame(READY)).expect("sends");
    assert_eq!(read_frame(&mut stream), RELEASED);
    let mut waiting = Client::connect(weir.address("main"));
    waiting.send_get("/", &[]);
    drop(stream);
    assert_eq!(waiting.response().status, 200);
    counts += 1;
    serves_on(&mut weir, &mut counts);
    let says = "not handed over, and serves on";
    wait::until("it says so", || weir.process().stderr().matches(says).count() == 3);
    // And another one can take over.
    expect_order(weir.upgrade());
    serves_on(&mut weir, &mut counts);
}

fn a_successor_that_is_killed_changes_nothing(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = limited(runtime, &backend, "1");
    let mut weir = setup.start();
    let mut counts = 0;
    for round in 1..=3 {
        // Idle connections are given a quarter of a second, in which the kill comes.
        let mut idle = Client::connect(weir.address("main"));
        assert_eq!(idle.get("/", &[]).status, 200);
        counts += 1;
        let mut successor = weir.begin_upgrade(&setup.toml());
        let mut said = |words: &str| {
            let said = || weir.process().stderr().matches(words).count() == round;
            wait::until(words, said);
        };
        said("asks to take over");
        successor.kill();
        said("not handed over");
        serves_on(&mut weir, &mut counts);
    }
    expect_order(weir.upgrade());
    serves_on(&mut weir, &mut counts);
}
