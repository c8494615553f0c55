//! Idle connections outside of tokio's reactor.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use super::super::epoll_set::EpollSet;
use super::super::{Parking, os};
use super::EpollStream;

/// A parked stream is its descriptor and nothing else.
pub struct EpollParking {
    set: AsyncFd<EpollSet>,
}

impl EpollParking {
    pub(super) fn new() -> io::Result<Self> {
        let set = EpollSet::new()?;
        // SAFETY: the set owns its descriptor, the same one for as long as it lives, and `AsyncFd`
        // keeps the set.
        let set = unsafe { AsyncFd::register_with_interest(set, Interest::READABLE) }?;
        Ok(Self { set })
    }
}

impl Parking for EpollParking {
    type Stream = EpollStream;
    type Parked = OwnedFd;

    fn park(&self, stream: EpollStream, token: u32) -> Result<OwnedFd, Option<EpollStream>> {
        // Clients come by TCP only.
        let socket = into_tcp(stream)?;
        if self.set.get_ref().add(&socket, token).is_err() {
            return Err(Some(EpollStream::Tcp(socket)));
        }
        socket.into_std().map(OwnedFd::from).map_err(|_| None)
    }

    fn unpark(&self, parked: OwnedFd) -> io::Result<EpollStream> {
        self.set.get_ref().remove(&parked)?;
        Ok(EpollStream::Tcp(TcpStream::from_std(parked.into())?))
    }

    fn poll_ready(&self, cx: &mut Context<'_>, tokens: &mut Vec<u32>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.set.poll_read_ready(cx))?;
            if self.set.get_ref().take(tokens)? {
                return Poll::Ready(Ok(()));
            }
            ready.clear_ready();
        }
    }

    fn settle(&self) {
        os::give_memory_back();
    }
}

/// The socket of a stream that goes on without the stream.
fn into_tcp(stream: EpollStream) -> Result<TcpStream, Option<EpollStream>> {
    if matches!(stream, EpollStream::Unix(_)) {
        return Err(Some(stream));
    }
    let stream = ManuallyDrop::new(stream);
    match &*stream {
        // SAFETY: the stream is forgotten, so that the socket has one owner, who gets it here.
        EpollStream::Tcp(socket) => Ok(unsafe { std::ptr::read(socket) }),
        EpollStream::Unix(_) => Err(None),
    }
}
