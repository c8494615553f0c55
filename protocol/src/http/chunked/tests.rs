use proptest::prelude::*;

use super::*;

/// What a whole body comes to: payload, trailers and how much of the input it was.
type Outcome = Result<(Vec<u8>, Vec<u8>, usize, bool), ChunkError>;

/// Decodes `body` cut into pieces of `sizes` (round and round), and checks on the way that
/// nothing behind the end is touched.
fn decode_in(body: &[u8], sizes: &[usize]) -> Outcome {
    let mut decoder = ChunkedDecoder::new();
    let mut payload = Vec::new();
    let (mut at, mut done) = (0, false);
    let mut sizes = sizes.iter().cycle();
    while at < body.len() && !done {
        let size = (*sizes.next().expect("a size")).min(body.len() - at);
        let mut piece = body[at..at + size].to_vec();
        let decoded = decoder.decode(&mut piece)?;
        assert!(decoded.payload <= decoded.consumed && decoded.consumed <= size);
        assert!(decoded.done || decoded.consumed == size);
        assert_eq!(piece[decoded.consumed..], body[at + decoded.consumed..at + size]);
        payload.extend_from_slice(&piece[..decoded.payload]);
        at += decoded.consumed;
        done = decoded.done;
    }
    Ok((payload, decoder.trailers().to_vec(), at, done))
}

fn decode(body: &[u8]) -> Outcome {
    decode_in(body, &[body.len().max(1)])
}

fn encode(chunks: &[Vec<u8>], trailers: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend_from_slice(chunk_header(chunk.len(), &mut [0; 18]));
        body.extend_from_slice(chunk);
        body.extend_from_slice(CHUNK_END);
    }
    body.extend_from_slice(LAST_CHUNK_LINE);
    body.extend_from_slice(trailers.as_bytes());
    body.extend_from_slice(b"\r\n");
    body
}

