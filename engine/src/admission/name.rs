//! How people are shown whom a counter counts.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr};

use super::subject::{Facts, Hasher, RouteName};
use crate::access_log::is_secret;
use crate::config::LimitKey;
use crate::slots::SubjectHash;
use crate::snapshot::Snapshot;

/// The parts of a limit's key as this request has them, with blanks between: `alice /api/*`. What
/// may be a secret is shown as a hash that is of use to nobody else.
pub struct SubjectName<'n> {
    pub(crate) key: &'n [LimitKey],
    pub(crate) facts: &'n Facts<'n>,
    pub(crate) snapshot: &'n Snapshot,
    pub(crate) hasher: &'n Hasher<'n>,
}

impl Display for SubjectName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, part) in self.key.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            self.part(part, f)?;
        }
        Ok(())
    }
}

impl SubjectName<'_> {
    fn part(&self, part: &LimitKey, f: &mut Formatter<'_>) -> fmt::Result {
        let (facts, snapshot) = (self.facts, self.snapshot);
        let text = match part {
            LimitKey::Address => None,
            LimitKey::Key => {
                facts.caller.key_name(snapshot).or_else(|| facts.caller.user(snapshot))
            }
            LimitKey::User => facts.caller.user(snapshot),
            LimitKey::Certificate => {
                return match facts.certificate {
                    Some(digest) => digest[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}")),
                    None => network(facts.address, f),
                };
            }
            LimitKey::Tier => {
                Some(facts.tier.map_or("", |tier| snapshot.config.tiers[tier].name.as_str()))
            }
            LimitKey::Route => {
                return RouteName(&snapshot.config.routes[facts.route]).fmt(f);
            }
            LimitKey::Header(name) => return self.field(part, name, f),
            LimitKey::Claim(name) => facts.caller.claim(name),
        };
        match text {
            Some(text) => f.write_str(text),
            None => network(facts.address, f),
        }
    }

    fn field(&self, part: &LimitKey, name: &str, f: &mut Formatter<'_>) -> fmt::Result {
        let value = self.facts.fields.first(name).unwrap_or_default();
        if is_secret(name.as_bytes()) || name.contains("cookie") {
            let hash = self.hasher.part(part, self.facts).map_or(0, SubjectHash::as_u64);
            return write!(f, "{name}#{:08x}", hash >> 32);
        }
        Display::fmt(&value.escape_ascii(), f)
    }
}

/// An address as limits count and show it.
pub(crate) struct NetworkName(pub(crate) IpAddr);

impl Display for NetworkName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        network(self.0, f)
    }
}

fn network(address: IpAddr, f: &mut Formatter<'_>) -> fmt::Result {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.fmt(f),
        IpAddr::V6(v6) => {
            let network = Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64);
            write!(f, "{network}/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_counted() {
        let shown = |text: &str| NetworkName(text.parse().unwrap()).to_string();
        assert_eq!(shown("192.0.2.1"), "192.0.2.1");
        assert_eq!(shown("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(shown("2001:db8:1:2:3::9"), "2001:db8:1:2::/64");
    }
}
