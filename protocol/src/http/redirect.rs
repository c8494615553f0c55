//! Where a redirect leads: the value of `Location` (RFC 9110 section 10.2.2).

use super::rewrite::append_legal;

/// An absolute reference, built from parts that were validated, so that nothing a client writes
/// into its path can name another host.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    pub https: bool,
    /// Without port; brackets of an IPv6 address stay.
    pub host: &'a str,
    /// The default one of the scheme is left out.
    pub port: Option<u16>,
    /// Starts with `/`, unless it is empty.
    pub prefix: &'a str,
    /// Behind the prefix; starts with `/` where there is none.
    pub rest: &'a [u8],
    pub query: Option<&'a str>,
}

impl Location<'_> {
    /// Appends the reference. What no URI may hold is percent-encoded.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (scheme, default_port) = if self.https { ("https", 443) } else { ("http", 80) };
        out.extend_from_slice(scheme.as_bytes());
        out.extend_from_slice(b"://");
        out.extend_from_slice(self.host.as_bytes());
        if let Some(port) = self.port.filter(|port| *port != default_port) {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        // Without its slash, a path would go on with the host.
        if !self.prefix.starts_with('/') && self.rest.first() != Some(&b'/') {
            out.push(b'/');
        }
        append_legal(out, self.prefix.as_bytes());
        append_legal(out, self.rest);
        if let Some(query) = self.query {
            out.push(b'?');
            append_legal(out, query.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Location<'_> = Location {
        https: true,
        host: "a.example",
        port: None,
        prefix: "",
        rest: b"/x",
        query: None,
    };

    fn text(location: &Location<'_>) -> String {
        let mut out = Vec::new();
        location.write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn default_ports_are_left_out() {
        assert_eq!(text(&HERE), "https://a.example/x");
        assert_eq!(text(&Location { port: Some(443), ..HERE }), "https://a.example/x");
        assert_eq!(text(&Location { port: Some(80), ..HERE }), "https://a.example:80/x");
        let plain = Location { https: false, port: Some(80), query: Some("q=1?2"), ..HERE };
        assert_eq!(text(&plain), "http://a.example/x?q=1?2");
    }

    #[test]
    fn no_path_names_another_host() {
        for (rest, expected) in [
            (&b"//evil.example/"[..], "https://a.example//evil.example/"),
            (b"/\\evil.example", "https://a.example/%5Cevil.example"),
            (b"@evil.example", "https://a.example/@evil.example"),
            (b".evil.example", "https://a.example/.evil.example"),
            (b"", "https://a.example/"),
            (b"/a\r\nSet-Cookie: x", "https://a.example/a%0D%0ASet-Cookie:%20x"),
            (b"/%0d%0a", "https://a.example/%0d%0a"),
            (b"/a?b#c", "https://a.example/a?b%23c"),
        ] {
            assert_eq!(text(&Location { rest, ..HERE }), expected);
        }
        let moved = Location { prefix: "/new/", rest: b"//evil", query: Some("\"<"), ..HERE };
        assert_eq!(text(&moved), "https://a.example/new///evil?%22%3C");
    }
}
