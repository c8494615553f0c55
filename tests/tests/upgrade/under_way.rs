//! TLS and tunnels over an upgrade: what was begun ends where it began, and who comes is served.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::HandshakeKind;
use weir_tests::tls::{Authority, Secure, TlsClient, is_here, s_client};
use weir_tests::{After, Backend, Client, Ending, Exchange, Runtime, Setup, backend, client};
use weir_tests::{on_both_runtimes, wait};

use super::{Done, expect_order};

on_both_runtimes!(
    handshakes_and_requests_succeed_throughout,
    sessions_of_before_are_no_obstacle,
    tunnels_and_downloads_go_on_to_their_ends,
    a_tunnel_without_an_end_is_cut,
);

fn authority() -> Authority {
    let authority = Authority::default();
    authority.certify("main", &["localhost"]);
    authority
}

fn setup(runtime: Runtime, backend: &Backend, authority: &Authority) -> Setup {
    let tls = format!("tls = {{ {} }}", authority.pair("main"));
    Setup::before(runtime, backend).listener(&tls).shards("2")
}

/// One request and its answer; whether the connection may be used again.
fn exchange(client: &mut Secure) -> io::Result<bool> {
    client.write_all(&client::request("GET", "/", &[], b""))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        let mut piece = [0; 1024];
        let count = client.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&piece[..count]);
    }
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    Ok(!answer.contains("connection: close"))
}

#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    full: AtomicUsize,
    resumed: AtomicUsize,
}

/// One request after another, until told. Only a connection that was used before may be found
/// closed; every handshake succeeds, and the first request behind it.
fn ask(tls: &TlsClient, address: SocketAddr, keep_alive: bool, done: &AtomicBool, seen: &Seen) {
    let mut kept: Option<Secure> = None;
    while !done.load(Ordering::Relaxed) {
        let reused = kept.is_some();
        let mut client = kept.take().unwrap_or_else(|| tls.connect(address));
        match exchange(&mut client) {
            Ok(stays) => {
                seen.answered.fetch_add(1, Ordering::Relaxed);
                let kind = match client.conn.handshake_kind() {
                    Some(HandshakeKind::Resumed) => &seen.resumed,
                    _ => &seen.full,
                };
                kind.fetch_add(usize::from(!reused), Ordering::Relaxed);
                kept = (keep_alive && stays).then_some(client);
            }
            Err(error) => assert!(reused, "{error}"),
        }
    }
}

fn handshakes_and_requests_succeed_throughout(runtime: Runtime) {
    let (authority, backend) = (authority(), Backend::text("ok"));
    let mut weir = setup(runtime, &backend, &authority).start();
    let address = weir.address("main");
    let (done, seen) = (AtomicBool::new(false), Seen::default());
    std::thread::scope(|scope| {
        for index in 0..4 {
            let (tls, done, seen) = (authority.client(), &done, &seen);
            scope.spawn(move || ask(&tls, address, index % 2 == 0, done, seen));
        }
        let _done = Done(&done);
        let resumed = || seen.resumed.load(Ordering::Relaxed);
        for shards in ["1", "3", "2"] {
            let before = resumed();
            wait::until("sessions are resumed", || resumed() > before + 50);
            weir.write_config(&setup(runtime, &backend, &authority).shards(shards).toml());
            let mut old = weir.upgrade();
            wait::until("it has drained", || old.status().is_some());
            expect_order(old);
        }
        let before = resumed();
        wait::until("sessions are resumed", || resumed() > before + 50);
    });
    assert_eq!(backend.requests(), seen.answered.load(Ordering::Relaxed));
    assert!(seen.full.load(Ordering::Relaxed) >= 4);
    assert_eq!(weir.metric("weir_tls_errors_total"), 0);
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"handshake\"}"), 0);
}

fn sessions_of_before_are_no_obstacle(runtime: Runtime) {
    const REQUEST: &str = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";
    if !is_here("openssl") {
        return;
    }
    let (authority, backend) = (authority(), Backend::text("ok"));
    let mut weir = setup(runtime, &backend, &authority).start();
    let address = weir.address("main");
    let ask = |version: &str, session: &str| {
        let path = authority.path(version);
        let said = s_client(address, &[version, session, &path], REQUEST);
        assert!(said.stdout.contains("HTTP/1.1 200 Scripted"), "{said:?}");
        said.stdout
    };
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(ask(version, "-sess_out").contains("New, TLS"));
        assert!(ask(version, "-sess_in").contains("Reused, TLS"));
    }
    expect_order(weir.upgrade());
    for version in ["-tls1_2", "-tls1_3"] {
        // The keys of tickets are a process's own, so that it is a handshake like the first.
        assert!(ask(version, "-sess_in").contains("New, TLS"));
        ask(version, "-sess_out");
        assert!(ask(version, "-sess_in").contains("Reused, TLS"));
    }
    assert_eq!(weir.metric("weir_tls_errors_total"), 0);
}

