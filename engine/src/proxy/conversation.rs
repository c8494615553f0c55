//! One request and its answer over one backend connection, both directions at once: an answer may
//! begin, and end, while the request's body is still on its way.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use weir_protocol::http::{
    ChunkedDecoder, FieldStore, ProxyError, RequestHead, ResponseBody, ResponseHead, parse_response,
};

use super::exchange::Ending;
use super::heads::{Additions, ResponsePlan, write_response};
use super::pace::Pace;
use super::pump::{Pump, PumpError, Source, WaitsFor};
use super::throttle::Paced;
use super::upload::{Upload, UploadState};
use super::watch::Watch;
use super::wish::{Verdict, Wish};
use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime, Transport};
use crate::shard::{Connection, Input, Output, Shard, ShardSnapshot};

/// Interim responses that a backend may send before its final one.
const INTERIM_MAX: usize = 16;

pub(super) struct Conversation<'c, R: Runtime> {
    pub(super) shard: &'c Shard<R>,
    pub(super) snapshot: &'c ShardSnapshot,
    pub(super) client: &'c mut Connection<R>,
    pub(super) request: &'c RequestHead<'c, 'c>,
    pub(super) backend: Transport<R::Stream>,
    pub(super) upload: Upload,
    pub(super) watch: &'c mut Watch,
    /// What was read of the answer.
    pub(super) reply: Option<Input>,
    /// Interim responses so far.
    pub(super) interims: usize,
    /// What the request did cost, if the backend says so.
    pub(super) reported: Option<u64>,
}

/// What a conversation is held to.
pub(super) struct Terms<'t> {
    /// From the request's last byte to the end of the answer's head.
    pub(super) response_timeout: Duration,
    /// For the end of the answer's head, whatever happened before.
    pub(super) deadline: Instant,
    /// What the answer gets besides what the backend gives it.
    pub(super) additions: Additions<'t>,
    /// What holds the bytes of bodies back.
    pub(super) paced: Option<&'t Paced>,
    /// What the request asks both connections to become.
    pub(super) wish: Wish<'t>,
    /// Whether the client's connection may live on.
    pub(super) persistent: bool,
    /// Whether the request can go out again if this connection turns out to be stale.
    pub(super) repeatable: bool,
}

/// An answer that was begun: from here on only the connection can tell the client of a failure.
pub(super) struct Outcome {
    pub(super) status: u16,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) ending: Ending,
    /// What the client sent behind this request.
    pub(super) rest: Option<Input>,
    pub(super) fate: Fate,
    /// What the request did cost, if the backend says so.
    pub(super) reported: Option<u64>,
}

/// What becomes of the backend's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It can carry another request.
    Reusable,
    Spent,
    /// It is one end of a tunnel, and the client's is the other.
    Tunnel,
}

/// Why there is no answer; nothing of one was sent to the client.
#[derive(Debug)]
pub(super) enum ReplyFault {
    /// The client's body could not be read or passed on.
    Client(PumpError),
    /// `upload` says what the request was waiting for, if it had not gone out in full and that
    /// was not the backend's word.
    TimedOut { upload: Option<WaitsFor> },
    /// The backend closed, or broke, before the first byte of an answer.
    NoAnswer {
        /// Nothing of the request went out.
        unsent: bool,
    },
    /// What came is not an answer, or not the whole head of one.
    Malformed(ProxyError),
}

impl<'c, R: Runtime> Conversation<'c, R> {
    pub(super) fn new(
        shard: &'c Shard<R>,
        snapshot: &'c ShardSnapshot,
        client: &'c mut Connection<R>,
        request: &'c RequestHead<'c, 'c>,
        backend: Transport<R::Stream>,
        upload: Upload,
        watch: &'c mut Watch,
    ) -> Self {
        Self {
            shard,
            snapshot,
            client,
            request,
            backend,
            upload,
            watch,
            reply: None,
            interims: 0,
            reported: None,
        }
    }

    /// Called once. `now` is the time, as of a moment ago.
    pub(super) async fn run(
        &mut self,
        now: Instant,
        terms: &Terms<'_>,
    ) -> Result<Outcome, ReplyFault> {
        let mut now = Some(now);
        while self.interims <= INTERIM_MAX {
            let end = self.read_reply_head(now.take(), terms).await?;
            match self.begin(end, terms)? {
                Reply::Interim(out) => {
                    self.interims += 1;
                    self.pass_interim(out).await?;
                }
                Reply::Switch(status, out) => return self.switch(status, &out).await,
                Reply::Final(mut download) => {
                    let passed = self.move_bodies(&mut download).await;
                    if passed == Err(Broken::Framing) && download.pump.written_bytes() == 0 {
                        let error = ProxyError::HttpResponseTransferCoding;
                        return Err(ReplyFault::Malformed(error));
                    }
                    return Ok(self.outcome(passed.is_ok(), &mut download));
                }
            }
        }
        Err(ReplyFault::Malformed(ProxyError::HttpProtocolError))
    }

    /// Turns the head of an answer, which ends at `end` of the reply, into what the client is sent.
    fn begin(&mut self, end: usize, terms: &Terms<'_>) -> Result<Reply, ReplyFault> {
        let mut reply =
            self.reply.take().ok_or(ReplyFault::Malformed(ProxyError::HttpProtocolError))?;
        let mut begun = self.begin_with(&reply.data()[..end], terms)?;
        reply.consume(end);
        let rest = (!reply.is_empty()).then_some(reply);
        match &mut begun {
            Reply::Interim(_) | Reply::Switch(..) => self.reply = rest,
            Reply::Final(download) => download.pump.give(rest),
        }
        Ok(begun)
    }

