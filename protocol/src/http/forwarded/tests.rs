use super::super::{Field, FieldId};
use super::*;
use proptest::prelude::*;

/// 10.0.0.0/8 and 2001:db8:a::/48 are trusted.
fn is_trusted(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 10,
        IpAddr::V6(address) => address.segments()[..3] == [0x2001, 0xdb8, 0xa],
    }
}

fn found(chain: ChainField, values: &[&[u8]], peer: IpAddr) -> IpAddr {
    let fields: Vec<Field<'_>> = values
        .iter()
        .map(|value| Field { id: chain.id(), name: "", value })
        // Fields of other names are nobody's business.
        .chain([Field { id: FieldId::Cookie, name: "", value: b"9.9.9.9" }])
        .collect();
    client_of(&fields, chain, peer, is_trusted).address
}

#[track_caller]
fn check(chain: ChainField, cases: &[(&[&str], &str)]) {
    for (values, expected) in cases {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let address = found(chain, &values, "10.0.0.1".parse().unwrap());
        assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{values:?}");
    }
}

#[test]
fn x_forwarded_for_is_walked_past_trusted_addresses() {
    check(
        ChainField::XForwardedFor,
        &[
            (&[], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6,192.0.2.1\t, 10.9.9.9"], "192.0.2.1"),
            (&["192.0.2.1", "10.0.0.2", "10.0.0.3"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["192.0.2.1,, ,10.0.0.2,"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["192.0.2.1, 2001:db8:a::1"], "192.0.2.1"),
            (&["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
        ],
    );
}

#[test]
fn an_entry_that_names_no_address_ends_the_walk() {
    check(
        ChainField::XForwardedFor,
        &[
            (&["192.0.2.1, unknown"], "10.0.0.1"),
            (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1, 010.0.0.2"], "10.0.0.1"),
            (&["192.0.2.1, 10.0.2"], "10.0.0.1"),
            (&["192.0.2.1, 10.0.0.2 10.0.0.3"], "10.0.0.1"),
            (&["192.0.2.1, 10.0.0.2:99999"], "10.0.0.1"),
            (&["192.0.2.1, \"10.0.0.2\""], "10.0.0.1"),
            (&["[::1"], "10.0.0.1"),
            (&["::1]"], "10.0.0.1"),
        ],
    );
}

#[test]
fn forwarded_is_walked_by_its_for_parameters() {
    check(
        ChainField::Forwarded,
        &[
            (&["for=192.0.2.1"], "192.0.2.1"),
            (&["For=\"192.0.2.1:4711\";proto=http;by=203.0.113.43"], "192.0.2.1"),
            (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=\"[2001:db8::1]:_port\""], "2001:db8::1"),
            (&["for=6.6.6.6, for=192.0.2.1, for=10.0.0.2"], "192.0.2.1"),
            (&["for=192.0.2.1", "for=10.0.0.2;host=\"a,b;c\\\",\"", ""], "192.0.2.1"),
            (&["host=a ; for=192.0.2.1 ;; proto=https"], "192.0.2.1"),
            // What a client left open swallows nothing.
            (&["for=\", for=192.0.2.1"], "192.0.2.1"),
            (&["for=\"a\\, for=\"192.0.2.1:1\""], "192.0.2.1"),
        ],
    );
}

#[test]
fn malformed_and_obfuscated_elements_end_the_walk() {
    check(
        ChainField::Forwarded,
        &[
            (&["for=192.0.2.1, for=unknown"], "10.0.0.1"),
            (&["for=192.0.2.1, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (&["for=192.0.2.1, proto=https"], "10.0.0.1"),
            (&["for=192.0.2.1:80"], "10.0.0.1"),
            (&["for=2001:db8::1"], "10.0.0.1"),
            (&["for=\"2001:db8::1\""], "10.0.0.1"),
            (&["for=192.0.2.1;for=192.0.2.2"], "10.0.0.1"),
            (&["for = 192.0.2.1"], "10.0.0.1"),
            (&["for=192.0.2.1 proto=http"], "10.0.0.1"),
            (&["for="], "10.0.0.1"),
            (&["192.0.2.1"], "10.0.0.1"),
            (&["for=\"192.0.2.1:\""], "10.0.0.1"),
            (&["for=\"192.0.2.1:123456\""], "10.0.0.1"),
            (&["for=\"192.0.2.1\\\""], "10.0.0.1"),
            (&["for=\"[192.0.2.1]\""], "10.0.0.1"),
            (&["for=\"[::1]x\""], "10.0.0.1"),
        ],
    );
}

/// The scheme is that of the element which names the client, not of a hop behind it.
#[test]
fn forwarded_tells_whether_its_client_uses_tls() {
    let tls = |value: &str| {
        let field = Field { id: FieldId::Forwarded, name: "", value: value.as_bytes() };
        client_of(&[field], ChainField::Forwarded, [10, 0, 0, 1].into(), is_trusted).tls
    };
    assert_eq!(tls("for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"), Some(true));
    assert_eq!(tls("for=192.0.2.1;proto=\"http\", for=10.0.0.2;proto=https"), Some(false));
    assert_eq!(tls("for=6.6.6.6;proto=https, for=192.0.2.1"), None);
    assert_eq!(tls("for=192.0.2.1;proto=gopher"), None);
    assert_eq!(tls("for=192.0.2.1;proto=http;proto=https"), None);
}

#[test]
fn x_real_ip_is_one_address() {
    check(
        ChainField::XRealIp,
        &[
            (&["192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1, 192.0.2.2"], "10.0.0.1"),
            (&["6.6.6.6", "192.0.2.2"], "192.0.2.2"),
            (&["nobody"], "10.0.0.1"),
        ],
    );
}

#[test]
fn an_untrusted_peer_is_the_client() {
    let peer = "192.0.2.9".parse().unwrap();
    assert_eq!(found(ChainField::XForwardedFor, &[b"6.6.6.6"], peer), peer);
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    let client = found(ChainField::XForwardedFor, &[b"192.0.2.1"], mapped);
    assert_eq!(client, "192.0.2.1".parse::<IpAddr>().unwrap());
}

#[test]
fn long_chains_are_walked_only_so_far() {
    let chain = |trusted: usize| format!("192.0.2.1{}", ", 10.0.0.2".repeat(trusted));
    let peer = "10.0.0.1".parse().unwrap();
    let walk = |trusted| found(ChainField::XForwardedFor, &[chain(trusted).as_bytes()], peer);
    assert_eq!(walk(63), "192.0.2.1".parse::<IpAddr>().unwrap());
    assert_eq!(walk(64), "10.0.0.2".parse::<IpAddr>().unwrap());
}

#[test]
fn well_formed_values_are_told_from_others() {
    for valid in ["", "for=a", "for=a, ,for=\"b;,\\\"\";by=_x", "secret=x;;for=\"\"", ";"] {
        assert!(is_forwarded(valid.as_bytes()), "{valid}");
    }
    for invalid in ["for=\"", "for=a, b", "for=a b", "=a", "for=\"a\\", "for=(a)", "for=\"a\"b"] {
        assert!(!is_forwarded(invalid.as_bytes()), "{invalid}");
    }
}

#[test]
fn other_fields_of_trusted_proxies() {
    let judge = |is: fn(&[u8]) -> bool, value: &str| is(value.as_bytes());
    for (scheme, tls) in [("https", true), ("http", false), ("WSS", true), ("ws", false)] {
        assert_eq!(is_forwarded_tls(scheme.as_bytes()), Some(tls), "{scheme}");
    }
    for scheme in ["", "https, http", "ftp", "https "] {
        assert_eq!(is_forwarded_tls(scheme.as_bytes()), None, "{scheme}");
    }
    for (valid, invalid) in [("a.test:80", "a.test, b.test"), ("[::1]", "a@b"), ("a", "")] {
        assert!(judge(is_forwarded_host, valid) && !judge(is_forwarded_host, invalid));
    }
    for (valid, invalid) in [("443", "0"), ("65535", "65536"), ("080", "+80"), ("1", "")] {
        assert!(judge(is_forwarded_port, valid) && !judge(is_forwarded_port, invalid));
    }
}

fn written(append: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    append(&mut out);
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn addresses_are_written_in_their_shortest_form() {
    let line = |client: &str| {
        written(|out| append_x_forwarded_for(out, [].into_iter(), None, client.parse().unwrap()))
    };
    assert_eq!(line("203.0.113.9"), "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(line("::ffff:10.0.0.255"), "X-Forwarded-For: 10.0.0.255\r\n");
    assert_eq!(line("2001:db8:0:0::1"), "X-Forwarded-For: 2001:db8::1\r\n");
}

#[test]
fn lines_are_appended() {
    let lines = written(|out| {
        append_x_forwarded_for(
            out,
            [&b"a, b"[..], b"", b" c"].into_iter(),
            None,
            [10, 0, 0, 1].into(),
        );
        append_x_forwarded_for(
            out,
            [].into_iter(),
            Some([192, 0, 2, 1].into()),
            [10, 0, 0, 1].into(),
        );
        append_x_forwarded_proto(out, true);
        append_x_forwarded_proto(out, false);
        append_x_forwarded_host(out, "api.example:8080");
    });
    let expected = "X-Forwarded-For: a, b, c, 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n\
                    X-Forwarded-Proto: https\r\n\
                    X-Forwarded-Proto: http\r\nX-Forwarded-Host: api.example:8080\r\n";
    assert_eq!(lines, expected);
}

#[test]
fn forwarded_quotes_what_is_no_token() {
    let line = |from: &str, host, tls, client: Option<&str>| {
        let hop = Hop { from: from.parse().unwrap(), host, tls };
        let client = client.map(|client| client.parse().unwrap());
        written(|out| append_forwarded(out, [].into_iter(), client, &hop))
    };
    assert_eq!(line("192.0.2.1", None, false, None), "Forwarded: for=192.0.2.1;proto=http\r\n");
    assert_eq!(
        line("::1", Some("a.test:80"), true, Some("2001:db8::1")),
        "Forwarded: for=\"[2001:db8::1]\", for=\"[::1]\";host=\"a.test:80\";proto=https\r\n"
    );
    assert_eq!(
        line("::ffff:10.0.0.1", Some("a.test"), false, None),
        "Forwarded: for=10.0.0.1;host=a.test;proto=http\r\n"
    );
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

proptest! {
    /// Whatever the fields hold, the address is the peer's or one that is written in them.
    #[test]
    fn nothing_is_made_up(
        values in proptest::collection::vec("[0-9a-f.:,= \\[\\]\"\\\\;_]{0,40}|for=10\\.0\\.0\\.[1-9]", 0..4),
        peer in any_address(),
        which in 0..3_usize,
    ) {
        let chain = [ChainField::XForwardedFor, ChainField::Forwarded, ChainField::XRealIp][which];
        let bytes: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let address = found(chain, &bytes, peer);
        let peer = peer.to_canonical();
        let digits = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
        let named = |value: &String| {
            value.split(|c: char| !digits(c)).any(|word| {
                let word_address = word.parse::<IpAddr>().or_else(|_| {
                    word.rsplit_once(':').map_or("", |(address, _)| address).parse()
                });
                word_address.is_ok_and(|named| named.to_canonical() == address)
            })
        };
        prop_assert!(address == peer || values.iter().any(named), "{address} of {values:?}");
        prop_assert!(address == peer || is_trusted(peer));
    }

    /// What is written is found again, with and without an earlier chain.
    #[test]
    fn what_is_written_is_found(client in any_address(), peer in any_address(), tls: bool) {
        let hop = Hop { from: peer, host: Some("a.test:80"), tls };
        let forwarded = written(|out| append_forwarded(out, [].into_iter(), Some(client), &hop));
        let value = forwarded.strip_prefix("Forwarded: ").unwrap().trim_end();
        prop_assert!(is_forwarded(value.as_bytes()));
        let next_hop = IpAddr::from([10, 0, 0, 1]);
        let (client, peer) = (client.to_canonical(), peer.to_canonical());
        let expected = if is_trusted(peer) { client } else { peer };
        prop_assert_eq!(found(ChainField::Forwarded, &[value.as_bytes()], next_hop), expected);
        let earlier = client.to_string();
        let chain = written(|out| {
            append_x_forwarded_for(out, [earlier.as_bytes()].into_iter(), None, peer);
        });
        let value = chain.strip_prefix("X-Forwarded-For: ").unwrap().trim_end();
        prop_assert_eq!(found(ChainField::XForwardedFor, &[value.as_bytes()], next_hop), expected);
    }

    /// Whatever a client wrote, what the proxy wrote behind it is found.
    #[test]
    fn nothing_hides_what_a_proxy_wrote(
        sent in prop_oneof![any::<Vec<u8>>(), "[ -~]{0,40}".prop_map(String::into_bytes)],
    ) {
        let client = IpAddr::from([192, 0, 2, 1]);
        for (chain, entry) in [
            (ChainField::XForwardedFor, "192.0.2.1"),
            (ChainField::Forwarded, "for=\"192.0.2.1:80\";host=\"a,b\""),
        ] {
            let value = [&sent, b", ".as_slice(), entry.as_bytes()].concat();
            prop_assert_eq!(found(chain, &[&value], IpAddr::from([10, 0, 0, 1])), client);
        }
        let value = [&sent, b", for=a".as_slice()].concat();
        prop_assert_eq!(is_forwarded(&value), is_forwarded(&sent));
    }
}
