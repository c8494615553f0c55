//! One request and its answer over one backend connection, both directions at once: an answer may
//! begin, and end, while the request's body is still on its way.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use weir_protocol::http::{
    ChunkedDecoder, FieldStore, HeadScanner, RequestHead, ResponseBody, ResponseHead, Version,
    parse_response,
};
use weir_protocol::limit::fields::Standing;

use super::exchange::Ending;
use super::heads::{ResponsePlan, write_interim, write_response};
use super::io::write_all;
use super::pump::{Pump, PumpError, Source, WaitsFor};
use crate::runtime::{Instant, Runtime, Stream, Transport};
use crate::shard::{Class, Connection, Input, Output, Shard, ShardSnapshot};

/// Interim responses that a backend may send before its final one.
const INTERIM_MAX: usize = 16;

pub(super) struct Conversation<'c, R: Runtime> {
    shard: &'c Shard<R>,
    snapshot: &'c ShardSnapshot,
    client: &'c mut Connection<R>,
    request: &'c RequestHead<'c, 'c>,
    backend: Transport<R::Stream>,
    upload: Upload,
    /// What was read of the answer.
    reply: Option<Input>,
}

/// An answer that was begun: from here on only the connection can tell the client of a failure.
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) ending: Ending,
    /// What the client sent behind this request.
    pub(super) rest: Option<Input>,
    /// Whether the backend's connection can carry another request.
    pub(super) reusable: bool,
}

/// Why there is no answer; nothing of one was sent to the client.
#[derive(Debug)]
pub(super) enum ReplyFault {
    /// The client's body could not be read or passed on.
    Client(PumpError),
    /// `upload` says what the request was waiting for, if it had not gone out in full.
    TimedOut { upload: Option<WaitsFor> },
    /// The backend closed, or broke, before the first byte of an answer.
    NoAnswer,
    /// What came is not an answer, or not the whole head of one.
    Malformed,
}

struct Upload {
    pump: Pump,
    state: UploadState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UploadState {
    Running,
    Done,
    /// The backend takes no more. It may have answered all the same.
    Refused,
}

impl Upload {
    /// Moves what can be moved. An error is the client's.
    fn advance<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut A,
        backend: &mut B,
    ) -> Result<(), PumpError> {
        if self.state != UploadState::Running {
            return Ok(());
        }
        match self.pump.poll(cx, client, backend) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.state = UploadState::Done,
            Poll::Ready(Err(PumpError::Write(_))) => self.state = UploadState::Refused,
            Poll::Ready(Err(error)) => return Err(error),
        }
        Ok(())
    }

    fn waits_for(&self) -> Option<WaitsFor> {
        (self.state == UploadState::Running).then(|| self.pump.waits_for())
    }
}

impl<'c, R: Runtime> Conversation<'c, R> {
    pub(super) fn new(
        shard: &'c Shard<R>,
        snapshot: &'c ShardSnapshot,
        client: &'c mut Connection<R>,
        request: &'c RequestHead<'c, 'c>,
        backend: Transport<R::Stream>,
        upload: Pump,
    ) -> Self {
        let upload = Upload { pump: upload, state: UploadState::Running };
        Self { shard, snapshot, client, request, backend, upload, reply: None }
    }

