//! Networks as the configuration and its lists write them.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

use super::fault::Quoted;

/// Why a text is no network, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum NetworkError {
    #[error("{} is not a network; write one such as \"10.0.0.0/8\", or an address", Quoted(.0))]
    Not(String),
    #[error("{} has bits behind its prefix; write \"{right}\"", Quoted(.text))]
    Bits { text: String, right: IpNet },
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, NetworkError> {
    let address = || text.parse().map(IpAddr::into);
    let network: IpNet =
        text.parse().or_else(|_| address()).map_err(|_| NetworkError::Not(text.to_owned()))?;
    if network != network.trunc() {
        return Err(NetworkError::Bits { text: text.to_owned(), right: network.trunc() });
    }
    Ok(network)
}
