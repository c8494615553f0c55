//! For any header: split anywhere it reads the same, and what is written reads back.

use super::*;

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

fn any_endpoints() -> impl Strategy<Value = Endpoints> {
    let proxy = (any_address(), any_address())
        .prop_map(|(source, destination)| Endpoints::Proxy { source, destination });
    prop_oneof![1 => Just(Endpoints::Local), 9 => proxy]
}

/// Types without rules of their own, so that any value of them is a good one.
fn any_tlvs() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = prop_oneof![Just(kind::NOOP), 0xe0..=0xf7_u8];
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..40)), 0..5)
}

/// Headers, most of them with something wrong, and what may stand behind them.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let line = "PROXY (TCP[46]|UNKNOWN) [0-9a-f.: ]{0,60}[\r\n]{0,2}";
    let tlv = (0..0x32_u8, 0..3_u8, prop::collection::vec(any::<u8>(), 0..4))
        .prop_map(|(kind, length, value)| [&[kind, 0, length][..], &value].concat());
    let rest = (prop::collection::vec(any::<u8>(), 12), prop::collection::vec(tlv, 0..4));
    let binary =
        (0x1f..0x23_u8, 0..0x33_u8, rest).prop_map(|(command, family, (addresses, tlvs))| {
            v2(command, family, &[addresses, tlvs.concat()].concat())
        });
    let start = prop_oneof![line.prop_map(String::into_bytes), binary];
    (start, prop::collection::vec(any::<u8>(), 0..4))
        .prop_map(|(start, rest)| [start, rest].concat())
}

/// IPv4 becomes IPv6 where the other one is.
fn as_written(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    use std::net::IpAddr::{V4, V6};
    let mapped = |address: SocketAddr| match address.ip() {
        V4(ip) => SocketAddr::new(V6(ip.to_ipv6_mapped()), address.port()),
        V6(_) => address,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    (mapped(source), mapped(destination))
}

proptest! {
    #[test]
    fn any_split_reads_the_same(bytes in any_bytes()) {
        let all = parse(&bytes);
        let settled = (0..=bytes.len()).find(|end| parse(&bytes[..*end]) != Ok(None));
        let Some(settled) = settled else {
            prop_assert_eq!(all, Ok(None));
            return Ok(());
        };
        if let Ok(Some((_, len))) = all {
            prop_assert_eq!(settled, len);
        }
        for end in settled..=bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), all);
        }
    }

    #[test]
    fn lines_read_back(source in any_address(), destination in any_address()) {
        let mut line = Vec::new();
        write_v1(&mut line, source, destination);
        let header = whole(&line);
        let (source, destination) = as_written(source, destination);
        prop_assert_eq!((header.source, header.destination), (Some(source), Some(destination)));
        prop_assert_eq!((header.command, header.transport), (Command::Proxy, Transport::Stream));
    }

    #[test]
    fn binary_headers_read_back(
        endpoints in any_endpoints(),
        tlvs in any_tlvs(),
        checksum: bool,
    ) {
        let tlvs: Vec<Tlv<'_>> =
            tlvs.iter().map(|(kind, value)| Tlv { kind: *kind, value }).collect();
        let mut bytes = Vec::new();
        write_v2(&mut bytes, endpoints, &tlvs, checksum).expect("a short header");
        let header = whole(&bytes);
        match endpoints {
            Endpoints::Local => {
                prop_assert_eq!((header.command, header.source), (Command::Local, None));
            }
            Endpoints::Proxy { source, destination } => {
                let (source, destination) = as_written(source, destination);
                prop_assert_eq!(header.source, Some(source));
                prop_assert_eq!(header.destination, Some(destination));
                let read: Vec<Tlv<'_>> = header.tlvs.all.collect();
                prop_assert_eq!(&read[..tlvs.len()], &tlvs[..]);
                prop_assert_eq!(read.len(), tlvs.len() + usize::from(checksum));
            }
        }
    }
}
