//! Moves one message body from where it comes from to where it goes, with backpressure: nothing is
//! read while something waits to be written, so a body of any size holds one buffer.
//!
//! The message's head rides along as the first bytes to write, so that a small message leaves in
//! one system call.

mod frame;

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use weir_protocol::http::{ChunkError, ChunkedDecoder};

use super::throttle::Throttle;
use crate::runtime::{Instant, Stream};
use crate::shard::{Buffers, Class, Input, Output};

/// How the body is framed where it comes from.
pub(super) enum Source {
    /// Exactly so many bytes more; zero for a message without a body.
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    /// Everything until the peer closes; responses only (RFC 9112 section 6.3, rule 8).
    UntilClose,
}

/// How it is framed where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// The bytes as they are: the length was announced, or the close ends them.
    Identity,
    Chunked,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PumpError {
    #[error("reading the body: {0}")]
    Read(io::Error),
    #[error("the body ended before its length")]
    Truncated,
    #[error("the body's chunks: {0}")]
    Framing(ChunkError),
    #[error("the body is larger than the limit")]
    TooLarge,
    #[error("writing the body: {0}")]
    Write(io::Error),
}

/// Which side a pump waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitsFor {
    Source,
    Sink,
    /// Neither: a limit holds the bytes back.
    Throttle,
}

pub(super) struct Pump {
    buffers: Buffers,
    /// To be written before the payload: a head, a chunk's header.
    out: Output,
    out_at: usize,
    /// Bytes read and not yet passed on. The first `payload` of them are ready to be written, and
    /// stand for `consumed` bytes of framed input.
    input: Option<Input>,
    payload: usize,
    consumed: usize,
    /// To be written after the payload.
    tail: &'static [u8],
    source: Source,
    sink: Sink,
    source_ended: bool,
    body_bytes: u64,
    body_bytes_max: u64,
    written_bytes: u64,
    progressed: bool,
    /// What holds the body back; hardly ever there.
    throttle: Option<Box<Throttle>>,
}

impl Pump {
    /// `out` is written first; `input` holds what was already read of the body.
    pub(super) fn new(
        buffers: &Buffers,
        out: Output,
        input: Option<Input>,
        source: Source,
        sink: Sink,
        body_bytes_max: u64,
    ) -> Self {
        Self {
            buffers: buffers.clone(),
            out,
            out_at: 0,
            input,
            payload: 0,
            consumed: 0,
            tail: b"",
            source,
            sink,
            source_ended: false,
            body_bytes: 0,
            body_bytes_max,
            written_bytes: 0,
            progressed: false,
            throttle: None,
        }
    }

    /// Has the body held back. So many of its bytes stand behind the head already.
    pub(super) fn hold_back(&mut self, mut throttle: Throttle, already: usize) {
        throttle.charge(already as u64);
        self.throttle = Some(Box::new(throttle));
    }

