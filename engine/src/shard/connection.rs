//! The life of a client's connection: idle, then an exchange, then idle again.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::contain::contain;
use super::lot::PARK_AFTER;
use super::{Class, Input, Place, Service, Shard};
use crate::admission::AddressMemo;
use crate::metrics::Timeout;
use crate::proxy::After;
use crate::runtime::{Instant, Runtime, Stream, Timer, Transport};

/// What a draining shard gives a connection that has not sent a request yet.
pub(super) const LAST_CHANCE: Duration = Duration::from_millis(250);

/// A client's connection. Between requests this is all there is of it, and once it is parked not
/// even that.
pub struct Connection<R: Runtime> {
    pub stream: Transport<R::Stream>,
    pub timer: Timer,
    pub peer: SocketAddr,
    /// Of its client's address, for limits.
    pub addresses: AddressMemo,
    pub announced: Announced,
    /// Index into the configuration's listeners.
    pub listener: usize,
    /// Requests begun.
    pub requests: u32,
    /// When it was accepted, or its last answer ended.
    pub idle_since: Instant,
    /// What it counts for; `None` once it takes nobody's place any more.
    pub(super) place: Option<Place<R>>,
}

/// What the PROXY header of a connection has said of the client, besides its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// That it spoke no TLS to the proxy; or there was no header.
    Plain,
    /// That it spoke TLS.
    Secure,
    /// Nothing, not even its address: what the requests say of others may be anybody's word.
    Nothing,
}

impl<R: Runtime> Connection<R> {
    pub(super) fn new(
        shard: &Rc<Shard<R>>,
        stream: R::Stream,
        peer: SocketAddr,
        listener: usize,
    ) -> Self {
        Self {
            stream: Transport::Plain(stream),
            timer: shard.timers.timer(),
            peer,
            addresses: AddressMemo::default(),
            announced: Announced::Plain,
            listener,
            requests: 0,
            idle_since: shard.runtime.now(),
            place: Some(Place::taken(shard)),
        }
    }
}

/// Starts the task of a connection.
pub(super) fn spawn<R: Runtime, F: Future<Output = ()> + 'static>(
    service: &Rc<Service<R, F>>,
    connection: Connection<R>,
) {
    let shard = &service.shard;
    shard.runtime.spawn(contain(shard, serve(Rc::clone(service), connection)));
}

/// What an idle connection was waiting for.
enum Next {
    Request(Input),
    /// Nothing came for a while.
    Quiet,
    /// The client closed, was idle too long, or the shard drains.
    End,
}

/// Serves request after request, each by a worker, until the connection ends or is parked.
pub(super) async fn serve<R: Runtime, F: Future<Output = ()>>(
    service: Rc<Service<R, F>>,
    connection: Connection<R>,
) {
    let shard = &service.shard;
    let mut connection = Box::new(connection);
    let mut pipelined = None;
    // From now on, since one that was just revived has been idle for long, and no runtime knows yet
    // that there is something to read on it.
    let mut quiet = shard.runtime.now() + PARK_AFTER;
    loop {
        let first = match pipelined.take() {
            Some(bytes) => bytes,
            None => match first_bytes(shard, &mut connection, quiet).await {
                Next::Request(bytes) => bytes,
                Next::End => return connection.stream.close(),
                Next::Quiet => match service.lot.park(shard, *connection) {
                    None => return,
                    Some(unparked) => {
                        connection = Box::new(unparked);
                        quiet = shard.runtime.now() + PARK_AFTER;
                        continue;
                    }
                },
            },
        };
        if !is_on_terms(shard, &connection) {
            return connection.stream.close();
        }
        connection.requests += 1;
        let after;
        (connection, after) = service.workers.exchange(connection, first).await;
        // Relative to the last answer, so that no clock is read between two requests.
        quiet = connection.idle_since + PARK_AFTER;
        match after {
            After::KeepAlive(bytes) => pipelined = bytes,
            After::Close => return connection.stream.close(),
            After::Abort => return connection.stream.abort(),
            // On the heap, for every connection has room for this future's state.
            After::Tunnel(tunnel) => return Box::pin(tunnel.run(shard, *connection)).await,
        }
    }
}

/// Whether the listener would let the client in as it is now: a reload may ask for TLS, or for a
/// certificate, where that was not asked for when the connection began.
fn is_on_terms<R: Runtime>(shard: &Shard<R>, connection: &Connection<R>) -> bool {
    let snapshot = shard.snapshot.borrow();
    let asked = snapshot.tls[connection.listener].as_ref().map_or(0, |tls| tls.terms);
    asked == connection.stream.terms()
}

/// Waits for the next request without holding a buffer; not much longer than until `quiet`.
async fn first_bytes<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
    quiet: Instant,
) -> Next {
    let idle_timeout = shard.snapshot.borrow().config.http.idle_timeout;
    let mut deadline = connection.idle_since + idle_timeout;
    connection.timer.arm(quiet.min(deadline));
    let mut last_chance = false;
    poll_fn(|cx| {
        let mut input = shard.buffers.input(Class::Small);
        match connection.stream.poll_read(cx, input.space()) {
            Poll::Ready(Ok(count)) if count > 0 => {
                input.filled(count);
                return Poll::Ready(Next::Request(input));
            }
            Poll::Ready(_) => return Poll::Ready(Next::End),
            Poll::Pending if shard.stage().closes_idle() && connection.requests > 0 => {
                return Poll::Ready(Next::End);
            }
            Poll::Pending => {}
        }
        // A new connection's request may have arrived unseen: no runtime looks before it was told.
        let closes = shard.stage().closes_idle();
        if std::mem::replace(&mut last_chance, closes) != closes {
            // Back again: no successor took over after all.
            deadline = match closes {
                true => shard.runtime.now() + LAST_CHANCE,
                false => connection.idle_since + idle_timeout,
            };
            connection.timer.arm(deadline);
        }
        connection.timer.poll_expired(cx).map(|()| {
            if shard.runtime.now() < deadline {
                return Next::Quiet;
            }
            shard.metrics.record_timeout(Timeout::Idle);
            Next::End
        })
    })
    .await
}
