//! Requests that two servers could read differently are refused, and none of their bytes is ever
//! taken for another request.

use weir_tests::{After, Backend, Client, Ending, Runtime, Setup, on_both_runtimes};

on_both_runtimes!(
    ambiguous_heads_are_refused_before_any_backend_sees_them,
    ambiguous_chunks_end_the_connection,
    answers_that_could_be_read_in_two_ways_are_not_passed_on,
);

/// What would be a request if the one before it ended somewhere else.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Heads behind `POST /first HTTP/1.1\r\nHost: a\r\n`, with the status that refuses them.
const HEADS: &[(&str, u16)] = &[
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello", 400),
    ("Content-Length: 5, 5\r\n\r\nhello", 400),
    ("Content-Length: +5\r\n\r\nhello", 400),
    ("Content-Length: -5\r\n\r\nhello", 400),
    ("Content-Length: 0x5\r\n\r\nhello", 400),
    ("Content-Length: 5 5\r\n\r\nhello", 400),
    ("Content-Length: \r\n\r\n", 400),
    ("Content-Length: 99999999999999999999999999\r\n\r\n", 400),
    ("Content-Length : 5\r\n\r\nhello", 400),
    ("Content_Length: 5\r\n\r\nhello", 400),
    ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: \r\n\r\n", 400),
    ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("X: 1\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("X: 1\r\n\tfolded\r\n\r\n", 400),
    ("X: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("X: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("X: 1\r\n\nContent-Length: 5\r\n\r\nhello", 400),
    ("X: 1\n\n", 400),
    ("X: a\0b\r\n\r\n", 400),
    ("X\r\n\r\n", 400),
    (": x\r\n\r\n", 400),
    ("X y: 1\r\n\r\n", 400),
    ("Host: b\r\n\r\n", 400),
];

/// Whole heads that are wrong from their first line on.
const BEGINNINGS: &[(&str, u16)] = &[
    ("GET /first HTTP/1.1\r\n\r\n", 400),
    ("GET /first HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("GET  /first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /first  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /fi rst HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET\t/first\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /first\r\n\r\n", 400),
    ("GET /first HTTP/1.1\nHost: a\n\n", 400),
    ("GET /first http/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /first HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET first HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /first HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET /first HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("POST /first HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("\x16\x03\x01\x02\r\n\r\n", 400),
];

fn ambiguous_heads_are_refused_before_any_backend_sees_them(runtime: Runtime) {
    let backend = Backend::text("never");
    let weir = Setup::before(runtime, &backend).start();
    let rest = HEADS
        .iter()
        .map(|(rest, status)| (format!("POST /first HTTP/1.1\r\nHost: a\r\n{rest}"), *status));
    let whole = BEGINNINGS.iter().map(|(text, status)| ((*text).to_owned(), *status));
    for (text, status) in rest.chain(whole) {
        let mut client = Client::connect(weir.address("main"));
        client.send(format!("{text}{SMUGGLED}"));
        let response = client.try_response("POST").unwrap_or_else(|e| panic!("{e}: {text:?}"));
        assert_eq!(response.status, status, "{text:?}");
        assert_eq!(response.get("content-type"), Some("application/problem+json"), "{text:?}");
        assert_eq!(response.json()["status"], status, "{text:?}");
        assert_eq!(response.get("connection"), Some("close"), "{text:?}");
        assert_eq!(client.ending(), Ending::Closed, "{text:?}");
        assert_eq!(backend.seen(), [], "{text:?}");
    }
}

fn ambiguous_chunks_end_the_connection(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.body() {
        Ok(_) => exchange.reply(200, &[], b"taken"),
        Err(_) => After::Close,
    });
    let weir = Setup::before(runtime, &backend).start();
    for chunks in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\nX: 1\r\n folded\r\n\r\n",
        "0\r\nX: 1\n\r\n",
        "g\r\n",
        ";\r\n",
    ] {
        let mut client = Client::connect(weir.address("main"));
        let head = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}{chunks}{SMUGGLED}"));
        let response = client.try_response("POST").unwrap_or_else(|e| panic!("{e}: {chunks:?}"));
        assert_eq!(response.status, 400, "{chunks:?}");
        assert_eq!(client.ending(), Ending::Closed, "{chunks:?}");
    }
    let targets: Vec<_> = backend.seen().iter().map(|head| head.word(1).to_owned()).collect();
    assert!(targets.iter().all(|target| target == "/first"), "{targets:?}");
}

/// A client's connection must not be poisoned by a backend either.
fn answers_that_could_be_read_in_two_ways_are_not_passed_on(runtime: Runtime) {
    const ANSWERS: &[&str] = &[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX: 1\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX y: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "\0\0\0\0\r\n\r\n",
    ];
    let backend = Backend::start(|exchange| {
        let number: usize = exchange.target()[1..].parse().expect("a number");
        exchange.send(ANSWERS[number].as_bytes()).expect("the gateway is there");
        After::Close
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for (number, answer) in ANSWERS.iter().enumerate() {
        let response = client.get(&format!("/{number}"), &[]);
        assert_eq!(response.status, 502, "{answer:?}");
        assert_eq!(response.get("content-type"), Some("application/problem+json"), "{answer:?}");
    }
}
