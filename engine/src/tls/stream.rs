//! A TLS connection over any [`Stream`].
//!
//! Invariants:
//! - reading never waits for room to write: only a handshake and a fatal alert make it send;
//! - what was written and not taken by the socket is bounded by rustls' buffer limit, and nothing
//!   more is accepted before it has left;
//! - the end of the socket without `close_notify` is [`io::ErrorKind::UnexpectedEof`], so that a
//!   message that ends at the close cannot be cut short unnoticed (RFC 8446 section 6.1).

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::ClientIdentity;
use crate::runtime::Stream;

/// Readers with less room than this get their bytes by way of rustls' own buffer.
const BORROW_BYTES_MIN: usize = 1024;
/// Read at once into a reader's buffer: a full record, and less than what makes rustls push back.
const BORROW_BYTES_MAX: usize = 16 * 1024 + 256;

pub struct TlsStream<S> {
    inner: S,
    layer: Box<TlsLayer>,
}

/// A connection without its stream: all that TLS knows of it.
pub struct TlsLayer {
    session: Connection,
    /// Who the client has proved to be.
    identity: Option<Box<ClientIdentity>>,
    /// Those of the listener when it shook hands.
    terms: u64,
    /// The socket took less than it was given; that goes out before anything else is accepted.
    blocked: bool,
    /// Half-closed by this side.
    ended: bool,
    /// Received something that no peer may send: nothing is read any more.
    broken: bool,
}

impl<S> TlsStream<S> {
    /// The stream and what is over it, for a connection that is idle.
    pub fn take_apart(self) -> (S, Box<TlsLayer>) {
        (self.inner, self.layer)
    }

    /// The reverse of [`TlsStream::take_apart`].
    pub fn put_together(inner: S, layer: Box<TlsLayer>) -> Self {
        Self { inner, layer }
    }

    /// Who the client has proved to be, as far as [`TlsStream::identify`] was told.
    pub fn identity(&self) -> Option<&ClientIdentity> {
        self.layer.identity.as_deref()
    }

    pub fn identify(&mut self, identity: ClientIdentity) {
        self.layer.identity = Some(Box::new(identity));
    }

    /// What [`TlsStream::agree`] was told; zero without.
    pub fn terms(&self) -> u64 {
        self.layer.terms
    }

    pub fn agree(&mut self, terms: u64) {
        self.layer.terms = terms;
    }
}

