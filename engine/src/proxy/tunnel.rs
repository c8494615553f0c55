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

use super::throttle::Throttle;
use crate::access_log::OpenLine;
use crate::admission::Lease;
use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime, Stream, Transport};
use crate::shard::{Buffers, Class, Connection, Input, Shard, TunnelPlace};
use crate::upstream::Backend;

/// Reads and writes of one direction before others get their turn.
const TURNS_MAX: usize = 16;

/// How much of a tunnel quotas of bytes may not know of.
const SETTLE_BYTES: u64 = 1 << 20;

/// A tunnel that was agreed on and is not served yet.
pub struct Tunnel<R: Runtime> {
    backend: Transport<R::Stream>,
    up: Half,
    down: Half,
    /// Until when bytes were held back when the timer was last armed.
    armed_for: Option<Option<Instant>>,
    idle_timeout: Duration,
    record: Record,
    /// Bytes that moved and that quotas were not told of yet.
    unsettled: u64,
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
    /// What limits count for as long as it lasts.
    pub(super) lease: Option<Lease>,
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
    /// `read` was read behind the backend's head; what was read behind the client's is given
    /// later, with [`Tunnel::give`]. `throttles` are for what goes up and down.
    pub(super) fn new(
        backend: Transport<R::Stream>,
        read: Option<Input>,
        idle_timeout: Duration,
        mut record: Record,
        [throttle_up, throttle_down]: [Option<Throttle>; 2],
    ) -> Self {
        record.place.open();
        let (up, mut down) = (Half::new(throttle_up), Half::new(throttle_down));
        down.give(read);
        Self { backend, up, down, armed_for: None, idle_timeout, record, unsettled: 0 }
    }

    /// Hands over what the client sent behind its head.
    pub(super) fn give(&mut self, up: Option<Input>) {
        self.up.give(up);
    }

    /// Serves the tunnel to its end, which is that of both connections.
    pub async fn run(mut self, shard: &Shard<R>, mut client: Connection<R>) {
        let target = Arc::clone(&self.record.target);
        let in_flight = target.go_on();
        let end = poll_fn(|cx| self.poll(cx, shard, &mut client)).await;
        drop(in_flight);
        self.settle(shard);
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
        // Time for which a limit holds bytes back is nobody's silence.
        let held = self.up.held_until().max(self.down.held_until());
        if moved || self.armed_for != Some(held) {
            self.armed_for = Some(held);
            let now = shard.runtime.now();
            client.timer.arm(held.map_or(now, |until| until.max(now)) + self.idle_timeout);
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
        self.unsettled += up + down;
        if self.unsettled >= SETTLE_BYTES {
            self.settle(shard);
        }
        true
    }

    /// Tells quotas of what has moved.
    fn settle(&mut self, shard: &Shard<R>) {
        let bytes = std::mem::take(&mut self.unsettled);
        if let Some(lease) = self.record.lease.as_ref().filter(|_| bytes > 0) {
            lease.settle_bytes(bytes, shard.runtime.now());
        }
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
    /// What holds its bytes back.
    throttle: Option<Throttle>,
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
    fn new(throttle: Option<Throttle>) -> Self {
        let (phase, class) = (Phase::Open, Class::Medium);
        Self { pending: None, phase, unflushed: false, class, moved: 0, throttle }
    }

    /// Something to write, which was read.
    fn give(&mut self, read: Option<Input>) {
        if let (Some(throttle), Some(read)) = (&mut self.throttle, &read) {
            throttle.charge(read.len() as u64);
        }
        self.pending = read;
    }

    fn held_until(&self) -> Option<Instant> {
        self.throttle.as_ref().and_then(Throttle::until)
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.throttle {
            None => Poll::Ready(()),
            Some(throttle) => throttle.poll(cx).map(drop),
        }
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
            if self.poll_held(cx).is_pending() {
                return self.poll_idle(cx, to);
            }
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
                self.give(Some(input));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return self.poll_idle(cx, to),
        }
        Poll::Ready(Ok(()))
    }

    /// There is nothing to write for now: what was written has to get out. Never ready but with an
    /// error.
    fn poll_idle<B: Stream>(&mut self, cx: &mut Context<'_>, to: &mut B) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(to.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }
}
