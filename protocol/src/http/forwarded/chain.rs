//! Finds the client behind proxies: a chain is walked from its right end, where the nearest proxy
//! wrote, for as long as the address found is a trusted proxy's.
//!
//! Invariants:
//! - what an untrusted peer wrote is never reached: it stands to the left of an address that is
//!   not trusted, or of an entry that cannot be read;
//! - quotes that a client left open cannot hide what a proxy wrote behind them, since the walk
//!   comes from the other side.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::super::fields::trim_ows;
use super::super::{Field, FieldId};
use super::element::read_element;
use super::is_forwarded_tls;

/// Entries looked at in one chain, empty ones included; real chains have three or four.
const ENTRIES_MAX: usize = 64;

/// The field in which trusted proxies name who sent them a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainField {
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
    /// One address, no chain.
    XRealIp,
}

impl ChainField {
    #[must_use]
    pub fn id(self) -> FieldId {
        match self {
            Self::XForwardedFor => FieldId::XForwardedFor,
            Self::Forwarded => FieldId::Forwarded,
            Self::XRealIp => FieldId::XRealIp,
        }
    }

    /// Whom an entry names; `None` when it names nobody, or is malformed.
    fn client(self, entry: &[u8]) -> Option<Client> {
        let (address, tls) = match self {
            Self::XForwardedFor | Self::XRealIp => (plain_address(entry)?, None),
            Self::Forwarded => {
                let element = read_element(entry)?;
                (node_address(element.from?)?, element.proto.and_then(is_forwarded_tls))
            }
        };
        Some(Client { address: address.to_canonical(), tls })
    }
}

/// Who sent a request, as far as trusted proxies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// An IPv4 address also when it is written as an IPv6 one.
    pub address: IpAddr,
    /// Whether it used TLS, where the field that names it says so.
    pub tls: Option<bool>,
}

/// Who sent the request that `peer`, a trusted proxy, passed on: the first address from the right
/// that is not trusted, else the leftmost one. An entry that names no address (`unknown`, an
/// obfuscated identifier, nonsense) ends the walk at the address before it.
#[must_use]
pub fn client_of(
    fields: &[Field<'_>],
    chain: ChainField,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Client {
    let mut client = Client { address: peer.to_canonical(), tls: None };
    let mut entries = 0;
    for field in fields.iter().rev().filter(|field| field.id == chain.id()) {
        for entry in FromTheRight::new(field.value, chain) {
            entries += 1;
            if entries > ENTRIES_MAX || !is_trusted(client.address) {
                return client;
            }
            if entry.is_empty() {
                // RFC 9110 section 5.6.1.2: empty elements of a list do not count.
                continue;
            }
            let Some(next) = chain.client(entry) else { return client };
            client = next;
            if chain == ChainField::XRealIp {
                return client;
            }
        }
    }
    client
}

/// The elements of a list from its end, without the white space around them.
pub(super) struct FromTheRight<'v> {
    rest: Option<&'v [u8]>,
    separator: Separator,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// The value is one element.
    None,
    Comma,
    /// Commas inside of quoted strings separate nothing.
    UnquotedComma,
}

impl<'v> FromTheRight<'v> {
    pub(super) fn new(value: &'v [u8], chain: ChainField) -> Self {
        let separator = match chain {
            ChainField::XForwardedFor => Separator::Comma,
            ChainField::Forwarded => Separator::UnquotedComma,
            ChainField::XRealIp => Separator::None,
        };
        Self { rest: Some(value), separator }
    }
}

impl<'v> Iterator for FromTheRight<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        let rest = self.rest.take()?;
        let comma = match self.separator {
            Separator::None => None,
            Separator::Comma => memchr::memrchr(b',', rest),
            Separator::UnquotedComma => last_unquoted_comma(rest),
        };
        let Some(at) = comma else { return Some(trim_ows(rest)) };
        self.rest = Some(&rest[..at]);
        Some(trim_ows(&rest[at + 1..]))
    }
}

/// Linear: the backslashes before one quote are not those before another.
fn last_unquoted_comma(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for at in (0..text.len()).rev() {
        match text[at] {
            b'"' if !(quoted && is_escaped(text, at)) => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn is_escaped(text: &[u8], at: usize) -> bool {
    let backslashes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
    backslashes % 2 == 1
}

/// An address with or without a port, as proxies write it: `192.0.2.1`, `192.0.2.1:80`,
/// `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn plain_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| bracketed().map(IpAddr::V6))
}

/// RFC 7239 section 6: `node = nodename [ ":" node-port ]`, an IPv6 address in brackets only.
fn node_address(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let valid = after.is_empty() || is_node_port(after.strip_prefix(':')?);
        return valid.then(|| address.parse::<Ipv6Addr>().ok().map(IpAddr::V6))?;
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let address = name.parse::<std::net::Ipv4Addr>().ok()?;
    port.is_none_or(is_node_port).then_some(IpAddr::V4(address))
}

/// `port = 1*5DIGIT`, or `obfport = "_" 1*(ALPHA / DIGIT / "." / "_" / "-")`.
fn is_node_port(port: &str) -> bool {
    let obfuscated = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match port.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(obfuscated),
        None => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
