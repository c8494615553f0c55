//! Lines as whoever reads the log parses them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::runtime::UnixNanos;

pub(super) fn entry() -> Entry<'static> {
    Entry {
        timestamp: UnixNanos(1_700_000_000_123_456_789),
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        method: b"GET",
        path: b"/data",
        query: None,
        host: None,
        http_version: "1.1",
        status: 200,
        bytes_in: 80,
        bytes_out: 1234,
        duration: Duration::from_micros(1500),
        upstream: None,
        backend: None,
        user: None,
        tier: None,
        key_name: None,
        certificate: None,
        decision: "admitted",
        limit: None,
        would_refuse: None,
        request_id: Some(b"r-1"),
        user_agent: None,
        shard: 3,
    }
}

fn line(entry: &Entry<'_>) -> Value {
    let mut out = Vec::new();
    write_line(entry, &mut out);
    assert_eq!(out.pop(), Some(b'\n'));
    assert!(!out.contains(&b'\n'), "one line");
    serde_json::from_slice(&out).expect("proper JSON")
}

#[test]
fn a_line_that_is_finished_later_is_the_same_line() {
    let entry = entry();
    let mut at_once = Vec::new();
    write_line(&entry, &mut at_once);
    let open = OpenLine::new(&Entry { bytes_in: 0, duration: Duration::ZERO, ..entry });
    let mut later = Vec::new();
    open.write(entry.timestamp, entry.bytes_in, entry.bytes_out, entry.duration, &mut later);
    assert_eq!(later, at_once);
}

#[test]
fn a_full_entry() {
    let entry = Entry {
        client: "::ffff:192.0.2.7".parse().expect("an address"),
        query: Some(b"a=1&api_key=s3cret"),
        host: Some(b"api.example:8080"),
        upstream: Some("api"),
        backend: Some("127.0.0.1:5001"),
        user: Some("ada"),
        tier: Some("premium"),
        key_name: Some("mobile"),
        limit: Some("per-tier"),
        user_agent: Some(b"curl/8"),
        ..entry()
    };
    let expected = serde_json::json!({
        "@timestamp": "2023-11-14T22:13:20.123Z",
        "ecs.version": "8.11",
        "client.ip": "192.0.2.7",
        "http.request.id": "r-1",
        "http.request.method": "GET",
        "http.version": "1.1",
        "url.domain": "api.example:8080",
        "url.path": "/data",
        "url.query": "a=1&api_key=***",
        "user_agent.original": "curl/8",
        "http.request.bytes": 80,
        "http.response.status_code": 200,
        "http.response.bytes": 1234,
        "event.duration": 1_500_000,
        "weir.upstream": "api",
        "destination.address": "127.0.0.1:5001",
        "user.name": "ada",
        "weir.tier": "premium",
        "weir.key": "mobile",
        "weir.decision": "admitted",
        "weir.limit": "per-tier",
        "weir.shard": 3,
    });
    assert_eq!(line(&entry), expected);
}

#[test]
fn absent_values_leave_no_member() {
    let value = line(&entry());
    let members: Vec<_> = value.as_object().expect("an object").keys().collect();
    assert_eq!(members.len(), 13, "{members:?}");
    assert!(value.as_object().expect("an object").values().all(|value| !value.is_null()));
}

proptest! {
    #[test]
    fn hostile_bytes_stay_in_their_member(
        path in prop::collection::vec(any::<u8>(), 0..40),
        query in prop::collection::vec(any::<u8>(), 0..40),
        user in any::<String>(),
    ) {
        let value = line(&Entry {
            path: &path,
            query: Some(&query),
            host: Some(&query),
            method: &path,
            request_id: Some(&query),
            user: Some(&user),
            ..entry()
        });
        prop_assert_eq!(&value["user.name"], &Value::String(user));
        prop_assert_eq!(value.as_object().map(serde_json::Map::len), Some(16));
        if let Ok(path) = String::from_utf8(path) {
            prop_assert_eq!(&value["url.path"], &Value::String(path));
        }
    }
}
