//! Answers at the edges of the rules, and connections to backends that are not what they seem.

use weir_tests::{After, Backend, Client, Ending, Gate, Runtime, Setup, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    so_many_interim_answers_and_no_more,
    clients_of_http_1_0_get_no_interim_answer,
    a_body_that_nobody_asks_for_may_come_all_the_same,
    a_backend_that_never_asks_for_the_body_is_the_slow_one,
    a_205_keeps_its_framing,
    an_answer_that_is_reset_in_its_head_is_none,
    contradictory_or_invalid_answers_are_502,
    a_malformed_chunk_right_behind_the_head_is_502,
    a_malformed_chunk_after_the_head_went_out_is_a_reset,
    backends_of_http_1_0_keep_a_connection_only_if_they_say_so,
    content_where_none_belongs_poisons_the_connection,
    bytes_on_an_idle_connection_are_nobodys_answer,
    a_close_that_was_announced_is_obeyed,
    an_early_answer_costs_the_backends_connection,
);

fn raw(bytes: impl Into<Vec<u8>>, after: After) -> Backend {
    let bytes = bytes.into();
    Backend::start(move |exchange| exchange.send(&bytes).map_or(After::Close, |()| after))
}

fn so_many_interim_answers_and_no_more(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let count: usize = exchange.target()[1..].parse().expect("a number");
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n".repeat(count);
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast";
        exchange.send((hints + last).as_bytes()).map_or(After::Close, |()| After::KeepAlive)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/16", &[]);
    for _ in 0..16 {
        let hint = client.try_response("GET").expect("an interim answer");
        assert_eq!((hint.status, hint.get("link")), (103, Some("</style.css>")));
    }
    assert_eq!(client.response().text(), "last");
    client.send_get("/17", &[]);
    assert_eq!(client.response().status, 502);
    wait::until("its connection is dropped", || backend.open_connections() == 0);
}

fn clients_of_http_1_0_get_no_interim_answer(runtime: Runtime) {
    let text = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let backend = raw(text, After::KeepAlive);
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.try_response("GET").expect("an answer").status, 200);
}

const EXPECTING: &str =
    "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";

/// RFC 9110 section 10.1.1: a client need not wait for ever.
fn a_body_that_nobody_asks_for_may_come_all_the_same(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let mut body = Vec::new();
        while body.len() < 3 {
            body.extend(exchange.read().expect("the body"));
        }
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        exchange.send(&[head, body.as_slice()].concat()).map_or(After::Close, |()| After::Close)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send(EXPECTING);
    wait::until("the backend has the head", || backend.requests() == 1);
    client.send("abc");
    assert_eq!(client.try_response("PUT").expect("a final answer").text(), "abc");
}

fn a_backend_that_never_asks_for_the_body_is_the_slow_one(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        if exchange.target() == "/asks" {
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n").expect("sent");
        }
        After::Hang
    });
    let setup = Setup::before(runtime, &backend).http("body_timeout = \"200ms\"");
    let weir = setup.upstream("response_timeout = \"400ms\"").start();
    let mut client = Client::connect(weir.address("main"));
    client.send(EXPECTING);
    assert_eq!(client.response().status, 504);
    assert_eq!(client.ending(), Ending::Closed);
    let mut client = Client::connect(weir.address("main"));
    client.send(EXPECTING.replace("PUT /", "PUT /asks"));
    assert_eq!(client.response().status, 408, "asked for it and got nothing");
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"response\"}"), 1);
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"body\"}"), 1);
}