    fn begin_with(&mut self, head: &[u8], terms: &Terms<'_>) -> Result<Reply, ReplyFault> {
        let mut store = FieldStore::new();
        let limits = &self.snapshot.head_limits;
        let head = parse_response(head, &mut store, limits, &self.request.method)
            .map_err(|error| ReplyFault::Malformed(ProxyError::of_response(error)))?;
        match terms.wish.verdict(self.request, &head) {
            Verdict::Ordinary => {}
            Verdict::Tunnel => {
                self.note_cost(&head, &terms.additions);
                return Ok(Reply::Switch(head.status, self.handshake(&head, &terms.additions)));
            }
            Verdict::Malformed => {
                return Err(ReplyFault::Malformed(ProxyError::HttpUpgradeFailed));
            }
        }
        match head.status {
            100..200 => {
                if head.status == 100 {
                    self.upload.ask();
                }
                Ok(Reply::Interim(self.interim(&head)))
            }
            // RFC 9110 section 15.5.9: a backend that closes a connection for being idle may say so,
            // and a request that was under way then may be repeated.
            408 if terms.repeatable && self.interims == 0 => {
                Err(ReplyFault::NoAnswer { unsent: false })
            }
            _ => {
                self.note_cost(&head, &terms.additions);
                Ok(Reply::Final(self.download(&head, terms)))
            }
        }
    }

    fn download(&self, head: &ResponseHead<'_, '_>, terms: &Terms<'_>) -> Download {
        let persistent = terms.persistent && self.upload.state != UploadState::Refused;
        let plan = ResponsePlan::new(head.body, self.request.version, persistent);
        let mut out = self.shard.buffers.output();
        write_response(&mut out, head, plan, &terms.additions, || self.shard.date());
        let source = match head.body {
            ResponseBody::None => Source::Length(0),
            ResponseBody::Length(length) => Source::Length(length),
            ResponseBody::Chunked => Source::Chunked(Box::new(ChunkedDecoder::new())),
            ResponseBody::UntilClose => Source::UntilClose,
        };
        let http = &self.snapshot.config.http;
        let mut pump = Pump::new(&self.shard.buffers, out, None, source, plan.sink, u64::MAX);
        if let Some(paced) = terms.paced {
            pump.hold_back(paced.throttle(self.shard), 0);
        }
        Download {
            pump,
            pace: Pace::new(http.body_timeout, http.body_rate_min),
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
        let reusable = complete && uploaded && clean && download.backend_persists;
        Outcome {
            status: download.status,
            request_bytes: self.upload.pump.body_bytes(),
            response_bytes: download.pump.written_bytes(),
            ending,
            rest: self.upload.pump.take_rest(),
            fate: if reusable { Fate::Reusable } else { Fate::Spent },
            reported: self.reported,
        }
    }

    /// The backend's connection, and what was read behind the head of its answer if that was the
    /// end of HTTP.
    pub(super) fn into_backend(self) -> (Transport<R::Stream>, Option<Input>) {
        (self.backend, self.reply)
    }

    /// Passes the answer on, while the request's body may still be on its way.
    async fn move_bodies(&mut self, download: &mut Download) -> Result<(), Broken> {
        let patience = self.snapshot.config.http.body_timeout;
        let mut armed = false;
        poll_fn(|cx| {
            let moved = self.upload.advance(cx, &mut self.client.stream, &mut self.backend);
            moved.map_err(|_| Broken::Lost)?;
            let passed = download.pump.poll(cx, &mut self.backend, &mut self.client.stream);
            if let Poll::Ready(result) = passed {
                return Poll::Ready(result.map_err(|error| Broken::of_answer(&error)));
            }
            let waits_for = download.pump.waits_for();
            if waits_for != WaitsFor::Sink {
                self.watch_client(cx).map_err(|_| Broken::Lost)?;
            }
            let progressed = self.upload.pump.take_progress() | download.pump.take_progress();
            if progressed || !armed {
                armed = true;
                let now = self.shard.runtime.now();
                let slow_reader = download.pace_deadline(now);
                let slow_sender = self.upload.pace_deadline(now);
                let held = self.upload.pump.held_until().max(download.pump.held_until());
                let from = held.map_or(now, |until| until.max(now));
                self.client.timer.arm((from + patience).min(slow_reader).min(slow_sender));
            }
            self.client.timer.poll_expired(cx).map(|()| {
                let write = waits_for == WaitsFor::Sink;
                self.shard.metrics.record_timeout(if write {
                    Timeout::Write
                } else {
                    Timeout::Body
                });
                Err(Broken::Lost)
            })
        })
        .await
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart at once; a box would be an allocation for each answer"
)]
enum Reply {
    /// An interim response, if it is to be passed on.
    Interim(Option<Output>),
    /// The status and the head that make both connections a tunnel.
    Switch(u16, Output),
    Final(Download),
}

/// The answer on its way.
struct Download {
    pump: Pump,
    pace: Pace,
    status: u16,
    client_persists: bool,
    backend_persists: bool,
}

impl Download {
    /// When the client has taken too long to read.
    fn pace_deadline(&mut self, now: Instant) -> Instant {
        let waiting = self.pump.waits_for() == WaitsFor::Sink;
        self.pace.deadline(now, waiting, self.pump.written_bytes())
    }
}

/// Why an answer that was begun cannot be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// Its chunks are malformed. As long as nothing of it was sent, another answer can be.
    Framing,
    /// One of the sides broke, or took too long.
    Lost,
}

impl Broken {
    fn of_answer(error: &PumpError) -> Self {
        match error {
            PumpError::Framing(_) => Self::Framing,
            _ => Self::Lost,
        }
    }
}
