//! Reads the head of a request, and answers when there is none to be had.

use std::io;

use weir_protocol::http::{HeadError, HeadScanner};

use super::After;
use super::answer::{Answer, AnswerContext};
use super::io::{LINGER, linger, read_some, write_answer};
use crate::access_log::{Entry, write_line};
use crate::metrics::Timeout;
use crate::runtime::{Instant, Runtime};
use crate::shard::{Connection, Input, Shard, ShardSnapshot};

/// Why no head could be read.
pub(super) enum HeadFault {
    /// The client closed, or broke, before it was complete.
    Gone,
    TimedOut,
    Malformed(HeadError),
}

/// Reads until the head is complete; returns where it ends.
pub(super) async fn read_head<R: Runtime>(
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

pub(super) async fn refuse_head<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
    fault: &HeadFault,
    started: Instant,
) -> After<R> {
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
    let patience = shard.snapshot().config.http.body_timeout;
    shard.metrics.record_request(answer.status, now.since(started));
    shard.log(|line| {
        let entry = Entry {
            timestamp: shard.runtime.wall().before(now.since(started)),
            shard: shard.id,
            client: connection.peer.ip(),
            status: answer.status,
            duration: now.since(started),
            decision: "malformed",
            ..Entry::empty()
        };
        write_line(&entry, line);
    });
    if write_answer(shard, connection, &out, patience).await.is_ok() {
        linger(shard, connection, LINGER).await;
    }
    After::Close
}
