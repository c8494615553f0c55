//! What says who is behind the gateway: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! [`client_of`] reads what trusted proxies wrote; the rest appends to a head that is being
//! written. Whom to trust is the caller's business.

use std::io::Write;
use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::fields::{is_token_byte, trim_ows};
use super::target::parse_host;

mod chain;
mod element;
#[cfg(test)]
mod tests;

pub use chain::{ChainField, Client, client_of};
pub use element::is_forwarded;

/// Appends `X-Forwarded-For`: the values of an earlier proxy's fields, then `client` where that
/// proxy named it in another way, then `peer`, who sent the request here. Addresses are IPv4 ones
/// also when they came through an IPv6 socket.
pub fn append_x_forwarded_for<'v>(
    out: &mut Vec<u8>,
    earlier: impl Iterator<Item = &'v [u8]>,
    client: Option<IpAddr>,
    peer: IpAddr,
) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    append_values(out, earlier);
    if let Some(client) = client {
        append_address(out, client);
        out.extend_from_slice(b", ");
    }
    append_address(out, peer);
    out.extend_from_slice(b"\r\n");
}

/// Appends `X-Forwarded-Proto`: how the client spoke to the gateway.
pub fn append_x_forwarded_proto(out: &mut Vec<u8>, tls: bool) {
    let line: &[u8] =
        if tls { b"X-Forwarded-Proto: https\r\n" } else { b"X-Forwarded-Proto: http\r\n" };
    out.extend_from_slice(line);
}

/// Appends `X-Forwarded-Host`. `host` is the effective one of a parsed request, so that it holds
/// no line end.
pub fn append_x_forwarded_host(out: &mut Vec<u8>, host: &str) {
    out.extend_from_slice(b"X-Forwarded-Host: ");
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What one hop saw: an element of `Forwarded`. `by` is never written, since it would tell of the
/// inside (RFC 7239 section 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop<'a> {
    /// Who sent the request.
    pub from: IpAddr,
    /// The effective host of a parsed request.
    pub host: Option<&'a str>,
    pub tls: bool,
}

/// Appends `Forwarded`: the values of an earlier proxy's fields, which [`is_forwarded`] must have
/// found well-formed, then `client` where an earlier proxy named it in another way, then `hop`.
pub fn append_forwarded<'v>(
    out: &mut Vec<u8>,
    earlier: impl Iterator<Item = &'v [u8]>,
    client: Option<IpAddr>,
    hop: &Hop<'_>,
) {
    out.extend_from_slice(b"Forwarded: ");
    append_values(out, earlier);
    if let Some(client) = client {
        append_node(out, client);
        out.extend_from_slice(b", ");
    }
    append_node(out, hop.from);
    if let Some(host) = hop.host {
        out.extend_from_slice(b";host=");
        append_quoted_unless_token(out, host.as_bytes());
    }
    out.extend_from_slice(if hop.tls { b";proto=https\r\n" } else { b";proto=http\r\n" });
}

/// Each value with a comma behind it.
fn append_values<'v>(out: &mut Vec<u8>, values: impl Iterator<Item = &'v [u8]>) {
    for value in values.map(trim_ows).filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

/// RFC 7239 section 6: an IPv6 address stands in brackets, which are no token.
fn append_node(out: &mut Vec<u8>, address: IpAddr) {
    let address = address.to_canonical();
    let (before, after): (&[u8], &[u8]) =
        if address.is_ipv6() { (b"for=\"[", b"]\"") } else { (b"for=", b"") };
    out.extend_from_slice(before);
    append_address(out, address);
    out.extend_from_slice(after);
}

/// RFC 7239 section 4: `value = token / quoted-string`. A quote or backslash cannot occur in a
/// host, and is escaped all the same.
fn append_quoted_unless_token(out: &mut Vec<u8>, value: &[u8]) {
    if !value.is_empty() && value.iter().copied().all(is_token_byte) {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Characters of `255.255.255.255`.
const V4_CHARACTERS_MAX: usize = 15;

fn append_address(out: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mut text = ArrayVec::<u8, V4_CHARACTERS_MAX>::new();
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push(b'.');
                }
                if octet >= 100 {
                    text.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    text.push(b'0' + octet / 10 % 10);
                }
                text.push(b'0' + octet % 10);
            }
            out.extend_from_slice(&text);
        }
        IpAddr::V6(address) => {
            // A vector takes every write.
            let _ = write!(out, "{address}");
        }
    }
}

/// Whether the client uses TLS, by `X-Forwarded-Proto` or the `proto` of `Forwarded`; `None` when
/// it does not say.
#[must_use]
pub fn is_forwarded_tls(value: &[u8]) -> Option<bool> {
    let is = |scheme: &str| value.eq_ignore_ascii_case(scheme.as_bytes());
    if is("https") || is("wss") {
        Some(true)
    } else if is("http") || is("ws") {
        Some(false)
    } else {
        None
    }
}

/// Whether a trusted proxy's `X-Forwarded-Host` can be passed on: one host, as in `Host`.
#[must_use]
pub fn is_forwarded_host(value: &[u8]) -> bool {
    parse_host(value).is_ok()
}

/// Whether a trusted proxy's `X-Forwarded-Port` can be passed on: one port.
#[must_use]
pub fn is_forwarded_port(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).unwrap_or_default();
    digits && text.parse::<u16>().is_ok_and(|port| port != 0)
}
