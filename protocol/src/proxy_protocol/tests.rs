use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

mod properties;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
}

fn whole(bytes: &[u8]) -> Header<'_> {
    match parse(bytes) {
        Ok(Some((header, len))) => {
            assert_eq!(len, bytes.len(), "{}", bytes.escape_ascii());
            header
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn line(text: &str) -> Result<(Option<SocketAddr>, Option<SocketAddr>), Error> {
    match parse(format!("PROXY {text}\r\n").as_bytes())? {
        Some((header, len)) => {
            assert_eq!(len, text.len() + 8, "{text}");
            Ok((header.source, header.destination))
        }
        None => panic!("{text} is whole"),
    }
}

/// A header of version 2 that says it has as many bytes as it has.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short header");
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

/// 12 bytes of addresses, then `tlvs`.
fn inet(tlvs: &[u8]) -> Vec<u8> {
    v2(0x21, 0x11, &[&[192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 1, 0xbb], tlvs].concat())
}

#[test]
fn lines_are_read() {
    let cases = [
        ("TCP4 192.0.2.1 198.51.100.2 12345 443", "192.0.2.1:12345", "198.51.100.2:443"),
        ("TCP4 0.0.0.0 255.255.255.255 0 65535", "0.0.0.0:0", "255.255.255.255:65535"),
        ("TCP6 2001:db8::1 ::1 1 2", "[2001:db8::1]:1", "[::1]:2"),
        ("TCP6 ::ffff:192.0.2.1 ::FFFF:0:1 1 2", "[::ffff:192.0.2.1]:1", "[::ffff:0:1]:2"),
    ];
    for (text, source, destination) in cases {
        let expected = (Some(address(source)), Some(address(destination)));
        assert_eq!(line(text), Ok(expected), "{text}");
    }
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("UNKNOWN {full} {full} 65535 65535");
    for text in ["UNKNOWN", "UNKNOWN ", "UNKNOWN what ever", &longest] {
        assert_eq!(line(text), Ok((None, None)), "{text}");
    }
    assert_eq!(longest.len() + 8, 107);
}

#[test]
fn lines_that_are_refused() {
    let cases = [
        ("", Error::Family),
        ("TCP4", Error::Line),
        ("TCP4 1.2.3.4 1.2.3.4 1", Error::Line),
        ("TCP4 1.2.3.4 1.2.3.4 1 2 3", Error::Line),
        ("TCP4 1.2.3.4 1.2.3.4 1 2 ", Error::Line),
        ("TCP4  1.2.3.4 1.2.3.4 1 2", Error::Line),
        (" TCP4 1.2.3.4 1.2.3.4 1 2", Error::Family),
        ("TCP5 1.2.3.4 1.2.3.4 1 2", Error::Family),
        ("tcp4 1.2.3.4 1.2.3.4 1 2", Error::Family),
        ("UDP4 1.2.3.4 1.2.3.4 1 2", Error::Family),
        ("UNKNOWNS", Error::Family),
        ("TCP4 ::1 ::1 1 2", Error::Address),
        ("TCP6 1.2.3.4 1.2.3.4 1 2", Error::Address),
        ("TCP6 ::1 1.2.3.4 1 2", Error::Address),
        ("TCP4 01.2.3.4 1.2.3.4 1 2", Error::Address),
        ("TCP4 1.2.3 1.2.3.4 1 2", Error::Address),
        ("TCP4 1.2.3.256 1.2.3.4 1 2", Error::Address),
        ("TCP6 fe80::1%eth0 ::1 1 2", Error::Address),
        ("TCP6 [::1] ::1 1 2", Error::Address),
        ("TCP4 1.2.3.4 1.2.3.4 01 2", Error::Port),
        ("TCP4 1.2.3.4 1.2.3.4 1 +2", Error::Port),
        ("TCP4 1.2.3.4 1.2.3.4 65536 2", Error::Port),
        ("TCP4 1.2.3.4 1.2.3.4 -1 2", Error::Port),
        ("UNKNOWN a\tb", Error::Line),
        ("UNKNOWN a\nb", Error::Line),
        ("UNKNOWN a\rb", Error::Line),
        ("UNKNOWN \u{e9}", Error::Line),
    ];
    for (text, error) in cases {
        assert_eq!(line(text), Err(error), "{}", text.escape_debug());
    }
    let refused: [(&[u8], Error); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", Error::Signature),
        (b"PRI * HTTP/2.0\r\n", Error::Signature),
        (b"PROXY\tTCP4", Error::Signature),
        (b"PROXY UNKNOWN\n", Error::Line),
        (b"\r\n\r\n\0\r\nQUIX", Error::Signature),
        (b"\r\n\r\nGET", Error::Signature),
    ];
    for (bytes, error) in refused {
        assert_eq!(parse(bytes), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn lines_have_a_bound() {
    let text = |bytes: usize| format!("PROXY UNKNOWN {}", "x".repeat(bytes - 14)).into_bytes();
    assert_eq!(parse(&text(106)), Ok(None));
    assert_eq!(parse(&text(107)), Err(Error::TooLong));
    assert_eq!(parse(&[&text(106)[..], b"\r\n"].concat()), Err(Error::TooLong));
    assert_eq!(whole(&[&text(105)[..], b"\r\n"].concat()).source, None);
    assert_eq!(parse_bounded(&text(50), 50), Err(Error::TooLong));
}

#[test]
fn binary_headers_are_read() {
    let bytes = inet(&[]);
    let header = whole(&bytes);
    assert_eq!((header.version, header.command), (Version::V2, Command::Proxy));
    assert_eq!(header.transport, Transport::Stream);
    assert_eq!(header.source, Some(address("192.0.2.1:12345")));
    assert_eq!(header.destination, Some(address("198.51.100.2:443")));

    let six = [[0x20; 16], [0x30; 16]].concat();
    let bytes = v2(0x21, 0x22, &[&six[..], &[0, 1, 0, 2]].concat());
    let header = whole(&bytes);
    assert_eq!(header.transport, Transport::Datagram);
    assert_eq!(header.source, Some(address("[2020:2020:2020:2020:2020:2020:2020:2020]:1")));
    assert_eq!(header.destination.map(|address| address.port()), Some(2));

    assert_eq!(whole(&v2(0x21, 0x31, &[b'/'; 216])).source, None);
    assert_eq!(whole(&v2(0x21, 0x00, &[])).transport, Transport::Unspecified);
    // LOCAL: the rest is passed over, whatever it is.
    for rest in [&[][..], &[1, 2, 3]] {
        let bytes = v2(0x20, 0xff, rest);
        let header = whole(&bytes);
        assert_eq!((header.command, header.source), (Command::Local, None));
        assert_eq!(header.tlvs, Tlvs::default());
    }
    // What follows is not of the header.
    let bytes = [&inet(&[])[..], b"GET"].concat();
    assert_eq!(parse(&bytes).map(|parsed| parsed.map(|(_, len)| len)), Ok(Some(28)));
}

#[test]
fn binary_headers_that_are_refused() {
    let cases = [
        (v2(0x11, 0x11, &[0; 12]), Error::Version),
        (v2(0x31, 0x11, &[0; 12]), Error::Version),
        (v2(0x22, 0x11, &[0; 12]), Error::Command),
        (v2(0x21, 0x10, &[0; 12]), Error::Family),
        (v2(0x21, 0x01, &[0; 12]), Error::Family),
        (v2(0x21, 0x13, &[0; 12]), Error::Family),
        (v2(0x21, 0x41, &[0; 12]), Error::Family),
        (v2(0x21, 0x11, &[0; 11]), Error::TooShort),
        (v2(0x21, 0x21, &[0; 35]), Error::TooShort),
        (v2(0x21, 0x31, &[0; 215]), Error::TooShort),
        (v2(0x21, 0x11, &[0; 4081]), Error::TooLong),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(&bytes), Err(error), "{}", bytes.escape_ascii());
        // It shows in the first 16 bytes.
        assert_eq!(parse(&bytes[..16]), Err(error));
        assert_eq!(parse(&bytes[..12]), Ok(None));
    }
    assert!(parse_bounded(&v2(0x20, 0, &[0; 4081]), 4097).is_ok_and(|header| header.is_some()));
}

#[test]
fn values_are_read() {
    let ssl = b"\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x03bob\x99\0\0";
    let mut tlvs =
        b"\x01\0\x02h2\x02\0\x03a.b\x05\0\x02\0\xff\x04\0\x02xx\xea\0\x01y\x30\0\x01n".to_vec();
    tlvs.extend_from_slice(&[0x20, 0, 24]);
    tlvs.extend_from_slice(ssl);
    let bytes = inet(&tlvs);
    let header = whole(&bytes);
    assert_eq!(header.tlvs.alpn, Some(b"h2".as_slice()));
    assert_eq!(header.tlvs.authority, Some("a.b"));
    assert_eq!(header.tlvs.unique_id, Some(b"\0\xff".as_slice()));
    assert_eq!(header.tlvs.netns, Some("n"));
    let kinds: Vec<u8> = header.tlvs.all.map(|tlv| tlv.kind).collect();
    assert_eq!(kinds, [1, 2, 5, 4, 0xea, 0x30, 0x20]);
    let ssl = header.tlvs.ssl.expect("it has one");
    assert_eq!((ssl.version, ssl.common_name), (Some("TLSv1.3"), Some("bob")));
    assert_eq!((ssl.cipher, ssl.all.count()), (None, 3));
    assert!(ssl.has_verified_certificate());
    assert!(!Ssl { client: Ssl::CLIENT_SSL, ..ssl }.has_verified_certificate());
    assert!(!Ssl { verify: 1, ..ssl }.has_verified_certificate());
}

#[test]
fn values_that_are_refused() {
    let long = [&[5, 0, 129][..], &[b'x'; 129]].concat();
    let name = [&[2, 1, 0][..], &[b'x'; 256]].concat();
    let cases: [(&[u8], Error); 15] = [
        (b"\x04", Error::Tlv),
        (b"\x04\0", Error::Tlv),
        (b"\x04\0\x01", Error::Tlv),
        (b"\x04\xff\xffx", Error::Tlv),
        (b"\x03\0\x03abc", Error::Tlv),
        (b"\x03\0\x05abcde", Error::Tlv),
        (b"\x02\0\0", Error::Tlv),
        (b"\x02\0\x02\xc3\xa9", Error::Tlv),
        (b"\x02\0\x03a\rb", Error::Tlv),
        (b"\x20\0\x04\0\0\0\0", Error::Tlv),
        (b"\x20\0\x06\0\0\0\0\0\x21", Error::Tlv),
        (b"\x20\0\x09\0\0\0\0\0\x21\0\x01\xff", Error::Tlv),
        (b"\x01\0\0\x01\0\0", Error::RepeatedTlv),
        (&long, Error::Tlv),
        (&name, Error::Tlv),
    ];
    for (tlvs, error) in cases {
        assert_eq!(parse(&inet(tlvs)), Err(error), "{}", tlvs.escape_ascii());
    }
}

#[test]
fn checksums_are_verified() {
    let client = Endpoints::Proxy {
        source: address("192.0.2.1:12345"),
        destination: address("198.51.100.2:443"),
    };
    let mut bytes = Vec::new();
    write_v2(&mut bytes, client, &[Tlv { kind: kind::NOOP, value: b"pad" }], true)
        .expect("a short header");
    assert!(whole(&bytes).source.is_some());
    assert_eq!(bytes[bytes.len() - 4..], reference_crc32c(&bytes).to_be_bytes());
    for at in 16..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert!(parse(&wrong).is_err(), "byte {at}");
    }
    // It counts wherever it stands.
    let mut bytes = inet(b"\x03\0\x04\0\0\0\0\x04\0\x03pad");
    assert_eq!(parse(&bytes), Err(Error::Checksum));
    let sum = crc32c::crc32c(&bytes);
    bytes[31..35].copy_from_slice(&sum.to_be_bytes());
    assert!(whole(&bytes).source.is_some());
}

/// CRC-32C bit by bit (RFC 3720 appendix B.4), of a header whose last four bytes are its sum.
fn reference_crc32c(header: &[u8]) -> u32 {
    let sum = header.len() - 4;
    let bytes = header[..sum].iter().chain(&[0; 4]);
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[test]
fn what_is_written() {
    let (four, six) = (address("192.0.2.1:1"), address("[2001:db8::1]:2"));
    let mut out = Vec::new();
    write_v1(&mut out, four, address("192.0.2.2:3"));
    write_v1(&mut out, six, address("[::1]:3"));
    write_v1(&mut out, four, six);
    write_v1_unknown(&mut out);
    let expected = "PROXY TCP4 192.0.2.1 192.0.2.2 1 3\r\nPROXY TCP6 2001:db8::1 ::1 2 3\r\n\
                    PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\nPROXY UNKNOWN\r\n";
    assert_eq!(out, expected.as_bytes());

    let mut out = b"before".to_vec();
    write_v2(&mut out, Endpoints::Local, &[], false).expect("a short header");
    assert_eq!(out[6..], v2(0x20, 0, &[]));
    let long = [0; 65_520];
    let tlvs = [Tlv { kind: kind::NOOP, value: &long }];
    assert_eq!(
        write_v2(&mut out, Endpoints::Proxy { source: four, destination: four }, &tlvs, true),
        Err(Error::TooLong)
    );
    assert_eq!(out.len(), 22);
}
