//! From the framing that a body came in to the one that it leaves in.

use weir_protocol::http::{CHUNK_END, LAST_CHUNK, chunk_header};

use super::{Pump, PumpError, Sink, Source};
use crate::shard::Input;

/// Payloads up to this size are copied behind the head: one `send` of one piece costs less than a
/// gathered one.
const COALESCE_BYTES_MAX: usize = 4096;

impl Pump {
    /// Turns buffered input into payload, with its framing around it.
    pub(super) fn prepare(&mut self) -> Result<(), PumpError> {
        let available = self.input.as_ref().map_or(0, Input::len);
        let mut announced = 0;
        match &mut self.source {
            Source::Length(remaining) => {
                let take = usize::try_from(*remaining).map_or(available, |r| r.min(available));
                *remaining -= take as u64;
                self.source_ended = *remaining == 0;
                (self.payload, self.consumed) = (take, take);
            }
            Source::UntilClose => (self.payload, self.consumed) = (available, available),
            Source::Chunked(decoder) => {
                let Some(input) = &mut self.input else { return Ok(()) };
                let decoded = decoder.decode(input.data_mut()).map_err(PumpError::Framing)?;
                self.source_ended = decoded.done;
                (self.payload, self.consumed) = (decoded.payload, decoded.consumed);
                announced = decoder.announced();
            }
        }
        self.body_bytes += self.payload as u64;
        // A chunk too large is refused when it says so, before its bytes are waited for.
        if self.body_bytes.saturating_add(announced) > self.body_bytes_max {
            return Err(PumpError::TooLarge);
        }
        if let Some(throttle) = &mut self.throttle {
            throttle.charge(self.payload as u64);
        }
        self.frame();
        Ok(())
    }

    /// Writes the sink's framing around the payload, and copies a small payload behind the head.
    fn frame(&mut self) {
        if self.out_at == self.out.len() {
            self.out.clear();
            self.out_at = 0;
        }
        if self.sink == Sink::Chunked && self.payload > 0 {
            let mut digits = [0; 18];
            self.out.extend_from_slice(chunk_header(self.payload, &mut digits));
            self.tail = CHUNK_END;
        }
        if self.payload <= COALESCE_BYTES_MAX && (self.out_at < self.out.len() || self.source_ended)
        {
            if let Some(input) = &self.input {
                self.out.extend_from_slice(&input.data()[..self.payload]);
            }
            self.out.extend_from_slice(self.tail);
            self.tail = b"";
            self.payload = 0;
            self.release(0);
            if self.source_ended {
                self.end_sink();
            }
        } else if self.payload == 0 {
            // Framing without payload: part of a chunk's header, say.
            self.release(0);
        }
    }

    /// The last chunk and the trailer section, once everything before them stands in `out`.
    pub(super) fn end_sink(&mut self) {
        if self.sink != Sink::Chunked {
            return;
        }
        self.sink = Sink::Identity;
        match &self.source {
            Source::Chunked(decoder) if !decoder.trailers().is_empty() => {
                self.out.extend_from_slice(b"0\r\n");
                self.out.extend_from_slice(decoder.trailers());
                self.out.extend_from_slice(b"\r\n");
            }
            _ => self.out.extend_from_slice(LAST_CHUNK),
        }
    }
}
