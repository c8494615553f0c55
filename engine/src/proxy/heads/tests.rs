use std::sync::LazyLock;

use super::super::origin::Origin;
use super::super::route::SentPath;
use super::super::trail::{RequestId, Trace, Trail};
use super::super::wish::Wish;
use super::*;
use crate::config::{Config, FieldEdits};
use crate::snapshot::Forwarding;
use weir_protocol::http::{FieldStore, HeadLimits, Method, parse_request, parse_response};
use weir_protocol::limit::fields::{Policy, Standing, Unit};

mod policy;
mod properties;
mod trail;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 16_384, target_bytes: 8192, fields: 100 };

/// What a configuration with these lines says of forwarding; its listener trusts 10.0.0.0/8.
fn forwarding(lines: &str) -> Forwarding {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
         [[upstream]]\nname = \"u\"\nbackend = [{{ address = \"127.0.0.1:1\" }}]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\n[forwarding]\n{lines}"
    );
    Forwarding::new(&Config::parse(&text, "test").unwrap())
}

/// The head that a backend is sent of `request`, which came from `peer`.
fn sent(request: &str, peer: &str, forwarding: &Forwarding, trace: Trace) -> String {
    sent_with(request, peer, forwarding, trace, None)
}

fn sent_with(
    request: &str,
    peer: &str,
    forwarding: &Forwarding,
    trace: Trace,
    edits: Option<&FieldEdits>,
) -> String {
    let mut store = FieldStore::new();
    let head = parse_request(request.as_bytes(), &mut store, &LIMITS).unwrap();
    let peer = peer.parse().unwrap();
    let direct = Origin { address: peer, peer, trusted: false, secure: false };
    let plan = RequestPlan {
        head: &head,
        path: SentPath { prefix: "", rest: head.target.path.as_bytes() },
        host: head.host.unwrap_or("backend"),
        origin: &direct.behind(0, &head, forwarding),
        trail: &Trail { request_id: RequestId::Kept(b"id-1"), trace },
        forwarding,
        caller: CallerFields { user: Some("ann"), tier: Some("free"), ..CallerFields::default() },
        edits,
        wish: Wish::Nothing,
        hops: None,
    };
    let mut out = Vec::new();
    write_request(&mut out, &plan);
    String::from_utf8(out).unwrap()
}

/// Made once, for tests that write thousands of heads.
static DEFAULTS: LazyLock<Forwarding> = LazyLock::new(|| forwarding(""));

fn forwarded(request: &str) -> String {
    sent(request, "192.0.2.7", &DEFAULTS, Trace::None)
}

fn answered(response: &str, method: &Method<'_>, client: Version, persistent: bool) -> String {
    let mut store = FieldStore::new();
    let head = parse_response(response.as_bytes(), &mut store, &LIMITS, method).unwrap();
    let plan = ResponsePlan::new(head.body, client, persistent);
    let additions = Additions {
        standings: &[],
        request_id: None,
        forwarding: &DEFAULTS,
        cost_header: None,
        policy: None,
    };
    let mut out = Vec::new();
    write_response(&mut out, &head, plan, &additions, || "now");
    String::from_utf8(out).unwrap()
}

