//! Takes connections from a listener and starts their tasks.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::arrival::arrive;
use super::{Service, Shard, Stage};
use crate::runtime::{Listener, Runtime, Timer};

/// After an error the listener rests: descriptors do not come back by asking again at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the shard drains; what the kernel had already accepted is still served.
pub(super) async fn accept<R: Runtime, F: Future<Output = ()> + 'static>(
    service: Rc<Service<R, F>>,
    listener: R::Listener,
    index: usize,
) {
    let shard = &service.shard;
    let pause = shard.timers.timer();
    while let Some(accepted) = next(shard, &listener, &pause).await {
        match accepted {
            Ok((stream, peer)) => arrive(&service, stream, peer, index),
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

/// The next connection, or `None` once the shard drains and the backlog is empty, or is another's.
async fn next<R: Runtime>(
    shard: &Shard<R>,
    listener: &R::Listener,
    wake: &Timer,
) -> Option<io::Result<(R::Stream, SocketAddr)>> {
    let mut accept = pin!(listener.accept());
    poll_fn(|cx| {
        match shard.stage() {
            Stage::Serving | Stage::Winding => {
                if let Poll::Ready(accepted) = accept.as_mut().poll(cx) {
                    return Poll::Ready(Some(accepted));
                }
            }
            Stage::Paused | Stage::Closed => {}
            Stage::Left => return Poll::Ready(None),
            Stage::Draining => return Poll::Ready(listener.try_accept().transpose()),
        }
        // Registers this task for `Timers::wake_all`.
        let _ = wake.poll_expired(cx);
        Poll::Pending
    })
    .await
}
