//! The runtime for hosts and containers where io_uring is forbidden: tokio's epoll reactor, one
//! thread and one `LocalSet` per shard.

use std::future::Future;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::{Endpoint, Instant, Listener, Runtime, Stream, UnixNanos, os};

mod parking;

pub use parking::EpollParking;

/// A longer sleep is taken in steps of this, so that suspend and far deadlines need no care.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Between attempts at a Unix socket whose backlog is full.
const UNIX_RETRY: Duration = Duration::from_millis(2);

/// A handle to the current thread's executor.
#[derive(Clone)]
pub struct EpollRuntime {
    /// Keeps the handle on the thread whose reactor it means.
    thread: PhantomData<Rc<()>>,
}

/// Runs what `f` makes on a new executor on this thread, tied to `cpu` if one is given, until it
/// is done; tasks spawned and unfinished are dropped then.
///
/// # Errors
/// When the CPU cannot be had, or the kernel gives no epoll descriptor.
pub fn run<F: Future>(
    cpu: Option<usize>,
    f: impl FnOnce(EpollRuntime) -> F,
) -> io::Result<F::Output> {
    if let Some(cpu) = cpu {
        os::pin_current_thread(cpu)?;
    }
    let reactor =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let tasks = tokio::task::LocalSet::new();
    Ok(tasks.block_on(&reactor, async { f(EpollRuntime { thread: PhantomData }).await }))
}

/// A plain TCP or Unix connection.
pub enum EpollStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Does the same with whichever socket it is.
macro_rules! each {
    ($stream:expr, $socket:ident => $body:expr) => {
        match $stream {
            EpollStream::Tcp($socket) => $body,
            EpollStream::Unix($socket) => $body,
        }
    };
}

impl Stream for EpollStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(each!(self, socket => Pin::new(socket).poll_read(cx, &mut buf)))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }

    /// A Unix socket has no reset: its peer sees the end of the stream, or `ECONNRESET` when
    /// something it sent was unread.
    fn abort(self) {
        each!(&self, socket => os::reset_on_close(socket));
    }
}

impl Drop for EpollStream {
    fn drop(&mut self) {
        if std::thread::panicking() {
            each!(self, socket => os::reset_on_close(socket));
        }
    }
}

/// A listening TCP socket.
pub struct EpollListener {
    inner: TcpListener,
}

impl EpollListener {
    /// Takes over a listening socket, made by a predecessor or by the service manager. Must be
    /// called on the executor's thread.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking or registered.
    pub fn adopt(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { inner: TcpListener::from_std(listener)? })
    }
}

impl Listener for EpollListener {
    type Stream = EpollStream;

    // tokio's cooperative budget makes this yield after a burst, so a full backlog cannot starve
    // the connections already here.
    async fn accept(&self) -> io::Result<(EpollStream, SocketAddr)> {
        let (stream, peer) = self.inner.accept().await?;
        stream.set_nodelay(true)?;
        Ok((EpollStream::Tcp(stream), peer))
    }

    fn try_accept(&self) -> io::Result<Option<(EpollStream, SocketAddr)>> {
        let Some((socket, peer)) = os::accept(&self.inner)? else { return Ok(None) };
        let stream = TcpStream::from_std(socket.into())?;
        stream.set_nodelay(true)?;
        Ok(Some((EpollStream::Tcp(stream), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl EpollRuntime {
    async fn open(&self, endpoint: &Endpoint) -> io::Result<EpollStream> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(EpollStream::Tcp(stream))
            }
            Endpoint::Unix(path) => self.open_unix(path).await,
        }
    }

    async fn open_unix(&self, path: &Path) -> io::Result<EpollStream> {
        loop {
            match os::connect_unix(path) {
                Ok(socket) => return Ok(EpollStream::Unix(UnixStream::from_std(socket.into())?)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(UNIX_RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Runtime for EpollRuntime {
    type Stream = EpollStream;
    type Listener = EpollListener;
    type Parking = EpollParking;

    async fn bind(&self, address: SocketAddr) -> io::Result<EpollListener> {
        EpollListener::adopt(os::listen(address)?)
    }

    async fn connect(&self, endpoint: &Endpoint, deadline: Instant) -> io::Result<EpollStream> {
        tokio::select! {
            biased;
            () = self.sleep_until(deadline) => Err(io::ErrorKind::TimedOut.into()),
            opened = self.open(endpoint) => opened,
        }
    }

    fn parking(&self) -> io::Result<EpollParking> {
        EpollParking::new()
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(future);
    }

    async fn sleep_until(&self, deadline: Instant) {
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }

    fn now(&self) -> Instant {
        os::now()
    }

    fn wall(&self) -> UnixNanos {
        os::wall()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        os::fill_random(bytes);
    }
}
