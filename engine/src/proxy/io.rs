//! Reads, writes and closes with a deadline.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime, Stream, Timer};
use crate::shard::{Class, Connection, Input, Shard};

/// Bytes that a refused client may still send before it is cut off; reading them keeps a reset
/// from overtaking the answer (RFC 9112 section 9.6).
const LINGER_BYTES_MAX: usize = 1 << 20;
/// How long a refused client may take to read its answer.
pub(super) const LINGER: Duration = Duration::from_secs(2);

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
    write_with(&mut connection.stream, &connection.timer, bytes).await
}

/// Writes and flushes all of `bytes`, or fails with [`io::ErrorKind::TimedOut`] when `timer` fires.
pub(super) async fn write_with(
    stream: &mut impl Stream,
    timer: &Timer,
    bytes: &[u8],
) -> io::Result<()> {
    let mut unsent = bytes;
    // A layer below may take all of it at once and wait only when it is flushed.
    poll_fn(|cx| match poll_write_all(stream, cx, &mut unsent) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
    })
    .await
}

fn poll_write_all(
    stream: &mut impl Stream,
    cx: &mut Context<'_>,
    unsent: &mut &[u8],
) -> Poll<io::Result<()>> {
    while !unsent.is_empty() {
        match ready!(stream.poll_write(cx, unsent))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => *unsent = &unsent[count..],
        }
    }
    stream.poll_flush(cx)
}

/// Writes an answer of our own; a client that does not take it within `patience` is counted.
pub(super) async fn write_answer<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
    bytes: &[u8],
    patience: Duration,
) -> io::Result<()> {
    let sent = write_all(connection, bytes, shard.runtime.now() + patience).await;
    if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        shard.metrics.record_timeout(Timeout::Write);
    }
    sent
}

/// Half-closes, then reads and drops what the client still sends, until it closes too or `patience`
/// ends. The connection is good for nothing then.
pub async fn linger<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
    patience: Duration,
) {
    connection.timer.arm(shard.runtime.now() + patience);
    // Over TLS this writes, and a client that reads nothing leaves no room for it.
    let half_closed = poll_fn(|cx| match connection.stream.poll_shutdown(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => connection.timer.poll_expired(cx).map(|()| false),
    });
    if !half_closed.await {
        return;
    }
    let mut dropped = 0;
    poll_fn(|cx| {
        let mut input = shard.buffers.input(Class::Medium);
        while dropped < LINGER_BYTES_MAX {
            match connection.stream.poll_read(cx, input.space()) {
                Poll::Ready(Ok(count)) if count > 0 => dropped += count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return connection.timer.poll_expired(cx),
            }
        }
        Poll::Ready(())
    })
    .await;
}
