//! The life of a client's connection: idle, then an exchange, then idle again.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use super::future_pool::FuturePool;
use super::{Class, Input, Shard};
use crate::proxy::After;
use crate::runtime::{Runtime, Stream, Timer};

/// A client's connection. Between requests this is all there is of it.
pub struct Connection<R: Runtime> {
    pub stream: R::Stream,
    pub timer: Timer,
    pub peer: SocketAddr,
    /// Index into the configuration's listeners.
    pub listener: usize,
    /// Requests begun.
    pub requests: u32,
}

impl<R: Runtime> Connection<R> {
    pub(super) fn new(stream: R::Stream, timer: Timer, peer: SocketAddr, listener: usize) -> Self {
        Self { stream, timer, peer, listener, requests: 0 }
    }
}

/// Serves request after request. `exchange` answers one, given the first bytes of it; its future
/// is large and comes from `futures`.
pub(super) async fn serve<R, F>(
    shard: Rc<Shard<R>>,
    mut connection: Connection<R>,
    futures: Rc<FuturePool<F>>,
    exchange: fn(Rc<Shard<R>>, Connection<R>, Input) -> F,
) where
    R: Runtime,
    F: Future<Output = (Connection<R>, After)>,
{
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
        let begin = || exchange(Rc::clone(&shard), connection, first);
        let after;
        (connection, after) = futures.run(begin).await;
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
    connection.timer.arm(shard.runtime.now() + idle);
    poll_fn(|cx| {
        let mut input = shard.buffers.input(Class::Small);
        match connection.stream.poll_read(cx, input.space()) {
            Poll::Ready(Ok(count)) if count > 0 => {
                input.filled(count);
                Poll::Ready(Some(input))
            }
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending if shard.is_draining() => Poll::Ready(None),
            Poll::Pending => connection.timer.poll_expired(cx).map(|()| None),
        }
    })
    .await
}
