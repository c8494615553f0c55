use proptest::prelude::*;

use super::*;
use crate::http::{HeadScanner, TargetForm};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 16 * 1024, target_bytes: 64, fields: 8 };

/// Parses `head` and shows what came of it to `check`.
fn with<T>(head: &[u8], check: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let mut store = FieldStore::new();
    match parse_request(head, &mut store, &LIMITS) {
        Ok(request) => check(&request),
        Err(error) => panic!("{}: {error}", head.escape_ascii()),
    }
}

fn refusal(head: &[u8]) -> Option<HeadError> {
    parse_request(head, &mut FieldStore::new(), &LIMITS).err()
}

/// A request with `lines` behind its Host.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes()
}

#[test]
fn a_request_is_read() {
    let head = b"POST /a/b?c=d HTTP/1.1\r\nHost: api.example:8080\r\nX-API-Key:  k1 \t\r\n\
                 Accept: a\r\naccept: b\xe9\r\nEmpty:\r\nContent-Length: 12\r\n\r\n";
    with(head, |request| {
        assert_eq!(request.method, Method::Post);
        assert_eq!(request.target.form, TargetForm::Origin);
        assert_eq!((request.target.path, request.target.query), ("/a/b", Some("c=d")));
        assert_eq!(request.version, Version::Http11);
        assert_eq!(request.host, Some("api.example:8080"));
        assert_eq!(request.body, RequestBody::Length(12));
        assert!(request.persistent && !request.expect_continue && !request.upgrade);
        assert_eq!(request.bytes.len(), head.len());
        assert_eq!(request.fields.len(), 6);
        assert_eq!(request.get(FieldId::ApiKey), Some(b"k1".as_slice()));
        assert_eq!(request.get(FieldId::Authorization), None);
        assert_eq!(request.by_name("ACCEPT"), Some(b"a".as_slice()));
        assert_eq!(request.by_name("empty"), Some(b"".as_slice()));
        assert_eq!(request.fields[3].value, b"b\xe9");
        assert_eq!(request.get_all(FieldId::Host).count(), 1);
    });
}

#[test]
fn the_store_is_cleared() {
    let mut store = FieldStore::new();
    for _ in 0..3 {
        let head = b"GET / HTTP/1.0\r\nA: b\r\n\r\n";
        assert_eq!(parse_request(head, &mut store, &LIMITS).map(|r| r.fields.len()), Ok(1));
    }
}

#[test]
fn leading_empty_lines_are_skipped() {
    let head = b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    with(head, |request| {
        assert_eq!((request.method, request.bytes.len()), (Method::Get, head.len()));
    });
}

