//! The PROXY header that a connection to a backend begins with, where its upstream asks for one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use weir_protocol::proxy_protocol::{
    Endpoints, Ssl, Tlv, kind, write_ssl, write_v1, write_v1_unknown, write_v2,
};

use crate::config::ProxyVersion;
use crate::tls::AcceptedTls;

/// Appends the header for a client at `source` who connected to `listener`; version 2 also says
/// what `tls` the client speaks to it.
pub fn announce(
    out: &mut Vec<u8>,
    version: ProxyVersion,
    source: SocketAddr,
    listener: SocketAddr,
    tls: Option<&AcceptedTls<'_>>,
) {
    let destination = reached(source, listener);
    match version {
        ProxyVersion::V1 => write_v1(out, source, destination),
        ProxyVersion::V2 => {
            let endpoints = Endpoints::Proxy { source, destination };
            let ssl = tls.map(ssl_value).unwrap_or_default();
            let values = [
                (kind::ALPN, tls.and_then(|tls| tls.protocol)),
                (kind::AUTHORITY, tls.and_then(|tls| tls.server_name).map(str::as_bytes)),
                (kind::SSL, tls.map(|_| ssl.as_slice())),
            ];
            let tlvs: ArrayVec<_, 3> = values
                .into_iter()
                .filter_map(|(kind, value)| value.map(|value| Tlv { kind, value }))
                .collect();
            // Only its length can be wrong, which these values are far from.
            let _ = write_v2(out, endpoints, &tlvs, true);
        }
    }
}

/// Section 2.2.6 of the specification. A certificate that was shown was verified.
fn ssl_value(tls: &AcceptedTls<'_>) -> Vec<u8> {
    let mut client = Ssl::CLIENT_SSL;
    let mut tlvs: ArrayVec<_, 2> = ArrayVec::new();
    tlvs.push(Tlv { kind: kind::SSL_VERSION, value: tls.version.as_bytes() });
    if let Some(identity) = tls.identity {
        client |= Ssl::CLIENT_CERT_CONN | Ssl::CLIENT_CERT_SESS;
        if let Some(name) = &identity.subject {
            tlvs.push(Tlv { kind: kind::SSL_CN, value: name.as_bytes() });
        }
    }
    let mut value = Vec::new();
    let _ = write_ssl(&mut value, client, 0, &tlvs);
    value
}

/// The header of a connection of our own, such as a health check.
pub fn announce_nobody(version: ProxyVersion) -> Vec<u8> {
    let mut out = Vec::new();
    match version {
        ProxyVersion::V1 => write_v1_unknown(&mut out),
        ProxyVersion::V2 => {
            let _ = write_v2(&mut out, Endpoints::Local, &[], true);
        }
    }
    out
}

/// A listener on every address is named in the client's family, so that an IPv4 client is not
/// written as an IPv6 one.
fn reached(source: SocketAddr, listener: SocketAddr) -> SocketAddr {
    if !listener.ip().is_unspecified() {
        return listener;
    }
    let any = match source.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, listener.port())
}

#[cfg(test)]
mod tests {
    use weir_protocol::proxy_protocol::{Command, parse};

    use super::*;

    fn announced(version: ProxyVersion, source: &str, listener: &str) -> Vec<u8> {
        let mut out = Vec::new();
        announce(&mut out, version, source.parse().unwrap(), listener.parse().unwrap(), None);
        out
    }

    #[test]
    fn what_is_announced_is_what_is_read() {
        for (source, listener) in [
            ("192.0.2.1:4000", "198.51.100.7:80"),
            ("[2001:db8::1]:4000", "[2001:db8::2]:443"),
            ("192.0.2.1:0", "127.0.0.1:8080"),
        ] {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let bytes = announced(version, source, listener);
                let (header, length) = parse(&bytes).expect("right").expect("whole");
                assert_eq!(length, bytes.len());
                assert_eq!(header.source, Some(source.parse().unwrap()));
                assert_eq!(header.destination, Some(listener.parse().unwrap()));
            }
        }
    }

    #[test]
    fn version_2_tells_of_the_clients_tls() {
        let (source, listener) = ("192.0.2.1:4000".parse(), "198.51.100.7:443".parse());
        let tls = AcceptedTls {
            version: "TLSv1.3",
            server_name: Some("api.example.com"),
            protocol: Some(b"http/1.1"),
            identity: None,
        };
        let mut out = Vec::new();
        announce(&mut out, ProxyVersion::V2, source.unwrap(), listener.unwrap(), Some(&tls));
        let (header, length) = parse(&out).expect("right").expect("whole");
        assert_eq!(length, out.len());
        let tlvs = header.tlvs;
        assert_eq!((tlvs.authority, tlvs.alpn), (Some("api.example.com"), tls.protocol));
        let ssl = tlvs.ssl.expect("is there");
        assert_eq!((ssl.client, ssl.version), (Ssl::CLIENT_SSL, Some("TLSv1.3")));
        assert!(!ssl.has_verified_certificate());
    }

    #[test]
    fn a_listener_on_every_address_has_the_clients_family() {
        let line = |source, listener| {
            String::from_utf8(announced(ProxyVersion::V1, source, listener)).unwrap()
        };
        assert_eq!(line("192.0.2.1:9", "[::]:80"), "PROXY TCP4 192.0.2.1 0.0.0.0 9 80\r\n");
        assert_eq!(line("[2001:db8::1]:9", "0.0.0.0:80"), "PROXY TCP6 2001:db8::1 :: 9 80\r\n");
    }

    #[test]
    fn nobody_is_announced_as_ourselves() {
        assert_eq!(announce_nobody(ProxyVersion::V1), b"PROXY UNKNOWN\r\n");
        let bytes = announce_nobody(ProxyVersion::V2);
        let (header, length) = parse(&bytes).expect("right").expect("whole");
        assert_eq!((header.command, header.source, length), (Command::Local, None, bytes.len()));
    }
}
