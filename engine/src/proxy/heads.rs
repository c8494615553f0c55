//! The heads that Weir writes: requests to backends, responses to clients.
//!
//! Both are built field by field from the parsed, validated form. Framing and `Connection` are
//! always this gateway's own; what is meant for one hop only is left out.

use std::net::IpAddr;

use weir_protocol::http::{
    Field, FieldId, RequestBody, RequestHead, ResponseBody, ResponseHead, TargetForm, Version,
    append_x_forwarded_for, append_x_forwarded_host, append_x_forwarded_proto, is_hop_by_hop,
    reason_phrase,
};
use weir_protocol::limit::fields::{Standing, write_fields};

use super::pump::Sink;

/// Fields under this prefix tell backends who is calling; a client's own are never passed on.
const RESERVED_PREFIX: &[u8] = b"x-weir-";

/// Who the gateway found to be calling.
#[derive(Clone, Copy, Default)]
pub(super) struct CallerFields<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) tier: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

/// Appends the head of the request as the backend gets it, for `path` (without query) at `host`,
/// which is the request's own if it has one.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    path: &[u8],
    host: &str,
    client: IpAddr,
    caller: CallerFields<'_>,
) {
    write_request_line(out, head, path);
    // RFC 9112 section 3.2.2: a proxy generates Host from the target of an absolute form.
    write_field(out, "Host", host.as_bytes());
    for field in head.fields {
        if is_forwarded_request_field(field) && !is_hop_by_hop(field, &head.connection) {
            write_field(out, field.name, field.value);
        }
    }
    if head.connection.te && accepts_trailers(head) {
        out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    if head.expect_continue {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    append_x_forwarded_for(out, client);
    append_x_forwarded_proto(out, false);
    if let Some(host) = head.host {
        append_x_forwarded_host(out, host);
    }
    write_caller(out, caller);
    match head.body {
        RequestBody::None => {}
        RequestBody::Length(length) => write_length(out, length),
        RequestBody::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

fn write_request_line(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, path: &[u8]) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    if head.target.form == TargetForm::Asterisk {
        out.push(b'*');
    } else {
        // RFC 9112 section 3.2.1: an empty path is sent as `/`.
        if path.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(path);
        if let Some(query) = head.target.query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Framing, forwarding and caller fields are written anew.
fn is_forwarded_request_field(field: &Field<'_>) -> bool {
    match field.id {
        FieldId::Host
        | FieldId::ContentLength
        | FieldId::Expect
        | FieldId::XForwardedFor
        | FieldId::XForwardedProto
        | FieldId::XForwardedHost
        | FieldId::XForwardedPort
        | FieldId::Forwarded
        | FieldId::XRealIp => false,
        FieldId::Other => !is_reserved(field.name),
        _ => true,
    }
}

/// `X-Weir-…`, also with underscores, which CGI-like backends read as hyphens.
fn is_reserved(name: &str) -> bool {
    let prefix = name.as_bytes().get(..RESERVED_PREFIX.len());
    prefix.is_some_and(|prefix| {
        prefix.iter().zip(RESERVED_PREFIX).all(|(have, reserved)| {
            have.eq_ignore_ascii_case(reserved) || (*have == b'_' && *reserved == b'-')
        })
    })
}

/// RFC 9110 section 10.1.4: of `TE`, only `trailers` crosses a hop.
fn accepts_trailers(head: &RequestHead<'_, '_>) -> bool {
    head.get_all(FieldId::Te).any(|value| {
        value.split(|byte| *byte == b',').any(|c| c.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

fn write_caller(out: &mut Vec<u8>, caller: CallerFields<'_>) {
    let named =
        [("X-Weir-User", caller.user), ("X-Weir-Tier", caller.tier), ("X-Weir-Key", caller.key)];
    for (name, value) in named {
        // A token's subject may hold anything; a field value may not.
        let value = value.filter(|value| value.bytes().all(|b| (0x20..0x7f).contains(&b)));
        if let Some(value) = value {
            write_field(out, name, value.trim().as_bytes());
        }
    }
}

/// How the response leaves, given what the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponsePlan {
    pub(super) sink: Sink,
    /// Whether the client's connection can carry another request.
    pub(super) persistent: bool,
}

impl ResponsePlan {
    /// RFC 9112 section 6.1: no transfer coding for a client of HTTP/1.0; the close ends its body.
    pub(super) fn new(body: ResponseBody, client: Version, persistent: bool) -> Self {
        match (body, client) {
            (ResponseBody::None | ResponseBody::Length(_), _) => {
                Self { sink: Sink::Identity, persistent }
            }
            (_, Version::Http11) => Self { sink: Sink::Chunked, persistent },
            (_, Version::Http10) => Self { sink: Sink::Identity, persistent: false },
        }
    }
}

/// Appends the head of the response as the client gets it.
pub(super) fn write_response(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    plan: ResponsePlan,
    client: Version,
    standings: &[Standing<'_>],
    date: &str,
) {
    let reason = if head.reason.is_empty() { reason_phrase(head.status) } else { head.reason };
    write_status_line(out, head.status, reason);
    for field in head.fields {
        let ours = !standings.is_empty() && is_rate_limit_field(field.name);
        let forwarded = is_forwarded_response_field(field, head) && !ours;
        if forwarded && !is_hop_by_hop(field, &head.connection) {
            write_field(out, field.name, field.value);
        }
    }
    // RFC 9110 section 6.6.1: whoever passes on a response without a date adds one.
    if head.get(FieldId::Date).is_none() {
        write_field(out, "Date", date.as_bytes());
    }
    if !standings.is_empty() {
        write_fields(out, standings);
    }
    match (head.body, plan.sink) {
        (ResponseBody::Length(length), _) => write_length(out, length),
        (_, Sink::Chunked) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    write_connection(out, plan.persistent, client);
    out.extend_from_slice(b"\r\n");
}

/// A backend's own allowances are not the ones that the caller meets here.
fn is_rate_limit_field(name: &str) -> bool {
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let drafts = ["ratelimit", "ratelimit-policy"];
    names.iter().chain(&drafts).any(|known| name.eq_ignore_ascii_case(known))
}

/// Appends an interim response (1xx), which has no framing and no say over the connection.
pub(super) fn write_interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    write_status_line(out, head.status, reason_phrase(head.status));
    for field in head.fields {
        if field.id != FieldId::ContentLength && !is_hop_by_hop(field, &head.connection) {
            write_field(out, field.name, field.value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A length is written by the plan, except where it describes a body that is not sent: the answer
/// to HEAD, and 304 (RFC 9110 section 8.6). 204 never has one.
fn is_forwarded_response_field(field: &Field<'_>, head: &ResponseHead<'_, '_>) -> bool {
    field.id != FieldId::ContentLength
        || (head.body == ResponseBody::None && head.status != 204 && head.status >= 200)
}

pub(super) fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Says what is not the default of the client's version (RFC 9112 section 9.3).
pub(super) fn write_connection(out: &mut Vec<u8>, persistent: bool, client: Version) {
    match (persistent, client) {
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (false, Version::Http11) => out.extend_from_slice(b"Connection: close\r\n"),
        _ => {}
    }
}

pub(super) fn write_length(out: &mut Vec<u8>, length: u64) {
    write_field(out, "Content-Length", itoa::Buffer::new().format(length).as_bytes());
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_protocol::http::{FieldStore, HeadLimits, Method, parse_request, parse_response};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 16_384, target_bytes: 8192, fields: 100 };

    fn forwarded(request: &str) -> String {
        let mut store = FieldStore::new();
        let head = parse_request(request.as_bytes(), &mut store, &LIMITS).unwrap();
        let mut out = Vec::new();
        let caller = CallerFields { user: Some("ann"), tier: Some("free"), key: None };
        let host = head.host.unwrap_or("backend");
        let path = head.target.path.as_bytes();
        write_request(&mut out, &head, path, host, "192.0.2.7".parse().unwrap(), caller);
        String::from_utf8(out).unwrap()
    }

    fn answered(response: &str, method: &Method<'_>, client: Version, persistent: bool) -> String {
        let mut store = FieldStore::new();
        let head = parse_response(response.as_bytes(), &mut store, &LIMITS, method).unwrap();
        let plan = ResponsePlan::new(head.body, client, persistent);
        let mut out = Vec::new();
        write_response(&mut out, &head, plan, client, &[], "now");
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
             X-Forwarded-Host: api.example\r\nX-Weir-User: ann\r\nX-Weir-Tier: free\r\n\r\n"
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
            "HTTP/1.1 200 OK\r\nServer: s\r\nDate: now\r\n\r\n"
        );
    }

    #[test]
    fn a_backends_allowances_give_way_to_the_gateways() {
        let response =
            "HTTP/1.1 204 No Content\r\nX-RateLimit-Limit: 9\r\nRateLimit: \"b\";r=9\r\n\r\n";
        let mut store = FieldStore::new();
        let head = parse_response(response.as_bytes(), &mut store, &LIMITS, &Method::Get).unwrap();
        let plan = ResponsePlan::new(head.body, Version::Http11, true);
        let ours = Standing { name: "w", quota: 5, window_s: 60, remaining: 4, reset_ns: 1 };
        let written = |standings: &[Standing<'_>]| {
            let mut out = Vec::new();
            write_response(&mut out, &head, plan, Version::Http11, standings, "now");
            String::from_utf8(out).unwrap()
        };
        assert!(written(&[]).contains("X-RateLimit-Limit: 9\r\nRateLimit: \"b\";r=9\r\n"));
        let limited = written(&[ours]);
        assert!(
            limited.contains("X-RateLimit-Limit: 5\r\n") && !limited.contains(": 9"),
            "{limited}"
        );
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
        let empty =
            answered("HTTP/1.1 204 No Content\r\n\r\n", &Method::Get, Version::Http10, true);
        assert_eq!(empty, "HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: keep-alive\r\n\r\n");
    }
}
