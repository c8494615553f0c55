//! The harness against itself: a judge that errs acquits the guilty.

use std::io;
use std::time::Duration;

use weir_tests::backend::pattern;
use weir_tests::message::Framing;
use weir_tests::{After, Backend, Client, Ending, Launch, client, curl, wait};

/// What a client makes of `bytes` and the end of the connection after them.
fn read_answer(bytes: &'static [u8], method: &str) -> io::Result<weir_tests::Response> {
    let backend = Backend::start(move |exchange| {
        exchange.send(bytes).expect("the client is there");
        After::Close
    });
    let mut client = Client::connect(backend.address());
    client.send(client::request(method, "/", &[], b""));
    client.try_response(method)
}

#[test]
fn an_exchange_and_what_the_backend_saw() {
    let backend = Backend::start(|exchange| {
        let body = exchange.body().expect("a body");
        let text = format!("{} {} {}", exchange.method(), exchange.target(), body.len());
        exchange.reply(201, &[("X-Number", &exchange.number.to_string())], text.as_bytes())
    });
    let mut client = Client::connect(backend.address());
    let response = client.get("/a?b", &[("X-One", "1"), ("x-one", "2")]);
    assert_eq!((response.status, response.text()), (201, "GET /a?b 0"));
    let response = client.post("/p", &[], &[7; 100_000]);
    assert_eq!((response.get("x-number"), response.text()), (Some("1"), "POST /p 100000"));
    assert_eq!((backend.requests(), backend.connections()), (2, 1));
    let seen = backend.seen();
    assert_eq!(seen[0].all("X-ONE").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(seen[1].get("content-length"), Some("100000"));
}

#[test]
fn pipelined_answers_stay_apart() {
    let backend = Backend::start(|exchange| {
        if exchange.number == 1 {
            exchange.reply_chunked(&[], &[b"one ", b"two"])
        } else {
            let text = exchange.target().to_owned();
            exchange.reply(200, &[], text.as_bytes())
        }
    });
    let mut client = Client::connect(backend.address());
    let request = |target| client::request("GET", target, &[], b"");
    client.send([request("/0"), request("/1"), request("/2")].concat());
    assert_eq!(client.response().text(), "/0");
    let chunked = client.response();
    assert_eq!((chunked.framing, chunked.text()), (Framing::Chunked, "one two"));
    assert_eq!(client.response().text(), "/2");
    client.finish();
    assert_eq!(client.ending(), Ending::Closed);
}

#[test]
fn the_ways_a_body_ends() {
    let body = |bytes, method| read_answer(bytes, method).map(|response| response.body);
    let ok = |bytes, method| body(bytes, method).expect("a proper answer");
    assert_eq!(ok(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "GET"), b"ab");
    assert_eq!(ok(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET"), b"until the end");
    assert_eq!(ok(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD"), b"");
    assert_eq!(ok(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET"), b"");
    assert_eq!(ok(b"HTTP/1.1 204 No Content\r\n\r\n", "GET"), b"");
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        A;x=y\r\n0123456789\r\n2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n";
    let response = read_answer(chunked, "GET").expect("a proper answer");
    assert_eq!(response.text(), "0123456789ab");
    assert_eq!(response.trailers, [("X-Sum".to_owned(), "7".to_owned())]);
}

#[test]
fn improper_answers_are_refused() {
    let kind = |bytes| read_answer(bytes, "GET").map_err(|error| error.kind());
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1\n\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
    ] {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(kind(bytes), Err(io::ErrorKind::InvalidData), "{shown}");
    }
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na",
    ] {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(kind(bytes), Err(io::ErrorKind::UnexpectedEof), "{shown}");
    }
}

#[test]
fn endings_are_told_apart() {
    let backend = Backend::start(|exchange| match exchange.target() {
        "/close" => After::Close,
        "/reset" => After::Reset,
        _ => After::Hang,
    });
    let ending = |target| {
        let mut client = Client::connect(backend.address());
        client.send_get(target, &[]);
        client.ending()
    };
    assert_eq!(ending("/close"), Ending::Closed);
    assert_eq!(ending("/reset"), Ending::Reset);
    let mut client = Client::connect(backend.address()).patience(Duration::from_millis(50));
    client.send_get("/hang", &[]);
    let error = client.try_response("GET").expect_err("it says nothing");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(backend.open_connections(), 1);
    drop(client);
    wait::until("the connection is gone", || backend.open_connections() == 0);
}

#[test]
fn a_client_that_waits_for_100_continue_is_told() {
    let backend = Backend::start(|exchange| {
        let body = exchange.body().expect("a body");
        exchange.reply(200, &[], &body)
    });
    let mut client = Client::connect(backend.address());
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.try_response("PUT").expect("an interim answer").status, 100);
    client.send("abc");
    assert_eq!(client.response().text(), "abc");
}

#[test]
fn large_bodies_stream_and_hold_their_order() {
    const LENGTH: usize = 20_000_000;
    let backend = Backend::start(|exchange| exchange.reply_stream(LENGTH));
    let mut client = Client::connect(backend.address());
    client.send_get("/", &[]);
    let (status, _, framing) = client.try_head("GET").expect("a head");
    assert_eq!((status, framing), (200, Framing::Length(LENGTH as u64)));
    let mut read = 0;
    while read < LENGTH {
        let piece = client.read().expect("more");
        assert!(piece == pattern(read, piece.len()), "at {read}");
        read += piece.len();
    }
    assert_eq!(pattern(0, 3), [0, 1, 2]);
    assert_ne!(pattern(0, 65_536), pattern(65_536, 65_536), "no period that a chunk could hide");
}

#[test]
fn a_backend_dies_and_comes_back() {
    let mut backend = Backend::text("here");
    let address = backend.address();
    let mut client = Client::connect(address);
    assert_eq!(client.get("/", &[]).text(), "here");
    backend.refuse();
    client.ending();
    let refused = Client::try_connect(address).err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    backend.resume();
    assert_eq!(client::get(address, "/", &[]).text(), "here");
    assert_eq!(backend.requests(), 2);
}

#[test]
fn curl_is_heard_and_understood() {
    let backend = Backend::start(|exchange| exchange.reply(418, &[], b"short and\nstout"));
    let url = format!("http://{}/tea", backend.address());
    let fetched = curl::fetch(&["-H", "X-Test: yes", &url]);
    assert_eq!((fetched.status, fetched.body.as_str()), (418, "short and\nstout"));
    assert_eq!(backend.seen()[0].get("x-test"), Some("yes"));
    drop(backend);
    assert_eq!(curl::run(&[&url]).status.code(), Some(7), "curl's code for a refused connection");
}

#[test]
fn a_gateway_that_ends_at_its_start_is_noticed() {
    let config = "this is [not a configuration\n[[listener]]\naddress = \"127.0.0.1:@port:main@\"";
    assert!(Launch::new(config).try_start().is_err());
}
