//! Of any bytes: split anywhere, they decode to the same payload, end or fault; the decoder keeps
//! to its buffer; and a body that ends is the same body to every other reader.

use weir_protocol::http::{CHUNK_END, ChunkError, ChunkedDecoder, LAST_CHUNK_LINE, chunk_header};

use super::independent_chunked::chunked;

/// What came of a body, however it was split.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    payload: Vec<u8>,
    consumed: usize,
    done: bool,
    trailers: Vec<u8>,
}

pub(crate) fn check(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for step in [1, 2, 5, 16] {
        assert_eq!(decode(data, step), whole, "in steps of {step}");
    }
    let Ok(outcome) = whole else { return };
    if !outcome.done {
        assert_eq!(outcome.consumed, data.len());
        return;
    }
    for strictly in [true, false] {
        let read = chunked(data, strictly);
        assert_eq!(read.as_ref(), Some(&(outcome.payload.clone(), outcome.consumed)));
    }
    check_round_trip(&outcome);
}

fn decode(data: &[u8], step: usize) -> Result<Outcome, ChunkError> {
    let mut decoder = ChunkedDecoder::new();
    let mut outcome =
        Outcome { payload: Vec::new(), consumed: 0, done: false, trailers: Vec::new() };
    for part in data.chunks(step) {
        let mut buf = part.to_vec();
        let decoded = decoder.decode(&mut buf)?;
        assert!(decoded.payload <= decoded.consumed && decoded.consumed <= part.len());
        assert!(decoded.done || decoded.consumed == part.len());
        assert_eq!(buf[decoded.consumed..], part[decoded.consumed..], "of the next message");
        outcome.payload.extend_from_slice(&buf[..decoded.payload]);
        outcome.consumed += decoded.consumed;
        outcome.done = decoded.done;
        if decoded.done {
            break;
        }
    }
    outcome.trailers = decoder.trailers().to_vec();
    Ok(outcome)
}

/// As the gateway sends it on.
fn check_round_trip(outcome: &Outcome) {
    let mut body = Vec::new();
    for part in outcome.payload.chunks(11) {
        body.extend_from_slice(chunk_header(part.len(), &mut [0; 18]));
        body.extend_from_slice(part);
        body.extend_from_slice(CHUNK_END);
    }
    body.extend_from_slice(LAST_CHUNK_LINE);
    body.extend_from_slice(&outcome.trailers);
    body.extend_from_slice(b"\r\n");
    let again = decode(&body, body.len()).expect("what was read can be written");
    assert_eq!((&again.payload, &again.trailers), (&outcome.payload, &outcome.trailers));
    assert!(again.done && again.consumed == body.len());
}
