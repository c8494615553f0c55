//! What a request's head tells the backend of its path: the client behind it, its id and trace,
//! and this gateway.

use weir_protocol::http::{
    ChainField, FieldId, Hop, RequestHead, append_forwarded, append_traceparent, append_tracestate,
    append_x_forwarded_for, append_x_forwarded_host, append_x_forwarded_proto, is_forwarded,
    is_forwarded_host, is_forwarded_port,
};

use super::super::origin::Origin;
use super::super::trail::{Trace, Trail};
use super::write_field;
use crate::snapshot::Forwarding;

pub(super) fn write_origin(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    origin: &Origin,
    forwarding: &Forwarding,
) {
    if forwarding.fields.has_x_forwarded() {
        if origin.trusted {
            extend_x_forwarded(out, head, origin, forwarding.client_address);
        } else {
            append_x_forwarded_for(out, std::iter::empty(), None, origin.peer);
            append_x_forwarded_proto(out, origin.secure);
            if let Some(host) = head.host {
                append_x_forwarded_host(out, host);
            }
        }
    }
    if forwarding.fields.has_rfc7239() {
        write_forwarded(out, head, origin, forwarding.client_address);
    }
}

/// Extends what a trusted proxy wrote. A chain is believed where it is the one that the client's
/// address came from; any other may be the client's own, so the address found stands for it.
fn extend_x_forwarded(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    origin: &Origin,
    believed: ChainField,
) {
    if believed == ChainField::XForwardedFor && head.present.contains(FieldId::XForwardedFor) {
        append_x_forwarded_for(out, head.get_all(FieldId::XForwardedFor), None, origin.peer);
    } else {
        append_x_forwarded_for(out, std::iter::empty(), client_before(origin), origin.peer);
    }
    append_x_forwarded_proto(out, origin.secure);
    let told = |id| head.only(id).filter(|_| believed != ChainField::Forwarded);
    if let Some(host) = told(FieldId::XForwardedHost).filter(|host| is_forwarded_host(host)) {
        write_field(out, "X-Forwarded-Host", host);
    } else if let Some(host) = head.host {
        append_x_forwarded_host(out, host);
    }
    if let Some(port) = told(FieldId::XForwardedPort).filter(|port| is_forwarded_port(port)) {
        write_field(out, "X-Forwarded-Port", port);
    }
}

/// Malformed elements are not passed on: a backend that reads from the left might see others than
/// this gateway, which reads from the right.
fn write_forwarded(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    origin: &Origin,
    believed: ChainField,
) {
    let hop = Hop { from: origin.peer, host: head.host, tls: origin.secure };
    let believed = origin.trusted && believed == ChainField::Forwarded;
    let chain = || head.get_all(FieldId::Forwarded);
    if believed && head.present.contains(FieldId::Forwarded) && chain().all(is_forwarded) {
        append_forwarded(out, chain(), None, &hop);
    } else {
        append_forwarded(out, std::iter::empty(), client_before(origin), &hop);
    }
}

/// The client, when it is not the peer.
fn client_before(origin: &Origin) -> Option<std::net::IpAddr> {
    (origin.address != origin.peer).then_some(origin.address)
}

pub(super) fn write_trail(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, trail: &Trail<'_>) {
    if let Some(id) = trail.request_id.get() {
        write_field(out, "X-Request-Id", id);
    }
    match trail.trace {
        Trace::None => {}
        Trace::Passed { with_state } => {
            if let Some(parent) = head.get(FieldId::Traceparent) {
                write_field(out, "traceparent", parent);
            }
            if with_state {
                append_tracestate(out, head.get_all(FieldId::Tracestate));
            }
        }
        Trace::Made(random) => append_traceparent(out, &random),
    }
}
