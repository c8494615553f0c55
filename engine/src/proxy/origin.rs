//! Who a request comes from, as far as the gateway believes it.

use std::net::IpAddr;

use weir_protocol::http::{ChainField, FieldId, RequestHead, client_of, is_forwarded_tls};

use crate::runtime::{Runtime, Transport};
use crate::shard::{Announced, Connection};
use crate::snapshot::Forwarding;

/// The client behind a request: what limits count, logs name and backends are told. Addresses are
/// IPv4 ones also when they came through an IPv6 socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client's: the peer's, or the one that a trusted proxy names.
    pub(super) address: IpAddr,
    /// Who sent the request here.
    pub(super) peer: IpAddr,
    /// Whether the peer may say whose request it passes on.
    pub(super) trusted: bool,
    /// Whether the client uses TLS.
    pub(super) secure: bool,
}

impl Origin {
    pub(super) fn of<R: Runtime>(
        connection: &Connection<R>,
        head: &RequestHead<'_, '_>,
        forwarding: &Forwarding,
    ) -> Self {
        let peer = connection.peer.ip().to_canonical();
        let secure = connection.announced == Announced::Secure
            || matches!(connection.stream, Transport::Tls(_));
        let direct = Self { address: peer, peer, trusted: false, secure };
        if connection.announced == Announced::Nothing {
            // The trusted peer has not said that these requests are its own.
            return direct;
        }
        direct.behind(connection.listener, head, forwarding)
    }

    /// The same where the peer may not say whose request it passes on.
    #[inline]
    pub(super) fn behind(
        self,
        listener: usize,
        head: &RequestHead<'_, '_>,
        forwarding: &Forwarding,
    ) -> Self {
        if forwarding.is_trusted(listener, self.peer) {
            self.believing(listener, head, forwarding)
        } else {
            self
        }
    }

    /// Believes the peer: the one field that the configuration names, and the scheme with it.
    fn believing(
        self,
        listener: usize,
        head: &RequestHead<'_, '_>,
        forwarding: &Forwarding,
    ) -> Self {
        let chain = forwarding.client_address;
        let is_trusted = |address| forwarding.is_trusted(listener, address);
        let client = client_of(head.fields, chain, self.peer, is_trusted);
        // Who reads one family of fields writes it; the other one's may be the client's own.
        let tls = match chain {
            ChainField::Forwarded => client.tls,
            ChainField::XForwardedFor | ChainField::XRealIp => {
                head.only(FieldId::XForwardedProto).and_then(is_forwarded_tls)
            }
        };
        let secure = tls.unwrap_or(self.secure);
        Self { address: client.address, trusted: true, secure, ..self }
    }
}
