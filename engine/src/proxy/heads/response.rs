//! Responses, as clients get them.

use std::ops::Deref;

use weir_protocol::http::{
    Field, FieldId, ResponseBody, ResponseHead, Version, is_hop_by_hop, reason_phrase,
};
use weir_protocol::limit::fields::{Standing, write_fields};

use super::super::pump::Sink;
use super::{
    ResponsePolicy, write_connection, write_field, write_length, write_received, write_status_line,
};
use crate::snapshot::Forwarding;

/// How the response leaves, given what the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct ResponsePlan {
    pub(in crate::proxy) client: Version,
    pub(in crate::proxy) sink: Sink,
    /// Whether the client's connection can carry another request.
    pub(in crate::proxy) persistent: bool,
    /// Behind this head HTTP is over.
    pub(in crate::proxy) tunnel: bool,
}

impl ResponsePlan {
    /// RFC 9112 section 6.1: no transfer coding for a client of HTTP/1.0; the close ends its body.
    pub(in crate::proxy) fn new(body: ResponseBody, client: Version, persistent: bool) -> Self {
        let tunnel = false;
        match (body, client) {
            (ResponseBody::None | ResponseBody::Length(_), _) => {
                Self { client, sink: Sink::Identity, persistent, tunnel }
            }
            (_, Version::Http11) => Self { client, sink: Sink::Chunked, persistent, tunnel },
            (_, Version::Http10) => {
                Self { client, sink: Sink::Identity, persistent: false, tunnel }
            }
        }
    }

    /// For a 101, or a 2xx to CONNECT.
    pub(in crate::proxy) fn tunnel() -> Self {
        let client = Version::Http11;
        Self { client, sink: Sink::Identity, persistent: true, tunnel: true }
    }
}

/// What the gateway adds to an answer of a backend, or puts in place of its own.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct Additions<'a> {
    pub(in crate::proxy) standings: &'a [Standing<'a>],
    /// The request's, where answers tell it.
    pub(in crate::proxy) request_id: Option<&'a [u8]>,
    pub(in crate::proxy) forwarding: &'a Forwarding,
    /// The field in which the backend reports the request's cost, which is for the gateway only.
    pub(in crate::proxy) cost_header: Option<&'a str>,
    /// What the route changes.
    pub(in crate::proxy) policy: Option<ResponsePolicy<'a>>,
}

/// Appends the head of the response as the client gets it. `date` is asked where it has none.
pub(in crate::proxy) fn write_response<D: Deref<Target = str>>(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    plan: ResponsePlan,
    additions: &Additions<'_>,
    date: impl FnOnce() -> D,
) {
    let reason = if head.reason.is_empty() { reason_phrase(head.status) } else { head.reason };
    let standings = additions.standings;
    write_status_line(out, head.status, reason);
    let forwarded = |field: &&Field<'_>| {
        let ours = (!standings.is_empty() && is_rate_limit_field(field.name))
            || (field.id == FieldId::XRequestId && additions.request_id.is_some())
            || additions.cost_header.is_some_and(|name| field.name.eq_ignore_ascii_case(name));
        is_forwarded_response_field(field, head, plan)
            && !ours
            && !is_hop_by_hop(field, &head.connection)
    };
    let forwarded = head.fields.iter().filter(forwarded);
    match &additions.policy {
        None => write_received(out, head.bytes, forwarded),
        Some(policy) => policy.write(out, forwarded),
    }
    // RFC 9110 section 6.6.1: whoever passes on a response without a date adds one.
    if head.get(FieldId::Date).is_none() {
        write_field(out, "Date", date().as_bytes());
    }
    if !standings.is_empty() {
        write_fields(out, standings);
    }
    if let Some(id) = additions.request_id {
        write_field(out, "X-Request-Id", id);
    }
    if additions.forwarding.via_in_response {
        out.extend_from_slice(additions.forwarding.via_line(head.version));
    }
    match (head.body, plan.sink) {
        (ResponseBody::Length(length), _) => write_length(out, length),
        (_, Sink::Chunked) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    if plan.tunnel {
        write_switch(out, head);
    } else {
        write_connection(out, plan.persistent, plan.client);
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110 section 7.8: a 101 says what the connection switches to. A 2xx to CONNECT says nothing.
fn write_switch(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    if head.status == 101 {
        for protocols in head.get_all(FieldId::Upgrade) {
            write_field(out, "Upgrade", protocols);
        }
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
}

/// A backend's own allowances are not the ones that the caller meets here.
#[inline]
fn is_rate_limit_field(name: &str) -> bool {
    matches!(name.as_bytes(), [b'r' | b'R' | b'x' | b'X', ..]) && is_rate_limit_name(name)
}

fn is_rate_limit_name(name: &str) -> bool {
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let drafts = ["ratelimit", "ratelimit-policy"];
    names.iter().chain(&drafts).any(|known| name.eq_ignore_ascii_case(known))
}

/// Appends an interim response (1xx), which has no framing and no say over the connection.
pub(in crate::proxy) fn write_interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    write_status_line(out, head.status, reason_phrase(head.status));
    for field in head.fields {
        if field.id != FieldId::ContentLength && !is_hop_by_hop(field, &head.connection) {
            write_field(out, field.name, field.value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A length is written by the plan, except where it describes a body that is not sent: the answer
/// to HEAD, and 304 (RFC 9110 section 8.6). 204 never has one, nor has what opens a tunnel.
fn is_forwarded_response_field(
    field: &Field<'_>,
    head: &ResponseHead<'_, '_>,
    plan: ResponsePlan,
) -> bool {
    field.id != FieldId::ContentLength
        || (head.body == ResponseBody::None
            && head.status != 204
            && head.status >= 200
            && !plan.tunnel)
}
