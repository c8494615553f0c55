//! Version 1, one line of text: section 2.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Command, Error, Header, Tlvs, Transport, Version, agrees_with};

/// The longest line with its CRLF: `PROXY UNKNOWN`, two full IPv6 addresses and two ports.
const LINE_BYTES_MAX: usize = 107;

const PREFIX: &[u8] = b"PROXY ";

pub(super) fn parse(bytes: &[u8], bytes_max: usize) -> Result<Option<(Header<'_>, usize)>, Error> {
    if !agrees_with(bytes, PREFIX) {
        return Err(Error::Signature);
    }
    let line_max = LINE_BYTES_MAX.min(bytes_max);
    let window = &bytes[..bytes.len().min(line_max)];
    // No line has another control byte or a byte over 0x7e.
    let end = window.iter().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(window.len());
    match window[end..] {
        [] | [b'\r'] if window.len() == line_max => Err(Error::TooLong),
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => {
            let line = str::from_utf8(&window[PREFIX.len()..end]).map_err(|_| Error::Line)?;
            Ok(Some((parse_line(line)?, end + 2)))
        }
        _ => Err(Error::Line),
    }
}

/// Reads what stands between `PROXY ` and the line's end.
fn parse_line<'a>(line: &str) -> Result<Header<'a>, Error> {
    let (family, rest) = match line.split_once(' ') {
        Some((family, rest)) => (family, Some(rest)),
        None => (line, None),
    };
    let (transport, endpoints) = match (family, rest) {
        // Whatever follows is to be ignored.
        ("UNKNOWN", _) => (Transport::Unspecified, None),
        ("TCP4", Some(rest)) => (Transport::Stream, Some(parse_endpoints::<Ipv4Addr>(rest)?)),
        ("TCP6", Some(rest)) => (Transport::Stream, Some(parse_endpoints::<Ipv6Addr>(rest)?)),
        ("TCP4" | "TCP6", None) => return Err(Error::Line),
        _ => return Err(Error::Family),
    };
    Ok(Header {
        version: Version::V1,
        command: Command::Proxy,
        transport,
        source: endpoints.map(|(source, _)| source),
        destination: endpoints.map(|(_, destination)| destination),
        tlvs: Tlvs::default(),
    })
}

/// Two addresses of one family, then two ports, one space between each.
fn parse_endpoints<A: FromStr + Into<IpAddr>>(
    text: &str,
) -> Result<(SocketAddr, SocketAddr), Error> {
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(Error::Line);
    let (source, destination) = (word()?, word()?);
    let (source_port, destination_port) = (word()?, word()?);
    if words.next().is_some() {
        return Err(Error::Line);
    }
    // Rust's parser takes no leading zeros, no octal, no zone.
    let address = |text: &str| A::from_str(text).map(Into::into).map_err(|_| Error::Address);
    Ok((
        SocketAddr::new(address(source)?, parse_port(source_port)?),
        SocketAddr::new(address(destination)?, parse_port(destination_port)?),
    ))
}

/// A decimal number without sign or leading zeros.
fn parse_port(text: &str) -> Result<u16, Error> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(Error::Port);
    }
    text.parse().map_err(|_| Error::Port)
}

/// Writes the line for a client at `source` who connected to `destination`. If only one of them is
/// IPv4, it is written as an IPv4-mapped IPv6 address, since a line has one family.
pub fn write_v1(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    use std::io::Write as _;
    let (source_ip, destination_ip) = (source.ip(), destination.ip());
    let (ports, mapped) = ((source.port(), destination.port()), |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    });
    // Writing to a vector does not fail.
    let _ = match (source_ip, destination_ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            write!(out, "PROXY TCP4 {from} {to} {} {}\r\n", ports.0, ports.1)
        }
        (from, to) => {
            let (from, to) = (mapped(from), mapped(to));
            write!(out, "PROXY TCP6 {from} {to} {} {}\r\n", ports.0, ports.1)
        }
    };
}

/// Writes the line for a connection of the sender's own, such as a health check.
pub fn write_v1_unknown(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PROXY UNKNOWN\r\n");
}
