//! For any request or response that is accepted, however hostile: what is sent on is one message,
//! the one that was meant, to a strict reader and to lenient ones.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use weir_protocol::http::{RequestBody, RequestHead, ResponseBody, ResponseHead, TargetForm};

use super::*;

#[path = "../../../../../protocol/fuzz/properties/independent.rs"]
mod independent;

use independent::{Framing, Head, Kind, lenient, readings, strict};

const CASES: u32 = 4000;

const NAMES: &[&str] = &[
    "Content-Length",
    "content-length",
    "Content_Length",
    "Transfer-Encoding",
    "TRANSFER_ENCODING",
    "Host",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Upgrade",
    "TE",
    "Trailer",
    "Expect",
    "X-Forwarded-For",
    "X_Forwarded_For",
    "Forwarded",
    "X-Request-Id",
    "Traceparent",
    "Tracestate",
    "Via",
    "X-Real-IP",
    "X-Weir-User",
    "x_weir_user",
    "X-A",
    "Date",
    "",
    "X A",
];

const VALUES: &[&str] = &[
    "chunked",
    "Chunked",
    "gzip, chunked",
    "chunked, identity",
    "xchunked",
    "3",
    "003",
    "3, 3",
    "+3",
    "0x3",
    "99999999999999999999",
    "close",
    "keep-alive",
    "upgrade, te",
    "X-A, Content-Length, Host, X-Weir-User",
    "trailers",
    "websocket",
    "100-continue",
    "root",
    "for=\"10.0.0.9\", for=192.0.2.1;host=\"a\\\"b\"",
    "1.1 weir (a",
    "a.example",
    "a\u{e9}",
    "a\r\n b",
    "a\r\nContent-Length: 7",
    "a\nTransfer-Encoding: chunked",
    "a\rb",
    "a\0",
    "",
];

/// One field line. Half of them are of the kind that everybody sends.
fn any_line() -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => select(NAMES).prop_map(str::to_owned), 1 => "[!-~]{1,4}"];
    let colon = prop_oneof![12 => Just(": "), 2 => Just(":"), 2 => Just(":\t "), 1 => Just(" : ")];
    let value = prop_oneof![4 => select(VALUES).prop_map(str::to_owned), 1 => "[ -~]{0,6}"];
    let end =
        prop_oneof![30 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just(" \t\r\n")];
    let hostile = (name, colon, value, end).prop_map(|(n, c, v, e)| format!("{n}{c}{v}{e}"));
    let plain =
        select(&["Accept: */*\r\n", "Connection: X-A\r\n", "X-A: 1\r\n", "TE: trailers\r\n"][..]);
    let framing = select(&["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"][..]);
    prop_oneof![3 => hostile, 2 => plain.prop_map(str::to_owned), 1 => framing.prop_map(str::to_owned)]
}

fn any_lines() -> impl Strategy<Value = String> {
    prop::collection::vec(any_line(), 0..5).prop_map(|lines| lines.concat())
}

fn any_request() -> impl Strategy<Value = String> {
    let method =
        select(&["GET", "POST", "HEAD", "DELETE", "OPTIONS", "TRACE", "M-SEARCH", "G(T"][..]);
    let target = prop_oneof![
        4 => select(&["/", "/a?b", "//a/../b", "/%2e%2e/x?", "*", "http://b.c", "http://[::1]:8/x?y"][..])
            .prop_map(str::to_owned),
        1 => "/[!-~]{0,8}",
        1 => "[!-~]{1,8}",
    ];
    let version = prop_oneof![8 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/1.2")];
    let host = prop_oneof![9 => Just("Host: a\r\n"), 1 => Just("")];
    (method, target, version, host, any_lines()).prop_map(
        |(method, target, version, host, lines)| {
            format!("{method} {target} {version}\r\n{host}{lines}\r\n")
        },
    )
}

fn any_response() -> impl Strategy<Value = String> {
    let version = prop_oneof![8 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    let status =
        prop_oneof![4 => select(&[200_u16, 204, 205, 206, 304, 404, 500][..]), 1 => 90..610_u16];
    let reason = prop_oneof![Just(" OK"), Just(""), Just(" "), Just(" \u{e9}"), Just(" a\tb")];
    (version, status, reason, any_lines()).prop_map(|(version, status, reason, lines)| {
        format!("{version} {status:03}{reason}\r\n{lines}\r\n")
    })
}

/// Runs `check` on what `strategy` makes; it tells whether the input was accepted. At least one in
/// ten has to be, or nothing would be shown.
fn hold<S: Strategy>(strategy: &S, check: impl Fn(&S::Value) -> bool) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let accepted = Cell::new(0);
    let held = TestRunner::new(config).run(strategy, |input| {
        accepted.set(accepted.get() + u32::from(check(&input)));
        Ok(())
    });
    if let Err(failure) = held {
        panic!("{failure}");
    }
    assert!(accepted.get() > CASES / 10, "{} accepted", accepted.get());
}

/// What every reader finds in `sent`, which ends where its head does. Another message follows, as
/// it does on a connection that is kept.
fn read_by_all(sent: &str, kind: Kind, check: impl Fn(&Head)) {
    let stream = format!("{sent}GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n");
    let read = strict(stream.as_bytes(), kind);
    let all = readings().map(|reading| lenient(stream.as_bytes(), reading));
    for head in std::iter::once(read).chain(all) {
        let head = head.unwrap_or_else(|| panic!("unreadable: {sent}"));
        assert_eq!(head.len, sent.len(), "it ends elsewhere: {sent}");
        check(&head);
    }
}

fn count(head: &Head, name: &str) -> usize {
    head.fields.iter().filter(|(have, _)| have == name).count()
}

fn values<'a>(head: &'a Head, name: &str) -> Vec<&'a [u8]> {
    head.fields.iter().filter(|(have, _)| have == name).map(|(_, value)| &value[..]).collect()
}