#[test]
fn hop_by_hop_forwarding_and_reserved_fields_are_the_gateways_own() {
    let sent = forwarded(
        "GET http://api.example/a?b HTTP/1.1\r\nHost: other\r\nConnection: X-Private\r\n\
         X-Private: 1\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
         X-Weir-User: root\r\nX_Weir_Tier: gold\r\nTE: trailers\r\nAccept: */*\r\n\r\n",
    );
    assert_eq!(
        sent,
        "GET /a?b HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: api.example\r\nX-Request-Id: id-1\r\nVia: 1.1 weir\r\n\
         X-Weir-User: ann\r\nX-Weir-Tier: free\r\n\r\n"
    );
}

#[test]
fn an_old_client_without_host_gets_the_backends() {
    let sent = forwarded("GET / HTTP/1.0\r\n\r\n");
    assert!(sent.starts_with("GET / HTTP/1.1\r\nHost: backend\r\n"), "{sent}");
    assert!(!sent.contains("X-Forwarded-Host"), "{sent}");
}

#[test]
fn framing_of_the_request_is_kept_but_written_anew() {
    let length = forwarded("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 007\r\n\r\n");
    assert!(length.contains("\r\nContent-Length: 7\r\n"), "{length}");
    let chunked = forwarded("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(chunked.ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n"), "{chunked}");
}

#[test]
fn a_body_until_close_is_chunked_for_http_1_1_and_closed_for_http_1_0() {
    let response = "HTTP/1.0 200 OK\r\nServer: s\r\n\r\n";
    assert_eq!(
        answered(response, &Method::Get, Version::Http11, true),
        "HTTP/1.1 200 OK\r\nServer: s\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert_eq!(
        answered(response, &Method::Get, Version::Http10, true),
        "HTTP/1.1 200 OK\r\nServer: s\r\nDate: now\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_backends_allowances_give_way_to_the_gateways() {
    let response =
        "HTTP/1.1 204 No Content\r\nX-RateLimit-Limit: 9\r\nRateLimit: \"b\";r=9\r\n\r\n";
    let mut store = FieldStore::new();
    let head = parse_response(response.as_bytes(), &mut store, &LIMITS, &Method::Get).unwrap();
    let plan = ResponsePlan::new(head.body, Version::Http11, true);
    let policy = Policy::new("w", 5, Unit::Requests, Some(60));
    let ours = Standing { policy: &policy, remaining: 4, reset_ns: 1 };
    let written = |standings: &[Standing<'_>]| {
        let mut out = Vec::new();
        let forwarding = &forwarding("");
        let additions =
            Additions { standings, request_id: None, forwarding, cost_header: None, policy: None };
        write_response(&mut out, &head, plan, &additions, || "now");
        String::from_utf8(out).unwrap()
    };
    assert!(written(&[]).contains("X-RateLimit-Limit: 9\r\nRateLimit: \"b\";r=9\r\n"));
    let limited = written(&[ours]);
    assert!(limited.contains("X-RateLimit-Limit: 5\r\n") && !limited.contains(": 9"), "{limited}");
}

#[test]
fn head_keeps_the_length_of_what_is_not_sent_and_204_has_none() {
    let head = answered(
        "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 5\r\n\r\n",
        &Method::Head,
        Version::Http11,
        false,
    );
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    );
    let empty = answered("HTTP/1.1 204 No Content\r\n\r\n", &Method::Get, Version::Http10, true);
    assert_eq!(empty, "HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: keep-alive\r\n\r\n");
}

/// RFC 9112 section 5.1.
#[test]
fn white_space_behind_a_backends_field_names_is_removed() {
    let answer = "HTTP/1.1 200 OK\r\nDate : d\r\nX-A\t: b\r\nContent-Length : 2\r\n\r\n";
    assert_eq!(
        answered(answer, &Method::Get, Version::Http11, true),
        "HTTP/1.1 200 OK\r\nDate: d\r\nX-A: b\r\nContent-Length: 2\r\n\r\n"
    );
}

#[test]
fn neighbours_are_copied_together_and_what_stands_between_them_is_not() {
    let sent = forwarded(
        "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC:3\r\nD:  4\r\nE: 5 \r\nF: 6\r\n\
         X-Weir-User: root\r\nG: 7\r\nConnection: x\r\nX: 8\r\nH:\r\nI: \r\nJ: 9\r\n\r\n",
    );
    let expected = "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\n\
                    G: 7\r\nH: \r\nI: \r\nJ: 9\r\nX-Forwarded-For: ";
    assert!(sent.starts_with(expected), "{sent}");
    let answer =
        "HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2, 2\r\nA: 1\r\nB : 2\r\nC: 3\r\n\r\n";
    assert_eq!(
        answered(answer, &Method::Get, Version::Http11, true),
        "HTTP/1.1 200 OK\r\nDate: d\r\nA: 1\r\nB: 2\r\nC: 3\r\nContent-Length: 2\r\n\r\n"
    );
}
