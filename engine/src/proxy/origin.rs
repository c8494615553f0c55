//! Who a request comes from, as far as the gateway believes it.

use std::net::IpAddr;

use crate::runtime::Runtime;
use crate::shard::Connection;

/// The client behind a request: what limits count, logs name and backends are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// An IPv4 address also when it came through an IPv6 socket.
    pub(super) address: IpAddr,
}

impl Origin {
    pub(super) fn of<R: Runtime>(connection: &Connection<R>) -> Self {
        Self { address: connection.peer.ip().to_canonical() }
    }
}
