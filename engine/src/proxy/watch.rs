//! What a client does while it waits for its answer: it may leave, and then its request is given
//! up; or it may send the next one already, which is kept.
//!
//! A reset says that nobody reads the answer any more. The end of its stream does not: it may only
//! have no further request (RFC 9112 section 9.6), so that ends the watch and nothing else, unless
//! the configuration takes it for leaving (`abort_on_close`).

use std::io;
use std::task::{Context, Poll};

use crate::runtime::Stream;
use crate::shard::{Buffers, Class, Input};

pub(super) enum Watch {
    /// Nothing came yet.
    Quiet,
    /// The beginning of the next request; more of it is left in the socket.
    Ahead(Input),
    /// Not looked at: it sent more than this request already, or closed its half.
    Off,
}

impl Watch {
    /// `more` says that bytes behind this request are here already: what came now would be read
    /// before them.
    pub(super) fn new(more: bool) -> Self {
        if more { Self::Off } else { Self::Quiet }
    }

    /// Looks once, and has the task woken when there is something to see.
    ///
    /// # Errors
    /// The client has left.
    pub(super) fn look<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut S,
        buffers: &Buffers,
        abort_on_close: bool,
    ) -> io::Result<()> {
        if !matches!(self, Self::Quiet) {
            return Ok(());
        }
        let mut input = buffers.input(Class::Small);
        match client.poll_read(cx, input.space()) {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) if abort_on_close => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Poll::Ready(Ok(0)) => *self = Self::Off,
            Poll::Ready(Ok(count)) => {
                input.filled(count);
                *self = Self::Ahead(input);
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    /// What came of the next request.
    pub(super) fn take(&mut self) -> Option<Input> {
        match std::mem::replace(self, Self::Off) {
            Self::Ahead(input) => Some(input),
            Self::Quiet | Self::Off => None,
        }
    }
}
