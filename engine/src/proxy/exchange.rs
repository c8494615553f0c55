//! One request from its head to the last byte of its answer.

use std::rc::Rc;

use weir_protocol::http::{
    FieldStore, Method, RequestBody, RequestHead, is_normal_path, parse_request,
};

use super::account::Account;
use super::answer::{Answer, AnswerContext};
use super::cors::{own_lines, response_policy};
use super::forward::Forward;
use super::heads::Additions;
use super::io::{LINGER, linger, write_answer};
use super::origin::Origin;
use super::receive::{HeadFault, read_head, refuse_head};
use super::route::sent_path;
use super::throttle::Paced;
use super::trail::Trail;
use super::tunnel::Tunnel;
use super::watch::Watch;
use crate::admission::Decision;
use crate::runtime::{Instant, Runtime};
use crate::shard::{Connection, Desk, Input, Output, Shard, ShardSnapshot};
use crate::snapshot::Forwarding;
use crate::upstream::Upstream;

/// What becomes of the connection.
pub enum After<R: Runtime> {
    /// It waits for another request, whose first bytes may be here already.
    KeepAlive(Option<Input>),
    Close,
    /// Closed with a reset, so that the client cannot take a part for the whole.
    Abort,
    /// It serves HTTP no more.
    Tunnel(Box<Tunnel<R>>),
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
        // Until the answer is out, and lingered over.
        let engaged = shard.engage();
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
                            plain_path: is_normal_path(head.target.path),
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
            Ok((Done { tunnel: Some(mut tunnel), rest, .. }, end)) => {
                inbound.consume(end);
                let left = (!inbound.is_empty()).then_some(inbound);
                tunnel.give(rest.or(left));
                After::Tunnel(tunnel)
            }
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
        drop(engaged);
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
pub(super) struct Done<R: Runtime> {
    pub(super) ending: Ending,
    /// How many bytes behind the head belonged to this request.
    pub(super) spare_used: usize,
    /// What was read behind the end of the request's body.
    pub(super) rest: Option<Input>,
    /// What the connection becomes instead of serving another request.
    pub(super) tunnel: Option<Box<Tunnel<R>>>,
}

impl<R: Runtime> Done<R> {
    pub(super) fn new(ending: Ending, spare_used: usize, rest: Option<Input>) -> Self {
        Self { ending, spare_used, rest, tunnel: None }
    }
}

/// An exchange whose head is known.
pub(super) struct Exchange<'e, R: Runtime> {
    pub(super) shard: &'e Shard<R>,
    pub(super) snapshot: &'e ShardSnapshot,
    pub(super) connection: &'e mut Connection<R>,
    pub(super) head: &'e RequestHead<'e, 'e>,
    /// Whether its path is one to which [`is_normal_path`] says yes.
    pub(super) plain_path: bool,
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

fn additions<'a>(
    decision: &'a Decision<'_>,
    trail: &'a Trail<'_>,
    forwarding: &'a Forwarding,
) -> Additions<'a> {
    let request_id = if forwarding.request_id_in_response { trail.request_id.get() } else { None };
    let standings = &decision.standings;
    Additions { standings, request_id, forwarding, cost_header: None, policy: None }
}

impl<'e, R: Runtime> Exchange<'e, R> {
    async fn run(&mut self) -> Done<R> {
        let mut account = Account::default();
        let mut decision = Decision::new(&self.shard.table);
        let mut scratch = None;
        let buffers = &self.shard.buffers;
        let mut watch = Watch::new(self.spare.len() > self.spare_of_body());
        let judged = self.judge(&mut decision, &mut account).and_then(|judged| {
            let path = sent_path(
                self.head.target.path,
                self.plain_path,
                judged.route,
                buffers,
                &mut scratch,
            )?;
            Ok((judged, path))
        });
        let mut opened = None;
        let answered = match judged {
            Err(answer) => Err(answer),
            Ok((judged, path)) => {
                let upstream: &'e Upstream = &self.snapshot.upstreams[judged.upstream];
                let deadline = self.deadline(upstream);
                let policy = judged.route.policy.as_deref();
                let paced = Paced::new(self.shard, self.snapshot, &decision.tab);
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
                    caller: &decision.caller,
                    wish: judged.wish,
                    hops: judged.hops,
                    paced: paced.as_ref(),
                    additions: Additions {
                        cost_header: judged.route.cost_header.as_deref(),
                        policy: policy.map(|p| response_policy(p, &self.lines, self.vary_origin)),
                        ..additions(&decision, &self.trail, &self.snapshot.forwarding)
                    },
                    started: self.started,
                    deadline,
                    watch: &mut watch,
                };
                let mut result = forward.run().await;
                let side = result.as_mut().ok().and_then(|forwarded| forwarded.opened.take());
                opened = side.zip(judged.place);
                account.settle(upstream, result)
            }
        };
        let mut done = match answered {
            Ok(done) => done,
            Err(answer) => self.answer(&answer, &decision.standings, &mut account).await,
        };
        // Only a request that left nothing behind in the buffers was watched.
        done.rest = done.rest.or_else(|| watch.take());
        done.tunnel = self.conclude(opened, &mut decision, &mut account);
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

    /// Where field lines for the answer go.
    pub(super) fn own_lines(&mut self) -> &mut Vec<u8> {
        self.lines.get_or_insert_with(|| self.shard.buffers.output())
    }

    /// Whether this side lets the connection live on after this request. What follows a refused
    /// CONNECT may be meant for the tunnel, and must not be taken for a request.
    fn may_persist(&self) -> bool {
        self.head.persistent
            && self.head.method != Method::Connect
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
    ) -> Done<R> {
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
        Done::new(ending, skipped.unwrap_or(0), None)
    }
}
