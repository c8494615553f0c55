//! Bodies and crowds that would not fit, were they kept.

use std::sync::{Arc, Barrier};

use weir_tests::message::Framing;
use weir_tests::{After, Backend, Client, Runtime, Setup, Weir, on_both_runtimes, sandbox};

on_both_runtimes!(
    a_gibibyte_comes_down_in_bounded_memory,
    a_gibibyte_goes_up_in_bounded_memory,
    a_long_run_of_chunks_crosses_both_ways_at_once,
    a_thousand_connections_at_once_are_answered_each_its_own,
);

const GIB: usize = 1 << 30;
/// What one body may cost the gateway: its buffers, and what the allocator keeps around them.
const MEMORY_BYTES: u64 = 16 << 20;
/// A prime, so that no power of two of bytes can be lost, doubled or swapped unseen.
const PERIOD: usize = 1_000_003;
/// What is sent at once.
const PIECE: usize = 256 << 10;

/// The bytes of a stream from any place on, by comparison and not by arithmetic for each byte.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Self {
        let mut state = 1_u32;
        let mut next = || {
            // A linear congruential generator, of which the upper bits are good enough here.
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            state.to_be_bytes()[0]
        };
        let mut bytes: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
        bytes.extend_from_within(..PIECE);
        Self(bytes)
    }

    fn at(&self, place: usize, length: usize) -> &[u8] {
        &self.0[place % PERIOD..][..length]
    }

    /// Whether `bytes` are what belongs at `place`.
    fn holds(&self, place: usize, bytes: &[u8]) -> bool {
        let mut place = place;
        bytes.chunks(PIECE).all(|piece| {
            let same = self.at(place, piece.len()) == piece;
            place += piece.len();
            same
        })
    }
}

/// The most memory the process ever had resident.
fn peak_bytes(weir: &mut Weir) -> u64 {
    let path = format!("/proc/{}/status", weir.process().pid());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// How much the peak rose while `work` was done.
#[track_caller]
fn expect_bounded(weir: &mut Weir, work: impl FnOnce(&Weir)) {
    let before = peak_bytes(weir);
    work(weir);
    let grown = peak_bytes(weir) - before;
    assert!(grown <= MEMORY_BYTES, "the peak rose by {grown} bytes from {before}");
}

fn a_gibibyte_comes_down_in_bounded_memory(runtime: Runtime) {
    let pattern = Arc::new(Pattern::new());
    let source = Arc::clone(&pattern);
    let backend = Backend::start(move |exchange| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n");
        exchange.send(head.as_bytes()).expect("the gateway is there");
        for place in (0..GIB).step_by(PIECE) {
            exchange.send(source.at(place, PIECE)).expect("the gateway is there");
        }
        After::KeepAlive
    });
    let mut weir = Setup::before(runtime, &backend).start();
    expect_bounded(&mut weir, |weir| {
        let mut client = Client::connect(weir.address("main"));
        client.send_get("/", &[]);
        let (status, _, framing) = client.try_head("GET").expect("a head");
        assert_eq!((status, framing), (200, Framing::Length(GIB as u64)));
        let mut place = 0;
        while place < GIB {
            let piece = client.read().expect("more");
            assert!(!piece.is_empty() && pattern.holds(place, &piece), "at {place}");
            place += piece.len();
        }
        assert_eq!(place, GIB);
    });
}

/// Reads a body of exactly a gibibyte, of a request with a length.
fn take_gibibyte(exchange: &mut weir_tests::Exchange<'_>, pattern: &Pattern) -> bool {
    let mut place = 0;
    while place < GIB {
        match exchange.read() {
            Ok(piece) if !piece.is_empty() && pattern.holds(place, &piece) => place += piece.len(),
            _ => return false,
        }
    }
    place == GIB
}

fn a_gibibyte_goes_up_in_bounded_memory(runtime: Runtime) {
    let pattern = Arc::new(Pattern::new());
    let expected = Arc::clone(&pattern);
    let backend = Backend::start(move |exchange| {
        let whole = take_gibibyte(exchange, &expected);
        let answer: &[u8] = if whole {
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbroken"
        };
        exchange.send(answer).map_or(After::Close, |()| After::Close)
    });
    let mut weir = Setup::before(runtime, &backend).start();
    expect_bounded(&mut weir, |weir| {
        let mut client = Client::connect(weir.address("main"));
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n"));
        for place in (0..GIB).step_by(PIECE) {
            client.send(pattern.at(place, PIECE));
        }
        assert_eq!(client.response().text(), "whole");
    });
}

/// The backend sends every piece back as it comes, so that both directions are full at once.
fn a_long_run_of_chunks_crosses_both_ways_at_once(runtime: Runtime) {
    const LENGTH: usize = GIB / 4;
    let pattern = Arc::new(Pattern::new());
    let backend = Backend::start(move |exchange| {
        // The gateway's framing, returned as it is.
        let mut sent = exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut last = Vec::new();
        while sent.is_ok() && !last.ends_with(b"\r\n0\r\n\r\n") {
            let piece = exchange.read().unwrap_or_default();
            if piece.is_empty() {
                return After::Close;
            }
            sent = exchange.send(&piece);
            let kept = last.len().saturating_sub(8);
            last.drain(..kept);
            last.extend_from_slice(&piece[piece.len().saturating_sub(8)..]);
        }
        After::Close
    });
    let mut weir = Setup::before(runtime, &backend).start();
    let sending = Arc::clone(&pattern);
    expect_bounded(&mut weir, |weir| {
        let mut client = Client::connect(weir.address("main"));
        let mut sender = client.try_clone().expect("another handle");
        let upload = std::thread::spawn(move || {
            sender.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            for place in (0..LENGTH).step_by(PIECE) {
                sender.send(format!("{PIECE:x}\r\n"));
                sender.send(sending.at(place, PIECE));
                sender.send("\r\n");
            }
            sender.send("0\r\n\r\n");
        });
        let (status, _, framing) = client.try_head("POST").expect("a head");
        assert_eq!((status, framing), (200, Framing::Chunked));
        let mut place = 0;
        while let Some(chunk) = client.chunk().expect("a chunk") {
            assert!(pattern.holds(place, &chunk), "at {place}");
            place += chunk.len();
        }
        assert_eq!(place, LENGTH);
        upload.join().expect("all was taken");
    });
}

fn a_thousand_connections_at_once_are_answered_each_its_own(runtime: Runtime) {
    const COUNT: usize = 1000;
    sandbox::raise_descriptor_limit();
    // Nobody is answered before all have asked.
    let barrier = Arc::new(Barrier::new(COUNT));
    let backend = Backend::start(move |exchange| {
        barrier.wait();
        let text = exchange.target().to_owned();
        exchange.reply(200, &[], text.as_bytes())
    });
    // The queue of the backend's listener is short, so some connect at the second attempt only.
    let setup = Setup::before(runtime, &backend).upstream("connect_timeout = \"20s\"");
    let weir = setup.shards("2").start();
    let mut clients: Vec<_> = (0..COUNT).map(|_| Client::connect(weir.address("main"))).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send_get(&format!("/{number}"), &[]);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
    assert_eq!(backend.requests(), COUNT);
}
