//! Exchanges as they should be: methods, framing, persistence and fields, both ways.

use weir_tests::message::Framing;
use weir_tests::{After, Backend, Client, Ending, Gate, Runtime, Setup, client, on_both_runtimes};
use weir_tests::{curl, wait};

on_both_runtimes!(
    methods_bodies_and_targets_arrive_as_they_were_sent,
    chunked_bodies_with_trailers_cross_both_ways,
    head_204_and_304_have_no_body_and_keep_the_connection,
    connections_are_kept_on_both_sides,
    pipelined_requests_are_answered_in_order,
    clients_of_http_1_0_get_what_they_understand,
    a_body_that_ends_with_the_connection_ends_properly,
    expect_100_continue_is_carried_to_the_backend_and_back,
    an_early_answer_to_an_unfinished_upload_arrives_whole,
    forwarding_fields_are_the_gateways_own,
    a_half_closed_client_is_still_answered,
    curl_is_served,
);

/// Answers with what it was asked.
fn echo() -> Backend {
    Backend::start(|exchange| {
        let Ok(body) = exchange.body() else { return After::Close };
        let text = format!("{} {} ", exchange.method(), exchange.target());
        exchange.reply(200, &[("X-Echo", "yes")], &[text.as_bytes(), &body].concat())
    })
}

fn methods_bodies_and_targets_arrive_as_they_were_sent(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    let response = client.get("/a/b%20c;d?e=f&g=%2F", &[]);
    assert_eq!((response.status, response.text()), (200, "GET /a/b%20c;d?e=f&g=%2F "));
    assert_eq!(response.get("x-echo"), Some("yes"));
    let response = client.post("/", &[("Content-Type", "text/plain")], b"some body");
    assert_eq!(response.text(), "POST / some body");
    for (method, body) in [("PUT", &b"x"[..]), ("DELETE", b""), ("PATCH", b"y"), ("OPTIONS", b"")] {
        client.send(client::request(method, "/m", &[], body));
        let expected = format!("{method} /m {}", String::from_utf8_lossy(body));
        assert_eq!(client.response().text(), expected);
    }
    client.send("GET http://other.test/abs?q HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    assert_eq!(client.response().text(), "GET /abs?q ");
    let seen = backend.seen();
    // RFC 9112 section 3.2.2: the target's authority wins.
    assert_eq!(seen.last().and_then(|head| head.get("host")), Some("other.test"));
    let large = weir_tests::backend::pattern(0, 3_000_000);
    let response = client.post("/large", &[], &large);
    assert!(response.body.strip_prefix(b"POST /large ") == Some(&large), "a large body differs");
}

fn chunked_bodies_with_trailers_cross_both_ways(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let (body, trailers) = exchange.body_and_trailers().expect("a body");
        assert_eq!(exchange.head.get("transfer-encoding"), Some("chunked"));
        let sum = trailers.iter().find(|(name, _)| name == "X-Sum").map_or("", |(_, sum)| sum);
        let text = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\nX-Back: {sum}\r\n\r\n",
            body.len(),
            String::from_utf8_lossy(&body)
        );
        exchange.send(text.as_bytes()).expect("the gateway is there");
        After::KeepAlive
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    // Every byte of the framing on its own.
    for byte in b"5;ext=\"1\"\r\nhello\r\n0006\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n" {
        client.send([*byte]);
    }
    let response = client.response();
    assert_eq!((response.framing, response.text()), (Framing::Chunked, "hello world"));
    assert_eq!(response.trailers, [("X-Back".to_owned(), "42".to_owned())]);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n\r\n",
    );
    assert_eq!(client.response().text(), "all");
}

