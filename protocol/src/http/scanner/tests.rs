use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 400, target_bytes: 100, fields: 4 };

fn scan(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    HeadScanner::default().scan(bytes, &LIMITS)
}

/// Scans `bytes` as they grow to each of `stops` and then to their end.
fn scan_grown(bytes: &[u8], stops: &[usize]) -> Result<Option<usize>, HeadError> {
    let mut scanner = HeadScanner::default();
    let mut stops: Vec<usize> = stops.iter().map(|stop| stop % (bytes.len() + 1)).collect();
    stops.sort_unstable();
    for stop in stops {
        if let Some(end) = scanner.scan(&bytes[..stop], &LIMITS)? {
            return Ok(Some(end));
        }
    }
    scanner.scan(bytes, &LIMITS)
}

#[test]
fn ends_are_found() {
    let cases: &[(&[u8], Option<usize>)] = &[
        (b"", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(27)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", Some(27)),
        (b"GET / HTTP/1.0\r\n\r\n", Some(18)),
        // Empty lines before the start line belong to the head and do not end it.
        (b"\r\n", None),
        (b"\r\n\r\n\r\n", None),
        (b"\r\n\r\nGET / HTTP/1.0\r\n\r\n", Some(22)),
        // What follows the head is not this head's affair.
        (b"GET / HTTP/1.0\r\n\r\n\n\r \r\n", Some(18)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(scan(bytes), Ok(*expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn bare_line_ends_are_refused_at_once() {
    let cases: &[(&[u8], HeadError)] = &[
        (b"\n", HeadError::BareLf),
        (b"GET / HTTP/1.1\n", HeadError::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\n", HeadError::BareLf),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", HeadError::BareLf),
        (b"\rG", HeadError::BareCr),
        (b"GET /\rx", HeadError::BareCr),
        (b"GET / HTTP/1.1\r\nA: b\r\r", HeadError::BareCr),
        (b"GET / HTTP/1.1\r\nA: b\r\r\n\r\n", HeadError::BareCr),
        (b"GET / HTTP/1.1\r\n\rX", HeadError::BareCr),
    ];
    for (bytes, expected) in cases {
        assert_eq!(scan(bytes), Err(*expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_hold_at_their_last_byte() {
    let start = |bytes: usize| [vec![b'x'; bytes], b"\r\n\r\n".to_vec()].concat();
    assert_eq!(scan(&start(164)), Ok(Some(168)));
    assert_eq!(scan(&start(165)), Err(HeadError::TargetTooLong));
    assert_eq!(scan(&[b'x'; 165]), Err(HeadError::TargetTooLong));

    let field = |bytes: usize| [b"x\r\n".as_slice(), &vec![b'a'; bytes], b"\r\n\r\n"].concat();
    assert_eq!(scan(&field(393)), Ok(Some(400)));
    assert_eq!(scan(&field(394)), Err(HeadError::HeadTooLarge));
    assert_eq!(scan(&field(394)[..400]), Ok(None));
    assert_eq!(scan(&field(394)[..401]), Err(HeadError::HeadTooLarge));

    let fields = |count: usize| format!("x\r\n{}\r\n", "a:b\r\n".repeat(count));
    assert!(matches!(scan(fields(4).as_bytes()), Ok(Some(_))));
    assert_eq!(scan(fields(5).as_bytes()), Err(HeadError::TooManyFields));
    assert_eq!(scan("\r\n".repeat(201).as_bytes()), Err(HeadError::HeadTooLarge));
}

/// A start line may be over two limits; the one that it passed first is named, as it would be had
/// the bytes come one by one.
#[test]
fn the_limit_passed_first_is_named() {
    let line = [b'x'; 300];
    let scan = |limits: &HeadLimits| HeadScanner::default().scan(&line, limits);
    let small_head = HeadLimits { head_bytes: 120, ..LIMITS };
    assert_eq!(scan(&small_head), Err(HeadError::HeadTooLarge));
    let small_target = HeadLimits { head_bytes: 200, ..LIMITS };
    assert_eq!(scan(&small_target), Err(HeadError::TargetTooLong));
}

#[test]
fn a_reset_scanner_is_a_new_one() {
    let mut scanner = HeadScanner::default();
    let head = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(scanner.scan(head, &LIMITS), Ok(Some(18)));
    scanner.reset();
    assert_eq!(scanner.scan(&head[..10], &LIMITS), Ok(None));
    assert_eq!(scanner.scan(head, &LIMITS), Ok(Some(18)));
}

/// Heads and things like heads: lines of text with a rare wrong line end, of a length that meets
/// each limit now and then.
fn headlike() -> impl Strategy<Value = Vec<u8>> {
    let line_end = prop_oneof![
        40 => Just("\r\n"),
        1 => Just("\n"),
        1 => Just("\r"),
        1 => Just("\r\r\n"),
    ];
    let text = prop_oneof![6 => "[a-z: ]{0,60}", 1 => "x{150,180}", 1 => "x{300,420}", 2 => ""];
    prop::collection::vec((text, line_end), 0..10)
        .prop_map(|lines| lines.into_iter().map(|(text, end)| text + end).collect::<String>())
        .prop_map(String::into_bytes)
}

proptest! {
    #[test]
    fn growth_changes_nothing(
        bytes in headlike(),
        stops in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        prop_assert_eq!(scan_grown(&bytes, &stops), scan(&bytes));
    }

    #[test]
    fn each_byte_may_come_alone(bytes in headlike()) {
        let stops: Vec<usize> = (0..=bytes.len()).collect();
        prop_assert_eq!(scan_grown(&bytes, &stops), scan(&bytes));
    }

    #[test]
    fn an_end_is_the_first_empty_line(bytes in headlike()) {
        if let Ok(Some(end)) = scan(&bytes) {
            let text = std::str::from_utf8(&bytes[..end]).expect("ASCII");
            let message = text.trim_start_matches("\r\n");
            prop_assert_eq!(message.find("\r\n\r\n"), Some(message.len() - 4));
            prop_assert!(end <= LIMITS.head_bytes);
        }
    }
}
