use std::fmt;
use std::net::IpAddr;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};
use serde::{Serialize, Serializer};

/// What the journal remembers. The order of variants, and that of their fields, is the format on
/// the disk: append only. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Forget everything: the next so many records say all there is, and then comes the end.
    SnapshotBegin {
        records: u64,
    },
    SnapshotEnd {
        records: u64,
    },
    Block(Block),
    Lift(Lift),
    Audit(Audit),
    Reset(Reset),
}

/// Somebody is kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Block {
    pub subject: Subject,
    pub reason: String,
    /// Until when; `None` until it is lifted.
    pub until_ms: Option<u64>,
    /// Who did it.
    pub by: String,
    pub at_ms: u64,
}

/// Somebody is let in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Lift {
    pub subject: Subject,
    pub reason: String,
    pub by: String,
    pub at_ms: u64,
}

/// Somebody did something that others may want to know. Has no secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Audit {
    pub at_ms: u64,
    pub actor: String,
    pub action: String,
    pub detail: String,
}

/// What a limit had counted for a key was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Reset {
    /// The limit's name.
    pub limit: String,
    /// The key's, as people read it.
    pub key: String,
    pub by: String,
    pub at_ms: u64,
}

/// Who can be blocked. The order of variants is the format on the disk: append only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Address(Network),
    /// An API key, by its name.
    Key(String),
    User(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(network) => write!(f, "address {network}"),
            Self::Key(name) => write!(f, "key {name}"),
            Self::User(name) => write!(f, "user {name}"),
        }
    }
}

/// The addresses that begin alike. Each network has one form: no bits beyond the prefix, and IPv4
/// is never written as mapped IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of `address` that has `prefix` bits in common; `None` when it has no so many.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        match (address, prefix) {
            (IpAddr::V4(address), ..=32) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Some(Self { address: IpAddr::V4((address.to_bits() & mask).into()), prefix })
            }
            (IpAddr::V6(address), ..=128) => match (address.to_ipv4_mapped(), prefix) {
                (Some(address), 96..) => Self::new(IpAddr::V4(address), prefix - 96),
                _ => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                    Some(Self { address: IpAddr::V6((address.to_bits() & mask).into()), prefix })
                }
            },
            _ => None,
        }
    }

    /// Its first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<C> Decode<C> for Network {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let read = Self { address: Decode::decode(decoder)?, prefix: Decode::decode(decoder)? };
        match Self::new(read.address, read.prefix) {
            Some(network) if network == read => Ok(network),
            _ => Err(DecodeError::Other("this is no network")),
        }
    }
}

bincode::impl_borrow_decode!(Network);

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, prefix: u8) -> Option<String> {
        let address = address.parse().expect("an address");
        Network::new(address, prefix).map(|network| network.to_string())
    }

    #[test]
    fn each_network_has_one_form() {
        assert_eq!(network("192.0.2.77", 24).as_deref(), Some("192.0.2.0/24"));
        assert_eq!(network("192.0.2.77", 32).as_deref(), Some("192.0.2.77/32"));
        assert_eq!(network("192.0.2.77", 0).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(network("192.0.2.77", 33), None);
        assert_eq!(network("::ffff:192.0.2.77", 120).as_deref(), Some("192.0.2.0/24"));
        assert_eq!(network("::ffff:192.0.2.77", 64).as_deref(), Some("::/64"));
        assert_eq!(network("2001:db8::1", 64).as_deref(), Some("2001:db8::/64"));
        assert_eq!(network("2001:db8::1", 0).as_deref(), Some("::/0"));
        assert_eq!(network("2001:db8::1", 129), None);
    }
}
