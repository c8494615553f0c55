//! The seam between the engine and the machine under it.
//!
//! Everything above this module is generic over [`Runtime`] and exists once; the instances are
//! [`glommio`](mod@self::glommio) and [`epoll`] here, and the simulated one in the `weir-sim`
//! crate, so that the engine never links a simulator.
//!
//! Invariants:
//! - time, wall clock and randomness come from here only (`clippy.toml` forbids the others);
//! - byte movement is poll-level, so that one task can drive both directions of an exchange;
//!   everything else is async;
//! - nothing that simulated shards run keeps state in a thread-local, because they share a thread.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::task::{Context, Poll};

pub mod conformance;
pub mod descriptors;
pub mod epoll;
mod epoll_set;
pub mod glommio;
pub mod os;
mod parking;
pub mod probe;
pub mod ring;
mod time;
mod timer;
mod transport;

pub use parking::Parking;
pub use time::{Instant, UnixNanos};
pub use timer::{Timer, Timers};
pub use transport::{Layers, Transport};

/// Where a stream can be opened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Tcp(SocketAddr),
    /// A Unix socket of this host; how shards reach the control plane.
    Unix(PathBuf),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Whether this process or host ran out of what a connection needs, descriptors above all: a lack
/// of ours that says nothing of the peer.
pub fn is_exhausted(error: &io::Error) -> bool {
    let lacks = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| lacks.contains(&code))
}

/// A connected byte stream. Reads and writes are independent: each side remembers its own last
/// waker, and one task polls both.
///
/// Dropping it closes it; dropping it in a panic closes it with a reset, as [`Stream::abort`]: what
/// was being sent is not whole.
pub trait Stream: 'static {
    /// Reads into `buf`; `Ok(0)` is the peer's half-close. Reading is synchronous inside the poll:
    /// when this returns `Pending` nothing still refers to `buf`, so an idle connection needs none.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes a prefix of `buf`.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Writes a prefix of the concatenation of `bufs`.
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Half-closes: no more writes, reads go on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Closes with a reset, for a peer that must not take what it has so far for a whole message.
    fn abort(self);
}

/// A listening socket of one shard.
pub trait Listener: 'static {
    type Stream: Stream;

    /// The next connection and its peer's address. An error concerns one attempt, not the
    /// listener: the caller goes on, after a pause when descriptors ran out.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;

    /// A connection that waits already, or `None`: unlike a pending [`Listener::accept`], a
    /// definite answer, for a listener that is about to close.
    fn try_accept(&self) -> io::Result<Option<(Self::Stream, SocketAddr)>>;

    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// An executor of one thread with its clock, its network and its randomness.
pub trait Runtime: Clone + 'static {
    type Stream: Stream;
    type Listener: Listener<Stream = Self::Stream>;
    type Parking: Parking<Stream = Self::Stream>;

    /// Binds a listener that other shards of this engine may bind too.
    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>>;

    /// Opens a stream, or fails with [`io::ErrorKind::TimedOut`] at `deadline`.
    fn connect(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> impl Future<Output = io::Result<Self::Stream>>;

    /// An empty place for idle streams.
    ///
    /// # Errors
    /// When the kernel gives no descriptor for it.
    fn parking(&self) -> io::Result<Self::Parking>;

    /// Runs `future` on this thread, detached.
    fn spawn(&self, future: impl Future<Output = ()> + 'static);

    /// Waits until `now() >= deadline`; accurate to a few milliseconds.
    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()>;

    /// Monotonic time, suspend included.
    fn now(&self) -> Instant;

    /// Wall-clock time; may step.
    fn wall(&self) -> UnixNanos;

    /// Fills `bytes` from a cryptographic source (a seeded one under simulation).
    fn fill_random(&self, bytes: &mut [u8]);
}
