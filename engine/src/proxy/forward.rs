//! Sends a request to a backend, and to another one when that is safe and the budget for retries
//! allows it ([`super::retry`]).

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use weir_protocol::http::{ProxyError, RequestHead};

use super::conversation::{Conversation, Fate, Outcome, Terms};
use super::exchange::Done;
use super::fault::Fault;
use super::heads::Additions;
use super::io::write_with;
use super::origin::Origin;
use super::retry::{Failure, Permit, Retry, Tried};
use super::route::SentPath;
use super::throttle::Paced;
use super::trail::Trail;
use super::upload::Upload;
use super::watch::Watch;
use super::wish::Wish;
use crate::admission::Caller;
use crate::config::RoutePolicy;
use crate::runtime::{Instant, Runtime, Transport};
use crate::shard::{Connection, Input, Shard, ShardSnapshot};
use crate::tls::{ClientTls, describe};
use crate::upstream::{Backend, Upstream, announce, balancer::round_robin};

/// A request on its way to an upstream.
pub(super) struct Forward<'f, R: Runtime> {
    pub(super) shard: &'f Shard<R>,
    pub(super) snapshot: &'f ShardSnapshot,
    pub(super) connection: &'f mut Connection<R>,
    pub(super) head: &'f RequestHead<'f, 'f>,
    /// The path as the backend gets it.
    pub(super) path: SentPath<'f>,
    /// What the route changes of requests.
    pub(super) policy: Option<&'f RoutePolicy>,
    pub(super) spare: &'f [u8],
    pub(super) origin: &'f Origin,
    pub(super) trail: &'f Trail<'f>,
    pub(super) upstream: &'f Upstream,
    pub(super) cursor: &'f Cell<usize>,
    pub(super) caller: &'f Caller,
    pub(super) wish: Wish<'f>,
    /// What is left of `Max-Forwards`, where it is counted.
    pub(super) hops: Option<u64>,
    /// What holds the bytes of bodies back.
    pub(super) paced: Option<&'f Paced>,
    /// What the answer gets besides what the backend gives it.
    pub(super) additions: Additions<'f>,
    /// Whether the client's connection may live on.
    pub(super) persistent: bool,
    /// When the request's head was read. Clock reads are spared where this will do.
    pub(super) started: Instant,
    /// When there has to be the head of an answer, whatever was tried.
    pub(super) deadline: Instant,
    pub(super) watch: &'f mut Watch,
}

/// An answer that was passed on, or broke off on the way.
pub(super) struct Forwarded<R: Runtime> {
    pub(super) status: u16,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// Index into the upstream's backends.
    pub(super) backend: usize,
    pub(super) ended: Instant,
    /// What the request did cost, if the backend says so.
    pub(super) reported: Option<u64>,
    pub(super) done: Done<R>,
    /// The end of HTTP on both connections. On the heap, since hardly an answer is that.
    pub(super) opened: Option<Box<Opened<R>>>,
}

/// The backend's side of a tunnel.
pub(super) struct Opened<R: Runtime> {
    pub(super) stream: Transport<R::Stream>,
    /// What was read behind the head of its answer.
    pub(super) read: Option<Input>,
    pub(super) target: Arc<Backend>,
}

