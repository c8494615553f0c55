use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;

use weir_protocol::http::{
    FieldId, FieldStore, HeadError, HeadScanner, Method, RequestBody, RequestHead,
    host_without_port, normalise_path, parse_request,
};

use super::answer::{Answer, AnswerContext};
use super::forward::{Fault, Forward, Forwarded};
use super::heads::CallerFields;
use super::io::{read_some, write_all};
use crate::access_log::{Entry, write_line};
use crate::admission::{Admission, Decision, Request};
use crate::config::RouteTarget;
use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime, Stream};
use crate::shard::{Class, Connection, Input, Shard, ShardSnapshot};

/// What becomes of the connection.
pub enum After {
    /// It waits for another request, whose first bytes may be here already.
    KeepAlive(Option<Input>),
    Close,
    /// Closed with a reset, so that the client cannot take a part for the whole.
    Abort,
}

/// Bytes that a refused client may still send before it is cut off; reading them keeps a reset
/// from overtaking the answer (RFC 9112 section 9.6).
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// Answers one request; `inbound` holds its first bytes.
pub async fn exchange<R: Runtime>(
    shard: Rc<Shard<R>>,
    mut connection: Connection<R>,
    mut inbound: Input,
) -> (Connection<R>, After) {
    let snapshot = shard.snapshot();
    let started = shard.runtime.now();
    let head = read_head(&shard, &snapshot, &mut connection, &mut inbound, started).await;
    let end = match head {
        Ok(end) => end,
        Err(fault) => {
            let after = refuse_head(&shard, &mut connection, &fault, started).await;
            return (connection, after);
        }
    };
    let done = {
        let mut store = FieldStore::new();
        match parse_request(&inbound.data()[..end], &mut store, &snapshot.head_limits) {
            Ok(head) => {
                let exchange = Exchange {
                    shard: &shard,
                    snapshot: &snapshot,
                    connection: &mut connection,
                    head: &head,
                    spare: &inbound.data()[end..],
                    started,
                };
                exchange.run().await
            }
            Err(error) => {
                let fault = HeadFault::Malformed(error);
                let after = refuse_head(&shard, &mut connection, &fault, started).await;
                return (connection, after);
            }
        }
    };
    let after = match done.ending {
        Ending::KeepAlive => {
            inbound.consume(end + done.spare_used);
            After::KeepAlive(done.rest.or_else(|| (!inbound.is_empty()).then_some(inbound)))
        }
        Ending::Linger => {
            linger(&shard, &mut connection).await;
            After::Close
        }
        Ending::Close => After::Close,
        Ending::Abort => After::Abort,
    };
    (connection, after)
}

/// Why no head could be read.
enum HeadFault {
    /// The client closed, or broke, before it was complete.
    Gone,
    TimedOut,
    Malformed(HeadError),
}

/// Reads until the head is complete; returns where it ends.
async fn read_head<R: Runtime>(
    shard: &Shard<R>,
    snapshot: &ShardSnapshot,
    connection: &mut Connection<R>,
    inbound: &mut Input,
    started: Instant,
) -> Result<usize, HeadFault> {
    let mut scanner = HeadScanner::default();
    loop {
        let found = scanner.scan(inbound.data(), &snapshot.head_limits);
        if let Some(end) = found.map_err(HeadFault::Malformed)? {
            return Ok(end);
        }
        if inbound.is_full() {
            inbound.make_room();
        }
        connection.timer.arm(started + snapshot.config.http.head_timeout);
        match read_some(connection, inbound).await {
            Ok(0) => return Err(HeadFault::Gone),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                shard.metrics.record_timeout(Timeout::Head);
                return Err(HeadFault::TimedOut);
            }
            Err(_) => return Err(HeadFault::Gone),
        }
    }
}

async fn refuse_head<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
    fault: &HeadFault,
    started: Instant,
) -> After {
    let detail;
    let answer = match fault {
        HeadFault::Gone => return After::Close,
        HeadFault::TimedOut => Answer::new(408, "the request's head took too long"),
        HeadFault::Malformed(error) => {
            detail = error.to_string();
            Answer::new(error.status(), &detail)
        }
    };
    let out = answer.compose(shard, AnswerContext::LAST_WORD);
    let now = shard.runtime.now();
    let deadline = now + shard.snapshot().config.http.body_timeout;
    shard.metrics.record_request(answer.status, now.since(started));
    shard.log(|line| {
        let entry = Entry {
            timestamp: shard.runtime.wall(),
            shard: shard.id,
            client: connection.peer.ip(),
            status: answer.status,
            duration: now.since(started),
            decision: "malformed",
            ..Entry::empty()
        };
        write_line(&entry, line);
    });
    if write_all(connection, &out, deadline).await.is_ok() {
        linger(shard, connection).await;
    }
    After::Close
}

