//! What becomes of a connection after a 101, or a 2xx to CONNECT: both directions copied as they
//! come, with nothing read of them.
//!
//! Invariants:
//! - a direction reads only when all it has read before was written, so it holds one buffer at
//!   most, and none while it waits for bytes;
//! - the end of one direction is passed on as such; whatever else ends a tunnel resets both sides,
//!   so that neither takes a part for the whole;
//! - a connection that was a tunnel never carries a request again.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::access_log::OpenLine;
use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime, Stream, Transport};
use crate::shard::{Buffers, Class, Connection, Input, Shard, TunnelPlace};
use crate::upstream::Backend;

/// Reads and writes of one direction before others get their turn.
const TURNS_MAX: usize = 16;

/// A tunnel that was agreed on and is not served yet.
pub struct Tunnel<R: Runtime> {
    backend: Transport<R::Stream>,
    up: Half,
    down: Half,
    armed: bool,
    idle_timeout: Duration,
    record: Record,
}

/// What is told of a tunnel when it is over.
pub(super) struct Record {
    pub(super) started: Instant,
    /// Of the heads that came before.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// `None` without an access log.
    pub(super) line: Option<OpenLine>,
    pub(super) target: Arc<Backend>,
    pub(super) place: TunnelPlace,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both sides said that they were done.
    Finished,
    /// One side broke, nothing moved for too long, or the shard stops.
    Broken,
}

impl<R: Runtime> Tunnel<R> {
    /// `down` was read behind the backend's head; what was read behind the client's is given
    /// later, with [`Tunnel::give`].
    pub(super) fn new(
        backend: Transport<R::Stream>,
        down: Option<Input>,
        idle_timeout: Duration,
        mut record: Record,
    ) -> Self {
        record.place.open();
        let (up, down) = (Half::new(None), Half::new(down));
        Self { backend, up, down, armed: false, idle_timeout, record }
    }

    /// Hands over what the client sent behind its head.
    pub(super) fn give(&mut self, up: Option<Input>) {
        self.up.pending = up;
    }

    /// Serves the tunnel to its end, which is that of both connections.
    pub async fn run(mut self, shard: &Shard<R>, mut client: Connection<R>) {
        let target = Arc::clone(&self.record.target);
        let in_flight = target.go_on();
        let end = poll_fn(|cx| self.poll(cx, shard, &mut client)).await;
        drop(in_flight);
        self.tell(shard);
        if end == End::Broken {
            client.stream.abort();
            self.backend.abort();
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard<R>,
        client: &mut Connection<R>,
    ) -> Poll<End> {
        let up = self.up.poll(cx, &shard.buffers, &mut client.stream, &mut self.backend);
        let down = self.down.poll(cx, &shard.buffers, &mut self.backend, &mut client.stream);
        let moved = self.count(shard);
        match (up, down) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(End::Broken),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Finished),
            _ if shard.tunnels.are_cut() => return Poll::Ready(End::Broken),
            _ => {}
        }
        if moved || !self.armed {
            self.armed = true;
            client.timer.arm(shard.runtime.now() + self.idle_timeout);
        }
        client.timer.poll_expired(cx).map(|()| {
            shard.metrics.record_timeout(Timeout::Tunnel);
            End::Broken
        })
    }

    /// Whether anything moved since the last call.
    fn count(&mut self, shard: &Shard<R>) -> bool {
        let (up, down) = (self.up.take_moved(), self.down.take_moved());
        if up | down == 0 {
            return false;
        }
        let metrics = &shard.metrics;
        metrics.bytes_in.add(up);
        metrics.tunnel_bytes_in.add(up);
        metrics.bytes_out.add(down);
        metrics.tunnel_bytes_out.add(down);
        self.record.bytes_in += up;
        self.record.bytes_out += down;
        true
    }

    fn tell(&self, shard: &Shard<R>) {
        let record = &self.record;
        let Some(open) = &record.line else { return };
        let elapsed = shard.runtime.now().since(record.started);
        shard.log(|line| {
            let began = shard.runtime.wall().before(elapsed);
            open.write(began, record.bytes_in, record.bytes_out, elapsed, line);
        });
    }
}

/// One direction.
struct Half {
    /// Read and not yet written.
    pending: Option<Input>,
    phase: Phase,
    /// Written and perhaps still held by a layer of the sink.
    unflushed: bool,
    /// Of the next buffer: large while reads fill theirs.
    class: Class,
    /// Bytes written since they were last asked for.
    moved: u64,
}

/// ```text
/// Open ──end of the source──► Ending ──sink half-closed──► Ended
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Ending,
    Ended,
}

impl Half {
    fn new(pending: Option<Input>) -> Self {
        Self { pending, phase: Phase::Open, unflushed: false, class: Class::Medium, moved: 0 }
    }

    fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved)
    }

    /// Ready when the source has ended and the sink was told. An error may be either side's.
    fn poll<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
        from: &mut A,
        to: &mut B,
    ) -> Poll<io::Result<()>> {
        for _ in 0..TURNS_MAX {
            ready!(self.poll_write(cx, to))?;
            match self.phase {
                Phase::Open => ready!(self.poll_read(cx, buffers, from, to))?,
                Phase::Ending => {
                    ready!(to.poll_shutdown(cx))?;
                    self.phase = Phase::Ended;
                }
                Phase::Ended => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_write<B: Stream>(&mut self, cx: &mut Context<'_>, to: &mut B) -> Poll<io::Result<()>> {
        while let Some(input) = &mut self.pending {
            let written = ready!(to.poll_write(cx, input.data()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            input.consume(written);
            self.moved += written as u64;
            self.unflushed = true;
            if input.is_empty() {
                self.pending = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &Buffers,
        from: &mut A,
        to: &mut B,
    ) -> Poll<io::Result<()>> {
        let mut input = buffers.input(self.class);
        match from.poll_read(cx, input.space()) {
            Poll::Ready(Ok(0)) => self.phase = Phase::Ending,
            Poll::Ready(Ok(count)) => {
                input.filled(count);
                self.class = if input.is_full() { Class::Large } else { Class::Medium };
                self.pending = Some(input);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                if self.unflushed {
                    ready!(to.poll_flush(cx))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}