/// More than all buffers on the way hold.
const DOWNLOAD_BYTES: usize = 32 << 20;

const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A download, or a tunnel that sends back what comes.
fn download_or_echo(exchange: &mut Exchange<'_>) -> After {
    if exchange.target() == "/download" {
        return exchange.reply_stream(DOWNLOAD_BYTES);
    }
    let mut sent = exchange.send(SWITCH);
    while sent.is_ok() {
        match exchange.read() {
            Ok(piece) if !piece.is_empty() => sent = exchange.send(&piece),
            _ => break,
        }
    }
    After::Close
}

fn handshake() -> Vec<u8> {
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    client::request("GET", "/tunnel", &fields, b"")
}

#[track_caller]
fn open(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.send(handshake());
    assert_eq!(client.try_head("GET").expect("a head").0, 101);
    client
}

/// Reads a head, and no byte more.
#[track_caller]
fn head(client: &mut Secure) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("more of the head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

#[track_caller]
fn expect_echo(client: &mut (impl Read + Write), bytes: &[u8]) {
    client.write_all(bytes).expect("is sent");
    let mut back = vec![0; bytes.len()];
    client.read_exact(&mut back).expect("an echo");
    assert_eq!(back, bytes);
}

#[track_caller]
fn expect_plain_echo(client: &mut Client, bytes: &[u8]) {
    client.send(bytes);
    assert_eq!(client.read_exactly(bytes.len()).expect("an echo"), bytes);
}

fn tunnels_and_downloads_go_on_to_their_ends(runtime: Runtime) {
    let (authority, backend) = (authority(), Backend::start(download_or_echo));
    let plain = "[[listener]]\naddress = \"127.0.0.1:@port:plain@\"\n";
    let mut weir = setup(runtime, &backend, &authority).tables(plain).start();
    let tls = authority.client();
    let mut tunnel = open(weir.address("plain"));
    let mut secure_tunnel = tls.connect(weir.address("main"));
    secure_tunnel.write_all(&handshake()).expect("is sent");
    assert!(head(&mut secure_tunnel).starts_with("HTTP/1.1 101 "));
    let mut download = tls.connect(weir.address("main"));
    download.write_all(&client::request("GET", "/download", &[], b"")).expect("is sent");
    assert!(head(&mut download).starts_with("HTTP/1.1 200 "));

    let mut old = weir.upgrade();
    assert_eq!(old.status(), None, "it goes on with what it has");
    expect_plain_echo(&mut tunnel, b"through the old one");
    expect_echo(&mut secure_tunnel, &backend::pattern(0, 200_000));
    expect_plain_echo(&mut open(weir.address("plain")), b"through the new one");

    let mut at = 0;
    while at < DOWNLOAD_BYTES {
        let mut piece = vec![0; (DOWNLOAD_BYTES - at).min(1 << 20)];
        download.read_exact(&mut piece).expect("more of the body");
        assert!(piece == backend::pattern(at, piece.len()), "wrong bytes from {at} on");
        at += piece.len();
    }
    assert_eq!(old.status(), None, "the tunnels are still there");
    expect_echo(&mut secure_tunnel, b"after the download");
    secure_tunnel.conn.send_close_notify();
    secure_tunnel.flush().expect("is sent");
    assert_eq!(secure_tunnel.read(&mut [0]).expect("an end in order"), 0);
    expect_plain_echo(&mut tunnel, b"the last words");
    tunnel.finish();
    assert_eq!(tunnel.ending(), Ending::Closed);
    expect_order(old);
    expect_plain_echo(&mut open(weir.address("plain")), b"still the new one");
}

fn a_tunnel_without_an_end_is_cut(runtime: Runtime) {
    let backend = Backend::start(download_or_echo);
    let setup = Setup::before(runtime, &backend).engine("drain_timeout = \"500ms\"");
    let mut weir = setup.start();
    let mut tunnel = open(weir.address("main"));
    let old = weir.upgrade().wait();
    assert_eq!(old.status.code(), Some(1), "{}", old.stderr);
    assert!(old.stderr.contains("when drain_timeout passed"), "{}", old.stderr);
    assert_eq!(tunnel.ending(), Ending::Reset);
    expect_plain_echo(&mut open(weir.address("main")), b"through the new one");
}
