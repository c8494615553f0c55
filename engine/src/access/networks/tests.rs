use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;

/// The value of the innermost network, 0 outside.
fn map(networks: &[(IpNet, u8)]) -> NetworkMap<u8> {
    NetworkMap::new(networks.iter().copied(), 0, |_, inner| inner)
}

/// What [`map`] promises, by looking at every network.
fn longest(networks: &[(IpNet, u8)], address: IpAddr) -> u8 {
    let address = address.to_canonical();
    let length = |network: &IpNet| match (network, address) {
        (IpNet::V4(own), IpAddr::V4(address)) => own.contains(&address).then(|| own.prefix_len()),
        (IpNet::V6(own), IpAddr::V6(address)) => own.contains(&address).then(|| own.prefix_len()),
        (IpNet::V6(own), IpAddr::V4(address)) => {
            let inside = own.prefix_len() >= 96 && own.contains(&address.to_ipv6_mapped());
            inside.then(|| own.prefix_len() - 96)
        }
        (IpNet::V4(_), IpAddr::V6(_)) => None,
    };
    let lengths = networks.iter().filter_map(|(network, value)| Some((length(network)?, *value)));
    lengths.max().map_or(0, |(_, value)| value)
}

#[test]
fn the_whole_range_and_its_ends() {
    let all = [("0.0.0.0/0", 1), ("::/0", 2), ("255.255.255.255/32", 3), ("ffff::/16", 4)];
    let all = all.map(|(network, value)| (network.parse().unwrap(), value));
    let map = map(&all);
    for (address, value) in [
        ("0.0.0.0", 1),
        ("255.255.255.254", 1),
        ("255.255.255.255", 3),
        ("::ffff:255.255.255.255", 3),
        ("::", 2),
        ("::fffe:ffff:ffff", 2),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4),
    ] {
        assert_eq!(map.find(address.parse().unwrap()), value, "{address}");
    }
}

#[test]
fn neighbours_of_one_value_are_one_step() {
    let halves = [("10.0.0.0/9", 1), ("10.128.0.0/9", 1), ("10.3.0.0/16", 1)];
    let whole = [("10.0.0.0/8", 1)];
    let parse = |(network, value): (&str, u8)| (network.parse().unwrap(), value);
    assert_eq!(map(&halves.map(parse)), map(&whole.map(parse)));
}

/// Every depth of tree, full and not, is searched at and beside each of its keys.
#[test]
fn trees_of_every_depth_find_each_key() {
    for count in [1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097] {
        let steps: Vec<(u128, u128)> = (0..count).map(|i| (i * 3, i)).collect();
        let tree = Steps::<u32, u128, V4_WIDTH>::new(&steps);
        let wide = Steps::<u128, u128, V6_WIDTH>::new(&steps);
        for key in 0..count * 3 {
            let narrow = u32::try_from(key).unwrap();
            assert_eq!((tree.find(narrow), wide.find(key)), (key / 3, key / 3), "{count} {key}");
        }
        assert_eq!((tree.find(u32::MAX), wide.find(u128::MAX)), (count - 1, count - 1), "{count}");
    }
}

fn any_v4() -> impl Strategy<Value = IpNet> {
    // Few addresses, spread over the whole range, so that networks nest and meet.
    let spread = |n: u32| std::net::Ipv4Addr::from_bits(n << 28 | n << 13 | n);
    (0..16_u32, 0..=32_u8)
        .prop_map(move |(n, p)| Ipv4Net::new(spread(n), p).unwrap().trunc().into())
}

fn any_v6() -> impl Strategy<Value = IpNet> {
    let spread = |n: u128| std::net::Ipv6Addr::from_bits(n << 124 | n << 60 | n);
    (0..16_u128, 0..=128_u8)
        .prop_map(move |(n, p)| Ipv6Net::new(spread(n), p).unwrap().trunc().into())
}

/// IPv4 networks as IPv6 ones, and what is around all of them.
fn any_mapped() -> impl Strategy<Value = IpNet> {
    (any_v4(), 90..=128_u8).prop_map(|(network, p)| {
        let IpAddr::V4(address) = network.addr() else { unreachable!("an IPv4 network") };
        Ipv6Net::new(address.to_ipv6_mapped(), p).unwrap().trunc().into()
    })
}

fn any_network() -> impl Strategy<Value = IpNet> {
    prop_oneof![any_v4(), any_v6(), any_mapped()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_longest_prefix_holds_and_of_equals_the_greater_value(
        networks in proptest::collection::vec((any_network(), 1..4_u8), 0..40),
        asked in proptest::collection::vec(any_network(), 1..8),
    ) {
        let map = map(&networks);
        let edges = networks.iter().map(|(network, _)| network).chain(&asked);
        for network in edges {
            for address in [network.network(), network.broadcast()] {
                for near in [address, neighbour(address, true), neighbour(address, false)] {
                    prop_assert_eq!(map.find(near), longest(&networks, near), "{}", near);
                }
            }
        }
    }

    #[test]
    fn the_greatest_value_around_holds_where_it_is_asked_for(
        networks in proptest::collection::vec((any_v4(), 1..4_u8), 0..40),
        asked in any_v4(),
    ) {
        let map = NetworkMap::new(networks.iter().copied(), 0, u8::max);
        let address = asked.network();
        let holding = networks.iter().filter(|(network, _)| network.contains(&address));
        let greatest = holding.map(|(_, value)| *value).max().unwrap_or(0);
        prop_assert_eq!(map.find(address), greatest);
    }
}

/// The next address or the one before, round the end.
fn neighbour(address: IpAddr, next: bool) -> IpAddr {
    let by = if next { 1 } else { -1_i8 };
    match address {
        IpAddr::V4(a) => {
            std::net::Ipv4Addr::from_bits(a.to_bits().wrapping_add_signed(by.into())).into()
        }
        IpAddr::V6(a) => {
            std::net::Ipv6Addr::from_bits(a.to_bits().wrapping_add_signed(by.into())).into()
        }
    }
}