    /// Until when the body is held back.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.throttle.as_ref().and_then(|throttle| throttle.until())
    }

    /// Hands over what was already read of the body.
    pub(super) fn give(&mut self, input: Option<Input>) {
        self.input = input;
    }

    /// Ready when the whole message was written and flushed.
    pub(super) fn poll<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut A,
        to: &mut B,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            if !self.source_ended && self.payload == 0 && self.tail.is_empty() {
                self.prepare()?;
            }
            if self.is_held(cx) {
                return self.poll_flush(cx, to);
            }
            if self.has_unwritten() {
                ready!(self.poll_write(cx, to)).map_err(PumpError::Write)?;
            } else if self.source_ended {
                return to.poll_flush(cx).map_err(PumpError::Write);
            } else if let Poll::Ready(filled) = self.poll_fill(cx, from) {
                filled?;
            } else {
                return self.poll_flush(cx, to);
            }
        }
    }

    /// What a layer below has accepted must not wait for what comes next. Never ready but with an
    /// error.
    fn poll_flush<B: Stream>(
        &self,
        cx: &mut Context<'_>,
        to: &mut B,
    ) -> Poll<Result<(), PumpError>> {
        match to.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(PumpError::Write(error))),
            _ => Poll::Pending,
        }
    }

    #[inline]
    fn is_held(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(throttle) = &mut self.throttle else { return false };
        match throttle.poll(cx) {
            Poll::Pending => true,
            Poll::Ready(was_held) => {
                self.progressed |= was_held;
                false
            }
        }
    }

    /// Body bytes passed on so far, without framing.
    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Bytes written so far: head, framing and body.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Whether bytes moved since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progressed)
    }

    /// A message that has ended may still wait to be flushed.
    pub(super) fn waits_for(&self) -> WaitsFor {
        if self.held_until().is_some() {
            return WaitsFor::Throttle;
        }
        let for_sink = self.has_unwritten() || self.source_ended;
        if for_sink { WaitsFor::Sink } else { WaitsFor::Source }
    }

    /// What was read behind the end of the body: the start of the next message, or a peer's error.
    pub(super) fn take_rest(&mut self) -> Option<Input> {
        self.input.take().filter(|input| !input.is_empty())
    }

    /// Whether there is something that [`Pump::take_rest`] would return.
    pub(super) fn has_rest(&self) -> bool {
        self.input.as_ref().is_some_and(|input| !input.is_empty())
    }

    fn has_unwritten(&self) -> bool {
        self.out_at < self.out.len() || self.payload > 0 || !self.tail.is_empty()
    }

    fn poll_write<B: Stream>(&mut self, cx: &mut Context<'_>, to: &mut B) -> Poll<io::Result<()>> {
        let head = &self.out[self.out_at..];
        let written = if self.payload == 0 && self.tail.is_empty() {
            ready!(to.poll_write(cx, head))?
        } else {
            let payload = self.input.as_ref().map_or(&[][..], |i| &i.data()[..self.payload]);
            let message = head.chain(payload).chain(self.tail);
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = message.chunks_vectored(&mut slices);
            ready!(to.poll_write_vectored(cx, &slices[..filled]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.progressed = true;
        self.written_bytes += written as u64;
        self.wrote(written);
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, written: usize) {
        let head = written.min(self.out.len() - self.out_at);
        self.out_at += head;
        let payload = (written - head).min(self.payload);
        self.payload -= payload;
        self.tail = &self.tail[written - head - payload..];
        if payload > 0 {
            self.release(payload);
        }
        if !self.has_unwritten() {
            self.out.clear();
            self.out_at = 0;
            if self.source_ended {
                self.end_sink();
            }
        }
    }

    /// Lets go of `payload` written bytes, and of the framing behind them once all are written.
    fn release(&mut self, payload: usize) {
        let Some(input) = &mut self.input else { return };
        let framed = if self.payload == 0 { self.consumed } else { payload };
        input.consume(framed);
        self.consumed -= framed;
    }

    fn poll_fill<A: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut A,
    ) -> Poll<Result<(), PumpError>> {
        let (class, most) = self.wanted();
        let mut input = match self.input.take() {
            Some(mut input) if !input.is_empty() => {
                input.make_room();
                input
            }
            Some(input) if input.capacity() >= class as usize => input,
            _ => self.buffers.input(class),
        };
        let space = input.space();
        let space_len = space.len().min(most);
        let count = match from.poll_read(cx, &mut space[..space_len]) {
            Poll::Ready(result) => result.map_err(PumpError::Read)?,
            Poll::Pending => {
                // An idle body holds no buffer.
                self.input = (!input.is_empty()).then_some(input);
                return Poll::Pending;
            }
        };
        input.filled(count);
        self.input = Some(input);
        self.progressed = true;
        match (count, &self.source) {
            (0, Source::UntilClose) => self.end_at_close(),
            (0, _) => return Poll::Ready(Err(PumpError::Truncated)),
            _ => {}
        }
        Poll::Ready(Ok(()))
    }

    fn end_at_close(&mut self) {
        self.source_ended = true;
        self.end_sink();
    }

    /// The class of the next buffer, and how many bytes may be read: never past a known length,
    /// so that a pipelined request stays in the socket.
    fn wanted(&self) -> (Class, usize) {
        match self.source {
            Source::Length(remaining) => {
                let most = usize::try_from(remaining).unwrap_or(usize::MAX);
                (Class::holding(most), most)
            }
            _ if self.body_bytes > Class::Medium as u64 => (Class::Large, usize::MAX),
            _ => (Class::Medium, usize::MAX),
        }
    }
}