impl<R: Runtime> Forward<'_, R> {
    pub(super) async fn run(&mut self) -> Result<Forwarded<R>, Fault> {
        let retries_max = self.upstream.retry.map_or(0, |retry| retry.attempts);
        let mut tried = Tried::default();
        let mut stale = None;
        let unavailable = ProxyError::DestinationUnavailable;
        let mut last = Fault::because(503, "no backend is healthy", unavailable);
        let mut permit: Option<Permit> = None;
        for attempt in 0..=retries_max {
            let fresh = stale.is_some();
            let Some(index) = stale.take().or_else(|| self.choose(&tried)) else { break };
            if attempt > 0 {
                self.shard.metrics.retries.increment();
            }
            tried.insert(index);
            let _in_flight = self.upstream.backends[index].begin();
            let failure = match self.attempt(index, fresh, attempt < retries_max).await {
                Ok(forwarded) => return Ok(forwarded),
                Err(failure) => failure,
            };
            last = failure.fault;
            if attempt == retries_max {
                break;
            }
            // One draw makes room for the next.
            drop(permit.take());
            permit = self.permit(failure.retry, &tried);
            if permit.is_none() {
                break;
            }
            stale = (failure.retry == Retry::Fresh).then_some(index);
        }
        Err(last)
    }

    /// Asks one backend, on a `fresh` connection only if that is asked for. `more` says that this
    /// need not be the last attempt.
    async fn attempt(
        &mut self,
        index: usize,
        fresh: bool,
        more: bool,
    ) -> Result<Forwarded<R>, Failure> {
        let upstream = self.upstream;
        let backend: &Backend = &upstream.backends[index];
        let kept = if fresh { None } else { self.take_kept(backend) };
        let reused = kept.is_some();
        let (stream, now) = match kept {
            Some(stream) => (stream, self.started),
            None => (self.connect(backend).await?, self.shard.runtime.now()),
        };
        let (mut pump, spare_used) = self.upload(backend);
        if let Some(paced) = self.paced {
            pump.hold_back(paced.throttle(self.shard), self.inline_bytes());
        }
        let held_back = self.head.expect_continue && self.spare.is_empty();
        let upload = Upload::new(pump, &self.snapshot.config.http, held_back);
        let terms = Terms {
            response_timeout: upstream.response_timeout,
            deadline: self.deadline,
            additions: self.additions,
            paced: self.paced,
            wish: self.wish,
            persistent: self.persistent,
            repeatable: more && reused && self.is_repeatable(),
        };
        let (shard, snapshot, head) = (self.shard, self.snapshot, self.head);
        let client = &mut *self.connection;
        let watch = &mut *self.watch;
        let mut conversation =
            Conversation::new(shard, snapshot, client, head, stream, upload, watch);
        match conversation.run(now, &terms).await {
            Ok(outcome) => {
                let side = conversation.into_backend();
                Ok(self.forwarded(index, now, outcome, spare_used, side))
            }
            Err(fault) => Err(self.failure(backend, &fault, reused)),
        }
    }

    fn choose(&self, tried: &Tried) -> Option<usize> {
        let eligible = |index: usize| self.is_eligible(index, tried);
        let count = self.upstream.backends.len();
        let (index, next) = round_robin(self.cursor.get(), count, eligible)?;
        self.cursor.set(next);
        Some(index)
    }

    pub(super) fn is_eligible(&self, index: usize, tried: &Tried) -> bool {
        self.upstream.backends[index].is_healthy() && !tried.contains(index)
    }

    fn take_kept(&self, backend: &Backend) -> Option<Transport<R::Stream>> {
        let kept = self.shard.pool.take(backend.id, self.started);
        kept.inspect(|_| self.shard.metrics.backend_reuses.increment())
    }

    async fn connect(&self, backend: &Backend) -> Result<Transport<R::Stream>, Failure> {
        let patience = self.shard.runtime.now() + self.upstream.connect_timeout;
        let deadline = patience.min(self.deadline);
        match self.open(backend, deadline).await {
            Ok(stream) => {
                self.shard.metrics.backend_connects.increment();
                Ok(stream)
            }
            Err(error) => Err(self.connect_failure(backend, &error)),
        }
    }

    /// Opens a connection to the backend, says first for whom, and speaks TLS on it, where the
    /// upstream asks for these.
    async fn open(&self, backend: &Backend, deadline: Instant) -> io::Result<Transport<R::Stream>> {
        let mut stream = self.shard.runtime.connect(&backend.endpoint, deadline).await?;
        if let Some(version) = self.upstream.proxy_protocol {
            let mut header = self.shard.buffers.output();
            let listener = &self.snapshot.config.listeners[self.connection.listener];
            let tls = self.connection.stream.client_tls();
            announce(&mut header, version, self.source(), listener.address, tls.as_ref());
            let timer = &self.connection.timer;
            timer.arm(deadline);
            write_with(&mut stream, timer, &header).await?;
        }
        let Some(tls) = &self.upstream.tls else { return Ok(Transport::Plain(stream)) };
        let shaken = self.shake_hands(tls, backend, stream, deadline).await;
        if let Err(error) = &shaken {
            self.shard.metrics.backend_tls_errors.increment();
            if backend.may_tell_of_tls(self.shard.runtime.wall()) {
                let (upstream, reason) = (&self.upstream.name, describe(error));
                eprintln!("weir: no TLS with backend {} of {upstream}: {reason}", backend.label);
            }
        }
        shaken
    }

    async fn shake_hands(
        &self,
        tls: &ClientTls,
        backend: &Backend,
        stream: R::Stream,
        deadline: Instant,
    ) -> io::Result<Transport<R::Stream>> {
        let mut stream = tls.open(stream, &backend.endpoint)?;
        // The client's own deadlines begin anew with the conversation.
        let timer = &self.connection.timer;
        timer.arm(deadline);
        poll_fn(|cx| match stream.poll_handshake(cx) {
            Poll::Ready(shaken) => Poll::Ready(shaken),
            Poll::Pending => timer.poll_expired(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        })
        .await?;
        Ok(Transport::Tls(stream))
    }

    /// The client, with its port where that is known.
    fn source(&self) -> SocketAddr {
        let peer = self.connection.peer;
        let is_peer = peer.ip().to_canonical() == self.origin.address;
        SocketAddr::new(self.origin.address, if is_peer { peer.port() } else { 0 })
    }

    /// Keeps the backend's connection, if it can be used again. `side` is that, with what was read
    /// behind the end of HTTP.
    fn forwarded(
        &self,
        backend: usize,
        sent: Instant,
        outcome: Outcome,
        spare_used: usize,
        (stream, read): (Transport<R::Stream>, Option<Input>),
    ) -> Forwarded<R> {
        let upstream = self.upstream;
        let ended = self.shard.runtime.now();
        self.shard.metrics.record_upstream(ended.since(sent));
        let mut opened = None;
        match outcome.fate {
            Fate::Tunnel => {
                let target = Arc::clone(&upstream.backends[backend]);
                opened = Some(Box::new(Opened { stream, read, target }));
            }
            // One that was opened in a client's name is that client's only.
            Fate::Reusable if upstream.proxy_protocol.is_none() => self.shard.pool.put(
                upstream.backends[backend].id,
                stream,
                ended,
                upstream.keepalive_timeout,
                upstream.keepalive_connections,
            ),
            Fate::Reusable | Fate::Spent => {}
        }
        Forwarded {
            status: outcome.status,
            request_bytes: outcome.request_bytes + self.inline_bytes() as u64,
            response_bytes: outcome.response_bytes,
            backend,
            ended,
            reported: outcome.reported,
            done: Done::new(outcome.ending, spare_used, outcome.rest),
            opened,
        }
    }
}
