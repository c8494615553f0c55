use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, target_bytes: 64, fields: 8 };

fn framed(head: &str, method: &Method<'_>) -> Result<(ResponseBody, bool), HeadError> {
    let mut store = FieldStore::new();
    let response = parse_response(head.as_bytes(), &mut store, &LIMITS, method)?;
    assert_eq!(response.bytes.len(), head.len());
    Ok((response.body, response.persistent))
}

fn refusal(head: &[u8]) -> Option<HeadError> {
    parse_response(head, &mut FieldStore::new(), &LIMITS, &Method::Get).err()
}

#[test]
fn a_response_is_read() {
    let head = b"HTTP/1.1 404 Not Found\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
                 Content-Length: 9\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
    let mut store = FieldStore::new();
    let response = parse_response(head, &mut store, &LIMITS, &Method::Get).expect("a good head");
    assert_eq!((response.version, response.status), (Version::Http11, 404));
    assert_eq!(response.reason, "Not Found");
    assert_eq!((response.body, response.persistent), (ResponseBody::Length(9), true));
    assert_eq!(response.get(FieldId::Server), Some(b"x".as_slice()));
    let cookies: Vec<&[u8]> = response.get_all(FieldId::SetCookie).collect();
    assert_eq!(cookies, [b"a", b"b"]);
    let hop = response.fields[5];
    assert!(crate::http::is_hop_by_hop(&hop, &response.connection));
    assert_eq!(response.by_name("x-hop"), Some(b"1".as_slice()));
}

#[test]
fn status_lines() {
    use HeadError as E;
    let reason = |head: &'static str| {
        parse_response(head.as_bytes(), &mut FieldStore::new(), &LIMITS, &Method::Get)
            .map(|response| response.reason.to_owned())
    };
    assert_eq!(reason("HTTP/1.1 200 \r\n\r\n"), Ok(String::new()));
    assert_eq!(reason("HTTP/1.1 200\r\n\r\n"), Ok(String::new()));
    assert_eq!(reason("HTTP/1.1 599 A B\tC\r\n\r\n"), Ok("A B\tC".to_owned()));
    assert_eq!(reason("HTTP/1.1 200 \u{e9}\r\n\r\n"), Ok(String::new()));
    let cases: &[(&[u8], HeadError)] = &[
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", E::StatusLine),
        (b"ICY 200 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 099 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 600 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 999 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 20 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 2000 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1  200 OK\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 200 O\x01K\r\n\r\n", E::StatusLine),
        (b"HTTP/1.1 200 OK\n\r\n", E::BareLf),
        (b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", E::BareLf),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", E::FieldName),
        (b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", E::FieldName),
        (b"HTTP/1.1 200 OK\r\n : c\r\n\r\n", E::FieldName),
        (b"HTTP/1.1 200 OK\r\nA \r\n\r\n", E::FieldName),
        (b"HTTP/1.1 200 OK\r\nA :\r\n c\r\n\r\n", E::FieldName),
        (b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", E::FieldValue),
        (b"HTTP/2.0 200 OK\r\n\r\n", E::UnsupportedVersion),
        (b"HTTP/1 200 OK\r\n\r\n", E::MalformedVersion),
        (b"HTTP/1.1 200 OK\r\n", E::NotOneHead),
        (b"HTTP/1.1 200 OK\r\n\r\nX", E::NotOneHead),
    ];
    for (head, expected) in cases {
        assert_eq!(refusal(head), Some(*expected), "{}", head.escape_ascii());
    }
}

#[test]
fn bodies_follow_section_6_3() {
    use ResponseBody::{Chunked, Length, None, UntilClose};
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases = [
        ("200", Method::Get, length, Length(5), true),
        ("200", Method::Get, "Content-Length: 0\r\n", Length(0), true),
        ("200", Method::Get, chunked, Chunked, true),
        ("200", Method::Get, "", UntilClose, false),
        ("500", Method::Post, "", UntilClose, false),
        ("200", Method::Head, length, None, true),
        ("200", Method::Head, chunked, None, true),
        ("200", Method::Head, "", None, true),
        ("100", Method::Post, "", None, true),
        ("103", Method::Get, "Link: a\r\n", None, true),
        ("101", Method::Get, "Upgrade: websocket\r\nConnection: upgrade\r\n", None, true),
        ("204", Method::Get, "", None, true),
        ("204", Method::Get, "Content-Length: 0\r\n", None, true),
        ("204", Method::Get, length, None, false),
        ("204", Method::Get, chunked, None, false),
        ("205", Method::Get, "Content-Length: 0\r\n", Length(0), true),
        ("304", Method::Get, length, None, true),
        ("304", Method::Get, "", None, true),
        ("200", Method::Get, "Content-Length: 5\r\nConnection: close\r\n", Length(5), false),
    ];
    for (status, method, lines, body, persistent) in cases {
        let head = format!("HTTP/1.1 {status} X\r\n{lines}\r\n");
        assert_eq!(framed(&head, &method), Ok((body, persistent)), "{status} {method:?} {lines}");
    }
}

/// RFC 9112 section 5.1: the name is what stands before the white space, for framing too.
#[test]
fn white_space_behind_names_is_removed() {
    let head = b"HTTP/1.1 200 OK\r\nA \t : b\r\nContent-Length\t: 5\r\nConnection : close\r\n\r\n";
    let mut store = FieldStore::new();
    let response = parse_response(head, &mut store, &LIMITS, &Method::Get)
        .expect("nothing else is wrong with it");
    assert_eq!((response.body, response.persistent), (ResponseBody::Length(5), false));
    assert_eq!(response.fields[0].name, "A");
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n";
    assert_eq!(framed(both, &Method::Get), Err(HeadError::BothFramings));
}

/// RFC 9110 section 8.6.
#[test]
fn a_length_said_several_times_is_one() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,5\r\nA: b\r\ncontent-length: 05\t,\t5\r\n",
    ] {
        for (method, expected) in
            [(Method::Get, ResponseBody::Length(5)), (Method::Head, ResponseBody::None)]
        {
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            let mut store = FieldStore::new();
            let response = parse_response(head.as_bytes(), &mut store, &LIMITS, &method)
                .expect("nobody could read it in two ways");
            assert_eq!((response.body, response.persistent), (expected, true), "{lines}");
            // What is passed on to answers without a body is one, too.
            let values: Vec<_> = response.get_all(FieldId::ContentLength).collect();
            assert_eq!(values, [b"5"], "{lines}");
        }
    }
}

