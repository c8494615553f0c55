//! Requests, as backends get them.

use weir_protocol::http::{
    Field, FieldId, RequestBody, RequestHead, TargetForm, is_hop_by_hop, is_reserved,
    is_x_forwarded,
};

use super::super::origin::Origin;
use super::super::route::SentPath;
use super::super::trail::Trail;
use super::super::wish::Wish;
use super::trail::{write_origin, write_trail};
use super::{write_field, write_length, write_received};
use crate::config::FieldEdits;
use crate::snapshot::Forwarding;
use crate::tls::ClientIdentity;

/// Who the gateway found to be calling.
#[derive(Clone, Copy, Default)]
pub(in crate::proxy) struct CallerFields<'a> {
    pub(in crate::proxy) user: Option<&'a str>,
    pub(in crate::proxy) tier: Option<&'a str>,
    pub(in crate::proxy) key: Option<&'a str>,
    pub(in crate::proxy) certificate: Option<&'a ClientIdentity>,
}

/// A request as the backend is to get it.
pub(in crate::proxy) struct RequestPlan<'a> {
    pub(in crate::proxy) head: &'a RequestHead<'a, 'a>,
    /// Without query.
    pub(in crate::proxy) path: SentPath<'a>,
    /// The request's own, if it has one.
    pub(in crate::proxy) host: &'a str,
    pub(in crate::proxy) origin: &'a Origin,
    pub(in crate::proxy) trail: &'a Trail<'a>,
    pub(in crate::proxy) forwarding: &'a Forwarding,
    pub(in crate::proxy) caller: CallerFields<'a>,
    /// What the route changes.
    pub(in crate::proxy) edits: Option<&'a FieldEdits>,
    pub(in crate::proxy) wish: Wish<'a>,
    /// Takes the place of `Max-Forwards`.
    pub(in crate::proxy) hops: Option<u64>,
}

/// Appends the head of the request.
pub(in crate::proxy) fn write_request(out: &mut Vec<u8>, plan: &RequestPlan<'_>) {
    let head = plan.head;
    write_request_line(out, head, plan.path);
    // RFC 9112 section 3.2.2: a proxy generates Host from the target of an absolute form.
    write_field(out, "Host", plan.host.as_bytes());
    let forwarded = |field: &&Field<'_>| {
        is_forwarded_request_field(field, plan.origin.trusted)
            && !is_hop_by_hop(field, &head.connection)
            && (plan.hops.is_none() || field.id != FieldId::MaxForwards)
    };
    match plan.edits {
        None => write_received(out, head.bytes, head.fields.iter().filter(forwarded)),
        Some(edits) => {
            let kept = head.fields.iter().filter(forwarded).filter(|f| !edits.drops(f.name));
            write_received(out, head.bytes, kept);
            out.extend_from_slice(edits.lines.as_bytes());
        }
    }
    if let Some(left) = plan.hops {
        write_hops(out, left);
    }
    if let Wish::Upgrade(_) = plan.wish {
        write_upgrade(out, plan);
    } else if head.connection.te && accepts_trailers(head) {
        out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    if head.expect_continue {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    write_origin(out, head, plan.origin, plan.forwarding);
    write_trail(out, head, plan.trail);
    // RFC 9110 section 7.6.3, behind the fields of earlier proxies.
    out.extend_from_slice(plan.forwarding.via_line(head.version));
    write_caller(out, plan.caller);
    match head.body {
        RequestBody::None => {}
        RequestBody::Length(length) => write_length(out, length),
        RequestBody::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

fn write_request_line(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, path: SentPath<'_>) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    if head.target.form == TargetForm::Authority {
        out.extend_from_slice(head.target.raw.as_bytes());
    } else {
        if !path.prefix.is_empty() {
            out.extend_from_slice(path.prefix.as_bytes());
        } else if path.rest.is_empty() {
            // RFC 9112 section 3.2.1: an empty path is sent as `/`.
            out.push(b'/');
        }
        out.extend_from_slice(path.rest);
        if let Some(query) = head.target.query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// RFC 9110 section 7.8. `TE` has to stay behind: some backends take `Connection: Upgrade` for the
/// only way to say it.
fn write_upgrade(out: &mut Vec<u8>, plan: &RequestPlan<'_>) {
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
    for (index, protocol) in plan.wish.protocols(plan.head).enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(protocol.text.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_hops(out: &mut Vec<u8>, left: u64) {
    write_field(out, "Max-Forwards", itoa::Buffer::new().format(left).as_bytes());
}

/// Framing, forwarding, identifying and caller fields are written anew. Of a `trusted` peer's
/// `X-Forwarded-…`, those that the gateway does not know are passed on.
fn is_forwarded_request_field(field: &Field<'_>, trusted: bool) -> bool {
    match field.id {
        FieldId::Host
        | FieldId::ContentLength
        | FieldId::Expect
        | FieldId::XForwardedFor
        | FieldId::XForwardedProto
        | FieldId::XForwardedHost
        | FieldId::XForwardedPort
        | FieldId::Forwarded
        | FieldId::XRealIp
        | FieldId::XRequestId
        | FieldId::Traceparent
        | FieldId::Tracestate => false,
        FieldId::Other => {
            let name = field.name.as_bytes();
            !is_reserved(name) && (!is_x_forwarded(name) || (trusted && !field.name.contains('_')))
        }
        _ => true,
    }
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
    if let Some(certificate) = caller.certificate {
        write_certificate(out, certificate);
    }
}

/// The texts of an identity are fit for fields.
fn write_certificate(out: &mut Vec<u8>, certificate: &ClientIdentity) {
    let described = [
        ("X-Weir-Cert-Subject", certificate.subject.as_deref()),
        ("X-Weir-Cert-San", certificate.alternative_name.as_deref()),
        ("X-Weir-Cert-Fingerprint", Some(certificate.fingerprint.as_str())),
        ("X-Weir-Cert-Serial", Some(certificate.serial.as_str())),
    ];
    for (name, value) in described {
        if let Some(value) = value {
            write_field(out, name, value.as_bytes());
        }
    }
}
