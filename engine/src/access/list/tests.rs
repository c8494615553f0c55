use super::*;

fn list(deny: &[&str], allow: &[&str], unlisted: Listing) -> AccessList {
    let parse = |texts: &[&str]| -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    };
    AccessList::new(&parse(deny), &parse(allow), unlisted)
}

#[track_caller]
fn check(list: &AccessList, cases: &[(&str, Listing)]) {
    for (address, expected) in cases {
        assert_eq!(list.find(address.parse().expect("an address")), *expected, "{address}");
    }
}

#[test]
fn the_longest_prefix_wins_and_a_tie_is_denied() {
    use Listing::{Allowed, Denied, Unlisted};
    let deny = ["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "192.0.2.128/26"];
    let allow = ["192.0.2.0/25", "192.0.2.128/25", "10.0.0.0/8", "2001:db8:1::/48"];
    check(
        &list(&deny, &allow, Unlisted),
        &[
            ("192.0.2.1", Allowed),
            ("192.0.2.130", Denied),
            ("192.0.2.200", Allowed),
            ("10.1.2.3", Denied),
            ("2001:db8::1", Denied),
            ("2001:db8:1::1", Allowed),
            ("198.51.100.1", Unlisted),
            ("::ffff:192.0.2.130", Denied),
        ],
    );
}

#[test]
fn what_is_not_named_is_as_the_default_says() {
    let only = list(&[], &["192.0.2.0/24", "::1/128"], Listing::Denied);
    check(
        &only,
        &[
            ("192.0.2.9", Listing::Allowed),
            ("::1", Listing::Allowed),
            ("192.0.3.1", Listing::Denied),
            ("2001:db8::1", Listing::Denied),
        ],
    );
}

#[test]
fn ipv4_is_written_either_way_and_is_no_part_of_a_wider_ipv6_network() {
    let mapped = list(&["::ffff:192.0.2.0/120", "::/0"], &[], Listing::Unlisted);
    check(
        &mapped,
        &[
            ("192.0.2.7", Listing::Denied),
            ("192.0.3.7", Listing::Unlisted),
            ("2001:db8::1", Listing::Denied),
        ],
    );
    let both = list(&["::ffff:192.0.2.0/120"], &["192.0.2.0/24"], Listing::Unlisted);
    check(&both, &[("192.0.2.7", Listing::Denied)]);
}

/// Not a promise of speed: that such a list is taken, and right at many of its places.
#[test]
fn a_hundred_thousand_networks_are_found_again() {
    let network = |i: u32| IpNet::new(std::net::Ipv4Addr::from_bits(i << 12).into(), 22).unwrap();
    let deny: Vec<IpNet> = (0..100_000).map(network).collect();
    let list = AccessList::new(&deny, &[], Listing::Unlisted);
    for i in (0..100_000).step_by(7) {
        let first = std::net::Ipv4Addr::from_bits(i << 12);
        let behind = std::net::Ipv4Addr::from_bits((i << 12) + 1024);
        assert_eq!(list.find(first.into()), Listing::Denied, "{first}");
        assert_eq!(list.find(behind.into()), Listing::Unlisted, "{behind}");
    }
}
