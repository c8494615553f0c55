//! What a connection's bytes travel through, once it is open.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use super::Stream;
use crate::tls::{AcceptedTls, ClientIdentity, TlsLayer, TlsStream};

/// A stream of the runtime, as it is or behind TLS.
///
/// The proxy and its pools hold this, not the runtime's stream, so that a connection's layers are
/// chosen when it is opened and nowhere else.
pub enum Transport<S> {
    Plain(S),
    Tls(TlsStream<S>),
}

impl<S: Stream> Transport<S> {
    /// Closes in order, without waiting: over TLS says first that this is the end. What is only
    /// dropped looks cut off to a peer that speaks TLS.
    pub fn close(self) {
        match self {
            Self::Plain(stream) => drop(stream),
            Self::Tls(stream) => stream.close(),
        }
    }

    /// The TLS that a client speaks on it, if it does.
    pub fn client_tls(&self) -> Option<AcceptedTls<'_>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => AcceptedTls::of(stream.session(), stream.identity()),
        }
    }
}

/// What lies between a connection's stream and its bytes, kept while the stream is parked.
pub enum Layers {
    Plain,
    Tls(Box<TlsLayer>),
}

impl<S> Transport<S> {
    /// The stream and what lies over it, for a connection that is idle.
    pub fn take_apart(self) -> (S, Layers) {
        match self {
            Self::Plain(stream) => (stream, Layers::Plain),
            Self::Tls(stream) => {
                let (stream, layer) = stream.take_apart();
                (stream, Layers::Tls(layer))
            }
        }
    }

    /// The reverse of [`Transport::take_apart`].
    pub fn put_together(stream: S, layers: Layers) -> Self {
        match layers {
            Layers::Plain => Self::Plain(stream),
            Layers::Tls(layer) => Self::Tls(TlsStream::put_together(stream, layer)),
        }
    }

    /// Who the peer's certificate says it is, where one was asked for and shown.
    pub fn identity(&self) -> Option<&ClientIdentity> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.identity(),
        }
    }
}

impl<S> Transport<S> {
    /// On what terms the peer was let in; zero for plain text.
    pub fn terms(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Tls(stream) => stream.terms(),
        }
    }
}

impl<S: Stream> Stream for Transport<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_read(cx, buf),
            Self::Tls(stream) => stream.poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write(cx, buf),
            Self::Tls(stream) => stream.poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write_vectored(cx, bufs),
            Self::Tls(stream) => stream.poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_flush(cx),
            Self::Tls(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_shutdown(cx),
            Self::Tls(stream) => stream.poll_shutdown(cx),
        }
    }

    fn abort(self) {
        match self {
            Self::Plain(stream) => stream.abort(),
            Self::Tls(stream) => stream.abort(),
        }
    }
}
