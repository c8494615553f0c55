//! Connections that stop speaking HTTP, byte by byte: what WebSocket peers never do, too.

use std::sync::mpsc;

use weir_tests::wait::PATIENCE;
use weir_tests::{After, Backend, Client, Ending, Exchange, Runtime, Setup, Weir, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    bytes_right_behind_either_head_are_part_of_the_tunnel,
    either_side_may_finish_first,
    a_reset_is_passed_on_either_way,
    an_idle_tunnel_is_cut,
    a_refused_upgrade_is_an_answer_like_others,
    a_101_that_answers_something_else_is_502,
    what_a_route_does_not_allow_is_not_asked_for,
    a_drain_waits_for_tunnels_and_then_cuts_them,
    tunnels_are_bounded_and_their_places_come_back,
);

const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn handshake(target: &str) -> Vec<u8> {
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    client::request("GET", target, &fields, b"")
}

/// Switches, then sends back what comes until its end, which it passes on.
fn echo(exchange: &mut Exchange<'_>) -> After {
    let mut sent = exchange.send(SWITCH);
    while sent.is_ok() {
        match exchange.read() {
            Ok(piece) if !piece.is_empty() => sent = exchange.send(&piece),
            _ => break,
        }
    }
    After::Close
}

/// A tunnel by hand.
#[track_caller]
fn open(weir: &Weir, target: &str) -> Client {
    let mut client = Client::connect(weir.address("main"));
    client.send(handshake(target));
    let (status, head, _) = client.try_head("GET").expect("a head");
    assert_eq!((status, head.get("upgrade")), (101, Some("websocket")));
    assert_eq!(head.get("connection"), Some("Upgrade"));
    client
}

#[track_caller]
fn expect_echo(client: &mut Client, bytes: &[u8]) {
    client.send(bytes);
    assert_eq!(client.read_exactly(bytes.len()).expect("an echo"), bytes);
}

fn bytes_right_behind_either_head_are_part_of_the_tunnel(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let first = [SWITCH, b"from the backend"].concat();
        exchange.send(&first).expect("the gateway is there");
        let read = exchange.read().expect("the client's first bytes");
        exchange.send(&read).map_or(After::Close, |()| After::Close)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send([handshake("/").as_slice(), b"GET / HTTP/1.1\r\n\r\n"].concat());
    assert_eq!(client.try_head("GET").expect("a head").0, 101);
    let both = b"from the backendGET / HTTP/1.1\r\n\r\n";
    assert_eq!(client.read_exactly(both.len()).expect("both"), both);
    let head = &backend.seen()[0];
    assert_eq!((head.get("connection"), head.get("upgrade")), (Some("Upgrade"), Some("websocket")));
}

fn either_side_may_finish_first(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        exchange.send(SWITCH).expect("the gateway is there");
        if exchange.target() == "/backend" {
            exchange.send(b"last words").and_then(|()| exchange.finish()).expect("half-closes");
            let answer = exchange.read().expect("the client goes on");
            assert_eq!(answer, b"still here");
            assert!(exchange.read().expect("the client's end").is_empty());
        } else {
            assert_eq!(exchange.read().expect("the client's"), b"last words");
            assert!(exchange.read().expect("the client's end").is_empty());
            exchange.send(b"still here").expect("the client listens");
        }
        After::Close
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = open(&weir, "/client");
    client.send("last words");
    client.finish();
    assert_eq!(client.read_exactly(10).expect("an answer"), b"still here");
    assert_eq!(client.ending(), Ending::Closed);
    let mut client = open(&weir, "/backend");
    assert_eq!(client.read_exactly(10).expect("the backend's"), b"last words");
    assert_eq!(client.ending(), Ending::Closed, "as far as reading goes");
    client.send("still here");
    client.finish();
    wait::until("both tunnels are over", || weir.metric("weir_tunnels_open{shard=\"0\"}") == 0);
    wait::until("both backends are content", || backend.open_connections() == 0);
}

