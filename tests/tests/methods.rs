//! CONNECT, TRACE, OPTIONS and Max-Forwards: methods about the way, not the resource.

use weir_tests::on_both_runtimes;
use weir_tests::{After, Backend, Client, Ending, Response, Runtime, Setup, client};

on_both_runtimes!(
    connect_is_passed_on_where_a_route_allows_it,
    connect_is_refused_otherwise_and_ends_the_connection,
    trace_is_refused_unless_it_is_allowed,
    trace_with_no_hops_left_is_reflected_without_secrets,
    options_are_answered_for_the_server_and_at_the_last_hop,
    max_forwards_is_counted_down_for_trace_and_options_only,
);

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Sends back what comes in a tunnel, until its end.
fn tunnelling() -> Backend {
    Backend::start(|exchange| {
        let early = b"HTTP/1.1 200 Open\r\nContent-Length: 9\r\nX-Seen: 1\r\n\r\nhello ";
        if exchange.target() == "refused.test:1" {
            return exchange.reply(403, &[], b"no");
        }
        let mut sent = exchange.send(early);
        while sent.is_ok() {
            match exchange.read() {
                Ok(piece) if !piece.is_empty() => sent = exchange.send(&piece),
                _ => break,
            }
        }
        After::Close
    })
}

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n")
}

fn connect_is_passed_on_where_a_route_allows_it(runtime: Runtime) {
    let backend = tunnelling();
    let weir = Setup::before(runtime, &backend).route("path = \"/*\"\nconnect = true").start();
    let mut client = Client::connect(weir.address("main"));
    client.send(connect("db.test:5432") + "\r\nearly ");
    let (status, head, _) = client.try_head("HEAD").expect("a head");
    assert_eq!((status, head.get("x-seen")), (200, Some("1")));
    assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (None, None));
    assert_eq!(client.read_exactly(12).expect("both sides' first bytes"), b"hello early ");
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.read_exactly(18).expect("an echo"), b"GET / HTTP/1.1\r\n\r\n");
    client.finish();
    assert_eq!(client.ending(), Ending::Closed);
    let head = &backend.seen()[0];
    assert_eq!(head.start, "CONNECT db.test:5432 HTTP/1.1");
    assert_eq!(head.get("host"), Some("db.test:5432"));
    // A refusal is an answer like any other, but for what may follow the request.
    let mut client = Client::connect(weir.address("main"));
    client.send(connect("refused.test:1") + "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let refused = client.response();
    assert_eq!((refused.status, refused.text()), (403, "no"));
    assert_eq!(refused.get("connection"), Some("close"));
    assert_eq!(client.ending(), Ending::Closed);
    let mut client = Client::connect(weir.address("main"));
    client.send(connect("db.test:5432") + "Content-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().status, 400);
    assert_eq!(backend.requests(), 2);
}

fn connect_is_refused_otherwise_and_ends_the_connection(runtime: Runtime) {
    let backend = Backend::text("never");
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send(connect("a.test:1") + "\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let refused = client.response();
    assert_eq!((refused.status, refused.get("allow")), (405, Some(METHODS)));
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(backend.requests(), 0);
}

fn trace(fields: &[(&str, &str)]) -> Vec<u8> {
    client::request("TRACE", "/a?b=c", fields, b"")
}

fn ask(client: &mut Client, bytes: impl AsRef<[u8]>) -> Response {
    client.send(bytes);
    client.response()
}

fn trace_is_refused_unless_it_is_allowed(runtime: Runtime) {
    let backend = Backend::text("passed on");
    let weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    let refused = ask(&mut client, trace(&[("Max-Forwards", "0")]));
    assert_eq!((refused.status, refused.get("allow")), (405, Some(METHODS)));
    assert_eq!(client.get("/", &[]).status, 200);
    let weir = Setup::before(runtime, &backend).http("trace = true").start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(ask(&mut client, trace(&[])).text(), "passed on");
    let body = client::request("TRACE", "/", &[], b"content");
    assert_eq!(ask(&mut client, body).status, 400);
    assert_eq!(backend.requests(), 2);
}

fn trace_with_no_hops_left_is_reflected_without_secrets(runtime: Runtime) {
    let backend = Backend::text("never");
    let weir = Setup::before(runtime, &backend).http("trace = true").start();
    let mut client = Client::connect(weir.address("main"));
    let fields = [("Max-Forwards", "0"), ("Cookie", "s=1"), ("authorization", "x"), ("X-A", "b")];
    let answer = ask(&mut client, trace(&fields));
    assert_eq!((answer.status, answer.get("content-type")), (200, Some("message/http")));
    assert_eq!(
        answer.text(),
        "TRACE /a?b=c HTTP/1.1\r\nHost: weir.test\r\nMax-Forwards: 0\r\nX-A: b\r\n\r\n"
    );
    assert_eq!(backend.requests(), 0);
}

fn options_are_answered_for_the_server_and_at_the_last_hop(runtime: Runtime) {
    let backend = Backend::text("passed on");
    let setup = Setup::before(runtime, &backend).http("trace = true");
    let weir = setup.route("path = \"/a/*\"").start();
    let mut client = Client::connect(weir.address("main"));
    let allow = format!("{METHODS}, TRACE");
    for (target, fields) in
        [("*", &[][..]), ("http://weir.test", &[]), ("/a/b", &[("Max-Forwards", "0")])]
    {
        let answer = ask(&mut client, client::request("OPTIONS", target, fields, b""));
        assert_eq!((answer.status, answer.get("allow")), (200, Some(allow.as_str())), "{target}");
        assert_eq!((answer.get("content-length"), answer.text()), (Some("0"), ""), "{target}");
        assert_eq!(answer.get("content-type"), None);
    }
    assert_eq!(backend.requests(), 0);
    let passed = ask(&mut client, client::request("OPTIONS", "http://weir.test/a/", &[], b""));
    assert_eq!(passed.text(), "passed on");
    // Nobody learns which paths there are.
    let lost = ask(&mut client, client::request("OPTIONS", "/c", &[("Max-Forwards", "0")], b""));
    assert_eq!(lost.status, 404);
}

fn max_forwards_is_counted_down_for_trace_and_options_only(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).http("trace = true").start();
    let mut client = Client::connect(weir.address("main"));
    for (method, sent, passed) in [
        ("OPTIONS", "1", "0"),
        ("TRACE", "0070", "69"),
        ("OPTIONS", "99999999999999999999999", "18446744073709551614"),
        ("GET", "0", "0"),
        ("GET", "none", "none"),
    ] {
        let request = client::request(method, "/", &[("Max-Forwards", sent)], b"");
        assert_eq!(ask(&mut client, request).status, 200, "{method} {sent}");
        let seen = backend.seen();
        assert_eq!(seen.last().and_then(|head| head.get("max-forwards")), Some(passed));
    }
    let malformed = client::request("OPTIONS", "/", &[("Max-Forwards", "-1")], b"");
    assert_eq!(ask(&mut client, malformed).status, 400);
}
