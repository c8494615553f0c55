//! One request from its head to the last byte of its answer.

use std::rc::Rc;

use weir_protocol::http::{FieldStore, Method, RequestBody, RequestHead, parse_request};

use super::answer::{Answer, AnswerContext};
use super::cors::{own_lines, response_policy};
use super::fault::Fault;
use super::forward::{Forward, Forwarded};
use super::heads::{Additions, CallerFields};
use super::io::{LINGER, linger, write_answer};
use super::origin::Origin;
use super::receive::{HeadFault, read_head, refuse_head};
use super::route::sent_path;
use super::trail::Trail;
use super::watch::Watch;
use crate::access_log::{Entry, write_line};
use crate::admission::{Caller, Decision};
use crate::runtime::{Instant, Runtime};
use crate::shard::{Connection, Desk, Input, Output, Shard, ShardSnapshot};
use crate::snapshot::Forwarding;
use crate::upstream::Upstream;

/// What becomes of the connection.
pub enum After {
    /// It waits for another request, whose first bytes may be here already.
    KeepAlive(Option<Input>),
    Close,
    /// Closed with a reset, so that the client cannot take a part for the whole.
    Abort,
}

/// Answers one request after another, of whatever connection is on the desk; never returns.
///
/// One future for many requests: it is large (the parsed fields of a head), and making a new one
/// for each request would copy it.
pub async fn exchange<R: Runtime>(shard: Rc<Shard<R>>, desk: Rc<Desk<R>>) {
    loop {
        let (mut connection, mut inbound) = desk.next().await;
        let snapshot = shard.snapshot();
        let started = shard.runtime.now();
        let head = read_head(&shard, &snapshot, &mut connection, &mut inbound, started).await;
        let read = match head {
            Ok(end) => {
                let mut store = FieldStore::new();
                match parse_request(&inbound.data()[..end], &mut store, &snapshot.head_limits) {
                    Ok(head) => {
                        let mut exchange = Exchange {
                            shard: &shard,
                            snapshot: &snapshot,
                            origin: Origin::of(&connection, &head, &snapshot.forwarding),
                            trail: Trail::of(&head, &snapshot.forwarding, &shard),
                            connection: &mut connection,
                            head: &head,
                            spare: &inbound.data()[end..],
                            started,
                            lines: None,
                            vary_origin: false,
                        };
                        Ok((exchange.run().await, end))
                    }
                    Err(error) => Err(HeadFault::Malformed(error)),
                }
            }
            Err(fault) => Err(fault),
        };
        let after = match read {
            Ok((done, end)) => match done.ending {
                Ending::KeepAlive => {
                    inbound.consume(end + done.spare_used);
                    let left = (!inbound.is_empty()).then_some(inbound);
                    After::KeepAlive(done.rest.or(left))
                }
                Ending::Linger => {
                    linger(&shard, &mut connection, LINGER).await;
                    After::Close
                }
                Ending::Close => After::Close,
                Ending::Abort => After::Abort,
            },
            Err(fault) => refuse_head(&shard, &mut connection, &fault, started).await,
        };
        desk.finish(connection, after);
    }
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
pub(super) struct Exchange<'e, R: Runtime> {
    pub(super) shard: &'e Shard<R>,
    pub(super) snapshot: &'e ShardSnapshot,
    pub(super) connection: &'e mut Connection<R>,
    pub(super) head: &'e RequestHead<'e, 'e>,
    /// Bytes that were read behind the head.
    spare: &'e [u8],
    pub(super) origin: Origin,
    pub(super) trail: Trail<'e>,
    pub(super) started: Instant,
    /// Field lines that the route adds to the answer, whoever gives it.
    pub(super) lines: Option<Output>,
    /// Whether the answer depends on the page that asks.
    pub(super) vary_origin: bool,
}

/// What the log line tells of how it went.
#[derive(Default)]
pub(super) struct Account<'e> {
    status: u16,
    pub(super) decision: &'static str,
    pub(super) limit: Option<&'e str>,
    upstream: Option<&'e str>,
    backend: Option<&'e str>,
    request_bytes: u64,
    response_bytes: u64,
    /// When the answer ended, where that is known already.
    ended: Option<Instant>,
}

impl<'e> Account<'e> {
    /// Notes how forwarding went. An error is the answer that tells the client.
    fn settle(
        &mut self,
        upstream: &'e Upstream,
        result: Result<Forwarded, Fault>,
    ) -> Result<Done, Answer<'e>> {
        match result {
            Ok(forwarded) => {
                self.status = forwarded.status;
                self.upstream = Some(&upstream.name);
                self.backend = Some(&upstream.backends[forwarded.backend].label);
                self.request_bytes = forwarded.request_bytes;
                self.response_bytes = forwarded.response_bytes;
                self.ended = Some(forwarded.ended);
                Ok(forwarded.done)
            }
            Err(Fault::Answer { status, detail, error }) => {
                self.decision = "failed";
                self.upstream = Some(&upstream.name);
                let retry_after_ns = (status == 503).then_some(1_000_000_000);
                Err(Answer { retry_after_ns, error, ..Answer::new(status, detail) })
            }
            Err(Fault::ClientGone) => {
                // 499 is nginx's number for a client that left before its answer.
                self.status = 499;
                self.upstream = Some(&upstream.name);
                Ok(Done { ending: Ending::Abort, spare_used: 0, rest: None })
            }
        }
    }
}