fn a_reset_is_passed_on_either_way(runtime: Runtime) {
    let (told, ends) = mpsc::channel();
    let backend = Backend::start(move |exchange| {
        exchange.send(SWITCH).expect("the gateway is there");
        if exchange.target() == "/backend" {
            exchange.send(b"x").expect("the gateway is there");
            return After::Reset;
        }
        let end = exchange.read().map_err(|error| error.kind());
        told.send(end).expect("the test waits");
        After::Close
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = open(&weir, "/backend");
    let ending = match client.read() {
        Ok(_) => client.ending(),
        Err(_) => Ending::Reset,
    };
    assert_eq!(ending, Ending::Reset);
    open(&weir, "/client").reset();
    let end = ends.recv_timeout(PATIENCE).expect("the backend is told");
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
}

fn an_idle_tunnel_is_cut(runtime: Runtime) {
    let backend = Backend::start(echo);
    let weir = Setup::before(runtime, &backend).http("tunnel_idle_timeout = \"300ms\"").start();
    let mut client = open(&weir, "/");
    expect_echo(&mut client, b"alive");
    assert_eq!(client.ending(), Ending::Reset);
    wait::until("the backend's side is gone too", || backend.open_connections() == 0);
    assert_eq!(weir.metric("weir_timeouts_total{kind=\"tunnel\"}"), 1);
}

fn a_refused_upgrade_is_an_answer_like_others(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let status = exchange.target().trim_start_matches('/').parse().expect("a status");
        exchange.reply(status, &[("Upgrade", "websocket")], b"no")
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for status in [200, 403, 426] {
        let target = format!("/{status}");
        // What follows is a request then, and was not given away.
        client.send([handshake(&target), client::request("GET", "/201", &[], b"")].concat());
        let refused = client.response();
        assert_eq!((refused.status, refused.text()), (status, "no"));
        assert_eq!(client.response().status, 201);
    }
    assert_eq!((backend.requests(), backend.connections()), (6, 1));
    assert_eq!(weir.metric("weir_tunnels_opened_total"), 0);
}

fn a_101_that_answers_something_else_is_502(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let fields = match exchange.target() {
            "/unasked" | "/right" => "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "/other" => "Connection: Upgrade\r\nUpgrade: irc\r\n",
            "/silent" => "Connection: Upgrade\r\n",
            _ => "Upgrade: websocket\r\n",
        };
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        exchange.send(head.as_bytes()).map_or(After::Close, |()| After::Hang)
    });
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.get("/unasked", &[]).status, 502);
    for target in ["/other", "/silent", "/unconnected"] {
        client.send(handshake(target));
        assert_eq!(client.response().status, 502, "{target}");
    }
    assert_eq!(backend.requests(), 4, "nothing is asked twice");
    wait::until("the backend's connections are gone", || backend.open_connections() == 0);
    drop(open(&weir, "/right"));
}

fn what_a_route_does_not_allow_is_not_asked_for(runtime: Runtime) {
    let backend = Backend::text("plain");
    let setup = Setup::before(runtime, &backend);
    let routes = [("/*", ""), ("/none", "upgrade = false"), ("/irc", "upgrade = [\"irc\"]")];
    let weir = routes
        .iter()
        .fold(setup, |setup, (path, rest)| setup.route(&format!("path = \"{path}\"\n{rest}")));
    let weir = weir.start();
    let mut client = Client::connect(weir.address("main"));
    let cases = [
        ("/", "websocket", "", Some("websocket")),
        ("/", "irc, WebSocket/13", "", Some("WebSocket/13")),
        ("/", "irc", "", None),
        ("/", "h2c, websocket", "", None),
        ("/", "websocket", "x", None),
        ("/none", "websocket", "", None),
        ("/irc", "irc/1, websocket", "", Some("irc/1")),
    ];
    for (target, protocols, body, asked) in cases {
        let fields = [("Connection", "upgrade, X-Hop"), ("Upgrade", protocols), ("X-Hop", "1")];
        client.send(client::request("POST", target, &fields, body.as_bytes()));
        assert_eq!(client.response().text(), "plain");
        let seen = backend.seen();
        let head = seen.last().expect("it was asked");
        assert_eq!(head.get("upgrade"), asked, "{target} {protocols}");
        assert_eq!(head.get("connection"), asked.map(|_| "Upgrade"));
        assert_eq!(head.get("x-hop"), None);
    }
}

fn a_drain_waits_for_tunnels_and_then_cuts_them(runtime: Runtime) {
    let backend = Backend::start(echo);
    let setup = Setup::before(runtime, &backend).access_log("stdout");
    let mut weir = setup.clone().start();
    let mut client = open(&weir, "/");
    weir.process().signal(libc::SIGTERM);
    wait::until("it drains", || weir.process().stderr().contains("draining"));
    expect_echo(&mut client, b"still served");
    client.finish();
    assert_eq!(client.ending(), Ending::Closed);
    let finished = weir.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    // One that goes on is cut when patience ends.
    let mut weir = setup.engine("drain_timeout = \"500ms\"").start();
    let mut client = open(&weir, "/cut");
    expect_echo(&mut client, b"served");
    let finished = weir.terminate();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert_eq!(client.ending(), Ending::Reset);
    let logged = finished.stdout.lines().filter(|line| line.contains("/cut")).count();
    assert_eq!(logged, 1, "{}", finished.stdout);
}

fn tunnels_are_bounded_and_their_places_come_back(runtime: Runtime) {
    const COUNT: usize = 100;
    weir_tests::sandbox::raise_descriptor_limit();
    let backend = Backend::start(echo);
    let setup = Setup::before(runtime, &backend).upstream("connect_timeout = \"20s\"");
    let weir = setup.http(&format!("tunnels_per_shard = {COUNT}")).start();
    let mut clients: Vec<_> = (0..COUNT).map(|_| open(&weir, "/")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        expect_echo(client, number.to_string().as_bytes());
    }
    let mut over = Client::connect(weir.address("main"));
    over.send(handshake("/"));
    let refused = over.response();
    assert_eq!((refused.status, refused.get("retry-after")), (503, Some("1")));
    assert_eq!(backend.requests(), COUNT);
    assert_eq!(weir.metric("weir_tunnels_refused_total"), 1);
    assert_eq!(weir.metric("weir_tunnels_open{shard=\"0\"}"), COUNT as u64);
    drop(clients.pop());
    wait::until("its place is free", || {
        weir.metric("weir_tunnels_open{shard=\"0\"}") < COUNT as u64
    });
    expect_echo(&mut open(&weir, "/"), b"room again");
}
