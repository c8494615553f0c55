//! The generator against real sockets, without a proxy between.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::backend::Backend;

const RUN: Duration = Duration::from_millis(200);

/// A server that gives every connection one canned response and then closes it.
fn canned(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut scratch = [0; 1024];
            if stream.read(&mut scratch).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(response);
            }
        }
    });
    address
}

#[test]
fn closed_loop_counts_what_the_backend_served() {
    let backend = Backend::start(b"Hello, World!", None).unwrap();
    let mut load =
        LoadGenerator::open(Target::plain(backend.address(), b"Hello, World!"), 8).unwrap();
    let first = load.run(RUN, Pace::Closed).unwrap();
    let second = load.run(RUN, Pace::Closed).unwrap();
    assert_eq!((first.failed, second.failed), (0, 0));
    assert!(first.answered >= 8 && second.answered >= 8);
    assert_eq!(first.latency_ns.len(), first.answered);
    assert_eq!(backend.seen().served, first.answered + second.answered);
    assert_eq!(backend.seen().accepted, 8);
    assert!(first.elapsed >= RUN);
}

#[test]
fn large_bodies_arrive_whole() {
    let body = crate::job::Body::Pattern(300_000).bytes();
    let backend = Backend::start(&body, None).unwrap();
    let mut load = LoadGenerator::open(Target::plain(backend.address(), &body), 4).unwrap();
    let sample = load.run(RUN, Pace::Closed).unwrap();
    assert_eq!(sample.first_failure, None);
    assert!(sample.answered >= 4);
}

#[test]
fn open_loop_sends_what_its_rate_says() {
    let backend = Backend::start(b"x", None).unwrap();
    let mut load = LoadGenerator::open(Target::plain(backend.address(), b"x"), 16).unwrap();
    let sample = load.run(RUN, Pace::Open { per_second: 500.0 }).unwrap();
    assert_eq!(sample.answered + sample.unsent, 100);
    assert_eq!(sample.latency_ns.len(), 100);
    assert_eq!(backend.seen().served, sample.answered);
}

#[test]
fn open_loop_charges_a_stall_to_every_request_it_delayed() {
    // Answers once, after 100 ms, and never closes: one connection, so all others wait behind.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut scratch = [0; 1024];
        let mut first = true;
        while stream.read(&mut scratch).is_ok_and(|count| count > 0) {
            if std::mem::take(&mut first) {
                clock::sleep(Duration::from_millis(100));
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let mut load = LoadGenerator::open(Target::plain(address, b""), 1).unwrap();
    let sample = load.run(RUN, Pace::Open { per_second: 1000.0 }).unwrap();
    drop(load);
    server.join().unwrap();
    // The stall delays the 100 requests of its 100 ms, by 50 ms on average; a generator that
    // omits them would record a single slow one.
    let slow = sample.latency_ns.count_between(20_000_000, LATENCY_NS_MAX);
    assert!(slow >= 70, "only {slow} slow requests");
}

#[test]
fn wrong_answers_are_failures_and_end_the_run() {
    let address = canned(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let mut load = LoadGenerator::open(Target::plain(address, b""), 2).unwrap();
    match load.run(Duration::from_secs(20), Pace::Closed) {
        Err(Error::TooManyFailures { count, last }) => {
            assert_eq!((count, last), (FAILURES_MAX, ResponseError::Status(503)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_announced_close_is_no_failure_but_a_silent_one_is() {
    let polite = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut load = LoadGenerator::open(Target::plain(polite, b""), 1).unwrap();
    let sample = load.run(RUN, Pace::Closed).unwrap();
    assert_eq!(sample.failed, 0);
    assert!(sample.answered > 1, "the connection was not replaced");

    let rude = canned(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let mut load = LoadGenerator::open(Target::plain(rude, b"xxxxxxxxx"), 1).unwrap();
    let sample = load.run(Duration::from_millis(5), Pace::Closed).unwrap();
    assert_eq!(sample.answered, 0);
    assert_eq!(sample.first_failure, Some(ResponseError::WrongBody));
}

#[test]
fn idle_connections_stay_open_until_the_server_closes() {
    let backend = Backend::start(b"x", None).unwrap();
    let mut idle = IdleConnections::open(&Target::plain(backend.address(), b"x"), 20).unwrap();
    assert_eq!(idle.alive(), 20);
    drop(backend);
    assert_eq!(idle.alive(), 0);
}

#[test]
fn slow_clients_are_told_and_cut_off_one_by_one_or_stay() {
    let backend = Backend::start(b"x", None).unwrap();
    // A backend that waits for the end of a head for ever.
    let slow = SlowClients::start(backend.address(), 3, None).unwrap();
    let outcome = slow.finish().unwrap();
    assert_eq!((outcome.clients, outcome.cut_off), (3, 0));

    let polite = canned(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    let slow = SlowClients::start(polite, 3, None).unwrap();
    let outcome = slow.wait().unwrap();
    assert_eq!((outcome.cut_off, outcome.told), (3, 3));
    assert!(outcome.first_after <= outcome.last_after);
}
