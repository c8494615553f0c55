//! What the production runtimes ask of Linux: sockets, clocks, randomness, pinning.
//!
//! Invariant: every descriptor made here is owned from the moment the kernel returns it, so that
//! no error path can leak one.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, SockRef, Socket, Type};

// For its `mi_collect`, whichever allocator the program chose.
use mimalloc as _;

use super::{Instant, UnixNanos};

/// Connections the kernel completes before a shard accepts them; `net.core.somaxconn` bounds it.
const BACKLOG: i32 = 4096;

/// Monotonic time that counts suspend: `CLOCK_BOOTTIME`.
pub fn now() -> Instant {
    Instant::from_nanos(clock_nanos(libc::CLOCK_BOOTTIME))
}

/// Wall-clock time.
pub fn wall() -> UnixNanos {
    UnixNanos(clock_nanos(libc::CLOCK_REALTIME))
}

fn clock_nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the duration of the call.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "the kernel has had both clocks since 2.6.39");
    // A wall clock set before 1970 reads as 1970.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Fills `bytes` from the kernel's generator.
///
/// # Panics
/// When the kernel has no entropy to give: going on with predictable secrets would be worse.
pub fn fill_random(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("getrandom(2) failed");
}

unsafe extern "C" {
    /// mimalloc's own: returns the pages that this thread has no more use for.
    safe fn mi_collect(force: bool);
}

/// Returns free memory of this thread to the kernel, which the allocator would do only in the
/// course of more work. Without effect where another allocator is in use.
pub(super) fn give_memory_back() {
    mi_collect(true);
}

/// Ends a process at once (SIGKILL), if that is allowed.
pub fn kill(pid: i32) {
    // SAFETY: a system call that touches no memory of ours. It can fail only for a process that is
    // gone or not ours, which the caller notices.
    let _ = unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Has the calling thread give way to others, as far as the system lets it.
pub fn lower_priority() {
    const NICE: libc::c_int = 10;
    // SAFETY: a system call without memory. Under Linux 0 is the calling thread (setpriority(2)). A
    // refusal leaves the priority as it is.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// Ties the calling thread to one CPU.
///
/// # Errors
/// `EINVAL` when the CPU does not exist or the process may not use it.
pub fn pin_current_thread(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE.unsigned_abs() as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: cpu_set_t is a plain bit mask, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` was checked against the size of the mask.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` outlives the call, and its true size is passed.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A non-blocking listening socket that other shards may bind too.
///
/// # Errors
/// Whatever socket, bind or listen say, `AddrInUse` above all.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address)?;
    start_listening(&socket)?;
    Ok(socket)
}

/// A socket for [`start_listening`]: until then the kernel gives it no connection.
///
/// # Errors
/// Whatever socket or bind say, `AddrInUse` above all.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address, true).map(Into::into)
}

/// From now on the kernel accepts connections for it.
///
/// # Errors
/// Whatever listen says.
pub fn start_listening(socket: &TcpListener) -> io::Result<()> {
    SockRef::from(socket).listen(BACKLOG)
}

/// The user this process acts as.
pub fn user() -> u32 {
    // SAFETY: a system call without arguments that cannot fail.
    unsafe { libc::geteuid() }
}

/// From now on the kernel refuses whoever would connect to it, whichever process holds copies.
pub fn stop_listening(socket: &TcpListener) {
    // One that does not listen any more refuses already.
    let _ = SockRef::from(socket).shutdown(std::net::Shutdown::Both);
}

/// Fails with `AddrInUse` when anybody listens on `address` already, even with `SO_REUSEPORT`: the
/// engine asks once before its shards bind, or two engines would share a port unnoticed.
///
/// # Errors
/// Whatever socket or bind say.
pub fn ensure_unshared(address: SocketAddr) -> io::Result<()> {
    bound(address, false).map(drop)
}

fn bound(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // As std and most servers: `[::]` takes IPv4 clients too.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Makes the coming close of a TCP socket a reset: RFC 9293 section 3.10.5 (ABORT). On a Unix
/// socket, which has no reset, it changes nothing.
pub fn reset_on_close(socket: &impl AsFd) {
    // The socket is about to go; a failure leaves an ordinary close, which the caller cannot
    // better.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Starts connecting; the socket becomes writable when it is connected.
pub(super) fn start_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Connects to a Unix socket at once; `WouldBlock` means that its backlog is full, for which the
/// kernel signals no readiness: try again later.
pub(super) fn connect_unix(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Accepts without blocking, whatever the listener's own flags: `None` when nobody waits.
pub(super) fn accept(listener: &impl AsRawFd) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
    let mut storage = SockAddrStorage::zeroed();
    let mut length = storage.size_of();
    // SAFETY: `storage` has room for any address, and `length` says how much.
    let descriptor = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            (&raw mut storage).cast(),
            &raw mut length,
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    };
    if descriptor < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    // SAFETY: the kernel has just returned this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: accept4 has written an address of `length` bytes.
    let address = unsafe { SockAddr::new(storage, length) };
    let peer = address.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some((socket, peer)))
}

/// Sends a prefix of the concatenation of `bufs` in one call, without blocking: `None` when the
/// socket takes nothing now.
pub(super) fn send_vectored(
    socket: &impl AsRawFd,
    bufs: &[IoSlice<'_>],
) -> Option<io::Result<usize>> {
    // More slices than the kernel takes (UIO_MAXIOV) go in another call.
    let count = bufs.len().min(1024);
    // SAFETY: msghdr is plain data, for which zeros mean "no name, no control data".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = bufs.as_ptr().cast::<libc::iovec>().cast_mut();
    message.msg_iovlen = count as _;
    // SAFETY: IoSlice has the layout of iovec (guaranteed by std); sendmsg only reads through it,
    // and the slices outlive the call.
    let sent = unsafe {
        libc::sendmsg(
            socket.as_raw_fd(),
            &raw const message,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    match usize::try_from(sent) {
        Ok(sent) => Some(Ok(sent)),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => None,
            error => Some(Err(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_the_kernels() {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("procfs");
        let whole = uptime.split('.').next().and_then(|text| text.parse::<u64>().ok());
        let uptime = whole.expect("seconds since boot");
        let now = now().as_nanos() / 1_000_000_000;
        assert!(now.abs_diff(uptime) <= 1, "{now} against {uptime}");
        // 2024-01-01: a host whose wall clock is older cannot verify certificates either.
        assert!(wall().as_secs() > 1_704_067_200);
    }

    #[test]
    fn pinning_moves_the_thread() {
        std::thread::spawn(|| {
            pin_current_thread(0).expect("CPU 0");
            // SAFETY: sched_getcpu takes no argument and touches no memory of ours.
            assert_eq!(unsafe { libc::sched_getcpu() }, 0);
        })
        .join()
        .expect("the thread did not panic");
        assert!(pin_current_thread(usize::MAX).is_err());
        assert!(pin_current_thread(1023).is_err(), "no such CPU here");
    }

    #[test]
    fn shards_share_a_port_and_strangers_do_not() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
        let address = first.local_addr().expect("address");
        let second = listen(address).expect("a second shard binds it too");
        let error = ensure_unshared(address).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop((first, second));
        ensure_unshared(address).expect("it is free again");
    }

    #[test]
    fn nobody_waiting_is_not_an_error() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
        assert!(accept(&listener).expect("no error").is_none());
    }
}