/// RFC 9110 section 2.5.
#[test]
fn a_later_minor_version_is_read_as_1_1() {
    for (line, reason) in [
        ("HTTP/1.2 200 OK", "OK"),
        ("HTTP/1.9 200", ""),
        ("HTTP/1.3 200 ", ""),
        ("HTTP/1.2 200 \u{e9}", ""),
    ] {
        let head = format!("{line}\r\nContent-Length: 5\r\nB:\tc \r\n\r\n");
        let mut store = FieldStore::new();
        let response = parse_response(head.as_bytes(), &mut store, &LIMITS, &Method::Get)
            .unwrap_or_else(|error| panic!("{line}: {error:?}"));
        assert_eq!((response.version, response.status), (Version::Http11, 200));
        assert_eq!((response.reason, response.bytes.len()), (reason, head.len()));
        assert_eq!((response.body, response.persistent), (ResponseBody::Length(5), true));
        assert_eq!(response.by_name("b"), Some(b"c".as_slice()));
    }
    for (line, error) in [
        ("HTTP/1.2 099 OK", HeadError::StatusLine),
        ("HTTP/1.2 20 OK", HeadError::StatusLine),
        ("HTTP/1.2 2000 OK", HeadError::StatusLine),
        ("HTTP/1.2  200 OK", HeadError::StatusLine),
        ("HTTP/1.2", HeadError::StatusLine),
        ("HTTP/1.2 200 O\0K", HeadError::StatusLine),
        ("HTTP/1.2 200 OK\n", HeadError::StatusLine),
        ("HTTP/1.22 200 OK", HeadError::MalformedVersion),
        ("HTTP/3.2 200 OK", HeadError::UnsupportedVersion),
    ] {
        let head = format!("{line}\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(refusal(head.as_bytes()), Some(error), "{line}");
    }
    for lines in ["A: b\n", "A: b\r\n c\r\n", "A : b\r\n", "A\r\n"] {
        assert!(refusal(format!("HTTP/1.2 200 OK\r\n{lines}\r\n").as_bytes()).is_some(), "{lines}");
    }
}

#[test]
fn http_1_0_backends() {
    let cases = [
        ("Content-Length: 5\r\n", Ok((ResponseBody::Length(5), false))),
        ("Content-Length: 5\r\nConnection: keep-alive\r\n", Ok((ResponseBody::Length(5), true))),
        ("Connection: keep-alive\r\n", Ok((ResponseBody::UntilClose, false))),
        ("Transfer-Encoding: chunked\r\n", Err(HeadError::TransferEncodingInHttp10)),
    ];
    for (lines, expected) in cases {
        let head = format!("HTTP/1.0 200 OK\r\n{lines}\r\n");
        assert_eq!(framed(&head, &Method::Get), expected, "{lines}");
    }
}

#[test]
fn what_follows_a_2xx_to_connect_is_a_tunnel() {
    let cases = [
        ("200", "Content-Length: 5\r\n", ResponseBody::None),
        ("299", "Transfer-Encoding: chunked\r\n", ResponseBody::None),
        ("200", "", ResponseBody::None),
        ("403", "Content-Length: 5\r\n", ResponseBody::Length(5)),
        ("302", "", ResponseBody::UntilClose),
    ];
    for (status, lines, expected) in cases {
        let head = format!("HTTP/1.1 {status} X\r\n{lines}\r\n");
        let body = framed(&head, &Method::Connect).map(|(body, _)| body);
        assert_eq!(body, Ok(expected), "{status} {lines}");
    }
}

#[test]
fn faulty_framing_is_refused_even_without_a_body() {
    let cases = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HeadError::BothFramings),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", HeadError::SeveralContentLengths),
        ("Content-Length: 5, 6\r\n", HeadError::SeveralContentLengths),
        ("Content-Length: 5,\r\n", HeadError::ContentLength),
        ("Content-Length: 5\r\nContent-Length: +5\r\n", HeadError::ContentLength),
        ("Transfer-Encoding: gzip, chunked\r\n", HeadError::UnknownTransferCoding),
        ("Transfer-Encoding: gzip\r\n", HeadError::TransferEncoding),
    ];
    for (lines, expected) in cases {
        for method in [Method::Get, Method::Head] {
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            assert_eq!(framed(&head, &method), Err(expected), "{lines}");
        }
    }
    // It is a name like any other here, and not forwarded.
    let alias = "HTTP/1.1 200 OK\r\nContent_Length: 9\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(framed(alias, &Method::Get), Ok((ResponseBody::Length(5), true)));
}

#[test]
fn limits_hold() {
    let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(refusal(fields(8).as_bytes()), None);
    assert_eq!(refusal(fields(9).as_bytes()), Some(HeadError::TooManyFields));
    let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(LIMITS.head_bytes));
    assert_eq!(refusal(large.as_bytes()), Some(HeadError::HeadTooLarge));
}
