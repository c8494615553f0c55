//! Takes connections from a listener and starts their tasks.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::connection::{Connection, spawn};
use super::{Service, Shard};
use crate::proxy::{Answer, AnswerContext, linger, write_all};
use crate::runtime::{Listener, Runtime, Timer};

/// After an error the listener rests: descriptors do not come back by asking again at once.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection over the limit may take to read that it is refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Refused connections that are given time at once; a flood gets its answers followed by resets.
const REFUSED_MAX: usize = 1024;

/// Accepts until the shard drains; what the kernel had already accepted is still served.
pub(super) async fn accept<R: Runtime, F: Future<Output = ()> + 'static>(
    service: Rc<Service<R, F>>,
    listener: R::Listener,
    index: usize,
) {
    let shard = &service.shard;
    let pause = shard.timers.timer();
    let refused = Rc::new(Cell::new(0));
    while let Some(accepted) = next(shard, &listener, &pause).await {
        match accepted {
            Ok((stream, peer)) => {
                shard.metrics.connections_accepted.increment();
                let connection = Connection::new(shard, stream, peer, index);
                let most = shard.snapshot.borrow().config.engine.connections_per_shard;
                if shard.open.get() > most {
                    shard.metrics.connections_refused.increment();
                    let refused = Rc::clone(&refused);
                    shard.runtime.spawn(refuse(Rc::clone(shard), connection, refused));
                    continue;
                }
                spawn(&service, connection);
            }
            Err(_) => {
                shard.metrics.accept_errors.increment();
                pause.arm(shard.runtime.now() + PAUSE);
                poll_fn(|cx| pause.poll_expired(cx)).await;
                pause.disarm();
            }
        }
    }
    shard.stopped_accepting();
}

/// The next connection, or `None` once the shard drains and the backlog is empty.
async fn next<R: Runtime>(
    shard: &Shard<R>,
    listener: &R::Listener,
    wake: &Timer,
) -> Option<io::Result<(R::Stream, SocketAddr)>> {
    let mut accept = pin!(listener.accept());
    poll_fn(|cx| {
        if shard.is_draining() {
            return Poll::Ready(listener.try_accept().transpose());
        }
        if let Poll::Ready(accepted) = accept.as_mut().poll(cx) {
            return Poll::Ready(Some(accepted));
        }
        // Registers this task for `Timers::wake_all`.
        let _ = wake.poll_expired(cx);
        Poll::Pending
    })
    .await
}

/// Answers 503 without looking at the request.
async fn refuse<R: Runtime>(
    shard: Rc<Shard<R>>,
    mut connection: Connection<R>,
    refused: Rc<Cell<usize>>,
) {
    let answer =
        Answer { retry_after_ns: Some(1_000_000_000), ..Answer::new(503, "too many connections") };
    let out = answer.compose(&shard, AnswerContext::LAST_WORD);
    let deadline = shard.runtime.now() + REFUSAL_TIMEOUT;
    let sent = write_all(&mut connection, &out, deadline).await;
    // It takes nobody's place while it waits for the client to read.
    connection.place = None;
    if sent.is_ok() && refused.get() < REFUSED_MAX {
        refused.set(refused.get() + 1);
        linger(&shard, &mut connection, REFUSAL_TIMEOUT).await;
        refused.set(refused.get() - 1);
    }
}
