//! How an exchange went: what metrics and the log are told of it.

use std::time::Duration;

use super::answer::Answer;
use super::exchange::{Done, Ending, Exchange};
use super::fault::Fault;
use super::forward::{Forwarded, Opened};
use super::heads::CallerFields;
use super::throttle::Paced;
use super::tunnel::{Record, Tunnel};
use crate::access_log::{Entry, OpenLine, write_line};
use crate::admission::{Caller, Decision, Tab};
use crate::runtime::{Instant, Runtime};
use crate::shard::{ShardSnapshot, TunnelPlace};
use crate::tls::ClientIdentity;
use crate::upstream::Upstream;

/// What the log line tells of how it went.
#[derive(Default)]
pub(super) struct Account<'e> {
    pub(super) status: u16,
    pub(super) decision: &'static str,
    pub(super) limit: Option<&'e str>,
    /// A limit in dry run that would have refused.
    pub(super) would_refuse: Option<&'e str>,
    /// Index into the configuration's routes.
    pub(super) route: Option<usize>,
    /// Whether it announces another request.
    pub(super) preflight: bool,
    upstream: Option<&'e str>,
    backend: Option<&'e str>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    /// What the request did cost, if its backend says so.
    pub(super) reported: Option<u64>,
    /// When the answer ended, where that is known already.
    ended: Option<Instant>,
}

impl<'e> Account<'e> {
    /// Notes how forwarding went. An error is the answer that tells the client.
    pub(super) fn settle<R: Runtime>(
        &mut self,
        upstream: &'e Upstream,
        result: Result<Forwarded<R>, Fault>,
    ) -> Result<Done<R>, Answer<'e>> {
        match result {
            Ok(forwarded) => {
                self.status = forwarded.status;
                self.upstream = Some(&upstream.name);
                self.backend = Some(&upstream.backends[forwarded.backend].label);
                self.request_bytes = forwarded.request_bytes;
                self.response_bytes = forwarded.response_bytes;
                self.reported = forwarded.reported;
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
                Ok(Done::new(Ending::Abort, 0, None))
            }
        }
    }
}

pub(super) fn caller_fields<'c>(
    caller: &'c Caller,
    snapshot: &'c ShardSnapshot,
    certificate: Option<&'c ClientIdentity>,
) -> CallerFields<'c> {
    CallerFields {
        user: caller.user(snapshot),
        tier: caller.tier(snapshot).map(|tier| snapshot.config.tiers[tier].name.as_str()),
        key: caller.key_name(snapshot),
        certificate,
    }
}

impl<R: Runtime> Exchange<'_, R> {
    /// Tells of an exchange that is over, or makes a tunnel of it.
    pub(super) fn conclude(
        &mut self,
        opened: Option<(Box<Opened<R>>, TunnelPlace)>,
        decision: &mut Decision<'_>,
        account: &mut Account<'_>,
    ) -> Option<Box<Tunnel<R>>> {
        let Some((side, place)) = opened else {
            self.record(decision, account);
            return None;
        };
        account.decision = "tunnelled";
        Some(self.tunnel(*side, place, decision, account))
    }

    fn record(&mut self, decision: &Decision<'_>, account: &Account<'_>) {
        let elapsed = self.count(account, &decision.tab);
        self.record_flight(decision, account, elapsed);
        if self.shard.has_log() {
            let entry = self.entry(&decision.caller, account, elapsed);
            self.shard.log(|line| write_line(&entry, line));
        }
    }

    /// A tunnel is counted as a request when it opens, and logged when it ends.
    fn tunnel(
        &mut self,
        side: Opened<R>,
        place: TunnelPlace,
        decision: &mut Decision<'_>,
        account: &Account<'_>,
    ) -> Box<Tunnel<R>> {
        let elapsed = self.count(account, &decision.tab);
        self.record_flight(decision, account, elapsed);
        let log = self.shard.has_log();
        let record = Record {
            started: self.started,
            bytes_in: self.head.bytes.len() as u64,
            bytes_out: account.response_bytes,
            line: log.then(|| OpenLine::new(&self.entry(&decision.caller, account, elapsed))),
            target: side.target,
            place,
            lease: decision.tab.lease(&self.shard.table),
        };
        let paced = Paced::new(self.shard, self.snapshot, &decision.tab);
        let throttle = || paced.as_ref().map(|paced| paced.throttle(self.shard));
        let idle_timeout = self.snapshot.config.http.tunnel_idle_timeout;
        let throttles = [throttle(), throttle()];
        Box::new(Tunnel::new(side.stream, side.read, idle_timeout, record, throttles))
    }

    /// Returns how long the request took.
    fn count(&mut self, account: &Account<'_>, tab: &Tab<'_>) -> Duration {
        let ended = account.ended.unwrap_or_else(|| self.shard.runtime.now());
        self.connection.idle_since = ended;
        let elapsed = ended.since(self.started);
        let metrics = &self.shard.metrics;
        metrics.record_request(account.status, elapsed);
        let bytes_in = self.head.bytes.len() as u64 + account.request_bytes;
        metrics.bytes_in.add(bytes_in);
        metrics.bytes_out.add(account.response_bytes);
        if let Some(reported) = account.reported {
            tab.settle_cost(reported, ended);
        }
        tab.settle_bytes(bytes_in + account.response_bytes, ended);
        elapsed
    }

    fn entry<'l>(
        &'l self,
        caller: &'l Caller,
        account: &'l Account<'_>,
        elapsed: Duration,
    ) -> Entry<'l> {
        let certificate = self.connection.stream.identity();
        let fields = caller_fields(caller, self.snapshot, certificate);
        Entry {
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
            bytes_in: self.head.bytes.len() as u64 + account.request_bytes,
            bytes_out: account.response_bytes,
            duration: elapsed,
            upstream: account.upstream,
            backend: account.backend,
            user: fields.user,
            tier: fields.tier,
            key_name: fields.key,
            certificate: certificate.map(|c| (c.subject.as_deref(), &*c.fingerprint)),
            decision: account.decision,
            limit: account.limit,
            would_refuse: account.would_refuse,
        }
    }
}