/// Half-closes, then reads and drops what the client still sends, for a while.
async fn linger<R: Runtime>(shard: &Shard<R>, connection: &mut Connection<R>) {
    connection.timer.arm(shard.runtime.now() + LINGER);
    if poll_fn(|cx| connection.stream.poll_shutdown(cx)).await.is_err() {
        return;
    }
    let mut dropped = 0;
    poll_fn(|cx| {
        let mut input = shard.buffers.input(Class::Medium);
        while dropped < LINGER_BYTES_MAX {
            match connection.stream.poll_read(cx, input.space()) {
                Poll::Ready(Ok(count)) if count > 0 => dropped += count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return connection.timer.poll_expired(cx),
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// How the connection goes on, before what is left in its buffers is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    KeepAlive,
    /// Closed, after what the client still sends was read.
    Linger,
    Close,
    Abort,
}

/// An exchange that is over.
pub(super) struct Done {
    pub(super) ending: Ending,
    /// How many bytes behind the head belonged to this request.
    pub(super) spare_used: usize,
    /// What was read behind the end of the request's body.
    pub(super) rest: Option<Input>,
}

/// An exchange whose head is known.
struct Exchange<'e, R: Runtime> {
    shard: &'e Shard<R>,
    snapshot: &'e ShardSnapshot,
    connection: &'e mut Connection<R>,
    head: &'e RequestHead<'e, 'e>,
    /// Bytes that were read behind the head.
    spare: &'e [u8],
    started: Instant,
}

/// What the log line tells of how it went.
#[derive(Default)]
struct Account<'e> {
    status: u16,
    decision: &'static str,
    limit: Option<&'e str>,
    upstream: Option<&'e str>,
    backend: Option<&'e str>,
    request_bytes: u64,
    response_bytes: u64,
}

impl<'e, R: Runtime> Exchange<'e, R> {
    async fn run(mut self) -> Done {
        let mut account = Account::default();
        let mut caller = None;
        let done = match self.route() {
            Ok(route) => {
                let decision = self.decide(route);
                let done = self.act(route, &decision, &mut account).await;
                caller = Some(decision.caller);
                done
            }
            Err(answer) => {
                account.decision = "no-route";
                self.answer(&answer, &[], &mut account).await
            }
        };
        let elapsed = self.shard.runtime.now().since(self.started);
        self.shard.metrics.record_request(account.status, elapsed);
        if self.shard.has_log() {
            let caller = caller.as_ref();
            let entry = Entry {
                timestamp: self.shard.runtime.wall(),
                shard: self.shard.id,
                client: self.client(),
                method: self.head.method.as_str().as_bytes(),
                path: self.head.target.path.as_bytes(),
                query: self.head.target.query.map(str::as_bytes),
                host: self.head.host.map(str::as_bytes),
                http_version: self.head.version.as_str(),
                user_agent: self.head.by_name("user-agent"),
                request_id: self.head.get(FieldId::XRequestId),
                status: account.status,
                bytes_in: account.request_bytes,
                bytes_out: account.response_bytes,
                duration: elapsed,
                upstream: account.upstream,
                backend: account.backend,
                user: caller.and_then(|caller| caller.user(self.snapshot)),
                tier: caller.and_then(|caller| self.tier_name(caller)),
                key_name: caller.and_then(|caller| caller.key_name(self.snapshot)),
                decision: account.decision,
                limit: account.limit,
            };
            self.shard.log(|line| write_line(&entry, line));
        }
        done
    }

    fn client(&self) -> IpAddr {
        self.connection.peer.ip().to_canonical()
    }

    fn tier_name(&self, caller: &crate::admission::Caller) -> Option<&'e str> {
        caller.tier(self.snapshot).map(|tier| self.snapshot.config.tiers[tier].name.as_str())
    }

    /// Rules are matched against the normalised path, so that no spelling walks around them.
    fn route(&self) -> Result<usize, Answer<'static>> {
        let mut scratch = self.shard.buffers.output();
        let path = normalise_path(self.head.target.path, &mut scratch)
            .map_err(|_| Answer::new(400, "the path's percent-encoding is malformed"))?;
        let host = self.head.host.map(host_without_port);
        let routes = &self.snapshot.config.routes;
        self.snapshot
            .router
            .find(routes, self.connection.listener, host, path)
            .ok_or(Answer::new(404, "no route matches"))
    }

    fn decide(&self, route: usize) -> Decision<'e> {
        let admission = Admission {
            snapshot: self.snapshot,
            table: &self.shard.table,
            metrics: &self.shard.metrics,
        };
        admission.decide(&Request {
            head: self.head,
            route: &self.snapshot.config.routes[route],
            address: self.connection.peer.ip(),
            now: self.started,
            wall: self.shard.runtime.wall(),
        })
    }

    async fn act(
        &mut self,
        route: usize,
        decision: &Decision<'e>,
        account: &mut Account<'e>,
    ) -> Done {
        if let Some(refusal) = &decision.refusal {
            let answer = Answer::refusal(refusal);
            account.decision = "refused";
            account.limit = answer.limit;
            return self.answer(&answer, &decision.standings, account).await;
        }
        account.decision = "forwarded";
        if self.head.method == Method::Connect {
            let answer = Answer::new(405, "CONNECT is not allowed");
            return self.answer(&answer, &decision.standings, account).await;
        }
        let most = self.snapshot.config.http.body_bytes_max;
        if matches!(self.head.body, RequestBody::Length(length) if length > most) {
            let answer = Answer::new(413, "the body is larger than the limit");
            return self.answer(&answer, &decision.standings, account).await;
        }
        self.forward(route, decision, account).await
    }

    async fn forward(
        &mut self,
        route: usize,
        decision: &Decision<'e>,
        account: &mut Account<'e>,
    ) -> Done {
        let upstream = match self.snapshot.config.routes[route].target {
            RouteTarget::Upstream(index) => Some(index),
            RouteTarget::Control => self.snapshot.control,
        };
        let Some(index) = upstream else {
            let answer = Answer::new(503, "the control plane is not here");
            return self.answer(&answer, &[], account).await;
        };
        let caller = CallerFields {
            user: decision.caller.user(self.snapshot),
            tier: self.tier_name(&decision.caller),
            key: decision.caller.key_name(self.snapshot),
        };
        let upstream = &self.snapshot.upstreams[index];
        let persistent = self.may_persist();
        let mut forward = Forward {
            shard: self.shard,
            snapshot: self.snapshot,
            connection: self.connection,
            head: self.head,
            spare: self.spare,
            upstream,
            cursor: self.snapshot.cursor(index),
            caller,
            standings: &decision.standings,
            persistent,
        };
        let result = forward.run().await;
        match result {
            Ok(forwarded) => {
                let Forwarded { status, request_bytes, response_bytes, backend, done } = forwarded;
                account.status = status;
                account.upstream = Some(&upstream.name);
                account.backend = Some(&upstream.backends[backend].label);
                (account.request_bytes, account.response_bytes) = (request_bytes, response_bytes);
                done
            }
            Err(Fault::Answer { status, detail }) => {
                account.decision = "failed";
                let retry_after_ns = (status == 503).then_some(1_000_000_000);
                let answer = Answer { retry_after_ns, ..Answer::new(status, detail) };
                self.answer(&answer, &decision.standings, account).await
            }
            Err(Fault::ClientGone) => {
                // 499 is nginx's number for a client that left before its answer.
                account.status = 499;
                Done { ending: Ending::Abort, spare_used: 0, rest: None }
            }
        }
    }

    /// Whether this side lets the connection live on after this request.
    fn may_persist(&self) -> bool {
        self.head.persistent
            && !self.shard.is_draining()
            && self.connection.requests < self.snapshot.config.http.requests_per_connection
    }

    /// Sends an answer of our own. A request body that is not here in full ends the connection:
    /// reading it would be work for nothing, and skipping it would take it for a request.
    async fn answer(
        &mut self,
        answer: &Answer<'_>,
        standings: &[weir_protocol::limit::fields::Standing<'_>],
        account: &mut Account<'e>,
    ) -> Done {
        let skipped = match self.head.body {
            RequestBody::None => Some(0),
            RequestBody::Length(length) => {
                usize::try_from(length).ok().filter(|length| *length <= self.spare.len())
            }
            RequestBody::Chunked => None,
        };
        let failed = answer.status == 400 || answer.status == 408;
        let persistent = skipped.is_some() && !failed && self.may_persist();
        let context = AnswerContext {
            client: self.head.version,
            persistent,
            head_only: self.head.method == Method::Head,
            standings,
        };
        let out = answer.compose(self.shard, context);
        account.status = answer.status;
        let deadline = self.shard.runtime.now() + self.snapshot.config.http.body_timeout;
        let ending = match write_all(self.connection, &out, deadline).await {
            Ok(()) if persistent => Ending::KeepAlive,
            Ok(()) => Ending::Linger,
            Err(_) => Ending::Close,
        };
        Done { ending, spare_used: skipped.unwrap_or(0), rest: None }
    }
}
