use super::codec::{
    FRAME_BYTES_MAX, FrameError, HEADER_BYTES, VERSION, decode, decode_frame, encode, payload_bytes,
};
use super::{BackendStatus, Request, Response, ShardStatus, Status};
use proptest::prelude::*;

/// The bytes of every request, written down: a peer of another build sends exactly these.
#[test]
fn requests_have_these_bytes() {
    let golden = [
        (Request::Status, [2, 0, 0, 0, 3, 0]),
        (Request::Backends, [2, 0, 0, 0, 3, 1]),
        (Request::Reload, [2, 0, 0, 0, 3, 2]),
        (Request::Drain, [2, 0, 0, 0, 3, 3]),
    ];
    for (request, bytes) in golden {
        assert_eq!(encode(&request).as_deref(), Ok(&bytes[..]), "{request:?}");
        assert_eq!(decode_frame(&bytes), Ok((request, bytes.len())));
    }
}

#[test]
fn a_backend_list_has_these_bytes() {
    let response = Response::Backends(vec![BackendStatus {
        upstream: "api".into(),
        address: "[::1]:1".into(),
        healthy: true,
        in_flight: 250,
        requests: 251,
        failures: 0x0001_0000,
        last_check: "ok".into(),
    }]);
    let mut body = vec![VERSION, 1, 1, 3];
    body.extend_from_slice(b"api\x07[::1]:1\x01");
    // 250 is the last single byte; 251 marks a u16, 252 a u32, both little-endian.
    body.extend_from_slice(&[250, 251, 251, 0, 252, 0, 0, 1, 0]);
    body.extend_from_slice(b"\x02ok");
    assert_eq!(encode(&response), Ok(framed(&body)));
    assert_eq!(decode(&body), Ok(response));
}

#[test]
fn a_status_has_these_bytes() {
    let status = Status {
        version: "1".into(),
        pid: 2,
        uptime_s: 3,
        runtime: "epoll".into(),
        runtime_reason: String::new(),
        shards: vec![
            ShardStatus { id: 4, cpu: Some(5), connections: 6, ..ShardStatus::default() },
            ShardStatus {
                requests: 7,
                limited: 8,
                errors: 9,
                bytes_in: 10,
                bytes_out: 11,
                panics: 17,
                stalled: true,
                stalls: 18,
                ..ShardStatus::default()
            },
        ],
        rings_cooperative: 12,
        rings_plain: 13,
        config_path: "c".into(),
        config_generation: 14,
        draining: true,
        listeners: vec!["l".into()],
        ledger: "d".into(),
        live_table: "t".into(),
        slots_used: 15,
        slots_capacity: 16,
        panics: 19,
        last_panic: Some("p".into()),
    };
    let mut body = vec![VERSION, 0, 1, b'1', 2, 3];
    body.extend_from_slice(b"\x05epoll\x00\x02");
    body.extend_from_slice(&[4, 1, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0]);
    body.extend_from_slice(&[0, 0, 0, 7, 8, 9, 10, 11, 17, 1, 18]);
    body.extend_from_slice(&[
        12, 13, 1, b'c', 14, 1, 1, 1, b'l', 1, b'd', 1, b't', 15, 16, 19, 1, 1, b'p',
    ]);
    let response = Response::Status(status);
    assert_eq!(encode(&response), Ok(framed(&body)));
    assert_eq!(decode(&body), Ok(response));
}

#[test]
fn answers_in_words_have_these_bytes() {
    for (response, tag) in [(Response::Done("ok".into()), 2), (Response::Failed("ok".into()), 3)] {
        let bytes = [5, 0, 0, 0, VERSION, tag, 2, b'o', b'k'];
        assert_eq!(encode(&response).as_deref(), Ok(&bytes[..]));
        assert_eq!(decode_frame(&bytes), Ok((response, bytes.len())));
    }
}

#[test]
fn another_version_is_refused_before_its_body_is_read() {
    for version in (0..=u8::MAX).filter(|&version| version != VERSION) {
        let refused = Err(FrameError::Version(version));
        assert_eq!(decode::<Request>(&[version]), refused);
        assert_eq!(decode::<Request>(&[version, 0]), refused);
        assert_eq!(decode::<Request>(&[version, 0xff, 0xff]), refused);
    }
}

#[test]
fn lengths_out_of_bounds_are_refused() {
    let most = u32::try_from(FRAME_BYTES_MAX).expect("fits");
    assert_eq!(payload_bytes([0; HEADER_BYTES]), Err(FrameError::Empty));
    assert_eq!(payload_bytes(1_u32.to_le_bytes()), Ok(1));
    assert_eq!(payload_bytes(most.to_le_bytes()), Ok(FRAME_BYTES_MAX));
    let oversize = FRAME_BYTES_MAX + 1;
    assert_eq!(payload_bytes((most + 1).to_le_bytes()), Err(FrameError::Oversize(oversize)));
    assert_eq!(decode_frame::<Request>(&[0xff; 64]).err(), payload_bytes([0xff; 4]).err());
    assert_eq!(decode::<Request>(&vec![VERSION; oversize]), Err(FrameError::Oversize(oversize)));
}

