//! Reads and writes with a deadline.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::runtime::{Instant, Runtime, Stream};
use crate::shard::{Connection, Input};

/// Reads into the buffer's free space. `Ok(0)` is the end of the stream;
/// [`io::ErrorKind::TimedOut`] says that the connection's timer fired.
pub(super) async fn read_some<R: Runtime>(
    connection: &mut Connection<R>,
    input: &mut Input,
) -> io::Result<usize> {
    let count = poll_fn(|cx| match connection.stream.poll_read(cx, input.space()) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => {
            connection.timer.poll_expired(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        }
    })
    .await?;
    input.filled(count);
    Ok(count)
}

/// Writes and flushes all of `bytes`, or fails with [`io::ErrorKind::TimedOut`] at `deadline`.
pub async fn write_all<R: Runtime>(
    connection: &mut Connection<R>,
    bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    connection.timer.arm(deadline);
    let mut unsent = bytes;
    poll_fn(|cx| {
        while !unsent.is_empty() {
            match connection.stream.poll_write(cx, unsent) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => unsent = &unsent[count..],
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let expired = connection.timer.poll_expired(cx);
                    return expired.map(|()| Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        connection.stream.poll_flush(cx)
    })
    .await
}
