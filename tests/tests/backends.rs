//! What becomes of a request when its backend does not do its part.

use std::net::TcpStream;
use std::os::fd::AsRawFd;

use weir_tests::{After, Backend, Client, Ending, Response, Runtime, Setup, client};
use weir_tests::{on_both_runtimes, ports, wait};

on_both_runtimes!(
    a_backend_that_refuses_is_left_for_another,
    when_all_refuse_the_answer_is_502,
    a_stale_connection_is_replaced_for_get,
    a_post_that_was_sent_is_never_sent_again,
    a_get_is_asked_again_elsewhere_when_the_first_closes,
    a_cut_off_answer_is_never_a_whole_one,
    a_head_that_breaks_off_is_502,
    a_backend_that_says_nothing_is_504,
    a_backend_that_takes_no_connection_is_504,
    bytes_behind_an_answer_poison_its_connection,
    a_client_that_leaves_takes_its_request_along,
);

#[track_caller]
fn expect_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status);
    assert_eq!(response.get("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["type"]), (&status.into(), &"about:blank".into()));
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

fn a_backend_that_refuses_is_left_for_another(runtime: Runtime) {
    let (mut dead, alive) = (Backend::text("dead"), Backend::text("alive"));
    dead.refuse();
    let setup = Setup::new(runtime).backend(dead.address()).backend(alive.address());
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..20 {
        assert_eq!(client.get("/", &[]).text(), "alive");
        // Nothing was sent yet when the connection was refused, so any method may go elsewhere.
        assert_eq!(client.post("/", &[], b"body").text(), "alive");
    }
    assert_eq!((dead.requests(), alive.requests()), (0, 40));
}

fn when_all_refuse_the_answer_is_502(runtime: Runtime) {
    let setup = Setup::new(runtime).backend(ports::free_address()).backend(ports::free_address());
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..2 {
        expect_problem(&client.get("/", &[]), 502);
        expect_problem(&client.post("/", &[], b"body"), 502);
    }
}

/// Answers the first request of its first connection; that connection closes at the next request,
/// the others serve on.
fn closes_its_first_connection() -> Backend {
    Backend::start(|exchange| match (exchange.number, exchange.connection) {
        (1.., 0) => After::Close,
        _ => exchange.reply(200, &[], b"ok"),
    })
}

fn a_stale_connection_is_replaced_for_get(runtime: Runtime) {
    let backend = closes_its_first_connection();
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.get("/1", &[]).status, 200);
    assert_eq!(client.get("/2", &[]).status, 200);
    assert_eq!((backend.requests(), backend.connections()), (3, 2));
    let targets: Vec<_> = backend.seen().iter().map(|head| head.word(1).to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/2"]);
}

fn a_post_that_was_sent_is_never_sent_again(runtime: Runtime) {
    let backend = closes_its_first_connection();
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.post("/1", &[], b"x").status, 200);
    expect_problem(&client.post("/2", &[], b"x"), 502);
    assert_eq!(client.post("/3", &[], b"x").status, 200);
    let targets: Vec<_> = backend.seen().iter().map(|head| head.word(1).to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/3"]);
}

fn a_get_is_asked_again_elsewhere_when_the_first_closes(runtime: Runtime) {
    let (bad, good) = (Backend::start(|_| After::Reset), Backend::text("good"));
    let weir = Setup::new(runtime).backend(bad.address()).backend(good.address()).start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..6 {
        assert_eq!(client.get("/", &[]).text(), "good");
    }
    let posts: Vec<_> = (0..6).map(|_| client.post("/", &[], b"x").status).collect();
    assert_eq!(posts.iter().filter(|status| **status == 502).count(), 3, "{posts:?}");
    assert_eq!(posts.iter().filter(|status| **status == 200).count(), 3, "{posts:?}");
    // Every GET met the bad one first: its turn comes again behind the other's.
    assert_eq!((bad.requests(), good.requests()), (6 + 3, 6 + 3));
}

fn a_cut_off_answer_is_never_a_whole_one(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let (head, after) = match exchange.target() {
            "/length" => ("Content-Length: 100", After::Close),
            "/length-reset" => ("Content-Length: 100", After::Reset),
            "/chunked" | "/http10" => ("Transfer-Encoding: chunked", After::Close),
            "/chunked-reset" => ("Transfer-Encoding: chunked", After::Reset),
            // Only a close ends such a body properly.
            "/close-reset" => ("X: 1", After::Reset),
            other => panic!("{other}"),
        };
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n20\r\n0123456789");
        exchange.send(bytes.as_bytes()).expect("the gateway is there");
        after
    });
    let weir = Setup::before(runtime, &backend).start();
    for target in ["/length", "/length-reset", "/chunked", "/chunked-reset", "/close-reset"] {
        let mut client = Client::connect(weir.address("main"));
        client.send_get(target, &[]);
        // A reset may overtake what was sent: then there is no answer at all, or a 502.
        match client.try_response("GET") {
            Ok(response) => assert_eq!((target, response.status), (target, 502)),
            Err(error) => {
                use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
                assert!(
                    matches!(error.kind(), ConnectionReset | UnexpectedEof),
                    "{target}: {error}"
                );
            }
        }
    }
    // A client of HTTP/1.0 takes a close for the end, so only a reset can tell it.
    let mut client = Client::connect(weir.address("main"));
    client.send("GET /http10 HTTP/1.0\r\n\r\n");
    let ended = client.try_response("GET").map(|response| response.status);
    let kind = ended.map_err(|error| error.kind());
    assert!(matches!(kind, Ok(502) | Err(std::io::ErrorKind::ConnectionReset)), "{kind:?}");
}