#[test]
fn the_largest_messages_that_fit_travel_and_one_byte_more_does_not() {
    // Version byte, variant, and five bytes for the text's own length.
    let fits = Response::Done("x".repeat(FRAME_BYTES_MAX - 7));
    let frame = encode(&fits).expect("fits");
    assert_eq!(frame.len(), HEADER_BYTES + FRAME_BYTES_MAX);
    assert!(decode_frame(&frame) == Ok((fits, frame.len())), "decodes to itself");
    let long = Response::Done("x".repeat(FRAME_BYTES_MAX - 6));
    assert_eq!(encode(&long), Err(FrameError::Oversize(FRAME_BYTES_MAX + 1)));
}

/// Empty texts and zeros grow most between the frame and memory.
#[test]
fn what_grows_most_in_memory_still_decodes() {
    let listeners = vec![String::new(); FRAME_BYTES_MAX - 64];
    let texts = Response::Status(Status { listeners, ..Status::default() });
    let backends = Response::Backends(vec![BackendStatus::default(); FRAME_BYTES_MAX / 8]);
    for response in [texts, backends] {
        let frame = encode(&response).expect("fits");
        assert!(decode_frame(&frame) == Ok((response, frame.len())), "decodes to itself");
    }
}

#[test]
fn a_claimed_length_does_not_allocate() {
    // `Done` whose text claims 2^63 bytes; then a list of as many backends.
    for tag in [2, 1] {
        let mut payload = vec![VERSION, tag, 253];
        payload.extend_from_slice(&(1_u64 << 63).to_le_bytes());
        assert!(matches!(decode::<Response>(&payload), Err(FrameError::Body(_))));
    }
}

#[test]
fn bytes_after_the_message_are_refused() {
    assert_eq!(decode::<Request>(&[VERSION, 0, 0, 0]), Err(FrameError::Trailing(2)));
    assert!(matches!(decode::<Request>(&[VERSION, 8]), Err(FrameError::Body(_))));
    assert!(matches!(decode::<Request>(&[VERSION]), Err(FrameError::Body(_))));
    assert_eq!(decode::<Request>(&[]), Err(FrameError::Empty));
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    [&length.to_le_bytes()[..], payload].concat()
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Status),
        Just(Request::Backends),
        Just(Request::Reload),
        Just(Request::Drain)
    ]
}

prop_compose! {
    fn shard()(
        id: u32, cpu: Option<u32>, counters: [u64; 8], stalled: bool,
    ) -> ShardStatus {
        let [connections, requests, limited, errors, bytes_in, bytes_out, panics, stalls] =
            counters;
        ShardStatus {
            id, cpu, connections, requests, limited, errors, bytes_in, bytes_out, panics, stalled,
            stalls,
        }
    }
}

prop_compose! {
    fn status()(
        texts: [String; 6], pid: u32, numbers: [u64; 7], draining: bool,
        last_panic: Option<String>,
        shards in prop::collection::vec(shard(), 0..8), listeners: Vec<String>,
    ) -> Status {
        let [version, runtime, runtime_reason, config_path, ledger, live_table] = texts;
        let [uptime_s, rings_cooperative, rings_plain, config_generation, slots_used,
            slots_capacity, panics] = numbers;
        Status {
            version, pid, uptime_s, runtime, runtime_reason, shards, rings_cooperative,
            rings_plain, config_path, config_generation, draining, listeners, ledger, live_table,
            slots_used, slots_capacity, panics, last_panic,
        }
    }
}

prop_compose! {
    fn backend()(texts: [String; 3], healthy: bool, counters: [u64; 3]) -> BackendStatus {
        let [upstream, address, last_check] = texts;
        let [in_flight, requests, failures] = counters;
        BackendStatus { upstream, address, healthy, in_flight, requests, failures, last_check }
    }
}

fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        status().prop_map(Response::Status),
        prop::collection::vec(backend(), 0..8).prop_map(Response::Backends),
        any::<String>().prop_map(Response::Done),
        any::<String>().prop_map(Response::Failed),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_and_no_prefix_of_it_does(
        response in response(), request in request(), tail: Vec<u8>,
    ) {
        let mut bytes = encode(&response).expect("small");
        let length = bytes.len();
        for cut in 0..length {
            prop_assert_eq!(
                decode_frame::<Response>(&bytes[..cut]).err(), Some(FrameError::Truncated));
        }
        bytes.extend_from_slice(&tail);
        prop_assert_eq!(decode_frame(&bytes), Ok((response, length)));
        let bytes = encode(&request).expect("small");
        prop_assert_eq!(decode_frame(&bytes), Ok((request, bytes.len())));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(body: Vec<u8>) {
        let payload = [&[VERSION][..], &body].concat();
        if let Ok(message) = decode::<Response>(&payload) {
            prop_assert_eq!(decode(&encode(&message).expect("small")[HEADER_BYTES..]), Ok(message));
        }
        let _ = decode_frame::<Request>(&body);
    }
}