fn caller_fields<'c>(caller: &'c Caller, snapshot: &'c ShardSnapshot) -> CallerFields<'c> {
    CallerFields {
        user: caller.user(snapshot),
        tier: caller.tier(snapshot).map(|tier| snapshot.config.tiers[tier].name.as_str()),
        key: caller.key_name(snapshot),
    }
}

fn additions<'a>(
    decision: &'a Decision<'_>,
    trail: &'a Trail<'_>,
    forwarding: &'a Forwarding,
) -> Additions<'a> {
    let request_id = if forwarding.request_id_in_response { trail.request_id.get() } else { None };
    Additions { standings: &decision.standings, request_id, forwarding, policy: None }
}

impl<'e, R: Runtime> Exchange<'e, R> {
    async fn run(&mut self) -> Done {
        let mut account = Account::default();
        let mut decision = Decision::default();
        let mut scratch = self.shard.buffers.output();
        let mut watch = Watch::new(self.spare.len() > self.spare_of_body());
        let judged = self.judge(&mut decision, &mut account).and_then(|judged| {
            let path = sent_path(self.head.target.path, judged.route, &mut scratch)?;
            Ok((judged, path))
        });
        let answered = match judged {
            Err(answer) => Err(answer),
            Ok((judged, path)) => {
                let upstream: &'e Upstream = &self.snapshot.upstreams[judged.upstream];
                let deadline = self.deadline(upstream);
                let policy = judged.route.policy.as_deref();
                let mut forward = Forward {
                    shard: self.shard,
                    snapshot: self.snapshot,
                    persistent: self.may_persist(),
                    connection: &mut *self.connection,
                    head: self.head,
                    path,
                    policy,
                    spare: self.spare,
                    origin: &self.origin,
                    trail: &self.trail,
                    upstream,
                    cursor: self.snapshot.cursor(judged.upstream),
                    caller: caller_fields(&decision.caller, self.snapshot),
                    additions: Additions {
                        policy: policy.map(|p| response_policy(p, &self.lines, self.vary_origin)),
                        ..additions(&decision, &self.trail, &self.snapshot.forwarding)
                    },
                    started: self.started,
                    deadline,
                    watch: &mut watch,
                };
                let result = forward.run().await;
                account.settle(upstream, result)
            }
        };
        let mut done = match answered {
            Ok(done) => done,
            Err(answer) => self.answer(&answer, &decision.standings, &mut account).await,
        };
        // Only a request that left nothing behind in the buffers was watched.
        done.rest = done.rest.or_else(|| watch.take());
        self.record(&decision.caller, &account);
        done
    }

    /// How many of the bytes behind the head can be its body's.
    fn spare_of_body(&self) -> usize {
        match self.head.body {
            RequestBody::None => 0,
            RequestBody::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            // Whatever is not will be found behind the last chunk.
            RequestBody::Chunked => usize::MAX,
        }
    }

    /// When there has to be an answer from `upstream`.
    fn deadline(&self, upstream: &Upstream) -> Instant {
        if upstream.request_timeout.is_zero() {
            return Instant::NEVER;
        }
        self.shard.runtime.now() + upstream.request_timeout
    }

    fn record(&mut self, caller: &Caller, account: &Account<'_>) {
        let ended = account.ended.unwrap_or_else(|| self.shard.runtime.now());
        self.connection.idle_since = ended;
        let elapsed = ended.since(self.started);
        let metrics = &self.shard.metrics;
        metrics.record_request(account.status, elapsed);
        metrics.bytes_in.add(self.head.len as u64 + account.request_bytes);
        metrics.bytes_out.add(account.response_bytes);
        if !self.shard.has_log() {
            return;
        }
        let fields = caller_fields(caller, self.snapshot);
        let entry = Entry {
            timestamp: self.shard.runtime.wall().before(elapsed),
            shard: self.shard.id,
            client: self.origin.address,
            method: self.head.method.as_str().as_bytes(),
            path: self.head.target.path.as_bytes(),
            query: self.head.target.query.map(str::as_bytes),
            host: self.head.host.map(str::as_bytes),
            http_version: self.head.version.as_str(),
            user_agent: self.head.by_name("user-agent"),
            request_id: self.trail.request_id.get(),
            status: account.status,
            bytes_in: self.head.len as u64 + account.request_bytes,
            bytes_out: account.response_bytes,
            duration: elapsed,
            upstream: account.upstream,
            backend: account.backend,
            user: fields.user,
            tier: fields.tier,
            key_name: fields.key,
            decision: account.decision,
            limit: account.limit,
        };
        self.shard.log(|line| write_line(&entry, line));
    }

    /// Where field lines for the answer go.
    pub(super) fn own_lines(&mut self) -> &mut Vec<u8> {
        self.lines.get_or_insert_with(|| self.shard.buffers.output())
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
            request_id: self.trail.request_id.get(),
            proxy_name: self.snapshot.forwarding.proxy_status.as_deref(),
            lines: own_lines(&self.lines),
            vary_origin: self.vary_origin,
        };
        let out = answer.compose(self.shard, context);
        account.status = answer.status;
        account.response_bytes = out.len() as u64;
        let patience = self.snapshot.config.http.body_timeout;
        let ending = match write_answer(self.shard, self.connection, &out, patience).await {
            Ok(()) if persistent => Ending::KeepAlive,
            Ok(()) => Ending::Linger,
            Err(_) => Ending::Close,
        };
        Done { ending, spare_used: skipped.unwrap_or(0), rest: None }
    }
}
