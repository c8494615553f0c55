//! Sends a request to a backend, and to another one when that is safe.
//!
//! A request goes to a second backend only if the first cannot have acted on it: the connection
//! was never made, or the request is idempotent, all of it is still here, and nothing of an answer
//! was seen (RFC 9110 section 9.2.2).

use std::cell::Cell;
use std::io;

use weir_protocol::http::{ChunkedDecoder, RequestBody, RequestHead};
use weir_protocol::limit::fields::Standing;

use super::conversation::{Conversation, Outcome, ReplyFault};
use super::exchange::Done;
use super::heads::{CallerFields, RequestPlan, write_request};
use super::origin::Origin;
use super::pump::{Pump, PumpError, Sink, Source, WaitsFor};
use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime, Transport};
use crate::shard::{Class, Connection, Shard, ShardSnapshot};
use crate::upstream::{Backend, Upstream, balancer::round_robin};

/// Further attempts for one request, whatever the number of backends.
const RETRIES_MAX: usize = 2;

/// A request on its way to an upstream.
pub(super) struct Forward<'f, R: Runtime> {
    pub(super) shard: &'f Shard<R>,
    pub(super) snapshot: &'f ShardSnapshot,
    pub(super) connection: &'f mut Connection<R>,
    pub(super) head: &'f RequestHead<'f, 'f>,
    /// The path as the backend gets it.
    pub(super) path: &'f [u8],
    pub(super) spare: &'f [u8],
    pub(super) origin: Origin,
    pub(super) upstream: &'f Upstream,
    pub(super) cursor: &'f Cell<usize>,
    pub(super) caller: CallerFields<'f>,
    pub(super) standings: &'f [Standing<'f>],
    /// Whether the client's connection may live on.
    pub(super) persistent: bool,
    /// When the request's head was read. Clock reads are spared where this will do.
    pub(super) started: Instant,
}

/// An answer that was passed on, or broke off on the way.
pub(super) struct Forwarded {
    pub(super) status: u16,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// Index into the upstream's backends.
    pub(super) backend: usize,
    pub(super) ended: Instant,
    pub(super) done: Done,
}

/// Why there is no answer to pass on. Nothing was sent to the client yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Answer { status: u16, detail: &'static str },
    ClientGone,
}

/// A failed attempt.
struct Failure {
    fault: Fault,
    /// Whether another backend may be asked.
    retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    No,
    /// At another backend.
    Elsewhere,
    /// At the same one: only the kept connection was stale.
    Fresh,
}