#[test]
fn malformed_heads() {
    use HeadError as E;
    let cases: &[(&[u8], HeadError)] = &[
        (b"", E::NotOneHead),
        (b"\r\n", E::NotOneHead),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", E::NotOneHead),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nX", E::NotOneHead),
        (b"GET / HTTP/1.0\n\r\n", E::BareLf),
        (b"GET / HTTP/1.0\r\n\n", E::BareLf),
        (b"GET / HTTP/1.0\r\nA: b\n\r\n", E::BareLf),
        (b"GET / HTTP/1.0\r\nA: b\nC: d\r\n\r\n", E::BareLf),
        (b"GET / HTTP/1.0\nA: b\r\n\r\n", E::BareLf),
        (b"GET / HTTP/1.0\r\nA: b\r\n\n", E::BareLf),
        (b"\nGET / HTTP/1.0\r\n\r\n", E::BareLf),
        (b"\r\n\nGET / HTTP/1.0\r\n\r\n", E::BareLf),
        (b"\rGET / HTTP/1.0\r\n\r\n", E::RequestLine),
        (b"GET  / HTTP/1.1\r\n\r\n", E::RequestLine),
        (b"GET\t/ HTTP/1.1\r\n\r\n", E::RequestLine),
        (b" GET / HTTP/1.1\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/1.1 \r\n\r\n", E::RequestLine),
        (b"GET /\r\n\r\n", E::RequestLine),
        (b"GET\r\n\r\n", E::RequestLine),
        (b"G(T / HTTP/1.1\r\n\r\n", E::RequestLine),
        (b"G\xc9T / HTTP/1.1\r\n\r\n", E::RequestLine),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", E::RequestLine),
        (b"GET /\xff HTTP/1.1\r\n\r\n", E::RequestLine),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", E::Target),
        (b"GET /#a HTTP/1.1\r\n\r\n", E::Target),
        (b"GET a HTTP/1.1\r\n\r\n", E::Target),
        (b"GET /  HTTP/1.1\r\n\r\n", E::MalformedVersion),
        (b"GET / a HTTP/1.1\r\n\r\n", E::MalformedVersion),
        (b"GET / http/1.1\r\n\r\n", E::MalformedVersion),
        (b"GET / HTTP/1.\r\n\r\n", E::MalformedVersion),
        (b"GET / HTTP/11\r\n\r\n", E::MalformedVersion),
        (b"GET / HTTP/2.00\r\n\r\n", E::MalformedVersion),
        (b"GET / HTTP/1.2\r\n\r\n", E::MissingHost),
        (b"GET / HTTP/1.2\nHost: a\r\n\r\n", E::MalformedVersion),
        (b"GET / HTTP/1.2\r\nHost: a\n\r\n", E::BareLf),
        (b"GET / HTTP/1.2\r\nHost: a\r\n", E::NotOneHead),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\nX", E::NotOneHead),
        (b"GET / HTTP/1.2\r\nHost : a\r\n\r\n", E::FieldName),
        (b"GET  HTTP/1.2\r\nHost: a\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", E::RequestLine),
        (b"GET / HTTP/3.0\r\n\r\n", E::UnsupportedVersion),
        (b"GET / HTTP/0.9\r\n\r\n", E::UnsupportedVersion),
        (b"PRI * HTTP/2.0\r\n\r\n", E::UnsupportedVersion),
    ];
    for (head, expected) in cases {
        assert_eq!(refusal(head), Some(*expected), "{}", head.escape_ascii());
    }
}

#[test]
fn malformed_fields() {
    use HeadError as E;
    let cases = [
        ("A : b\r\n", E::FieldName),
        ("A\t: b\r\n", E::FieldName),
        (": b\r\n", E::FieldName),
        ("A\r\n", E::FieldName),
        (" A: b\r\n", E::FieldName),
        ("A(: b\r\n", E::FieldName),
        ("\u{e9}: b\r\n", E::FieldName),
        // obs-fold, RFC 9112 section 5.2
        ("A: b\r\n c\r\n", E::FieldName),
        ("A: b\r\n\tc: d\r\n", E::FieldName),
        ("A:\r\n b\r\n", E::FieldName),
        ("A: b\rc\r\n", E::FieldValue),
        ("A: b\r\r\n", E::FieldValue),
        ("A: b\nC: d\r\n", E::BareLf),
        ("Transfer_Encoding: chunked\r\n", E::FramingAlias),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", E::BothFramings),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", E::SeveralContentLengths),
        ("Content-Length: +5\r\n", E::ContentLength),
        ("Transfer-Encoding: gzip, chunked\r\n", E::UnknownTransferCoding),
        ("Connection: a,b,c,d,e,f,g,h,i\r\n", E::TooManyConnectionOptions),
        ("Host: a\r\n", E::SeveralHosts),
    ];
    for (lines, expected) in cases {
        assert_eq!(refusal(&get(lines)), Some(expected), "{}", lines.escape_debug());
    }
}

/// httparse looks at values in strides of up to 32 bytes; the byte in question stands at every
/// place of one.
#[test]
fn each_byte_of_a_value_is_judged() {
    for byte in 0..=255_u8 {
        let allowed = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
        for before in 0..40 {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nV: x";
            let mut head = format!("{start}{}", "y".repeat(before)).into_bytes();
            head.push(byte);
            head.extend_from_slice(format!("{}z\r\n\r\n", "y".repeat(40 - before)).as_bytes());
            assert_eq!(refusal(&head).is_none(), allowed, "{byte:#x} behind {before}");
        }
    }
}

