//! Lists of networks that are served, and that are not.

use std::net::IpAddr;

use ipnet::IpNet;

use super::networks::NetworkMap;

/// What a list says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listing {
    /// Not named, and served.
    Unlisted,
    /// Named as one to be served.
    Allowed,
    /// Named as one not to be served, or not named where only those named are.
    Denied,
}

/// Networks that are allowed or denied. Of several with an address the one with the longest prefix
/// holds; where the same one is in both lists, it is denied. An IPv4 network written as an IPv6 one
/// (`::ffff:192.0.2.0/120`) is that IPv4 network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    networks: NetworkMap<Listing>,
}

impl AccessList {
    /// Addresses in neither list are `unlisted`.
    pub fn new(deny: &[IpNet], allow: &[IpNet], unlisted: Listing) -> Self {
        let denied = deny.iter().map(|network| (*network, Listing::Denied));
        let allowed = allow.iter().map(|network| (*network, Listing::Allowed));
        Self { networks: NetworkMap::new(denied.chain(allowed), unlisted, |_, inner| inner) }
    }

    #[inline]
    pub fn find(&self, address: IpAddr) -> Listing {
        self.networks.find(address)
    }
}

#[cfg(test)]
mod tests;
