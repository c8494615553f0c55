//! When a request is sent again, when it is not, and what that may cost the backends.

use weir_tests::{After, Backend, Client, Gate, Runtime, Setup, client, on_both_runtimes};
use weir_tests::{ports, wait};

on_both_runtimes!(
    without_retries_nothing_is_sent_again,
    attempts_are_bounded,
    the_budget_bounds_requests_on_their_second_way,
    a_refused_or_stale_connection_costs_no_budget,
    a_408_on_a_kept_connection_is_its_end_and_no_answer,
    nothing_is_sent_again_once_an_interim_answer_was_seen,
    a_request_may_take_so_long_in_all,
);

const REFUSED: &str = "weir_retries_refused_by_budget_total";

fn resets() -> Backend {
    Backend::start(|_| After::Reset)
}

fn without_retries_nothing_is_sent_again(runtime: Runtime) {
    let (bad, good) = (resets(), Backend::text("good"));
    let setup = Setup::new(runtime).backend(bad.address()).backend(good.address());
    let weir = setup.upstream("retry = false").start();
    let mut client = Client::connect(weir.address("main"));
    let statuses: Vec<_> = (0..4).map(|_| client.get("/", &[]).status).collect();
    assert_eq!(statuses, [502, 200, 502, 200]);
    assert_eq!((bad.requests(), weir.metric("weir_retries_total")), (2, 0));
    let free = Setup::new(runtime).backend(ports::free_address()).backend(good.address());
    let weir = free.upstream("retry = false").start();
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 502);
}

fn attempts_are_bounded(runtime: Runtime) {
    let bad: Vec<_> = (0..4).map(|_| resets()).collect();
    let setup = bad.iter().fold(Setup::new(runtime), |setup, bad| setup.backend(bad.address()));
    for (retry, expected) in [("", 3), ("retry = { attempts = 1 }", 2), ("retry = true", 3)] {
        let before: usize = bad.iter().map(Backend::requests).sum();
        let weir = setup.clone().upstream(retry).start();
        assert_eq!(client::get(weir.address("main"), "/", &[]).status, 502);
        let after: usize = bad.iter().map(Backend::requests).sum();
        assert_eq!(after - before, expected, "{retry}");
        assert_eq!(weir.metric("weir_retries_total"), expected as u64 - 1);
    }
}

fn the_budget_bounds_requests_on_their_second_way(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let bad = resets();
    let good = Backend::start(move |exchange| {
        held.pass();
        exchange.reply(200, &[], b"good")
    });
    let setup = Setup::new(runtime).backend(bad.address()).backend(good.address());
    let weir = setup.upstream("retry = { budget = 0, floor = 1 }").start();
    let mut first = Client::connect(weir.address("main"));
    first.send_get("/first", &[]);
    wait::until("it is on its second way", || good.requests() == 1);
    // The answer is what the first failure was.
    assert_eq!(client::get(weir.address("main"), "/second", &[]).status, 502);
    assert_eq!((weir.metric("weir_retries_total"), weir.metric(REFUSED)), (1, 1));
    gate.open();
    assert_eq!(first.response().text(), "good");
    // What is over makes room, whoever's turn it is.
    for _ in 0..4 {
        assert_eq!(first.get("/", &[]).text(), "good");
    }
    assert_eq!(weir.metric(REFUSED), 1);
}

fn a_refused_or_stale_connection_costs_no_budget(runtime: Runtime) {
    let fickle = Backend::start(|exchange| match (exchange.number, exchange.connection) {
        (1.., 0) => After::Close,
        _ => exchange.reply(200, &[], b"ok"),
    });
    let setup = Setup::new(runtime).backend(ports::free_address()).backend(fickle.address());
    let weir = setup.upstream("retry = { attempts = 2, budget = 0, floor = 0 }").start();
    let mut client = Client::connect(weir.address("main"));
    // Refused and sent elsewhere; then also stale there and replaced.
    for _ in 0..3 {
        assert_eq!(client.get("/", &[]).text(), "ok");
    }
    assert_eq!((fickle.requests(), fickle.connections()), (4, 2));
    assert_eq!((weir.metric("weir_retries_total"), weir.metric(REFUSED)), (4, 0));
    let bad = resets();
    let setup = Setup::new(runtime).backend(bad.address()).backend(fickle.address());
    let weir = setup.upstream("retry = { budget = 0, floor = 0 }").start();
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 502);
    assert_eq!(weir.metric(REFUSED), 1);
}

/// RFC 9110 section 15.5.9: such an answer means that no request was expected.
fn a_408_on_a_kept_connection_is_its_end_and_no_answer(runtime: Runtime) {
    let timeout = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let used = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let backend = Backend::start(move |exchange| {
        if used.lock().expect("not poisoned").insert(exchange.connection) {
            return exchange.reply(200, &[], exchange.target().to_owned().as_bytes());
        }
        exchange.send(timeout).map_or(After::Close, |()| After::Close)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for target in ["/1", "/2", "/3"] {
        assert_eq!(client.get(target, &[]).text(), target);
    }
    assert_eq!((backend.requests(), backend.connections()), (5, 3));
    // It may have been acted on, so its client has to know.
    assert_eq!(client.post("/4", &[], b"x").status, 408);
    // On a fresh connection it is an answer like any other.
    let strict = Backend::start(move |exchange| {
        exchange.send(timeout).map_or(After::Close, |()| After::Close)
    });
    let weir = Setup::before(runtime, &strict).start();
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 408);
    assert_eq!(strict.requests(), 1);
}

fn nothing_is_sent_again_once_an_interim_answer_was_seen(runtime: Runtime) {
    let bad = Backend::start(|exchange| {
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").expect("sent");
        After::Close
    });
    let good = Backend::text("good");
    let weir = Setup::new(runtime).backend(bad.address()).backend(good.address()).start();
    let mut client = Client::connect(weir.address("main"));
    let statuses: Vec<_> = (0..4).map(|_| client.get("/", &[]).status).collect();
    assert_eq!(statuses, [502, 200, 502, 200]);
    assert_eq!((bad.requests(), good.requests()), (2, 2));
}

fn a_request_may_take_so_long_in_all(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.target() {
        // Each one begins the wait for an answer anew, but not the whole.
        "/interim" => loop {
            if exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n").is_err() {
                return After::Close;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        },
        "/slow-body" => match exchange.body() {
            Ok(body) => exchange.reply(200, &[], &body),
            Err(_) => After::Close,
        },
        _ => After::Hang,
    });
    let setup = Setup::before(runtime, &backend);
    let weir = setup.upstream("request_timeout = \"400ms\"").start();
    let mut client = Client::connect(weir.address("main"));
    for target in ["/", "/interim"] {
        client.send_get(target, &[]);
        assert_eq!(client.response().status, 504, "{target}");
    }
    wait::until("both were given up", || backend.open_connections() == 0);
    assert_eq!(backend.requests(), 2);
    client.send("POST /slow-body HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    assert_eq!(client.response().status, 408, "the client was the slow one");
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"request\"}"), 3);
}
