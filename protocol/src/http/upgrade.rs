//! Other protocols on a connection of HTTP/1.1: RFC 9110 section 7.8.

use super::fields::{is_token_byte, list_elements};
use super::{FieldId, RequestHead, ResponseHead};

/// One element of an `Upgrade` field: `protocol-name ["/" protocol-version]`.
#[derive(Debug, Clone, Copy)]
pub struct Protocol<'b> {
    /// As it was sent.
    pub text: &'b str,
    /// Without the version. Recipients compare it in any case of letters.
    pub name: &'b str,
}

impl<'b> Protocol<'b> {
    fn parse(element: &'b [u8]) -> Option<Self> {
        let text = std::str::from_utf8(element).ok()?;
        let (name, version) = text.split_once('/').unwrap_or((text, "1"));
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
        (is_token(name) && is_token(version)).then_some(Self { text, name })
    }

    /// Whether both are the same protocol, in whatever version.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl<'b, 's> RequestHead<'b, 's> {
    /// The protocols that `Upgrade` names, in the client's order. What is no protocol is left out.
    /// Only where [`RequestHead::upgrade`] is set do they mean anything.
    pub fn protocols(&self) -> impl Iterator<Item = Protocol<'b>> + use<'b, 's> {
        self.get_all(FieldId::Upgrade).flat_map(list_elements).filter_map(Protocol::parse)
    }
}

impl ResponseHead<'_, '_> {
    /// Whether a 101 switches to what was asked for: both fields are there, and each protocol that
    /// `Upgrade` names is one that `asked` knows. A server must not choose another one.
    #[must_use]
    pub fn switches_to(&self, asked: impl Fn(&Protocol<'_>) -> bool) -> bool {
        let mut elements = self.get_all(FieldId::Upgrade).flat_map(list_elements).peekable();
        let named = elements.peek().is_some();
        let right = |element| Protocol::parse(element).is_some_and(|protocol| asked(&protocol));
        self.status == 101 && self.connection.upgrade && named && elements.all(right)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FieldStore, HeadLimits, Method, parse_request, parse_response};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 16_384, target_bytes: 8192, fields: 100 };

    #[test]
    fn requests_name_protocols_in_their_order() {
        let cases = [
            ("Upgrade: websocket", &["websocket"][..]),
            ("Upgrade: foo/2 , WebSocket,,\r\nUpgrade: bar", &["foo/2", "WebSocket", "bar"]),
            ("Upgrade: a b, /2, c/, d/1/2, ok", &["ok"]),
            ("Upgrade:", &[]),
        ];
        for (lines, expected) in cases {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            let mut store = FieldStore::new();
            let head = parse_request(head.as_bytes(), &mut store, &LIMITS).expect(lines);
            let texts: Vec<_> = head.protocols().map(|protocol| protocol.text).collect();
            assert_eq!(texts, expected, "{lines}");
        }
    }

    #[test]
    fn a_101_must_choose_among_what_was_asked() {
        let cases = [
            ("101", "Connection: Upgrade\r\nUpgrade: WebSocket", true),
            ("101", "Connection: keep-alive, upgrade\r\nUpgrade: websocket/13", true),
            ("101", "Connection: Upgrade\r\nUpgrade: websocket, websocket", true),
            ("101", "Connection: Upgrade\r\nUpgrade: h2c", false),
            ("101", "Connection: Upgrade\r\nUpgrade: websocket, h2c", false),
            ("101", "Connection: Upgrade\r\nUpgrade: websocket x", false),
            ("101", "Connection: Upgrade\r\nUpgrade: ,", false),
            ("101", "Connection: Upgrade", false),
            ("101", "Upgrade: websocket", false),
            ("101", "Connection: close\r\nUpgrade: websocket", false),
            ("200", "Connection: Upgrade\r\nUpgrade: websocket", false),
        ];
        for (status, lines, expected) in cases {
            let head = format!("HTTP/1.1 {status} X\r\n{lines}\r\n\r\n");
            let mut store = FieldStore::new();
            let head =
                parse_response(head.as_bytes(), &mut store, &LIMITS, &Method::Get).expect(lines);
            let switches = head.switches_to(|protocol| protocol.is("websocket"));
            assert_eq!(switches, expected, "{status} {lines}");
        }
    }
}