#[test]
fn each_byte_of_a_target_is_judged() {
    for byte in 0..=255_u8 {
        let allowed = (0x21..=0x7e).contains(&byte) && byte != b'#';
        for before in 0..40 {
            let mut head = format!("GET /{}", "y".repeat(before)).into_bytes();
            head.push(byte);
            head.extend_from_slice("y".repeat(20).as_bytes());
            head.extend_from_slice(b" HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(refusal(&head).is_none(), allowed, "{byte:#x} behind {before}");
        }
    }
}

#[test]
fn hosts_are_asked_for() {
    use HeadError as E;
    let host = |head: &str| {
        let mut store = FieldStore::new();
        let request = parse_request(head.as_bytes(), &mut store, &LIMITS)?;
        Ok(request.host.map(str::to_owned))
    };
    assert_eq!(host("GET / HTTP/1.1\r\n\r\n"), Err(E::MissingHost));
    assert_eq!(host("GET http://a/ HTTP/1.1\r\n\r\n"), Err(E::MissingHost));
    assert_eq!(host("GET / HTTP/1.0\r\n\r\n"), Ok(None));
    assert_eq!(host("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), Err(E::SeveralHosts));
    assert_eq!(host("GET / HTTP/1.1\r\nHost:\r\n\r\n"), Err(E::Host));
    assert_eq!(host("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), Err(E::Host));
    // RFC 9112 section 3.2.2: the target's authority replaces the field, which still must be valid.
    assert_eq!(host("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Some("b".to_owned())));
    assert_eq!(host("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n"), Err(E::Host));
    assert_eq!(host("GET http://b/ HTTP/1.0\r\n\r\n"), Ok(Some("b".to_owned())));
}

/// RFC 9110 section 2.5.
#[test]
fn a_later_minor_version_is_read_as_1_1() {
    let head = b"\r\nPOST /a HTTP/1.2\r\nHost: a\r\nContent-Length: 3\r\nB:\tc \r\n\r\n";
    with(head, |request| {
        assert_eq!((request.version, request.host), (Version::Http11, Some("a")));
        assert_eq!((request.method, request.target.path), (Method::Post, "/a"));
        assert_eq!((request.body, request.persistent), (RequestBody::Length(3), true));
        assert_eq!(request.by_name("b"), Some(b"c".as_slice()));
        assert_eq!(request.bytes.len(), head.len());
    });
    with(b"OPTIONS * HTTP/1.9\r\nHost: a\r\n\r\n", |request| {
        assert_eq!(request.target.form, TargetForm::Asterisk);
    });
}

#[test]
fn limits_have_their_statuses() {
    let target = |bytes: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(bytes - 1));
    assert_eq!(refusal(target(64).as_bytes()), None);
    assert_eq!(refusal(target(65).as_bytes()).map(|error| error.status()), Some(414));
    let fields = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(refusal(fields(8).as_bytes()), None);
    assert_eq!(refusal(fields(9).as_bytes()).map(|error| error.status()), Some(431));
    assert_eq!(refusal(fields(FIELDS_CAP + 1).as_bytes()), Some(HeadError::TooManyFields));
    let value = |bytes: usize| format!("GET / HTTP/1.0\r\nA:{}\r\n\r\n", "b".repeat(bytes));
    assert_eq!(refusal(value(LIMITS.head_bytes - 22).as_bytes()), None);
    assert_eq!(refusal(value(LIMITS.head_bytes - 21).as_bytes()), Some(HeadError::HeadTooLarge));
}

#[test]
fn bodies_persistence_and_expectations() {
    let cases = [
        ("", RequestBody::None, false),
        ("Content-Length: 0\r\nExpect: 100-continue\r\n", RequestBody::Length(0), false),
        ("Content-Length: 3\r\nExpect: 100-Continue\r\n", RequestBody::Length(3), true),
        ("Transfer-Encoding: chunked\r\nExpect: a, 100-continue\r\n", RequestBody::Chunked, true),
        ("Transfer-Encoding: chunked\r\nExpect: 100\r\n", RequestBody::Chunked, false),
        ("Expect: 100-continue\r\n", RequestBody::None, false),
    ];
    for (lines, body, expect_continue) in cases {
        with(&get(lines), |request| {
            assert_eq!((request.body, request.expect_continue), (body, expect_continue), "{lines}");
        });
    }
    let old = b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\
                Content-Length: 3\r\n\r\n";
    with(old, |request| assert!(request.persistent && !request.expect_continue));
    with(b"GET / HTTP/1.0\r\n\r\n", |request| assert!(!request.persistent));
    let closing = get("Connection: keep-alive\r\nConnection: close\r\n");
    with(&closing, |request| assert!(!request.persistent));
}

#[test]
fn upgrades_need_both_fields_and_are_not_h2c() {
    let cases = [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
        ("Upgrade: foo/2, websocket\r\nConnection: keep-alive, upgrade\r\n", true),
        ("Upgrade: websocket\r\n", false),
        ("Connection: Upgrade\r\n", false),
        ("Connection: Upgrade\r\nUpgrade:\r\n", false),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", false),
        ("Connection: Upgrade\r\nUpgrade: websocket, H2C/1\r\n", false),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n", false),
    ];
    for (lines, upgrade) in cases {
        with(&get(lines), |request| assert_eq!(request.upgrade, upgrade, "{lines}"));
    }
    let old = b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    with(old, |request| assert!(!request.upgrade));
}

#[test]
fn methods() {
    let cases = [
        ("GET", true, true),
        ("HEAD", true, true),
        ("OPTIONS", true, true),
        ("TRACE", true, true),
        ("PUT", false, true),
        ("DELETE", false, true),
        ("POST", false, false),
        ("PATCH", false, false),
        ("CONNECT", false, false),
        ("get", false, false),
        ("M-SEARCH", false, false),
    ];
    for (token, safe, idempotent) in cases {
        let method = Method::of(token);
        assert_eq!(method.as_str(), token);
        assert_eq!((method.is_safe(), method.is_idempotent()), (safe, idempotent), "{token}");
    }
    assert_eq!(Method::of("get"), Method::Other("get"));
}

proptest! {
    /// Whatever comes, a head that parses is one that the scanner ends at the same place.
    #[test]
    fn what_parses_also_scans(
        start in "[\r\n]{0,3}",
        lines in prop::collection::vec("[A-Za-z:_\r\n\t ,0-9]{0,20}", 0..6),
        ends in prop::collection::vec(prop_oneof![9 => Just("\r\n"), 1 => Just("\n")], 6),
    ) {
        let mut head = start + "GET / HTTP/1.0\r\n";
        for (line, end) in lines.iter().zip(&ends) {
            head.push_str("A:");
            head.push_str(line);
            head.push_str(end);
        }
        head.push_str("\r\n");
        if refusal(head.as_bytes()).is_none() {
            let scanned = HeadScanner::default().scan(head.as_bytes(), &LIMITS);
            prop_assert_eq!(scanned, Ok(Some(head.len())));
        }
    }

    #[test]
    fn fields_are_what_was_sent(
        sent in prop::collection::vec(
            ("X-[A-Za-z0-9-]{1,20}", "([!-~\u{e9}]([ -~\t]{0,30}[!-~])?)?", "[ \t]{0,3}"),
            0..7,
        ),
    ) {
        let lines: String =
            sent.iter().map(|(name, value, ows)| format!("{name}:{ows}{value}{ows}\r\n")).collect();
        with(&get(&lines), |request| {
            let got: Vec<_> = request.fields[1..].iter().map(|f| (f.name, f.value)).collect();
            let expected: Vec<_> =
                sent.iter().map(|(name, value, _)| (name.as_str(), value.as_bytes())).collect();
            assert_eq!(got, expected);
        });
    }

    #[test]
    fn nothing_panics(head in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = refusal(&head);
        let _ = refusal(&[b"GET / HTTP/1.1\r\n".as_slice(), &head, b"\r\n\r\n"].concat());
    }
}
