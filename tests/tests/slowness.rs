//! Clients that are slow, leave, or are ahead of their answers.

use weir_tests::{After, Backend, Client, Gate, Runtime, Setup, on_both_runtimes, wait};

on_both_runtimes!(
    a_body_that_trickles_is_408,
    a_reader_that_trickles_is_cut_off,
    a_backend_may_be_as_slow_as_it_likes_between_bytes,
    a_stalled_answer_and_a_stalled_reader_are_told_apart,
    a_client_that_resets_while_it_waits_takes_its_request_along,
    a_half_close_is_leaving_only_if_the_configuration_says_so,
    what_comes_while_a_client_waits_is_its_next_request,
);

const RATE: &str = "body_timeout = \"300ms\"\nbody_rate_min = ";

fn a_body_that_trickles_is_408(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.body() {
        Ok(body) => exchange.reply(200, &[], &body),
        Err(_) => After::Close,
    });
    let weir = Setup::before(runtime, &backend).http(&format!("{RATE}\"1KiB\"")).start();
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut client = Client::connect(weir.address("main"));
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        let drop = if framing.starts_with('C') { "x" } else { "1\r\nx\r\n" };
        // A byte each few milliseconds is never still for long, and never fast.
        wait::until("the gateway has had enough", || client.try_send(drop).is_err());
    }
    wait::until("the backend is let go", || backend.open_connections() == 0);
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"body\"}"), 2);
    assert_eq!(weir.metric("weir_request_errors_total{status=\"408\"}"), 2);
}

fn a_reader_that_trickles_is_cut_off(runtime: Runtime) {
    const LENGTH: usize = 256 << 20;
    let backend = Backend::start(|exchange| exchange.reply_stream(LENGTH));
    let weir = Setup::before(runtime, &backend).http(&format!("{RATE}\"1GiB\"")).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/", &[]);
    client.try_head("GET").expect("a head");
    let mut read = 0;
    wait::until("it is cut off", || match client.read() {
        Ok(piece) if !piece.is_empty() => {
            read += piece.len();
            false
        }
        _ => true,
    });
    assert!(read < LENGTH);
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"write\"}"), 1);
}

fn a_backend_may_be_as_slow_as_it_likes_between_bytes(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n").expect("sent");
        for _ in 0..20 {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
            exchange.send(b"x").expect("the gateway is patient");
        }
        After::KeepAlive
    });
    let weir = Setup::before(runtime, &backend)
        .http("body_timeout = \"800ms\"\nbody_rate_min = \"1GiB\"")
        .start();
    assert_eq!(weir_tests::client::get(weir.address("main"), "/", &[]).text(), "x".repeat(20));
}

fn a_stalled_answer_and_a_stalled_reader_are_told_apart(runtime: Runtime) {
    let backend = Backend::start(|exchange| match exchange.target() {
        "/stall" => {
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome").expect("sent");
            After::Hang
        }
        _ => exchange.reply_stream(64 << 20),
    });
    let weir = Setup::before(runtime, &backend).http("body_timeout = \"300ms\"").start();
    let mut reader = Client::connect(weir.address("main"));
    let kind = |kind: &str| weir.metric(&format!("weir_timeouts_total{{kind=\"{kind}\"}}"));
    reader.send_get("/stall", &[]);
    wait::until("the backend is given up", || kind("body") == 1);
    assert_eq!(kind("write"), 0);
    let mut idle = Client::connect(weir.address("main"));
    idle.send_get("/large", &[]);
    wait::until("the client is given up", || kind("write") == 1);
    assert_eq!(kind("body"), 1);
}

fn a_client_that_resets_while_it_waits_takes_its_request_along(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        if exchange.target() == "/begun" {
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome").expect("sent");
        }
        After::Hang
    });
    let weir = Setup::before(runtime, &backend).start();
    for (number, target) in ["/", "/begun"].into_iter().enumerate() {
        let mut client = Client::connect(weir.address("main"));
        client.send_get(target, &[]);
        wait::until("the backend is at work", || backend.requests() == number + 1);
        if target == "/begun" {
            client.try_head("GET").expect("a head");
        }
        client.reset();
        wait::until("the backend is let go", || backend.open_connections() == 0);
    }
    let left = || weir.metric("weir_request_errors_total{status=\"499\"}") == 1;
    wait::until("it was counted", left);
}

fn a_half_close_is_leaving_only_if_the_configuration_says_so(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        if exchange.target() == "/held" {
            held.pass();
            return exchange.reply(200, &[], b"late");
        }
        After::Hang
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut patient = Client::connect(weir.address("main"));
    patient.send_get("/held", &[]);
    patient.finish();
    wait::until("the backend is at work", || backend.requests() == 1);
    let strict = Setup::before(runtime, &backend).http("abort_on_close = true").start();
    let mut client = Client::connect(strict.address("main"));
    client.send_get("/", &[]);
    wait::until("the backend is at work", || backend.requests() == 2);
    client.finish();
    wait::until("it is given up", || backend.open_connections() == 1);
    gate.open();
    assert_eq!(patient.response().text(), "late");
}

fn what_comes_while_a_client_waits_is_its_next_request(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        if exchange.target() == "/1" {
            held.pass();
        }
        let text = exchange.target().to_owned();
        exchange.reply(if text == "/2" { 404 } else { 200 }, &[], text.as_bytes())
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/1", &[]);
    wait::until("the backend is at work", || backend.requests() == 1);
    // In pieces, of which the gateway may have seen any number when the answer comes.
    client.send("GET /2 HT");
    client.send("TP/1.1\r\nHost: a\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nContent-Le");
    gate.open();
    assert_eq!(client.response().text(), "/1");
    client.send("ngth: 3\r\n\r\nabc");
    client.send_get("/4", &[]);
    for target in ["/2", "/3", "/4"] {
        assert_eq!(client.response().text(), target);
    }
}