    /// Called once. `now` is the time, as of a moment ago.
    pub(super) async fn run(
        &mut self,
        now: Instant,
        response_timeout: Duration,
        standings: &[Standing<'_>],
        persistent: bool,
    ) -> Result<Outcome, ReplyFault> {
        let mut now = Some(now);
        for _ in 0..INTERIM_MAX {
            let end = self.read_reply_head(now.take(), response_timeout).await?;
            match self.begin(end, standings, persistent)? {
                Reply::Interim(out) => self.pass_interim(out).await?,
                Reply::Final(mut download) => {
                    let passed = self.move_bodies(&mut download).await;
                    return Ok(self.outcome(passed.is_ok(), &mut download));
                }
            }
        }
        Err(ReplyFault::Malformed)
    }

    /// Turns the head of an answer, which ends at `end` of the reply, into what the client is sent.
    fn begin(
        &mut self,
        end: usize,
        standings: &[Standing<'_>],
        persistent: bool,
    ) -> Result<Reply, ReplyFault> {
        let mut reply = self.reply.take().ok_or(ReplyFault::NoAnswer)?;
        let mut begun = self.begin_with(&reply.data()[..end], standings, persistent)?;
        reply.consume(end);
        let rest = (!reply.is_empty()).then_some(reply);
        match &mut begun {
            Reply::Interim(_) => self.reply = rest,
            Reply::Final(download) => download.pump.give(rest),
        }
        Ok(begun)
    }

    fn begin_with(
        &self,
        head: &[u8],
        standings: &[Standing<'_>],
        persistent: bool,
    ) -> Result<Reply, ReplyFault> {
        let mut store = FieldStore::new();
        let limits = &self.snapshot.head_limits;
        let head = parse_response(head, &mut store, limits, &self.request.method)
            .map_err(|_| ReplyFault::Malformed)?;
        match head.status {
            // Upgrade was not passed on, so nobody asked for another protocol.
            101 => Err(ReplyFault::Malformed),
            100..200 => Ok(Reply::Interim(self.interim(&head))),
            _ => Ok(Reply::Final(self.download(&head, standings, persistent))),
        }
    }

    /// RFC 9110 section 15.2: passed on to a client that can understand it; 100 only to one that
    /// waits for it, since the gateway sends `Expect` on for those only.
    fn interim(&self, head: &ResponseHead<'_, '_>) -> Option<Output> {
        let understood = self.request.version == Version::Http11;
        let wanted = head.status != 100 || self.request.expect_continue;
        (understood && wanted).then(|| {
            let mut out = self.shard.buffers.output();
            write_interim(&mut out, head);
            out
        })
    }

    /// Sends the request on while the answer's head comes in. Returns where that ends in `reply`.
    /// `now` spares the first look at the clock.
    async fn read_reply_head(
        &mut self,
        mut now: Option<Instant>,
        response_timeout: Duration,
    ) -> Result<usize, ReplyFault> {
        let mut scanner = HeadScanner::default();
        let mut armed_for = None;
        poll_fn(|cx| {
            let moved = self.upload.advance(cx, &mut self.client.stream, &mut self.backend);
            moved.map_err(ReplyFault::Client)?;
            if let Poll::Ready(result) = self.poll_reply(cx, &mut scanner) {
                return Poll::Ready(result);
            }
            let progressed = self.upload.pump.take_progress();
            if progressed || armed_for != Some(self.upload.state) {
                armed_for = Some(self.upload.state);
                let patience = match self.upload.state {
                    UploadState::Running => self.snapshot.config.http.body_timeout,
                    UploadState::Done | UploadState::Refused => response_timeout,
                };
                let now = now.take().unwrap_or_else(|| self.shard.runtime.now());
                self.client.timer.arm(now + patience);
            }
            let expired = self.client.timer.poll_expired(cx);
            expired.map(|()| Err(ReplyFault::TimedOut { upload: self.upload.waits_for() }))
        })
        .await
    }

    fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
        scanner: &mut HeadScanner,
    ) -> Poll<Result<usize, ReplyFault>> {
        loop {
            if let Some(reply) = &self.reply {
                let found = scanner.scan(reply.data(), &self.snapshot.head_limits);
                match found {
                    Ok(Some(end)) => return Poll::Ready(Ok(end)),
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Err(ReplyFault::Malformed)),
                }
            }
            let mut reply =
                self.reply.take().unwrap_or_else(|| self.shard.buffers.input(Class::Medium));
            if reply.is_full() {
                reply.make_room();
            }
            let read = self.backend.poll_read(cx, reply.space());
            let begun = !reply.is_empty();
            match read {
                Poll::Pending => {
                    // Waiting for the first byte holds no buffer.
                    self.reply = begun.then_some(reply);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(count)) if count > 0 => {
                    reply.filled(count);
                    self.reply = Some(reply);
                }
                Poll::Ready(_) if begun => return Poll::Ready(Err(ReplyFault::Malformed)),
                Poll::Ready(_) => return Poll::Ready(Err(ReplyFault::NoAnswer)),
            }
        }
    }

    async fn pass_interim(&mut self, interim: Option<Output>) -> Result<(), ReplyFault> {
        let Some(out) = interim else { return Ok(()) };
        let deadline = self.shard.runtime.now() + self.snapshot.config.http.body_timeout;
        let sent = write_all(self.client, &out, deadline).await;
        sent.map_err(|error| ReplyFault::Client(PumpError::Write(error)))
    }

    fn download(
        &self,
        head: &ResponseHead<'_, '_>,
        standings: &[Standing<'_>],
        persistent: bool,
    ) -> Download {
        let persistent = persistent && self.upload.state != UploadState::Refused;
        let plan = ResponsePlan::new(head.body, self.request.version, persistent);
        let mut out = self.shard.buffers.output();
        let date = self.shard.date();
        write_response(&mut out, head, plan, standings, &date);
        let source = match head.body {
            ResponseBody::None => Source::Length(0),
            ResponseBody::Length(length) => Source::Length(length),
            ResponseBody::Chunked => Source::Chunked(Box::new(ChunkedDecoder::new())),
            ResponseBody::UntilClose => Source::UntilClose,
        };
        Download {
            pump: Pump::new(&self.shard.buffers, out, None, source, plan.sink, u64::MAX),
            status: head.status,
            client_persists: plan.persistent,
            backend_persists: head.persistent,
        }
    }

    /// What became of both sides, once the answer is over.
    fn outcome(&mut self, complete: bool, download: &mut Download) -> Outcome {
        let uploaded = self.upload.state == UploadState::Done;
        let ending = match complete {
            true if uploaded && download.client_persists => Ending::KeepAlive,
            true => Ending::Linger,
            false => Ending::Abort,
        };
        // Bytes behind the answer were never asked for: such a connection is poisoned.
        let clean = download.pump.take_rest().is_none();
        Outcome {
            status: download.status,
            request_bytes: self.upload.pump.body_bytes(),
            response_bytes: download.pump.written_bytes(),
            ending,
            rest: self.upload.pump.take_rest(),
            reusable: complete && uploaded && clean && download.backend_persists,
        }
    }

    /// The backend's connection.
    pub(super) fn into_backend(self) -> Transport<R::Stream> {
        self.backend
    }

    /// Passes the answer on, while the request's body may still be on its way.
    async fn move_bodies(&mut self, download: &mut Download) -> Result<(), Broken> {
        let patience = self.snapshot.config.http.body_timeout;
        let mut armed = false;
        poll_fn(|cx| {
            let moved = self.upload.advance(cx, &mut self.client.stream, &mut self.backend);
            moved.map_err(|_| Broken)?;
            let passed = download.pump.poll(cx, &mut self.backend, &mut self.client.stream);
            if let Poll::Ready(result) = passed {
                return Poll::Ready(result.map_err(|_| Broken));
            }
            let progressed = self.upload.pump.take_progress() | download.pump.take_progress();
            if progressed || !armed {
                armed = true;
                self.client.timer.arm(self.shard.runtime.now() + patience);
            }
            self.client.timer.poll_expired(cx).map(|()| Err(Broken))
        })
        .await
    }
}

enum Reply {
    /// An interim response, if it is to be passed on.
    Interim(Option<Output>),
    Final(Download),
}

/// The answer on its way.
struct Download {
    pump: Pump,
    status: u16,
    client_persists: bool,
    backend_persists: bool,
}

/// An answer that was begun cannot be completed.
struct Broken;
