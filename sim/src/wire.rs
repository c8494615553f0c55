//! HTTP/1.1 messages on a simulated connection, as the mock clients and backends read them.
//!
//! The parser is the gateway's own, the way of reading is not: whole messages, held in memory.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Waker};
use std::time::Duration;

use thiserror::Error;
use weir_engine::runtime::Stream;
use weir_protocol::http::{ChunkError, ChunkedDecoder, HeadError, HeadLimits, HeadScanner};

use crate::runtime::SimStream;

pub(crate) const HEAD_LIMITS: HeadLimits =
    HeadLimits { head_bytes: 64 * 1024, target_bytes: 8 * 1024, fields: 128 };
/// A body longer than this is taken for a mistake of the scenario.
const BODY_BYTES_MAX: usize = 64 << 20;
const READ_BYTES: usize = 16 * 1024;
/// What is read at once in small pieces, and the pause before each.
const PIECE_BYTES: usize = 50;
const PIECE_PAUSE: Duration = Duration::from_millis(2);

/// Names the request to everyone who sees it.
pub(crate) const ID_FIELD: &str = "X-Sim-Id";
/// Names the backend that made an answer.
pub(crate) const BACKEND_FIELD: &str = "X-Sim-Backend";

/// Why no message could be read.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("closed before the first byte of an answer")]
    Closed,
    #[error("closed in the middle of a message")]
    Cut,
    #[error("malformed head: {0}")]
    Head(#[from] HeadError),
    #[error("malformed chunks: {0}")]
    Chunks(#[from] ChunkError),
    #[error("a body over {BODY_BYTES_MAX} bytes")]
    TooLong,
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A connection with what was read of it and not used yet.
pub(crate) struct Wire {
    stream: SimStream,
    buffer: Vec<u8>,
    in_pieces: bool,
}

impl Wire {
    pub(crate) fn new(stream: SimStream) -> Self {
        Self { stream, buffer: Vec::new(), in_pieces: false }
    }

    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.stream.poll_write(cx, bytes)).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Sends the end of the stream.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.stream.poll_shutdown(cx)).await
    }

    /// Breaks the connection off with a reset.
    pub(crate) fn abort(self) {
        self.stream.abort();
    }

    /// From now on reads little at a time, and slowly.
    pub(crate) fn read_in_pieces(&mut self) {
        self.in_pieces = true;
    }

    /// Waits for the first bytes of a message.
    pub(crate) async fn begin(&mut self) -> Result<(), WireError> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Err(WireError::Closed);
        }
        Ok(())
    }

    /// Waits until the other end closes, and returns how many bytes came before that.
    pub(crate) async fn read_to_end(&mut self) -> usize {
        // A connection that breaks has come to its end as well.
        while self.fill().await.is_ok_and(|count| count > 0) {}
        self.buffer.len()
    }

    /// Reads a head and takes it out of the buffer.
    pub(crate) async fn read_head(&mut self) -> Result<Vec<u8>, WireError> {
        let mut scanner = HeadScanner::default();
        loop {
            if let Some(end) = scanner.scan(&self.buffer, &HEAD_LIMITS)? {
                return Ok(self.buffer.drain(..end).collect());
            }
            let begun = !self.buffer.is_empty();
            if self.fill().await? == 0 {
                return Err(if begun { WireError::Cut } else { WireError::Closed });
            }
        }
    }

    /// Reads a body and takes it out of the buffer.
    pub(crate) async fn read_body(&mut self, framing: Framing) -> Result<Vec<u8>, WireError> {
        match framing {
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.fill_to(length).await?;
                Ok(self.buffer.drain(..length).collect())
            }
            Framing::Chunked => self.read_chunks().await,
            Framing::UntilClose => {
                while self.fill().await? > 0 {}
                Ok(std::mem::take(&mut self.buffer))
            }
        }
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, WireError> {
        let mut decoder = ChunkedDecoder::new();
        let mut body = Vec::new();
        loop {
            let decoded = decoder.decode(&mut self.buffer)?;
            body.extend_from_slice(&self.buffer[..decoded.payload]);
            self.buffer.drain(..decoded.consumed);
            if decoded.done {
                return Ok(body);
            }
            if body.len() > BODY_BYTES_MAX {
                return Err(WireError::TooLong);
            }
            if self.fill().await? == 0 {
                return Err(WireError::Cut);
            }
        }
    }

    async fn fill_to(&mut self, length: usize) -> Result<(), WireError> {
        if length > BODY_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        while self.buffer.len() < length {
            if self.fill().await? == 0 {
                return Err(WireError::Cut);
            }
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<usize, WireError> {
        if self.buffer.len() > BODY_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let mut bytes = [0; READ_BYTES];
        let most = if self.in_pieces { PIECE_BYTES } else { READ_BYTES };
        if self.in_pieces {
            tokio::time::sleep(PIECE_PAUSE).await;
        }
        let count = poll_fn(|cx| self.stream.poll_read(cx, &mut bytes[..most])).await?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Bytes that were read and that no message claimed.
    pub(crate) fn unclaimed(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the connection is open and nothing came on it: it can carry another request.
    pub(crate) fn is_quiet(&mut self) -> Quiet {
        if !self.buffer.is_empty() {
            return Quiet::Spoken(self.buffer.len());
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self.stream.poll_read(&mut cx, &mut [0; 1]) {
            std::task::Poll::Pending => Quiet::Yes,
            std::task::Poll::Ready(Ok(count)) if count > 0 => Quiet::Spoken(count),
            std::task::Poll::Ready(_) => Quiet::Closed,
        }
    }
}

/// What an idle connection turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quiet {
    Yes,
    Closed,
    /// Bytes came that nobody asked for.
    Spoken(usize),
}

/// A body that shows whose it is: the request's id over and over.
pub(crate) fn pattern(id: &str, length: usize) -> Vec<u8> {
    id.bytes().chain(std::iter::once(b' ')).cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_tells_requests_apart() {
        assert_eq!(pattern("a.1", 6), b"a.1 a.");
        assert_ne!(pattern("a.1", 64), pattern("a.2", 64));
        assert!(pattern("a.1", 0).is_empty());
    }
}
