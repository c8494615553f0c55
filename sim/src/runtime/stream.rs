//! A simulated connection.
//!
//! turmoil lacks three things that Linux does, which are added here:
//! - **Resets.** Its only reset is the one for unread data. An abort leaves a mark in a table that
//!   both ends can see, and closes; when the end of the stream arrives at the peer, the mark turns
//!   it into `ConnectionReset`. So a reset takes the network's time and is lost with a partition,
//!   as a real one. What was written before it still arrives, which a real reset only permits.
//! - **Short writes**, at points drawn from a source of the stream's own.
//! - **An end of stream for a full connection.** turmoil forgets an end (FIN) that arrives when the
//!   receiver's queue is full. So an end waits until there is room, after a drop too.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use turmoil::net::TcpStream;
use weir_engine::runtime::Stream;

use super::{HostShared, Randomness};

/// The most that one write takes; as turmoil counts segments and not bytes, it bounds a
/// connection's buffers.
const SEGMENT_BYTES: usize = 16 * 1024;
/// One write in this many is cut short.
const SHORT_WRITE_ONE_IN: usize = 8;
/// How long a closed connection's end waits for a peer that does not read, as Linux gives up on an
/// orphan.
const CLOSING_MAX: Duration = Duration::from_secs(60);

/// Directions of connections, written (host if loopback, from, to), that were aborted.
pub(super) type Resets = BTreeSet<(String, SocketAddr, SocketAddr)>;

/// A connection of a simulated host.
pub struct SimStream {
    /// There until the drop.
    inner: Option<TcpStream>,
    host: Rc<HostShared>,
    local: SocketAddr,
    peer: SocketAddr,
    random: Randomness,
    ended: bool,
    reset: bool,
}

impl SimStream {
    pub(super) fn new(inner: TcpStream, host: &Rc<HostShared>) -> io::Result<Self> {
        let (local, peer) = (inner.local_addr()?, inner.peer_addr()?);
        Ok(Self {
            inner: Some(inner),
            host: Rc::clone(host),
            local,
            peer,
            random: host.net_randomness(&format!("{local} {peer}")),
            ended: false,
            reset: false,
        })
    }

    /// A stream made by accepting: the moment at which neither end has done anything yet.
    pub(super) fn accepted(inner: TcpStream, host: &Rc<HostShared>) -> io::Result<Self> {
        let stream = Self::new(inner, host)?;
        // Left by an earlier connection of the same addresses, whose reader never came to be.
        stream.take_reset();
        let outward = stream.direction(stream.local, stream.peer);
        host.net.resets.borrow_mut().remove(&outward);
        Ok(stream)
    }

    fn inner(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.inner.as_mut().expect("taken only by the drop"))
    }

    /// Whether there is something to read, or the end; if not, wakes when there is.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reset {
            return Poll::Ready(());
        }
        let mut byte = [0];
        let inner = self.inner.as_mut().expect("taken only by the drop");
        // An error is for the read that follows to report.
        inner.poll_peek(cx, &mut ReadBuf::new(&mut byte)).map(drop)
    }

    /// Loopback addresses mean another place on each host.
    fn direction(&self, from: SocketAddr, to: SocketAddr) -> (String, SocketAddr, SocketAddr) {
        let host = if from.ip().is_loopback() { self.host.name.as_str() } else { "" };
        (host.to_owned(), from, to)
    }

    /// Whether the peer has aborted; asked once.
    fn take_reset(&self) -> bool {
        let direction = self.direction(self.peer, self.local);
        self.host.net.resets.borrow_mut().remove(&direction)
    }

    /// Makes the coming close a reset.
    fn mark_reset(&self) {
        // After a half-close the peer has seen the end already, and notices by writing only.
        if !self.ended {
            let direction = self.direction(self.local, self.peer);
            self.host.net.resets.borrow_mut().insert(direction);
        }
    }

    /// How much of `length` bytes the next write may take.
    fn cut(&mut self, length: usize) -> usize {
        let most = length.min(SEGMENT_BYTES);
        if most > 1 && self.random.below(SHORT_WRITE_ONE_IN) == 0 {
            1 + self.random.below(most - 1)
        } else {
            most
        }
    }
}

impl Stream for SimStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let wanted = buf.len();
        let mut buf = ReadBuf::new(buf);
        ready!(self.inner().poll_read(cx, &mut buf))?;
        let count = buf.filled().len();
        if count == 0 && wanted > 0 && self.take_reset() {
            self.reset = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // Drawn only for a write that happens, or a spurious wake-up would shift later draws.
        if !buf.is_empty() && !self.ended && !has_room(self.inner().get_mut(), cx) {
            return Poll::Pending;
        }
        let count = self.cut(buf.len());
        self.inner().poll_write(cx, &buf[..count])
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = Vec::new();
        for buf in bufs {
            let room = SEGMENT_BYTES - gathered.len();
            gathered.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        self.poll_write(cx, &gathered)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        if !has_room(self.inner().get_mut(), cx) {
            return Poll::Pending;
        }
        self.ended = true;
        match ready!(self.inner().poll_shutdown(cx)) {
            // The peer has reset it already: there is nothing left to close.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }

    fn abort(self) {
        self.mark_reset();
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        // A mark for this end has nobody left to read it.
        self.take_reset();
        if std::thread::panicking() {
            self.mark_reset();
        }
        let Some(inner) = self.inner.take() else { return };
        if !self.ended && !has_room(&inner, &mut Context::from_waker(Waker::noop())) {
            // Without a closer (the host is going down) the stream is dropped with the message.
            let _ = self.host.closing.send(inner);
        }
    }
}

/// Whether the connection takes another segment now; if not, wakes when it does.
fn has_room(stream: &TcpStream, cx: &mut Context<'_>) -> bool {
    // An error is for the operation that follows to report.
    pin!(stream.writable()).poll(cx).is_ready()
}

/// A task of the host that ends connections which were dropped while they were full.
pub(super) fn spawn_closer() -> mpsc::UnboundedSender<TcpStream> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<TcpStream>();
    tokio::task::spawn_local(async move {
        while let Some(stream) = receiver.recv().await {
            tokio::task::spawn_local(async move {
                // Either way the stream is dropped then, which sends its end.
                let _ = tokio::time::timeout(CLOSING_MAX, stream.writable()).await;
            });
        }
    });
    sender
}