fn head_204_and_304_have_no_body_and_keep_the_connection(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.target() {
        "/204" => exchange
            .send(b"HTTP/1.1 204 No Content\r\n\r\n")
            .map_or(After::Close, |()| After::KeepAlive),
        "/304" => {
            let head = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n";
            exchange.send(head).map_or(After::Close, |()| After::KeepAlive)
        }
        _ => exchange.reply(200, &[], b"content"),
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send(client::request("HEAD", "/", &[], b""));
    let head = client.try_response("HEAD").expect("an answer");
    assert_eq!((head.status, head.get("content-length")), (200, Some("7")));
    let empty = client.get("/204", &[]);
    assert_eq!((empty.status, empty.get("content-length")), (204, None));
    assert_eq!(empty.get("transfer-encoding"), None);
    let unchanged = client.get("/304", &[]);
    assert_eq!((unchanged.status, unchanged.get("etag")), (304, Some("\"x\"")));
    assert_eq!(client.get("/", &[]).text(), "content");
    assert_eq!(backend.connections(), 1);
}

fn connections_are_kept_on_both_sides(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..50 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    for _ in 0..10 {
        assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    }
    assert_eq!((backend.requests(), backend.connections()), (60, 1));
    client.send_get("/", &[("Connection", "close")]);
    assert_eq!(client.response().get("connection"), Some("close"));
    assert_eq!(client.ending(), Ending::Closed);
}

fn pipelined_requests_are_answered_in_order(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    let request = |number: usize| match (number % 3, format!("/{number}")) {
        (0, target) => client::request("GET", &target, &[], b""),
        (1, target) => client::request("POST", &target, &[], b"sized"),
        (_, target) => {
            let head = client::request("POST", &target, &[("Transfer-Encoding", "chunked")], b"");
            [head.as_slice(), b"3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n"].concat()
        }
    };
    client.send((0..30).flat_map(request).collect::<Vec<u8>>());
    for number in 0..30 {
        let expected = match number % 3 {
            0 => format!("GET /{number} "),
            1 => format!("POST /{number} sized"),
            _ => format!("POST /{number} chunks"),
        };
        assert_eq!(client.response().text(), expected);
    }
    client.finish();
    assert_eq!(client.ending(), Ending::Closed);
}

fn clients_of_http_1_0_get_what_they_understand(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.target() {
        "/chunked" => exchange.reply_chunked(&[], &[b"one ", b"two"]),
        _ => exchange.reply(200, &[], b"sized"),
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send("GET /chunked HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.framing, response.text()), (Framing::UntilClose, "one two"));
    let mut client = Client::connect(weir.address("main"));
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!((response.text(), response.get("connection")), ("sized", Some("keep-alive")));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "sized");
    assert_eq!(client.ending(), Ending::Closed);
    assert!(backend.seen().iter().all(|head| head.start.ends_with(" HTTP/1.1")));
}

fn a_body_that_ends_with_the_connection_ends_properly(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.send(b"HTTP/1.0 200 OK\r\n\r\nuntil ").expect("the gateway is there");
        exchange.send(b"the end").expect("the gateway is there");
        After::Close
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..2 {
        let response = client.get("/", &[]);
        assert_eq!((response.framing, response.text()), (Framing::Chunked, "until the end"));
    }
    assert_eq!(backend.connections(), 2);
}

fn expect_100_continue_is_carried_to_the_backend_and_back(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.target() {
        "/no" => {
            let refusal = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno";
            exchange.send(refusal).map_or(After::Close, |()| After::Hang)
        }
        _ => {
            let body = exchange.body().expect("a body");
            exchange.reply(200, &[], &body)
        }
    });
    let weir = Setup::before(runtime, &backend).start();
    let head = |target: &str| {
        format!(
            "PUT {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
    };
    let mut client = Client::connect(weir.address("main"));
    client.send(head("/yes"));
    assert_eq!(client.try_response("PUT").expect("an interim answer").status, 100);
    client.send("abc");
    assert_eq!(client.response().text(), "abc");
    client.send(head("/no"));
    let refusal = client.try_response("PUT").expect("the final answer at once");
    assert_eq!((refusal.status, refusal.text()), (417, "no"));
}

fn an_early_answer_to_an_unfinished_upload_arrives_whole(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.read().expect("the first bytes of the body");
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\ntoo large";
        exchange.send(answer).expect("the gateway is there");
        if exchange.target() == "/hang" { After::Hang } else { After::Close }
    });
    let weir = Setup::before(runtime, &backend).start();
    for target in ["/hang", "/close"] {
        let mut client = Client::connect(weir.address("main"));
        client
            .send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"));
        client.send(vec![b'x'; 1000]);
        let response = client.response();
        assert_eq!((response.status, response.text()), (403, "too large"));
        assert_eq!(client.ending(), Ending::Closed, "the rest of the body is nobody's request");
    }
}

fn forwarding_fields_are_the_gateways_own(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).start();
    let forged = [
        ("Host", "api.test:80"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("X-FORWARDED-HOST", "evil.test"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Weir-User", "root"),
        ("x-weir-tier", "enterprise"),
        ("X_Weir_Key", "k"),
        ("Connection", "X-Private, keep-alive"),
        ("X-Private", "for this hop"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Connection", "keep-alive"),
        ("Upgrade", "h2c"),
        ("X-Kept", "yes"),
    ];
    let response = client::get(weir.address("main"), "/", &forged);
    assert_eq!(response.status, 200);
    let head = &backend.seen()[0];
    assert_eq!(head.get("host"), Some("api.test:80"));
    assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.get("x-forwarded-proto"), Some("http"));
    assert_eq!(head.get("x-forwarded-host"), Some("api.test:80"));
    assert_eq!(head.get("x-kept"), Some("yes"));
    for gone in ["forwarded", "x-real-ip", "x-weir-user", "x-weir-tier", "x_weir_key", "x-private"]
    {
        assert_eq!(head.get(gone), None, "{gone}");
    }
    for gone in ["connection", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(head.get(gone), None, "{gone}");
    }
}

fn a_half_closed_client_is_still_answered(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        held.pass();
        exchange.reply(200, &[], b"late")
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/", &[]);
    client.finish();
    wait::until("the request is at the backend", || backend.requests() == 1);
    gate.open();
    assert_eq!(client.response().text(), "late");
    assert_eq!(client.ending(), Ending::Closed);
}

fn curl_is_served(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend).start();
    let url = format!("http://{}/x", weir.address("main"));
    let fetched = curl::fetch(&["-d", "form=1", &url, "--next", "-s", &url]);
    assert!(
        fetched.body.contains("POST /x form=1") && fetched.body.contains("GET /x"),
        "{fetched:?}"
    );
}
