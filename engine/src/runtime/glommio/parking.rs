//! Waiting for what is not a connection, and for many of them that are idle.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use super::super::epoll_set::EpollSet;
use super::super::{Parking, Stream, os};
use super::GlommioStream;

/// Waits for a descriptor that is no connection to become readable.
#[derive(Default)]
pub(super) struct Readiness {
    /// A second descriptor of the same thing.
    watched: RefCell<Option<GlommioStream>>,
}

impl Readiness {
    /// Ready once for each time it is found readable. Dropping the wait takes nothing from it.
    pub(super) fn poll_readable(
        &self,
        of: &impl AsFd,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut watched = self.watched.borrow_mut();
        if watched.is_none() {
            *watched = Some(GlommioStream::new(of.as_fd().try_clone_to_owned()?));
        }
        let Some(stream) = watched.as_mut() else { return Poll::Ready(Ok(())) };
        // A stream polls for readability from its creation, and asks the descriptor only when it
        // is readable. What is no connection answers with an error then, which is the signal
        // waited for.
        ready!(stream.poll_read(cx, &mut [0])).ok();
        *watched = None;
        Poll::Ready(Ok(()))
    }
}

/// A parked stream is its descriptor and nothing else.
pub struct GlommioParking {
    set: EpollSet,
    readiness: Readiness,
}

impl GlommioParking {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { set: EpollSet::new()?, readiness: Readiness::default() })
    }
}

impl Parking for GlommioParking {
    type Stream = GlommioStream;
    type Parked = OwnedFd;

    // glommio's stream does not let go of its descriptor, so another one lives on.
    fn park(&self, stream: GlommioStream, token: u32) -> Result<OwnedFd, Option<GlommioStream>> {
        let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return Err(Some(stream)) };
        match self.set.add(&socket, token) {
            Ok(()) => Ok(socket),
            Err(_) => Err(Some(stream)),
        }
    }

    fn unpark(&self, parked: OwnedFd) -> io::Result<GlommioStream> {
        self.set.remove(&parked)?;
        Ok(GlommioStream::new(parked))
    }

    fn poll_ready(&self, cx: &mut Context<'_>, tokens: &mut Vec<u32>) -> Poll<io::Result<()>> {
        while !self.set.take(tokens)? {
            ready!(self.readiness.poll_readable(&self.set, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn settle(&self) {
        os::give_memory_back();
    }
}
