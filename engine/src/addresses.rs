//! Sets of addresses, for lists of networks that are asked on the way of a request.

use std::net::IpAddr;

use ipnet::IpNet;

/// The addresses of some networks. An IPv4 address is the same as its mapped IPv6 one
/// (`::ffff:0:0/96`), written either way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressSet {
    /// First and last of each run, ascending, apart from each other.
    runs: Vec<(u128, u128)>,
}

impl AddressSet {
    pub fn new(networks: &[IpNet]) -> Self {
        let mut runs: Vec<(u128, u128)> =
            networks.iter().map(|n| (number(n.network()), number(n.broadcast()))).collect();
        runs.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::new();
        for (first, last) in runs {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self { runs: merged }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let after = self.runs.partition_point(|(first, _)| *first <= address);
        after > 0 && address <= self.runs[after - 1].1
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(networks: &[&str]) -> AddressSet {
        let networks: Vec<IpNet> = networks.iter().map(|n| n.parse().unwrap()).collect();
        AddressSet::new(&networks)
    }

    #[test]
    fn edges_belong_to_a_network() {
        let set = set(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"]);
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8::", "::ffff:10.1.2.3"] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "::"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!AddressSet::default().contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn neighbours_and_parts_are_one_run() {
        let one = set(&["10.1.0.0/16", "10.0.0.0/9", "10.128.0.0/9", "10.0.0.0/16"]);
        assert_eq!(one, set(&["10.0.0.0/8"]));
        assert!(set(&["0.0.0.0/0"]).contains("192.0.2.1".parse().unwrap()));
        assert!(!set(&["0.0.0.0/0"]).contains("2001:db8::1".parse().unwrap()));
        assert!(set(&["::/0", "ffff::/16"]).contains("ffff::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_set_has_what_one_of_its_networks_has(
            networks in proptest::collection::vec((0..32_u32, 0..=32_u8), 0..8),
            address in 0..32_u32,
        ) {
            // Few distinct addresses, spread over the whole range, so that hits are common.
            let spread = |n: u32| IpAddr::from((n << 27 | n).to_be_bytes());
            let networks: Vec<IpNet> =
                networks.iter().map(|(n, p)| IpNet::new(spread(*n), *p).unwrap().trunc()).collect();
            let address = spread(address);
            let expected = networks.iter().any(|network| network.contains(&address));
            prop_assert_eq!(AddressSet::new(&networks).contains(address), expected);
        }
    }
}