impl<S: Stream> TlsStream<S> {
    /// The server's side, before its handshake.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn accept(inner: S, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self::new(inner, ServerConnection::new(config)?.into()))
    }

    /// The client's side, before its handshake, to a server that goes by `name`.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn connect(
        inner: S,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        Ok(Self::new(inner, ClientConnection::new(config, name)?.into()))
    }

    fn new(inner: S, session: Connection) -> Self {
        let (identity, terms) = (None, 0);
        let layer =
            TlsLayer { session, identity, terms, blocked: false, ended: false, broken: false };
        Self { inner, layer: Box::new(layer) }
    }

    /// The state of the connection, once its handshake is over.
    pub fn session(&self) -> &Connection {
        &self.layer.session
    }

    /// Shakes hands. A refusal by either side is [`io::ErrorKind::InvalidData`] around the
    /// [`rustls::Error`]; see [`describe`].
    ///
    /// A server's last flight of TLS 1.3 is only tickets, which wait for the first answer and leave
    /// with it.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.layer.session.is_handshaking() {
            ready!(self.poll_send(cx))?;
            if self.layer.session.is_handshaking() {
                let mut io = Io { stream: &mut self.inner, cx };
                match self.layer.session.read_tls(&mut io) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) => self.process(cx)?,
                    Err(error) => return pending_or(error),
                }
            }
        }
        let only_tickets = matches!(&self.layer.session, Connection::Server(session)
            if session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3));
        if only_tickets { Poll::Ready(Ok(())) } else { self.poll_send(cx) }
    }

    /// Closes without waiting: says that this is the end, if the socket takes it. A stream that is
    /// only dropped looks cut off to its peer.
    pub fn close(mut self) {
        if !self.layer.ended && !self.layer.session.is_handshaking() {
            self.layer.session.send_close_notify();
            // What does not fit now is the peer's loss, who has not read for long.
            let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Hands received records to rustls. After an error, tells the peer why, once, if there is room.
    fn process(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.layer.session.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => {
                self.layer.broken = true;
                let _ = self.poll_send(cx);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Writes out every finished record.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.layer.session.wants_write() {
            let mut io = Io { stream: &mut self.inner, cx };
            match self.layer.session.write_tls(&mut io) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) => return pending_or(error),
            }
        }
        self.layer.blocked = false;
        self.inner.poll_flush(cx)
    }

    /// Encrypts what `write` gives to rustls and sends as much as the socket takes.
    fn poll_encrypt(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.layer.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.layer.blocked {
            ready!(self.poll_send(cx))?;
        }
        let count = write(&mut self.layer.session.writer())?;
        match self.poll_send(cx) {
            Poll::Ready(result) => result?,
            Poll::Pending => self.layer.blocked = true,
        }
        Poll::Ready(Ok(count))
    }

    /// Decrypted bytes that are here, or `None`; zero is the peer's half-close.
    fn take(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match self.layer.session.reader().read(buf) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads from the socket once and decrypts; what could be decrypted into `buf`, which borrows
    /// its room to the ciphertext meanwhile, is counted.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.layer.broken {
            return Poll::Ready(self.process(cx).map(|()| 0));
        }
        if buf.len() < BORROW_BYTES_MIN {
            let mut io = Io { stream: &mut self.inner, cx };
            return match self.layer.session.read_tls(&mut io) {
                Ok(_) => Poll::Ready(self.process(cx).map(|()| 0)),
                Err(error) => pending_or(error),
            };
        }
        let room = buf.len().min(BORROW_BYTES_MAX);
        let filled = ready!(self.inner.poll_read(cx, &mut buf[..room]))?;
        Poll::Ready(self.decrypt(cx, buf, filled))
    }

    /// Decrypts the first `filled` bytes of `buf` in portions, and puts plaintext where ciphertext
    /// has gone. Plaintext is never longer, and what an earlier read left of a record is at most
    /// one record's worth, so rustls' buffer never fills up.
    fn decrypt(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        filled: usize,
    ) -> io::Result<usize> {
        let (mut taken, mut plain) = (0, 0);
        loop {
            // An empty read tells rustls of the end of the socket.
            let count = self.layer.session.read_tls(&mut &buf[taken..filled])?;
            taken += count;
            self.process(cx)?;
            if plain < taken {
                plain += self.take(&mut buf[plain..taken]).or_else(unless(plain))?.unwrap_or(0);
            }
            // Behind a close_notify rustls takes nothing, and nothing counts.
            if count == 0 || taken == filled {
                return Ok(plain);
            }
        }
    }
}

/// An error that comes with the bytes before it is for the next read to report.
fn unless(plain: usize) -> impl FnOnce(io::Error) -> io::Result<Option<usize>> {
    move |error| if plain > 0 { Ok(None) } else { Err(error) }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if let Some(count) = self.take(buf)? {
                return Poll::Ready(Ok(count));
            }
            let count = ready!(self.poll_fill(cx, buf))?;
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_encrypt(cx, |writer| writer.write(buf))
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_encrypt(cx, |writer| writer.write_vectored(bufs))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.layer.session.wants_write() {
            self.poll_send(cx)
        } else {
            self.inner.poll_flush(cx)
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.layer.ended {
            self.layer.ended = true;
            self.layer.session.send_close_notify();
        }
        ready!(self.poll_send(cx))?;
        self.inner.poll_shutdown(cx)
    }

    fn abort(self) {
        self.inner.abort();
    }
}

/// What went wrong in a handshake, for the operator: not for a peer.
pub fn describe(error: &io::Error) -> String {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (reason, error.kind()) {
        (Some(reason), _) => reason.to_string(),
        (None, io::ErrorKind::UnexpectedEof) => "it closed during the handshake".to_owned(),
        (None, io::ErrorKind::TimedOut) => "the handshake took too long".to_owned(),
        (None, _) => error.to_string(),
    }
}

fn pending_or<T>(error: io::Error) -> Poll<io::Result<T>> {
    if error.kind() == io::ErrorKind::WouldBlock {
        return Poll::Pending;
    }
    Poll::Ready(Err(error))
}

/// Lends a polled stream to rustls, which knows [`Read`] and [`Write`].
struct Io<'a, 'w, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'w>,
}

impl<S: Stream> Read for Io<'_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        would_block(self.stream.poll_read(self.cx, buf))
    }
}

impl<S: Stream> Write for Io<'_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        would_block(self.stream.poll_write(self.cx, buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match bufs {
            // One record is what an answer usually is; one piece costs less than a gathered one.
            [only] => self.write(only),
            several => would_block(self.stream.poll_write_vectored(self.cx, several)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        would_block(self.stream.poll_flush(self.cx))
    }
}

fn would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

#[cfg(test)]
mod tests;