#[test]
fn bodies_are_decoded() {
    let cases = [
        ("0\r\n\r\n", "", ""),
        ("000\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("1\r\na\r\n00002\r\nbc\r\n0\r\n\r\n", "abc", ""),
        (
            "a\r\n0123456789\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n",
            "0123456789\r\n\r\n\r\n\r\n\r\n",
            "",
        ),
        ("0\r\nX-Sum: 1\r\nEtag:\"a\"\r\n\r\n", "", "X-Sum: 1\r\nEtag:\"a\"\r\n"),
    ];
    for (body, payload, trailers) in cases {
        let expected = (payload.into(), trailers.into(), body.len(), true);
        assert_eq!(decode(body.as_bytes()), Ok(expected), "{}", body.escape_debug());
    }
}

#[test]
fn sizes_are_strict() {
    use ChunkError as E;
    let cases = [
        ("\r\n", E::Size),
        (" 5\r\n", E::Size),
        ("\t5\r\n", E::Size),
        ("+5\r\n", E::Size),
        ("-5\r\n", E::Size),
        ("0x5\r\n", E::Size),
        ("5g\r\n", E::Size),
        ("g\r\n", E::Size),
        (";a\r\n", E::Size),
        ("5_0\r\n", E::Size),
        ("5\n", E::LineEnd),
        ("5\rh", E::LineEnd),
        ("5\r\r\n", E::LineEnd),
        ("\n5\r\n", E::Size),
        ("1000000000000000\r\n", E::SizeTooLarge),
        ("ffffffffffffffff\r\n", E::SizeTooLarge),
        ("0000000000000001\r\n", E::SizeTooLarge),
        ("5\r\nhelloX", E::LineEnd),
        ("5\r\nhello\n", E::LineEnd),
        ("5\r\nhello\rX", E::LineEnd),
        ("5\r\nhello\r\n\r\n", E::Size),
        ("5 \r\n", E::Extension),
        ("5\t5\r\n", E::Extension),
    ];
    for (body, expected) in cases {
        assert_eq!(decode(body.as_bytes()), Err(expected), "{}", body.escape_debug());
    }
    // The largest size that fits is no error: more of it is awaited.
    let huge = decode(b"fffffffffffffff\r\nx");
    assert_eq!(huge, Ok((b"x".to_vec(), Vec::new(), 18, false)));
}

#[test]
fn extensions_are_checked_and_dropped() {
    let accepted = [
        ";a",
        ";a=b",
        " ; a = b",
        "\t;\ta\t=\tb;c;d=\"e\"",
        ";a=\"\"",
        ";a=\"x\\\"y;z\" ;b",
        ";a=\"\\\\\"",
        ";a ;b",
    ];
    for extension in accepted {
        let body = format!("1{extension}\r\nz\r\n0{extension}\r\n\r\n");
        let expected = (b"z".to_vec(), Vec::new(), body.len(), true);
        assert_eq!(decode(body.as_bytes()), Ok(expected), "{extension}");
    }
    let refused = [
        ";",
        ";;a",
        "; ",
        ";a=",
        ";a= ",
        ";=b",
        ";a b",
        ";a=b c",
        ";a ",
        ";a=b ",
        ";a=\"b\"c",
        ";a==b",
        ";a=\"b",
        ";a=\"b\\",
        ";a\0",
        ";a=\"\0\"",
        ";a=\"\u{7f}\"",
        ";(",
        " a",
        ";a=b=c",
    ];
    for extension in refused {
        let body = format!("1{extension}\r\n");
        assert_eq!(decode(body.as_bytes()), Err(ChunkError::Extension), "{extension}");
    }
    // A line end within a quoted string is where a lenient recipient would end the chunk's line.
    assert_eq!(decode(b"1;a=\"\n\"\r\n"), Err(ChunkError::LineEnd));
    assert_eq!(decode(b"1;a\n"), Err(ChunkError::LineEnd));
}

#[test]
fn extensions_are_bounded() {
    let body = |bytes: usize| format!("1;{}\r\nz\r\n0\r\n\r\n", "a".repeat(bytes - 1));
    assert!(decode(body(256).as_bytes()).is_ok());
    assert_eq!(decode(body(257).as_bytes()), Err(ChunkError::ExtensionTooLong));
}

#[test]
fn extensions_are_bounded_over_the_whole_body() {
    let chunk = |payload: usize| {
        let (size, extension) = (format!("{payload:x}"), "a".repeat(127));
        format!("{size};{extension}\r\n{}\r\n", "z".repeat(payload))
    };
    // 128 bytes around each chunk, less its payload: 64 chunks of one byte are within 8 KiB.
    assert!(decode(chunk(1).repeat(64).as_bytes()).is_ok());
    assert_eq!(decode(chunk(1).repeat(65).as_bytes()), Err(ChunkError::ExtensionTooLong));
    assert!(decode(chunk(128).repeat(1000).as_bytes()).is_ok());
}

#[test]
fn trailers_are_checked() {
    use ChunkError as E;
    let cases = [
        ("A", E::Trailer),
        (": b", E::Trailer),
        ("A : b", E::Trailer),
        (" A: b", E::Trailer),
        ("A: b\r\n c", E::Trailer),
        ("A: b\0", E::Trailer),
        ("A: b\u{7f}", E::Trailer),
        ("A: b\nC: d", E::LineEnd),
        ("A: b\rC", E::LineEnd),
        ("Content-Length: 5", E::ForbiddenTrailer),
        ("Content_Length: 5", E::ForbiddenTrailer),
        ("transfer-encoding: chunked", E::ForbiddenTrailer),
        ("TRANSFER_ENCODING: chunked", E::ForbiddenTrailer),
        ("Host: a", E::ForbiddenTrailer),
    ];
    for (line, expected) in cases {
        let body = format!("0\r\nX: y\r\n{line}\r\n\r\n");
        assert_eq!(decode(body.as_bytes()), Err(expected), "{}", line.escape_debug());
    }
}

#[test]
fn trailers_that_nobody_may_act_on_are_dropped() {
    let dropped = [
        "Trailer: a",
        "Connection: close",
        "TE: trailers",
        "Authorization: a",
        "X-API-Key: a",
        "X_API_Key: a",
        "Cookie: a",
        "Set-Cookie: a",
        "X-Forwarded-For: a",
        "X-Weir-User: root",
        "X_Forwarded-Prefix: /x",
        "x_weir-Tier: gold",
        "Content-Encoding: gzip",
        "Cache-Control: no-store",
        "If-Match: a",
    ];
    for line in dropped {
        let body = format!("0\r\nX: y\r\n{line}\r\nETag: z\r\n\r\n");
        let expected = (Vec::new(), b"X: y\r\nETag: z\r\n".to_vec(), body.len(), true);
        assert_eq!(decode(body.as_bytes()), Ok(expected), "{line}");
    }
    let endless = format!("0\r\n{}", "Cookie: a\r\n".repeat(745));
    assert_eq!(decode(endless.as_bytes()), Err(ChunkError::TrailersTooLong));
}

#[test]
fn trailers_are_bounded() {
    let body = |bytes: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(bytes - 4));
    let largest = decode(body(8192).as_bytes()).map(|(_, trailers, ..)| trailers.len());
    assert_eq!(largest, Ok(8192));
    assert_eq!(decode(body(8193).as_bytes()), Err(ChunkError::TrailersTooLong));
    let many = format!("0\r\n{}\r\n", "A:b\r\n".repeat(1639));
    assert_eq!(decode(many.as_bytes()), Err(ChunkError::TrailersTooLong));
}