/// RFC 9110 section 15.3.6 gives it no content but exempts it from no rule of framing.
fn a_205_keeps_its_framing(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.target() {
        "/length" => exchange.reply(205, &[], b""),
        "/chunked" => {
            let text = b"HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
            exchange.send(text).map_or(After::Close, |()| After::KeepAlive)
        }
        _ => exchange.reply(200, &[], b"next"),
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for target in ["/length", "/chunked"] {
        let reset = client.get(target, &[]);
        assert_eq!((reset.status, reset.text()), (205, ""));
        assert_eq!(client.get("/", &[]).text(), "next");
    }
    assert_eq!(backend.connections(), 1);
}

fn an_answer_that_is_reset_in_its_head_is_none(runtime: Runtime) {
    let backend = raw("HTTP/1.1 200 OK\r\nContent-Le", After::Reset);
    let other = Backend::text("other");
    let weir = Setup::new(runtime).backend(backend.address()).backend(other.address()).start();
    let mut client = Client::connect(weir.address("main"));
    // The reset may overtake the bytes: then nothing was seen, and a GET goes elsewhere.
    for _ in 0..6 {
        let answer = client.get("/", &[]);
        assert!(answer.status == 502 || answer.text() == "other", "{answer:?}");
    }
    for _ in 0..6 {
        let answer = client.post("/", &[], b"x");
        assert!(answer.status == 502 || answer.text() == "other", "{answer:?}");
    }
    assert!(backend.requests() >= 3 + 3);
}

fn contradictory_or_invalid_answers_are_502(runtime: Runtime) {
    let cases = [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "\0\0\0\x12\x04\0\0\0\0\0",
    ];
    for case in cases {
        let backend = raw(case, After::Hang);
        let setup = Setup::before(runtime, &backend);
        let weir = setup.upstream("response_timeout = \"500ms\"").start();
        let mut client = Client::connect(weir.address("main"));
        let answer = client.get("/", &[]);
        assert!([502, 504].contains(&answer.status), "{case:?}: {answer:?}");
        wait::until("its connection is dropped", || backend.open_connections() == 0);
        assert_eq!(backend.requests(), 1, "{case:?}");
    }
}

/// One send is one read, so that the chunk is seen before the head was passed on.
fn a_malformed_chunk_right_behind_the_head_is_502(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let chunk = match exchange.target() {
            "/size" => "zz\r\n",
            "/extension" => "5;\r\nhello\r\n0\r\n\r\n",
            "/trailer" => "0\r\nno trailer\r\n\r\n",
            _ => return exchange.reply(200, &[], b"ok"),
        };
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        exchange.send(format!("{head}{chunk}").as_bytes()).map_or(After::Close, |()| After::Hang)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for (number, target) in ["/size", "/extension", "/trailer"].into_iter().enumerate() {
        let answer = client.get(target, &[]);
        assert_eq!(answer.status, 502, "{target}");
        let error = Some("weir; error=http_response_transfer_coding");
        assert_eq!(answer.get("proxy-status"), error, "{target}");
        wait::until("its connection is dropped", || backend.open_connections() == 0);
        assert_eq!(backend.requests(), number + 1, "it is not asked again");
    }
    assert_eq!(client.post("/size", &[], b"body").status, 502);
    // The client's connection lives on.
    assert_eq!(client.get("/", &[]).text(), "ok");
}

fn a_malformed_chunk_after_the_head_went_out_is_a_reset(runtime: Runtime) {
    let gate = Gate::default();
    let behind = gate.clone();
    let backend = Backend::start(move |exchange| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        exchange.send(head.as_bytes()).expect("the gateway is there");
        behind.pass();
        exchange.send(b"zz\r\n").map_or(After::Close, |()| After::Hang)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/", &[]);
    client.try_head("GET").expect("the head");
    gate.open();
    assert_eq!(client.ending(), Ending::Reset);
    wait::until("its connection is dropped", || backend.open_connections() == 0);
}

/// RFC 9112 section 9.3.
fn backends_of_http_1_0_keep_a_connection_only_if_they_say_so(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let keep = if exchange.target() == "/keep" { "Connection: keep-alive\r\n" } else { "" };
        let text = format!("HTTP/1.0 200 OK\r\n{keep}Content-Length: 2\r\n\r\nok");
        exchange.send(text.as_bytes()).map_or(After::Close, |()| After::KeepAlive)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for (target, connections) in [("/keep", 1), ("/keep", 1), ("/", 1), ("/keep", 2), ("/", 2)] {
        assert_eq!(client.get(target, &[]).text(), "ok");
        assert_eq!(backend.connections(), connections, "{target}");
    }
}

fn content_where_none_belongs_poisons_the_connection(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let head = match exchange.target() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        };
        let text = format!("{head}content");
        exchange.send(text.as_bytes()).map_or(After::Close, |()| After::KeepAlive)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for (method, target) in [("HEAD", "/"), ("GET", "/204"), ("GET", "/304"), ("HEAD", "/204")] {
        client.send(client::request(method, target, &[], b""));
        assert_eq!(client.try_response(method).expect("an answer").text(), "");
    }
    assert_eq!(client.get("/", &[]).text(), "content");
    assert_eq!(backend.connections(), 5);
}

fn bytes_on_an_idle_connection_are_nobodys_answer(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let text = exchange.target().to_owned();
        let after = exchange.reply(200, &[], text.as_bytes());
        let unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked";
        exchange.send(unasked).map_or(After::Close, |()| after)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for number in 0..20 {
        let target = format!("/{number}");
        assert_eq!(client.get(&target, &[]).text(), target);
        wait::until("the bytes have come and gone", || backend.connections() == number + 1);
        let pause = || weir.metric("weir_backend_connects_total") > number as u64;
        wait::until("it was counted", pause);
    }
}

fn a_close_that_was_announced_is_obeyed(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.reply(200, &[("Connection", "close")], b"bye");
        After::Hang
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for connections in 1..4 {
        assert_eq!(client.get("/", &[]).text(), "bye");
        assert_eq!(backend.connections(), connections);
    }
    wait::until("none is kept", || backend.open_connections() == 0);
}

fn an_early_answer_costs_the_backends_connection(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        exchange.send(answer).map_or(After::Close, |()| After::Hang)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome");
    assert_eq!(client.response().status, 403);
    assert_eq!(client.ending(), Ending::Closed);
    wait::until("its request is nobody's", || backend.open_connections() == 0);
}
