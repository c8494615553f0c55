//! The `X-Forwarded-*` fields, appended to a head that is being written.
//!
//! They say what this gateway saw. What the client sent under these names is left out, since
//! nobody is trusted to have told the truth.

use std::io::Write;
use std::net::IpAddr;

/// Appends `X-Forwarded-For` with the address of the client, an IPv4 one also when it came
/// through an IPv6 socket.
pub fn append_x_forwarded_for(out: &mut Vec<u8>, client: IpAddr) {
    out.extend_from_slice(b"X-Forwarded-For: ");
    match client.to_canonical() {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(address) => {
            // A vector takes every write.
            let _ = write!(out, "{address}");
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `X-Forwarded-Proto`: how the client spoke to the gateway.
pub fn append_x_forwarded_proto(out: &mut Vec<u8>, tls: bool) {
    let line: &[u8] =
        if tls { b"X-Forwarded-Proto: https\r\n" } else { b"X-Forwarded-Proto: http\r\n" };
    out.extend_from_slice(line);
}

/// Appends `X-Forwarded-Host`. `host` is the effective one of a parsed request, so that it holds
/// no line end.
pub fn append_x_forwarded_host(out: &mut Vec<u8>, host: &str) {
    out.extend_from_slice(b"X-Forwarded-Host: ");
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x_forwarded_for(client: &str) -> String {
        let mut out = Vec::new();
        append_x_forwarded_for(&mut out, client.parse().expect("an address"));
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn addresses_are_written_in_their_shortest_form() {
        assert_eq!(x_forwarded_for("203.0.113.9"), "X-Forwarded-For: 203.0.113.9\r\n");
        assert_eq!(x_forwarded_for("::ffff:10.0.0.255"), "X-Forwarded-For: 10.0.0.255\r\n");
        assert_eq!(x_forwarded_for("2001:db8:0:0::1"), "X-Forwarded-For: 2001:db8::1\r\n");
    }

    #[test]
    fn lines_are_appended() {
        let mut out = b"GET / HTTP/1.1\r\n".to_vec();
        append_x_forwarded_proto(&mut out, true);
        append_x_forwarded_proto(&mut out, false);
        append_x_forwarded_host(&mut out, "api.example:8080");
        let expected = "GET / HTTP/1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n\
                        X-Forwarded-Host: api.example:8080\r\n";
        assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
    }
}
