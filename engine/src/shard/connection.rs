//! The life of a client's connection: idle, then an exchange, then idle again.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::worker::Workers;
use super::{Class, Input, Shard};
use crate::metrics::Timeout;
use crate::proxy::After;
use crate::runtime::{Instant, Runtime, Stream, Timer, Transport};

/// What a draining shard gives a connection that has not sent a request yet.
const LAST_CHANCE: Duration = Duration::from_millis(250);

/// A client's connection. Between requests this is all there is of it.
pub struct Connection<R: Runtime> {
    pub stream: Transport<R::Stream>,
    pub timer: Timer,
    pub peer: SocketAddr,
    /// Index into the configuration's listeners.
    pub listener: usize,
    /// Requests begun.
    pub requests: u32,
    /// When it was accepted, or its last answer ended.
    pub idle_since: Instant,
}

impl<R: Runtime> Connection<R> {
    pub(super) fn new(
        stream: R::Stream,
        timer: Timer,
        peer: SocketAddr,
        listener: usize,
        now: Instant,
    ) -> Self {
        let stream = Transport::Plain(stream);
        Self { stream, timer, peer, listener, requests: 0, idle_since: now }
    }
}

/// Serves request after request, each by a worker.
pub(super) async fn serve<R: Runtime, F: Future<Output = ()>>(
    shard: Rc<Shard<R>>,
    mut connection: Connection<R>,
    workers: Rc<Workers<R, F>>,
) {
    let mut pipelined = None;
    loop {
        let first = match pipelined.take() {
            Some(bytes) => bytes,
            None => match first_bytes(&shard, &mut connection).await {
                Some(bytes) => bytes,
                None => return,
            },
        };
        connection.requests += 1;
        let after;
        (connection, after) = workers.exchange(connection, first).await;
        match after {
            After::KeepAlive(bytes) => pipelined = bytes,
            After::Close => return,
            After::Abort => return connection.stream.abort(),
        }
    }
}

/// Waits for the next request without holding a buffer. `None` when there will be none: the client
/// closed, was idle too long, or the shard drains.
async fn first_bytes<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
) -> Option<Input> {
    let idle = shard.snapshot.borrow().config.http.idle_timeout;
    connection.timer.arm(connection.idle_since + idle);
    let mut last_chance = false;
    poll_fn(|cx| {
        let mut input = shard.buffers.input(Class::Small);
        match connection.stream.poll_read(cx, input.space()) {
            Poll::Ready(Ok(count)) if count > 0 => {
                input.filled(count);
                Poll::Ready(Some(input))
            }
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending if shard.is_draining() && connection.requests > 0 => Poll::Ready(None),
            Poll::Pending => {
                // A new connection's request may have arrived unseen: no runtime looks before it
                // was told.
                if shard.is_draining() && !std::mem::replace(&mut last_chance, true) {
                    connection.timer.arm(shard.runtime.now() + LAST_CHANCE);
                }
                connection.timer.poll_expired(cx).map(|()| {
                    shard.metrics.record_timeout(Timeout::Idle);
                    None
                })
            }
        }
    })
    .await
}
