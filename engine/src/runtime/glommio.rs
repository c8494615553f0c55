//! The production runtime: one glommio executor, and so one set of io_uring rings, per shard.
//!
//! What glommio 0.9 offers is used for readiness and scheduling; sockets are made and accepted
//! here, because its listener toggles flags that other shards may share, has a fixed backlog, and
//! its pending accepts can swallow a connection when they are cancelled.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::FutureExt;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};

use super::{Endpoint, Instant, Listener, Runtime, Stream, UnixNanos, os, ring};

mod parking;

pub use parking::GlommioParking;
use parking::Readiness;

/// Registered memory of an executor, which only files would use: glommio's least.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// How often the executor looks up from its tasks; by default a sleeping task may wait 200 ms.
pub(super) const PREEMPT: Duration = Duration::from_millis(1);
/// Accepts in a row before other tasks get their turn.
const ACCEPT_BURST: u32 = 16;
/// A longer sleep is taken in steps of this, so that suspend and far deadlines need no care.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Between attempts at a Unix socket whose backlog is full.
const UNIX_RETRY: Duration = Duration::from_millis(2);

/// A handle to the current thread's executor.
#[derive(Clone)]
pub struct GlommioRuntime {
    /// Keeps the handle on the thread whose rings it means.
    thread: PhantomData<Rc<()>>,
}

/// Runs what `f` makes on a new executor on this thread, tied to `cpu` if one is given, until it
/// is done. Ask [`probe`](super::probe::probe) first: glommio explains a lack badly.
///
/// # Errors
/// When the CPU cannot be had or the rings cannot be set up.
pub fn run<F: Future>(
    cpu: Option<usize>,
    f: impl FnOnce(GlommioRuntime) -> F,
) -> io::Result<F::Output> {
    ring::keep_in_link();
    let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .io_memory(IO_MEMORY_BYTES)
        .preempt_timer(PREEMPT)
        .make()
        .map_err(io::Error::from)?;
    Ok(executor.run(async { f(GlommioRuntime { thread: PhantomData }).await }))
}

/// A plain TCP or Unix connection.
pub struct GlommioStream {
    /// glommio's type only holds the descriptor, so a Unix socket goes in it as well as a TCP one.
    inner: TcpStream,
}

impl GlommioStream {
    fn new(socket: impl Into<OwnedFd>) -> Self {
        let descriptor = socket.into().into_raw_fd();
        // SAFETY: the descriptor is open and from here on belongs to the stream.
        Self { inner: unsafe { TcpStream::from_raw_fd(descriptor) } }
    }
}

impl AsFd for GlommioStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream keeps its descriptor open for as long as it lives.
        unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) }
    }
}

impl Stream for GlommioStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(sent) = os::send_vectored(&self.inner, bufs) {
            return Poll::Ready(sent);
        }
        // glommio has no vectored write; its plain one registers for readiness.
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[], |buf| buf))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.inner).poll_close(cx)) {
            // The peer has reset it already: there is nothing left to close.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }

    /// A Unix socket has no reset: its peer sees the end of the stream, or `ECONNRESET` when
    /// something it sent was unread.
    fn abort(self) {
        os::reset_on_close(&self);
    }
}

impl Drop for GlommioStream {
    fn drop(&mut self) {
        if std::thread::panicking() {
            os::reset_on_close(self);
        }
    }
}

/// A listening TCP socket.
pub struct GlommioListener {
    inner: std::net::TcpListener,
    readiness: Readiness,
    /// Accepts since the last wait.
    burst: Cell<u32>,
}

impl GlommioListener {
    /// Takes over a listening socket, made by a predecessor or by the service manager.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn adopt(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { inner: listener, readiness: Readiness::default(), burst: Cell::new(0) })
    }

    /// Waits until somebody may be there to accept. Cancelling it loses nothing: nothing was
    /// accepted.
    async fn readable(&self) -> io::Result<()> {
        self.burst.set(0);
        poll_fn(|cx| self.readiness.poll_readable(&self.inner, cx)).await
    }
}

impl Listener for GlommioListener {
    type Stream = GlommioStream;

    async fn accept(&self) -> io::Result<(GlommioStream, SocketAddr)> {
        if self.burst.replace(self.burst.get() + 1) >= ACCEPT_BURST {
            self.burst.set(0);
            yield_now().await;
        }
        loop {
            if let Some(accepted) = self.try_accept()? {
                return Ok(accepted);
            }
            self.readable().await?;
        }
    }

    fn try_accept(&self) -> io::Result<Option<(GlommioStream, SocketAddr)>> {
        let Some((socket, peer)) = os::accept(&self.inner)? else { return Ok(None) };
        socket2::SockRef::from(&socket).set_tcp_nodelay(true)?;
        Ok(Some((GlommioStream::new(socket), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Lets every other ready task run, and the executor look at its rings if it is time.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl GlommioRuntime {
    async fn open(&self, endpoint: &Endpoint) -> io::Result<GlommioStream> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let mut stream = GlommioStream::new(os::start_tcp(*address)?);
                // Sending nothing waits until the handshake is over, and reports how it ended.
                poll_fn(|cx| stream.poll_write(cx, &[])).await?;
                Ok(stream)
            }
            Endpoint::Unix(path) => self.open_unix(path).await,
        }
    }

    async fn open_unix(&self, path: &Path) -> io::Result<GlommioStream> {
        loop {
            match os::connect_unix(path) {
                Ok(socket) => return Ok(GlommioStream::new(socket)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Timer::new(UNIX_RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Runtime for GlommioRuntime {
    type Stream = GlommioStream;
    type Listener = GlommioListener;
    type Parking = GlommioParking;

    async fn bind(&self, address: SocketAddr) -> io::Result<GlommioListener> {
        GlommioListener::adopt(os::listen(address)?)
    }

    // Dropping the attempt drops its socket, and with it glommio's interest in it.
    async fn connect(&self, endpoint: &Endpoint, deadline: Instant) -> io::Result<GlommioStream> {
        let mut opening = pin!(self.open(endpoint));
        let mut expiry = pin!(self.sleep_until(deadline));
        poll_fn(|cx| {
            if expiry.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            opening.as_mut().poll(cx)
        })
        .await
    }

    fn parking(&self) -> io::Result<GlommioParking> {
        GlommioParking::new()
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        // A panic would unwind the executor and take every connection of the shard along. The
        // panic hook has reported it by the time it is caught.
        let contained = AssertUnwindSafe(future).catch_unwind().map(drop);
        glommio::spawn_local(contained).detach();
    }

    async fn sleep_until(&self, deadline: Instant) {
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            Timer::new(left.min(SLEEP_MAX)).await;
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