#[test]
fn a_fault_is_for_good() {
    let mut decoder = ChunkedDecoder::new();
    assert_eq!(decoder.decode(&mut b"5\r\nhelloX".to_vec()), Err(ChunkError::LineEnd));
    assert_eq!(decoder.decode(&mut b"\r\n0\r\n\r\n".to_vec()), Err(ChunkError::LineEnd));
}

#[test]
fn the_end_is_for_good() {
    let mut decoder = ChunkedDecoder::new();
    let mut buf = b"1\r\na\r\n0\r\n\r\n5\r\nhello".to_vec();
    let first = Decoded { consumed: 11, payload: 1, done: true };
    assert_eq!(decoder.decode(&mut buf), Ok(first));
    assert_eq!(&buf[11..], b"5\r\nhello");
    let nothing = Decoded { consumed: 0, payload: 0, done: true };
    assert_eq!(decoder.decode(&mut buf[11..]), Ok(nothing));
}

#[test]
fn chunk_headers() {
    for (size, expected) in [
        (1, "1\r\n"),
        (15, "F\r\n"),
        (16, "10\r\n"),
        (0xabc_def0, "ABCDEF0\r\n"),
        (usize::MAX, "FFFFFFFFFFFFFFFF\r\n"),
    ] {
        assert_eq!(chunk_header(size, &mut [0; 18]), expected.as_bytes());
    }
}

/// Bodies with a few bytes changed, so that most are nearly right.
fn bodylike() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop::collection::vec(prop::sample::select(b"ab\r\n0;".as_slice()), 1..20);
    let trailers = prop::sample::select(vec!["", "X: y\r\n", "X: y\r\nZ: \"\r\n", "Host: a\r\n"]);
    let change = (any::<prop::sample::Index>(), prop::sample::select(b"\r\n 0;=\"aG:".as_slice()));
    (prop::collection::vec(chunk, 0..6), trailers, prop::collection::vec(change, 0..3)).prop_map(
        |(chunks, trailers, changes)| {
            let mut body = encode(&chunks, trailers);
            for (index, byte) in changes {
                let at = index.index(body.len());
                body[at] = byte;
            }
            body
        },
    )
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        sizes in prop::collection::vec(1_usize..80, 1..10),
        behind in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let body = encode(&chunks, "X-Sum: 1\r\n");
        let sent = [body.as_slice(), &behind].concat();
        let expected = (chunks.concat(), b"X-Sum: 1\r\n".to_vec(), body.len(), true);
        prop_assert_eq!(decode_in(&sent, &sizes), Ok(expected.clone()));
        prop_assert_eq!(decode(&sent), Ok(expected));
    }

    #[test]
    fn pieces_change_nothing(
        body in bodylike(),
        sizes in prop::collection::vec(1_usize..30, 1..10),
    ) {
        prop_assert_eq!(decode_in(&body, &sizes), decode(&body));
        prop_assert_eq!(decode_in(&body, &[1]), decode(&body));
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let _ = decode(&[b"0\r\n".as_slice(), &bytes].concat());
    }
}