fn target(request: &RequestHead<'_, '_>) -> String {
    let target = &request.target;
    match (target.form, target.path, target.query) {
        (TargetForm::Asterisk, ..) => "*".to_owned(),
        (_, path, None) => path.to_owned(),
        (_, path, Some(query)) => format!("{path}?{query}"),
    }
}

#[test]
fn what_backends_get_is_the_one_request_that_was_meant() {
    let everything = forwarding("client_address = \"forwarded\"\nforwarded = \"both\"");
    hold(&any_request(), |text| {
        let mut store = FieldStore::new();
        let Ok(request) = parse_request(text.as_bytes(), &mut store, &LIMITS) else { return false };
        let framing = match request.body {
            RequestBody::None => Framing::Absent,
            RequestBody::Length(length) => Framing::Length(length),
            RequestBody::Chunked => Framing::Chunked,
        };
        // A trusted proxy's fields are copied into ours.
        let believed = sent(text, "10.0.0.1", &everything, Trace::Passed { with_state: true });
        let check = |head: &Head| {
            let start = [request.method.as_str(), &target(&request), "HTTP/1.1"];
            assert_eq!(head.start.each_ref().map(Vec::as_slice), start.map(str::as_bytes));
            assert_eq!(head.framing, framing);
            assert!(count(head, "content-length") + count(head, "transfer-encoding") <= 1);
            let host = request.host.unwrap_or("backend");
            assert_eq!(values(head, "host"), [host.as_bytes()]);
            assert_eq!(values(head, "x-weir-user"), [b"ann"]);
        };
        read_by_all(&forwarded(text), Kind::Request, check);
        read_by_all(&believed, Kind::Request, check);
        true
    });
}

/// What the body of an answer is to its client.
fn meant(response: &ResponseHead<'_, '_>, client: Version) -> Framing {
    match (response.body, client) {
        (ResponseBody::Length(length), _) => Framing::Length(length),
        (ResponseBody::Chunked | ResponseBody::UntilClose, Version::Http11) => Framing::Chunked,
        _ => Framing::Absent,
    }
}

#[test]
fn what_clients_get_is_the_one_answer_that_was_meant() {
    let methods = select(&[Method::Get, Method::Head, Method::Post][..]);
    let clients = select(&[Version::Http10, Version::Http11][..]);
    hold(&(any_response(), methods, clients), |(text, method, client)| {
        let mut store = FieldStore::new();
        let parsed = parse_response(text.as_bytes(), &mut store, &LIMITS, method);
        // Interim answers have no say over framing; they are written by another function.
        let Some(response) = parsed.ok().filter(|response| response.status >= 200) else {
            return false;
        };
        read_by_all(&answered(text, method, *client, true), Kind::Response, |head| {
            assert_eq!(head.start[0], b"HTTP/1.1");
            assert_eq!(head.start[1], response.status.to_string().as_bytes());
            match (response.body, head.framing) {
                // A length that describes what is not sent.
                (ResponseBody::None, Framing::Length(_)) => assert_ne!(response.status, 204),
                (_, framing) => assert_eq!(framing, meant(&response, *client)),
            }
            assert!(count(head, "content-length") + count(head, "transfer-encoding") <= 1);
            // What only the close ends is said to end with it.
            let until_close =
                head.framing == Framing::Absent && response.body != ResponseBody::None;
            let close =
                |(name, value): &(String, Vec<u8>)| name == "connection" && value == b"close";
            assert!(!until_close || head.fields.iter().any(close), "{text}");
        });
        true
    });
}

#[test]
fn interim_answers_have_no_body() {
    let response = any_response().prop_map(|text| {
        let lines = text.split_once("\r\n").map_or("", |(_, lines)| lines).to_owned();
        format!("HTTP/1.1 103 Early Hints\r\n{lines}")
    });
    hold(&response, |text| {
        let mut store = FieldStore::new();
        let Ok(response) = parse_response(text.as_bytes(), &mut store, &LIMITS, &Method::Get)
        else {
            return false;
        };
        let mut out = Vec::new();
        write_interim(&mut out, &response);
        let sent = String::from_utf8(out).expect("it was text");
        read_by_all(&sent, Kind::Response, |head| {
            assert_eq!(head.start[1], b"103");
            assert_eq!(head.framing, Framing::Absent);
            assert_eq!(count(head, "connection"), 0);
        });
        true
    });
}
