//! What a client may send, and for how long: each bound has its status and ends in order.

use weir_tests::{After, Backend, Client, Ending, Response, Runtime, Setup, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    a_slow_head_is_408,
    a_slow_body_is_408,
    a_body_over_the_limit_is_413,
    a_long_head_is_431_and_a_long_target_414,
    no_route_is_404_and_connect_405,
    a_shard_without_room_is_503,
    an_idle_connection_is_closed_without_a_word,
    a_connection_carries_so_many_requests_and_no_more,
    a_slow_reader_is_cut_off,
);

#[track_caller]
fn expect_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status);
    assert_eq!(response.get("content-type"), Some("application/problem+json"));
    assert_eq!(response.json()["status"], status);
}

/// Sends `bytes`, and expects a refusal behind which the connection ends.
#[track_caller]
fn expect_last_word(weir: &weir_tests::Weir, bytes: impl AsRef<[u8]>, status: u16) {
    let mut client = Client::connect(weir.address("main"));
    client.send(bytes);
    expect_problem(&client.response(), status);
    assert_eq!(client.ending(), Ending::Closed);
}

fn a_slow_head_is_408(runtime: Runtime) {
    let backend = Backend::text("never");
    let weir = Setup::before(runtime, &backend).http("head_timeout = \"300ms\"").start();
    expect_last_word(&weir, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow:", 408);
    expect_last_word(&weir, "G", 408);
    // A byte now and then buys no time.
    let mut client = Client::connect(weir.address("main"));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    wait::until("the gateway has had enough", || client.try_send("x").is_err());
    assert_eq!(backend.requests(), 0);
}

fn a_slow_body_is_408(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.body() {
        Ok(body) => exchange.reply(200, &[], &body),
        Err(_) => After::Close,
    });
    let weir = Setup::before(runtime, &backend).http("body_timeout = \"300ms\"").start();
    expect_last_word(&weir, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.", 408);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\n";
    expect_last_word(&weir, chunked, 408);
    wait::until("the backend is let go", || backend.open_connections() == 0);
}

fn a_body_over_the_limit_is_413(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.body() {
        Ok(body) => exchange.reply(200, &[], body.len().to_string().as_bytes()),
        Err(_) => After::Close,
    });
    let weir = Setup::before(runtime, &backend).http("body_bytes_max = 1000").start();
    let head = "POST /big HTTP/1.1\r\nHost: a\r\n";
    expect_last_word(&weir, format!("{head}Content-Length: 1001\r\n\r\n"), 413);
    expect_last_word(
        &weir,
        format!("{head}Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n"),
        413,
    );
    assert_eq!(backend.requests(), 0, "known before anything was sent");
    let chunk = "x".repeat(500);
    let chunks = format!("1f4\r\n{chunk}\r\n1f4\r\n{chunk}\r\n1\r\nx\r\n0\r\n\r\n");
    expect_last_word(&weir, format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}"), 413);
    // One that is announced is not waited for.
    for announced in ["3e9\r\n".to_owned(), format!("3e8\r\n{}\r\n1\r\n", "x".repeat(1000))] {
        expect_last_word(
            &weir,
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{announced}"),
            413,
        );
    }
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.post("/", &[], &[b'x'; 1000]).text(), "1000");
    client.send(format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n1f4\r\n{chunk}\r\n1f4\r\n{chunk}\r\n0\r\n\r\n"
    ));
    assert_eq!(client.response().text(), "1000");
}

fn a_long_head_is_431_and_a_long_target_414(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .http("head_bytes_max = 2000\ntarget_bytes_max = 100\nfields_max = 10");
    let weir = setup.start();
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    expect_last_word(&weir, get("/", &format!("X: {}\r\n", "x".repeat(2000))), 431);
    expect_last_word(&weir, format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(3000)), 431);
    expect_last_word(&weir, get("/", &"X: 1\r\n".repeat(10)), 431);
    expect_last_word(&weir, get(&format!("/{}", "x".repeat(100)), ""), 414);
    expect_last_word(&weir, format!("GET /{}", "x".repeat(3000)), 414);
    assert_eq!(backend.requests(), 0);
    let mut client = Client::connect(weir.address("main"));
    client.send(get(&format!("/{}", "x".repeat(99)), &"X: 1\r\n".repeat(9)));
    assert_eq!(client.response().status, 200);
}

fn no_route_is_404_and_connect_405(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .route("path = \"/only/*\"")
        .route("path = \"/only/*\"\nhost = \"other.test\"");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    expect_problem(&client.get("/", &[]), 404);
    expect_problem(&client.get("/onlyx", &[]), 404);
    assert_eq!(client.get("/only", &[]).status, 200);
    assert_eq!(client.get("/only/this", &[("Host", "OTHER.test:81")]).status, 200);
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send("CONNECT weir.test:443 HTTP/1.1\r\nHost: weir.test:443\r\n\r\n");
    expect_problem(&client.response(), 405);
    assert_eq!(backend.requests(), 2);
}

fn a_shard_without_room_is_503(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).engine("connections_per_shard = 4").start();
    let mut served: Vec<_> = (0..4).map(|_| Client::connect(weir.address("main"))).collect();
    assert!(served.iter_mut().all(|client| client.get("/", &[]).status == 200));
    for _ in 0..5 {
        let mut over = Client::connect(weir.address("main"));
        // Bytes that nobody reads would have the answer followed, or overtaken, by a reset.
        over.send(client::request("POST", "/", &[], &[b'x'; 10_000]));
        let refused = over.response();
        expect_problem(&refused, 503);
        assert!(refused.get("retry-after").is_some());
        assert_eq!(over.ending(), Ending::Closed);
    }
    drop(served);
    wait::until("there is room again", || {
        let mut client = Client::connect(weir.address("main"));
        let _ = client.try_send(client::request("GET", "/", &[], b""));
        client.try_response("GET").is_ok_and(|response| response.status == 200)
    });
}

fn an_idle_connection_is_closed_without_a_word(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).http("idle_timeout = \"200ms\"").start();
    let mut used = Client::connect(weir.address("main"));
    assert_eq!(used.get("/", &[]).status, 200);
    assert_eq!(used.ending(), Ending::Closed);
    assert_eq!(Client::connect(weir.address("main")).ending(), Ending::Closed);
}

fn a_connection_carries_so_many_requests_and_no_more(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).http("requests_per_connection = 3").start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.get("/", &[]).get("connection"), None);
    assert_eq!(client.get("/", &[]).get("connection"), None);
    assert_eq!(client.get("/", &[]).get("connection"), Some("close"));
    assert_eq!(client.ending(), Ending::Closed);
}

fn a_slow_reader_is_cut_off(runtime: Runtime) {
    const LENGTH: usize = 64 << 20;
    let backend = Backend::start(|exchange| exchange.reply_stream(LENGTH));
    let weir = Setup::before(runtime, &backend).http("body_timeout = \"500ms\"").start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/", &[]);
    wait::until("the backend sends", || backend.requests() == 1);
    wait::until("the backend is let go", || backend.open_connections() == 0);
    client.try_head("GET").expect("what was sent before");
    let mut read = 0;
    let ended = loop {
        match client.read() {
            Ok(piece) if piece.is_empty() => break Ending::Closed,
            Ok(piece) => read += piece.len(),
            Err(_) => break Ending::Reset,
        }
    };
    assert!(read < LENGTH, "{read} bytes cannot have been buffered: {ended:?}");
}