impl<R: Runtime> Forward<'_, R> {
    pub(super) async fn run(&mut self) -> Result<Forwarded, Fault> {
        let upstream = self.upstream;
        let mut tried = Tried::default();
        let mut stale = None;
        let mut last = Fault::Answer { status: 503, detail: "no backend is healthy" };
        for _ in 0..=RETRIES_MAX {
            let Some(index) = stale.or_else(|| self.choose(&tried)) else { break };
            tried.insert(index);
            let backend: &Backend = &upstream.backends[index];
            let _in_flight = backend.begin();
            let kept = if stale.take().is_none() { self.take_kept(backend) } else { None };
            let reused = kept.is_some();
            let connected = match kept {
                Some(stream) => Ok((stream, self.started)),
                None => self.connect(backend).await.map(|s| (s, self.shard.runtime.now())),
            };
            let failure = match connected {
                Ok((stream, now)) => {
                    let (upload, spare_used) = self.upload(backend);
                    let (shard, snapshot, head) = (self.shard, self.snapshot, self.head);
                    let client = &mut *self.connection;
                    let mut conversation =
                        Conversation::new(shard, snapshot, client, head, stream, upload);
                    let timeout = upstream.response_timeout;
                    match conversation.run(now, timeout, self.standings, self.persistent).await {
                        Ok(outcome) => {
                            let stream = outcome.reusable.then(|| conversation.into_backend());
                            return Ok(self.forwarded(index, now, outcome, spare_used, stream));
                        }
                        Err(fault) => self.failure(backend, &fault, reused),
                    }
                }
                Err(failure) => failure,
            };
            last = failure.fault;
            match failure.retry {
                Retry::No => break,
                Retry::Fresh => stale = Some(index),
                Retry::Elsewhere => {}
            }
            self.shard.metrics.retries.increment();
        }
        Err(last)
    }

    fn choose(&self, tried: &Tried) -> Option<usize> {
        let backends = &self.upstream.backends;
        let eligible = |index: usize| backends[index].is_healthy() && !tried.contains(index);
        let (index, next) = round_robin(self.cursor.get(), backends.len(), eligible)?;
        self.cursor.set(next);
        Some(index)
    }

    fn take_kept(&self, backend: &Backend) -> Option<Transport<R::Stream>> {
        let kept = self.shard.pool.take(backend.id, self.started);
        kept.inspect(|_| self.shard.metrics.backend_reuses.increment())
    }

    async fn connect(&self, backend: &Backend) -> Result<Transport<R::Stream>, Failure> {
        let deadline = self.shard.runtime.now() + self.upstream.connect_timeout;
        match self.shard.runtime.connect(&backend.endpoint, deadline).await {
            Ok(stream) => {
                self.shard.metrics.backend_connects.increment();
                Ok(Transport::Plain(stream))
            }
            Err(error) => {
                backend.count_failure();
                self.shard.metrics.backend_connect_errors.increment();
                let fault = if error.kind() == io::ErrorKind::TimedOut {
                    self.shard.metrics.record_timeout(Timeout::Connect);
                    Fault::Answer {
                        status: 504,
                        detail: "the backend could not be reached in time",
                    }
                } else {
                    Fault::Answer { status: 502, detail: "the backend could not be reached" }
                };
                Err(Failure { fault, retry: Retry::Elsewhere })
            }
        }
    }

    /// Keeps the backend's connection, if it can be used again.
    fn forwarded(
        &self,
        backend: usize,
        sent: Instant,
        outcome: Outcome,
        spare_used: usize,
        reusable: Option<Transport<R::Stream>>,
    ) -> Forwarded {
        let upstream = self.upstream;
        let ended = self.shard.runtime.now();
        self.shard.metrics.record_upstream(ended.since(sent));
        if let Some(stream) = reusable {
            self.shard.pool.put(
                upstream.backends[backend].id,
                stream,
                ended,
                upstream.keepalive_timeout,
                upstream.keepalive_connections,
            );
        }
        Forwarded {
            status: outcome.status,
            request_bytes: outcome.request_bytes + self.inline_bytes() as u64,
            response_bytes: outcome.response_bytes,
            backend,
            ended,
            done: Done { ending: outcome.ending, spare_used, rest: outcome.rest },
        }
    }

    /// The request as it goes out, and how many bytes behind its head it uses.
    fn upload(&self, backend: &Backend) -> (Pump, usize) {
        let buffers = &self.shard.buffers;
        let mut out = buffers.output();
        let host = self.head.host.unwrap_or_else(|| backend.host());
        let client = self.origin.address;
        write_request(
            &mut out,
            &RequestPlan { head: self.head, path: self.path, host, client, caller: self.caller },
        );
        let most = self.snapshot.config.http.body_bytes_max;
        match self.head.body {
            RequestBody::None => {
                (Pump::new(buffers, out, None, Source::Length(0), Sink::Identity, most), 0)
            }
            RequestBody::Length(length) => {
                let inline = self.inline_bytes();
                out.extend_from_slice(&self.spare[..inline]);
                let source = Source::Length(length - inline as u64);
                (Pump::new(buffers, out, None, source, Sink::Identity, most), inline)
            }
            RequestBody::Chunked => {
                let input = (!self.spare.is_empty()).then(|| {
                    let mut input = buffers.input(Class::holding(self.spare.len()));
                    input.append(self.spare);
                    input
                });
                let source = Source::Chunked(Box::new(ChunkedDecoder::new()));
                (Pump::new(buffers, out, input, source, Sink::Chunked, most), self.spare.len())
            }
        }
    }

    /// Body bytes of a known length that came together with the head.
    fn inline_bytes(&self) -> usize {
        match self.head.body {
            RequestBody::Length(length) => {
                usize::try_from(length).unwrap_or(usize::MAX).min(self.spare.len())
            }
            RequestBody::None | RequestBody::Chunked => 0,
        }
    }

    /// Whether all of the request is still here.
    fn is_replayable(&self) -> bool {
        match self.head.body {
            RequestBody::None => true,
            RequestBody::Length(length) => length <= self.spare.len() as u64,
            RequestBody::Chunked => false,
        }
    }

    fn failure(&self, backend: &Backend, fault: &ReplyFault, reused: bool) -> Failure {
        let metrics = &self.shard.metrics;
        let answer = |status, detail| Fault::Answer { status, detail };
        let mut retry = Retry::No;
        let fault = match fault {
            ReplyFault::Client(PumpError::Framing(_)) => {
                answer(400, "the body's chunks are malformed")
            }
            ReplyFault::Client(PumpError::TooLarge) => {
                answer(413, "the body is larger than the limit")
            }
            ReplyFault::Client(_) => Fault::ClientGone,
            ReplyFault::TimedOut { upload: Some(WaitsFor::Source) } => {
                metrics.record_timeout(Timeout::Body);
                answer(408, "the request's body took too long")
            }
            ReplyFault::TimedOut { .. } => {
                backend.count_failure();
                metrics.record_timeout(Timeout::Response);
                answer(504, "the backend did not answer in time")
            }
            ReplyFault::NoAnswer => {
                backend.count_failure();
                if self.head.method.is_idempotent() && self.is_replayable() {
                    retry = if reused { Retry::Fresh } else { Retry::Elsewhere };
                }
                answer(502, "the backend closed without an answer")
            }
            ReplyFault::Malformed => {
                backend.count_failure();
                answer(502, "the backend's answer cannot be passed on")
            }
        };
        Failure { fault, retry }
    }
}

/// The backends that were asked. Beyond 64 all share the last bit, which only costs retries.
#[derive(Default)]
struct Tried(u64);

impl Tried {
    fn insert(&mut self, index: usize) {
        self.0 |= Self::bit(index);
    }

    fn contains(&self, index: usize) -> bool {
        self.0 & Self::bit(index) != 0
    }

    fn bit(index: usize) -> u64 {
        1 << index.min(63)
    }
}
