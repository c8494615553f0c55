//! As for requests; and how the body is framed agrees with RFC 9112 section 6.3, told anew.
//! The first byte says which method is answered.

use weir_protocol::http::{
    FieldStore, HeadLimits, HeadScanner, Method, ResponseBody, ResponseHead, parse_response,
};

use super::independent::{Framing, Head, Kind, lenient, merge_lengths, readings, strict};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, target_bytes: 512, fields: 64 };

pub(crate) fn check(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let method = if *first == b'H' { Method::Head } else { Method::Get };
    let Ok(Some(end)) = HeadScanner::default().scan(data, &LIMITS) else { return };
    let mut store = FieldStore::new();
    let Ok(response) = parse_response(&data[..end], &mut store, &LIMITS, &method) else { return };
    assert_eq!(response.bytes.len(), end);
    assert!((100..=599).contains(&response.status), "{}", response.status);

    let expected = strict(data, Kind::Response).expect("a strict reader takes it too");
    check_reading(&expected, &response, &method);
    for reading in readings().filter(|reading| !reading.underscores) {
        let mut read = lenient(data, reading).expect("it ends");
        merge_lengths(&mut read.fields).expect("the strict reader saw one length");
        check_reading(&read, &response, &method);
    }
    check_round_trip(&response, &method);
}

fn check_reading(read: &Head, response: &ResponseHead<'_, '_>, method: &Method<'_>) {
    assert_eq!(read.len, response.bytes.len());
    let [version, status, reason] = &read.start;
    // RFC 9110 section 2.5: a later minor version is read as 1.1.
    let version = version.as_slice().min(b"HTTP/1.1");
    assert_eq!(version, response.version.as_str().as_bytes());
    assert_eq!(&status[..], response.status.to_string().as_bytes());
    assert!(response.reason.is_empty() || reason[..] == *response.reason.as_bytes());
    assert_eq!(read.fields.len(), response.fields.len());
    for ((_, value), field) in read.fields.iter().zip(response.fields) {
        assert_eq!(&value[..], field.value);
    }
    let bodiless =
        *method == Method::Head || response.status < 200 || [204, 304].contains(&response.status);
    let body = match read.framing {
        _ if bodiless => ResponseBody::None,
        Framing::Chunked => ResponseBody::Chunked,
        Framing::Length(length) => ResponseBody::Length(length),
        Framing::Absent => ResponseBody::UntilClose,
    };
    assert_eq!(response.body, body);
    assert!(!(response.persistent && body == ResponseBody::UntilClose), "it has no end");
}

fn write(response: &ResponseHead<'_, '_>) -> Vec<u8> {
    let (version, status) = (response.version.as_str(), response.status);
    let mut out = format!("{version} {status} {}\r\n", response.reason).into_bytes();
    for field in response.fields {
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn check_round_trip(response: &ResponseHead<'_, '_>, method: &Method<'_>) {
    let written = write(response);
    // White space is written where the backend may have sent none.
    let limits = HeadLimits { head_bytes: LIMITS.head_bytes + LIMITS.fields * 2, ..LIMITS };
    let mut store = FieldStore::new();
    let again = parse_response(&written, &mut store, &limits, method)
        .expect("what was read can be written");
    assert_eq!((again.version, again.status), (response.version, response.status));
    assert_eq!((again.reason, again.body), (response.reason, response.body));
    assert_eq!(again.persistent, response.persistent);
    assert_eq!(write(&again), written);
}
