//! Idle connections outside of tokio's reactor.

use std::io;
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
        let EpollStream::Tcp(socket) = stream else { return Err(Some(stream)) };
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
