//! What a connection's bytes travel through, once it is open.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use super::Stream;

/// A stream of the runtime, as it is.
///
/// The proxy and its pools hold this, not the runtime's stream, so that a connection's layers are
/// chosen when it is opened and nowhere else.
pub enum Transport<S> {
    Plain(S),
}

/// What lies between a connection's stream and its bytes, kept while the stream is parked.
pub enum Layers {
    Plain,
}

impl<S> Transport<S> {
    /// The stream and what lies over it, for a connection that is idle.
    pub fn take_apart(self) -> (S, Layers) {
        match self {
            Self::Plain(stream) => (stream, Layers::Plain),
        }
    }

    /// The reverse of [`Transport::take_apart`].
    #[expect(clippy::needless_pass_by_value, reason = "layers belong to one stream")]
    pub fn put_together(stream: S, layers: Layers) -> Self {
        match layers {
            Layers::Plain => Self::Plain(stream),
        }
    }
}

impl<S: Stream> Stream for Transport<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_shutdown(cx),
        }
    }

    fn abort(self) {
        match self {
            Self::Plain(stream) => stream.abort(),
        }
    }
}
