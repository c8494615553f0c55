//! Streams that are set aside: an idle connection without a task, a timer or a runtime's
//! bookkeeping, until there is something to read on it.

use std::io;
use std::task::{Context, Poll};

use super::Stream;

/// A place for streams on which nothing is going on. What is parked costs its descriptor and what
/// the caller keeps of it; the runtime watches one descriptor for all of them.
pub trait Parking: 'static {
    type Stream: Stream;
    /// What is left of a stream; dropping it closes the connection.
    type Parked: 'static;

    /// Sets `stream` aside under `token`, which is the caller's to choose.
    ///
    /// # Errors
    /// Gives the stream back when it cannot be parked now (no descriptor is left), unless it was
    /// lost on the way.
    fn park(&self, stream: Self::Stream, token: u32) -> Result<Self::Parked, Option<Self::Stream>>;

    /// Makes it a stream again, in whatever state its peer has brought it to.
    ///
    /// # Errors
    /// When the runtime cannot take it; it is closed then.
    fn unpark(&self, parked: Self::Parked) -> io::Result<Self::Stream>;

    /// Appends the tokens of streams that have something to read or have ended, those that had
    /// before they were parked included: at least one when ready. They are to be unparked. A token
    /// may also be one whose stream was dropped a moment ago. For one task only.
    ///
    /// # Errors
    /// When the runtime cannot watch now; to be asked again after a while.
    fn poll_ready(&self, cx: &mut Context<'_>, tokens: &mut Vec<u32>) -> Poll<io::Result<()>>;

    /// Gives memory back that many streams used before they were parked.
    fn settle(&self);
}
