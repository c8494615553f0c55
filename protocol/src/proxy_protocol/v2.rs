//! Version 2, binary: section 2.2.
//!
//! ```text
//!  0        12        13         14        16
//! ┌───────────┬─────────┬──────────┬─────────┬───────────┬──────┐
//! │ signature │ version │ family   │ length  │ addresses │ TLVs │
//! │           │ command │ transport│ of rest │           │      │
//! └───────────┴─────────┴──────────┴─────────┴───────────┴──────┘
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tlv::{Tlv, Tlvs, kind, push_tlv};
use super::{Command, Error, Header, Transport, Version, agrees_with};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
/// Two paths of 108 bytes each, which nothing here needs.
const UNIX_BYTES: usize = 216;
/// Type, length and value of a checksum.
const CHECKSUM_TLV_BYTES: usize = 7;

pub(super) fn parse(bytes: &[u8], bytes_max: usize) -> Result<Option<(Header<'_>, usize)>, Error> {
    if !agrees_with(bytes, SIGNATURE) {
        return Err(Error::Signature);
    }
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let command = parse_command(fixed[12])?;
    let family = Family::parse(fixed[13], command)?;
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > bytes_max {
        return Err(Error::TooLong);
    }
    if len < FIXED_BYTES + family.addresses_bytes() {
        return Err(Error::TooShort);
    }
    let Some(header) = bytes.get(..len) else {
        return Ok(None);
    };
    Ok(Some((parse_whole(header, command, family)?, len)))
}

fn parse_command(byte: u8) -> Result<Command, Error> {
    match (byte >> 4, byte & 15) {
        (2, 0) => Ok(Command::Local),
        (2, 1) => Ok(Command::Proxy),
        (2, _) => Err(Error::Command),
        _ => Err(Error::Version),
    }
}

/// Whose addresses a header has.
#[derive(Clone, Copy)]
enum Family {
    Unspecified,
    Inet(Transport),
    Inet6(Transport),
    Unix(Transport),
}

impl Family {
    /// A receiver has to ignore the family of a LOCAL header, with all that follows.
    fn parse(byte: u8, command: Command) -> Result<Self, Error> {
        if command == Command::Local {
            return Ok(Self::Unspecified);
        }
        let transport = match byte & 15 {
            0 => Transport::Unspecified,
            1 => Transport::Stream,
            2 => Transport::Datagram,
            _ => return Err(Error::Family),
        };
        match (byte >> 4, transport) {
            (0, Transport::Unspecified) => Ok(Self::Unspecified),
            (_, Transport::Unspecified) => Err(Error::Family),
            (1, transport) => Ok(Self::Inet(transport)),
            (2, transport) => Ok(Self::Inet6(transport)),
            (3, transport) => Ok(Self::Unix(transport)),
            _ => Err(Error::Family),
        }
    }

    const fn addresses_bytes(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Inet(_) => 12,
            Self::Inet6(_) => 36,
            Self::Unix(_) => UNIX_BYTES,
        }
    }

    const fn transport(self) -> Transport {
        match self {
            Self::Unspecified => Transport::Unspecified,
            Self::Inet(transport) | Self::Inet6(transport) | Self::Unix(transport) => transport,
        }
    }
}

/// Reads a header that is all there and long enough for its addresses.
fn parse_whole(header: &[u8], command: Command, family: Family) -> Result<Header<'_>, Error> {
    let (addresses, tlvs) = header[FIXED_BYTES..].split_at(family.addresses_bytes());
    let endpoints = match family {
        Family::Unspecified | Family::Unix(_) => None,
        Family::Inet(_) => parse_endpoints::<4, Ipv4Addr>(addresses),
        Family::Inet6(_) => parse_endpoints::<16, Ipv6Addr>(addresses),
    };
    let tlvs = match command {
        Command::Local => Tlvs::default(),
        Command::Proxy => Tlvs::parse(tlvs)?,
    };
    if let Some(checksum) = tlvs.checksum {
        check(header, checksum)?;
    }
    Ok(Header {
        version: Version::V2,
        command,
        transport: family.transport(),
        source: endpoints.map(|(source, _)| source),
        destination: endpoints.map(|(_, destination)| destination),
        tlvs,
    })
}

/// Both addresses, of `N` bytes each, then both ports.
fn parse_endpoints<const N: usize, A>(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    let endpoint = |address: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(A::from(*address).into(), u16::from_be_bytes(*port))
    };
    Some((endpoint(source, source_port), endpoint(destination, destination_port)))
}

/// Section 2.2.3: CRC-32C of the whole header, with the checksum itself read as noughts.
fn check(header: &[u8], checksum: &[u8; 4]) -> Result<(), Error> {
    let at = checksum.as_ptr() as usize - header.as_ptr() as usize;
    let sum = crc32c::crc32c(&header[..at]);
    let sum = crc32c::crc32c_append(sum, &[0; 4]);
    let sum = crc32c::crc32c_append(sum, &header[at + 4..]);
    if sum == u32::from_be_bytes(*checksum) { Ok(()) } else { Err(Error::Checksum) }
}

/// For whom [`write_v2`] speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// Nobody: a connection of the sender's own, such as a health check.
    Local,
    /// A client at `source` who connected to `destination`, over a stream.
    Proxy { source: SocketAddr, destination: SocketAddr },
}

/// Appends a header with `tlvs`, then with a checksum if `checksum` says so. If only one address is
/// IPv4, it is written as an IPv4-mapped IPv6 address, since a header has one family.
///
/// # Errors
/// [`Error::TooLong`] if the header would be longer than the format can say (64 KiB); `out` is then
/// as it was.
pub fn write_v2(
    out: &mut Vec<u8>,
    endpoints: Endpoints,
    tlvs: &[Tlv<'_>],
    checksum: bool,
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    write_endpoints(out, endpoints);
    let written = write_tlvs(out, start, tlvs, checksum);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Writes everything from the version to the addresses, with a length of nought.
fn write_endpoints(out: &mut Vec<u8>, endpoints: Endpoints) {
    let Endpoints::Proxy { source, destination } = endpoints else {
        out.extend_from_slice(&[0x20, 0, 0, 0]);
        return;
    };
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) {
        out.extend_from_slice(&[0x21, 0x11, 0, 0]);
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&to.octets());
    } else {
        out.extend_from_slice(&[0x21, 0x21, 0, 0]);
        for address in [source, destination] {
            let address = match address.ip() {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            out.extend_from_slice(&address.octets());
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

/// Finishes the header that begins at `start`.
fn write_tlvs(
    out: &mut Vec<u8>,
    start: usize,
    tlvs: &[Tlv<'_>],
    checksum: bool,
) -> Result<(), Error> {
    for tlv in tlvs {
        push_tlv(out, tlv)?;
    }
    let checksum_bytes = if checksum { CHECKSUM_TLV_BYTES } else { 0 };
    let length = out.len() - start - FIXED_BYTES + checksum_bytes;
    let length = u16::try_from(length).map_err(|_| Error::TooLong)?;
    out[start + 14..start + FIXED_BYTES].copy_from_slice(&length.to_be_bytes());
    if checksum {
        push_tlv(out, &Tlv { kind: kind::CRC32C, value: &[0; 4] })?;
        let sum = crc32c::crc32c(&out[start..]).to_be_bytes();
        let at = out.len() - sum.len();
        out[at..].copy_from_slice(&sum);
    }
    Ok(())
}
