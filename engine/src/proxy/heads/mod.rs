//! The heads that Weir writes: requests to backends, responses to clients.
//!
//! Both are built field by field from the parsed, validated form; neighbours that were written as
//! they would be here are copied at once. Framing and `Connection` are
//! always this gateway's own; what is meant for one hop only is left out.

mod policy;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod trail;

use weir_protocol::http::{Field, Version};

pub(super) use policy::ResponsePolicy;
pub(super) use request::{CallerFields, RequestPlan, write_request};
pub(super) use response::{Additions, ResponsePlan, write_interim, write_response};

pub(super) fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    if status == 200 && reason == "OK" {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Says what the client cannot know otherwise. Without a word HTTP/1.0 clients take a connection for
/// one that closes; but some, Python's for one, go by the answer's version, which is 1.1 (RFC 9112
/// sections 9.3 and 9.6).
pub(super) fn write_connection(out: &mut Vec<u8>, persistent: bool, client: Version) {
    match (persistent, client) {
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http11) => {}
    }
}

pub(super) fn write_length(out: &mut Vec<u8>, length: u64) {
    write_field(out, "Content-Length", itoa::Buffer::new().format(length).as_bytes());
}

/// Appends fields of `head`, neighbours together where they stand there as they would be written:
/// that copies no byte that the parser has not judged as part of one of them.
pub(super) fn write_received<'f>(
    out: &mut Vec<u8>,
    head: &[u8],
    fields: impl Iterator<Item = &'f Field<'f>>,
) {
    let mut run = 0..0;
    for field in fields {
        match field.line(head) {
            Some(line) if line.start == run.end => run.end = line.end,
            Some(line) => out.extend_from_slice(&head[std::mem::replace(&mut run, line)]),
            None => {
                out.extend_from_slice(&head[std::mem::take(&mut run)]);
                write_field(out, field.name, field.value);
            }
        }
    }
    out.extend_from_slice(&head[run]);
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
