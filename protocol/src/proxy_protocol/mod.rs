//! The PROXY protocol, versions 1 and 2: what a load balancer in front says of a connection,
//! before its first byte. By HAProxy's specification of 2020/03/05, whose sections are cited.
//!
//! For receivers that were told to expect a header: nothing here guesses whether there is one. The
//! header may come split in any way; [`parse`] is called again with more of it.
//!
//! Invariants:
//! - what parses has one meaning: a header whose parts do not fit is an error, as soon as it shows;
//! - how the bytes were split does not change what they mean;
//! - a header is accepted only if its checksum, where it has one, is right.

mod tlv;
mod v1;
mod v2;

use std::net::SocketAddr;

pub use tlv::{Ssl, Tlv, TlvIter, Tlvs, kind, write_ssl};
pub use v1::{write_v1, write_v1_unknown};
pub use v2::{Endpoints, write_v2};

/// What [`parse`] accepts at most, in bytes: several times what any load balancer sends. The
/// format could hold 64 KiB.
pub const HEADER_BYTES_MAX: usize = 4096;

/// What the sender says of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    pub version: Version,
    pub command: Command,
    pub transport: Transport,
    /// The client's address as it was written: an IPv4 client may come as an IPv4-mapped IPv6
    /// address. `None` for LOCAL, UNKNOWN, UNSPEC and Unix sockets: the connection's own counts.
    pub source: Option<SocketAddr>,
    /// The address that the client connected to; there whenever `source` is, and of its family.
    pub destination: Option<SocketAddr>,
    /// What else is said; nothing in version 1 and for LOCAL.
    pub tlvs: Tlvs<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The sender speaks for itself, as in a health check: nothing else in the header counts.
    Local,
    /// The sender speaks for a client. Version 1 knows only this.
    Proxy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Unspecified,
    Stream,
    Datagram,
}

/// A header that is none, or that contradicts itself. The connection is to be dropped, without an
/// answer: nobody knows who would read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no PROXY header")]
    Signature,
    #[error("the PROXY line is malformed")]
    Line,
    #[error("the PROXY header is too long")]
    TooLong,
    #[error("the version of the PROXY header is not 2")]
    Version,
    #[error("the PROXY header has an unknown command")]
    Command,
    #[error("the PROXY header has an unknown address family or transport")]
    Family,
    #[error("an address in the PROXY header is malformed or of another family")]
    Address,
    #[error("a port in the PROXY header is malformed")]
    Port,
    #[error("the PROXY header is too short for its addresses")]
    TooShort,
    #[error("a value in the PROXY header is malformed or goes on behind its end")]
    Tlv,
    #[error("a value in the PROXY header is given twice")]
    RepeatedTlv,
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// Reads the header at the start of `bytes`, of either version and at most [`HEADER_BYTES_MAX`]
/// long: the header and its length, or `None` when more bytes are needed.
///
/// # Errors
/// What is wrong with the header, at the latest when all of it is there.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header<'_>, usize)>, Error> {
    parse_bounded(bytes, HEADER_BYTES_MAX)
}

/// As [`parse`], for headers of at most `bytes_max` bytes. A line of version 1 has its own bound
/// of 107 bytes besides (section 2.1).
///
/// # Errors
/// As [`parse`].
pub fn parse_bounded(bytes: &[u8], bytes_max: usize) -> Result<Option<(Header<'_>, usize)>, Error> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => v1::parse(bytes, bytes_max),
        Some(b'\r') => v2::parse(bytes, bytes_max),
        Some(_) => Err(Error::Signature),
    }
}

/// Whether `bytes` may still become `signature`, or already begin with it.
fn agrees_with(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

#[cfg(test)]
mod tests;
