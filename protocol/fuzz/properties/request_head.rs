//! Of any bytes: split anywhere, the scanner finds the same end; and what is accepted as a request
//! head means the same to every other reader, and survives being written and read again.

use weir_protocol::http::{
    FieldStore, HeadError, HeadLimits, HeadScanner, RequestBody, RequestHead, parse_request,
};

use super::independent::{Framing, Head, Kind, lenient, readings, strict};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, target_bytes: 512, fields: 64 };

pub(crate) fn check(data: &[u8]) {
    let found = HeadScanner::default().scan(data, &LIMITS);
    check_splits(data, found);
    let Ok(Some(end)) = found else { return };
    let head = &data[..end];
    let mut store = FieldStore::new();
    let Ok(request) = parse_request(head, &mut store, &LIMITS) else { return };
    assert_eq!(request.bytes.len(), end);
    check_readers(data, &request);
    check_round_trip(&request);
}

/// Byte by byte, and in steps of a few bytes.
fn check_splits(data: &[u8], found: Result<Option<usize>, HeadError>) {
    for step in [1, 3, 7] {
        let mut scanner = HeadScanner::default();
        let mut to = 0;
        let mut last = Ok(None);
        while to < data.len() && last == Ok(None) {
            to = (to + step).min(data.len());
            last = scanner.scan(&data[..to], &LIMITS);
            if let Ok(Some(end)) = last {
                assert!(end <= to, "an end that has not arrived");
            }
        }
        assert_eq!(last, found, "in steps of {step}");
    }
}

fn framing(body: RequestBody) -> Framing {
    match body {
        RequestBody::None => Framing::Absent,
        RequestBody::Length(length) => Framing::Length(length),
        RequestBody::Chunked => Framing::Chunked,
    }
}

/// The bytes behind the head are there too: no reader may take them for a part of it.
fn check_readers(data: &[u8], request: &RequestHead<'_, '_>) {
    let expected = strict(data, Kind::Request).expect("a strict reader takes it too");
    check_reading(&expected, request);
    for reading in readings() {
        let read = lenient(data, reading).expect("it ends");
        check_reading(&read, request);
    }
}

fn check_reading(read: &Head, request: &RequestHead<'_, '_>) {
    assert_eq!(read.len, request.bytes.len());
    assert_eq!(read.framing, framing(request.body));
    let [method, target, version] = &read.start;
    assert_eq!(&method[..], request.method.as_str().as_bytes());
    assert_eq!(&target[..], request.target.raw.as_bytes());
    // RFC 9110 section 2.5: a later minor version is read as 1.1.
    let version = version.as_slice().min(b"HTTP/1.1");
    assert_eq!(version, request.version.as_str().as_bytes());
    assert_eq!(read.fields.len(), request.fields.len());
    for ((_, value), field) in read.fields.iter().zip(request.fields) {
        assert_eq!(&value[..], field.value);
    }
}

fn write(request: &RequestHead<'_, '_>) -> Vec<u8> {
    let (method, version) = (request.method.as_str(), request.version.as_str());
    let mut out = format!("{method} {} {version}\r\n", request.target.raw).into_bytes();
    for field in request.fields {
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn check_round_trip(request: &RequestHead<'_, '_>) {
    let written = write(request);
    // White space is written where the client may have sent none.
    let limits = HeadLimits { head_bytes: LIMITS.head_bytes + LIMITS.fields * 2, ..LIMITS };
    assert_eq!(HeadScanner::default().scan(&written, &limits), Ok(Some(written.len())));
    let mut store = FieldStore::new();
    let again = parse_request(&written, &mut store, &limits).expect("what was read can be written");
    assert_eq!((again.method, again.target), (request.method, request.target));
    assert_eq!(
        (again.version, again.host, again.body),
        (request.version, request.host, request.body)
    );
    assert_eq!(
        (again.persistent, again.expect_continue, again.upgrade),
        (request.persistent, request.expect_continue, request.upgrade)
    );
    assert_eq!(write(&again), written);
}