fn a_head_that_breaks_off_is_502(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Le").expect("the gateway is there");
        After::Close
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    expect_problem(&client.get("/", &[]), 502);
    expect_problem(&client.get("/", &[]), 502);
    assert_eq!(backend.requests(), 2, "part of an answer was seen: no retry");
}

fn a_backend_that_says_nothing_is_504(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        if exchange.target() == "/half" {
            exchange.send(b"HTTP/1.1 200 OK\r\n").expect("the gateway is there");
        }
        After::Hang
    });
    let setup = Setup::before(runtime, &backend).upstream("response_timeout = \"300ms\"");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    for target in ["/", "/half"] {
        expect_problem(&client.get(target, &[]), 504);
    }
    assert_eq!(backend.requests(), 2, "it may be at work on it: no retry");
    wait::until("both were given up", || backend.open_connections() == 0);
}

fn a_backend_that_takes_no_connection_is_504(runtime: Runtime) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("is bound");
    // SAFETY: the descriptor is open; listening again only changes its backlog.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    // Whoever connects now waits for a place in the queue, which never comes.
    let _queued = TcpStream::connect(address).expect("the queue has one place");
    let setup = Setup::new(runtime).backend(address).upstream("connect_timeout = \"300ms\"");
    let weir = setup.start();
    expect_problem(&client::get(weir.address("main"), "/", &[]), 504);
}

fn bytes_behind_an_answer_poison_its_connection(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let twice = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst\
            HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
        exchange.send(twice).map_or(After::Close, |()| After::KeepAlive)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..5 {
        assert_eq!(client.get("/", &[]).text(), "first");
    }
    assert_eq!(backend.connections(), 5);
}

fn a_client_that_leaves_takes_its_request_along(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome").expect("sent");
        After::Hang
    });
    let weir = Setup::before(runtime, &backend).http("body_timeout = \"500ms\"").start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/", &[]);
    client.try_head("GET").expect("a head");
    drop(client);
    wait::until("the backend is let go", || backend.open_connections() == 0);
    let mut next = Client::connect(weir.address("main"));
    next.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(next.try_head("GET").expect("a head").0, 200);
    assert_eq!(next.read().expect("some"), b"some");
    assert_eq!(next.ending(), Ending::Reset, "cut off after body_timeout");
}
