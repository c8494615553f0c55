//! A set of sockets that one descriptor stands for: epoll, without waiting in it.
//!
//! Both production runtimes watch the set's descriptor by their own means and ask the set when it
//! is readable, so a parked socket costs neither of them anything.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Events taken in one call.
const BATCH: usize = 64;

pub(super) struct EpollSet {
    descriptor: OwnedFd,
}

impl EpollSet {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: the call takes a flag and no pointer.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just returned this descriptor, and nobody else knows it.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }

    /// Reports `token` once when `socket` is readable, has ended or has failed.
    pub(super) fn add(&self, socket: &impl AsRawFd, token: u32) -> io::Result<()> {
        let flags = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLONESHOT;
        let mut event = libc::epoll_event { events: flags.cast_unsigned(), u64: token.into() };
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event)
    }

    pub(super) fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket.as_raw_fd(), std::ptr::null_mut())
    }

    fn control(&self, what: i32, socket: RawFd, event: *mut libc::epoll_event) -> io::Result<()> {
        // SAFETY: `event` is null where the kernel ignores it, else valid for the call.
        let result = unsafe { libc::epoll_ctl(self.descriptor.as_raw_fd(), what, socket, event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Appends the tokens of sockets that became ready; returns whether there were any. Never
    /// waits.
    pub(super) fn take(&self, tokens: &mut Vec<u32>) -> io::Result<bool> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let room = i32::try_from(BATCH).unwrap_or(i32::MAX);
        // SAFETY: `events` has room for as many events as the kernel is told.
        let count =
            unsafe { libc::epoll_wait(self.descriptor.as_raw_fd(), events.as_mut_ptr(), room, 0) };
        let Ok(count) = usize::try_from(count) else {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(error),
            };
        };
        let taken = events[..count].iter().filter_map(|event| u32::try_from(event.u64).ok());
        tokens.extend(taken);
        Ok(count > 0)
    }
}

impl AsFd for EpollSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for EpollSet {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
