//! What a client chose in its handshake.

use rustls::{Connection, ProtocolVersion};

use super::ClientIdentity;

/// The TLS of an accepted connection, as others are told of it.
#[derive(Debug, Clone, Copy)]
pub struct AcceptedTls<'a> {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The host of SNI.
    pub server_name: Option<&'a str>,
    /// By ALPN.
    pub protocol: Option<&'a [u8]>,
    pub identity: Option<&'a ClientIdentity>,
}

impl<'a> AcceptedTls<'a> {
    /// `None` for a connection to a backend, and for a handshake that is not over.
    pub fn of(session: &'a Connection, identity: Option<&'a ClientIdentity>) -> Option<Self> {
        let Connection::Server(session) = session else { return None };
        let version = match session.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let (server_name, protocol) = (session.server_name(), session.alpn_protocol());
        Some(Self { version, server_name, protocol, identity })
    }
}
