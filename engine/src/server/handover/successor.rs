//! The process that replaces this engine, as this engine sees it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use weir_protocol::control::codec::{self, HEADER_BYTES};
use weir_protocol::control::handover::{FromSuccessor, SOCKETS_MAX, ToSuccessor};

use super::HandoverError;
use crate::control::Successor;
use crate::runtime::{descriptors, os};
use crate::server::ServerError;
use crate::server::shards::ShardHandle;
use crate::server::sockets::Listening;
use crate::server::sync::LedgerSync;
use crate::shard::{Command, Stage};

/// How long it may prepare. This engine serves meanwhile, so there is no hurry.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long clients are told to come back on another connection, while new ones are still taken.
const WINDING: Duration = Duration::from_millis(250);
/// How long heads in progress are waited for, while new connections wait in the kernel.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a shard may take to close its admission; one that does not turn stops the hand-over.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to open the ledger, which it reads from end to end.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long it may take to put its sockets in their places, once everything is its.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to notice that there is no hand-over.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a successor gets.
pub(in crate::server) struct Offer {
    pub(in crate::server) sockets: Vec<Listening>,
    /// A copy of the ledger's.
    pub(in crate::server) lock: File,
}

/// Says why there will be no hand-over.
pub(in crate::server) async fn refuse(mut successor: Successor, reason: &str) {
    // It may be gone, which is as well.
    let _ = send(&mut successor, &ToSuccessor::Refused(reason.to_owned()), &[]).await;
}

/// Shows the successor what there is, and waits until it is ready to take it.
pub(in crate::server) async fn offer(
    mut successor: Successor,
    offer: &Offer,
) -> Result<Successor, HandoverError> {
    let batches = offer.sockets.chunks(SOCKETS_MAX);
    let count = batches.len();
    for (at, batch) in batches.enumerate() {
        let last = at + 1 == count;
        let names = batch.iter().map(|listening| listening.name.clone()).collect();
        let mut passed: Vec<_> = batch.iter().map(|listening| listening.socket.as_fd()).collect();
        passed.extend(last.then(|| offer.lock.as_fd()));
        let message = ToSuccessor::Sockets { names, pid: std::process::id(), last };
        send(&mut successor, &message, &passed).await?;
    }
    expect(&mut successor, &FromSuccessor::Ready, PREPARE_TIMEOUT).await?;
    Ok(successor)
}

/// Lets the successor have everything. After an error all is as it was, and this engine serves.
pub(in crate::server) async fn yield_to(
    successor: &mut Successor,
    shards: &[ShardHandle],
    sync: &LedgerSync,
) -> Result<(), HandoverError> {
    let yielded = yield_steps(successor, shards, sync).await;
    match yielded {
        Ok(()) => {
            sync.give_up();
            let _ = timeout(CLOSE_TIMEOUT, enter(shards, Stage::Left)).await;
        }
        Err(Halt { released, .. }) => {
            let resumed = if released { take_back(successor, sync).await } else { Ok(()) };
            // A shard that does not turn now obeys when it does.
            let _ = timeout(CLOSE_TIMEOUT, enter(shards, Stage::Serving)).await;
            resumed.map_err(|error| HandoverError::Ledger(Box::new(error)))?;
        }
    }
    yielded.map_err(|halt| halt.error)
}

/// Goes on with the ledger, once the successor is gone: it could still be at work on the table.
async fn take_back(successor: &mut Successor, sync: &LedgerSync) -> Result<(), ServerError> {
    // It gives up when it finds the end of what we say; then its end of the stream comes.
    let _ = successor.stream.shutdown().await;
    if timeout(GIVE_UP_TIMEOUT, drained(&mut successor.stream)).await.is_err() {
        eprintln!("weir: process {} does not give up, and is killed", successor.pid);
        if let Ok(peer) = successor.stream.peer_cred()
            && let Some(pid) = peer.pid()
        {
            os::kill(pid);
        }
        drained(&mut successor.stream).await;
    }
    sync.resume().await
}

/// Waits until the successor answers in this engine's place.
pub(in crate::server) async fn see_off(mut successor: Successor) {
    // One that hangs now has everything, and hears of no time-out.
    let _ = timeout(PLACE_TIMEOUT, drained(&mut successor.stream)).await;
}

/// Waits until the peer has closed.
async fn drained(stream: &mut UnixStream) {
    while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
}

/// Where the hand-over stopped.
struct Halt {
    /// Whether the ledger had been released.
    released: bool,
    error: HandoverError,
}

async fn yield_steps(
    successor: &mut Successor,
    shards: &[ShardHandle],
    sync: &LedgerSync,
) -> Result<(), Halt> {
    let before = |error| Halt { released: false, error };
    let after = |error| Halt { released: true, error };
    let unsettled = |_| before(HandoverError::Unsettled);
    let is_idle = || shards.iter().all(|shard| shard.metrics.connections_open.get() == 0);
    if !is_idle() {
        timeout(CLOSE_TIMEOUT, enter(shards, Stage::Winding)).await.map_err(unsettled)?;
        tokio::time::sleep(WINDING).await;
    }
    // Whoever has not sent a whole head by then is answered 503.
    let _ = timeout(SETTLE_TIMEOUT, enter(shards, Stage::Paused)).await;
    let closed = timeout(CLOSE_TIMEOUT, enter(shards, Stage::Closed)).await.map_err(unsettled)?;
    if !closed {
        return Err(before(HandoverError::Unsettled));
    }
    let released = sync.release().await;
    released.map_err(|error| after(HandoverError::Ledger(Box::new(error))))?;
    send(successor, &ToSuccessor::Released, &[]).await.map_err(after)?;
    expect(successor, &FromSuccessor::Opened, OPEN_TIMEOUT).await.map_err(after)?;
    send(successor, &ToSuccessor::Yours, &[]).await.map_err(after)
}

/// Has all shards enter `stage`, and waits until they have; whether all did.
async fn enter(shards: &[ShardHandle], stage: Stage) -> bool {
    let entered: Vec<_> = shards
        .iter()
        .map(|shard| {
            let (entered, wait) = oneshot::channel();
            shard.mailbox.send(Command::Enter(stage, entered));
            wait
        })
        .collect();
    let mut all = true;
    for wait in entered {
        all &= wait.await.is_ok();
    }
    all
}

async fn send(
    successor: &mut Successor,
    message: &ToSuccessor,
    passed: &[BorrowedFd<'_>],
) -> Result<(), HandoverError> {
    let frame = codec::encode(message)?;
    let stream = &mut successor.stream;
    let sending = async {
        // Descriptors go with the first byte.
        let sent = stream
            .async_io(Interest::WRITABLE, || descriptors::send(&*stream, &frame, passed))
            .await?;
        stream.write_all(&frame[sent..]).await
    };
    match timeout(CLOSE_TIMEOUT, sending).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(HandoverError::TimedOut),
    }
}

async fn expect(
    successor: &mut Successor,
    expected: &FromSuccessor,
    patience: Duration,
) -> Result<(), HandoverError> {
    let received = timeout(patience, receive(successor)).await;
    match received.map_err(|_| HandoverError::TimedOut)?? {
        message if message == *expected => Ok(()),
        _ => Err(HandoverError::OutOfTurn),
    }
}

async fn receive(successor: &mut Successor) -> Result<FromSuccessor, HandoverError> {
    let mut header = [0; HEADER_BYTES];
    successor.stream.read_exact(&mut header).await.map_err(HandoverError::Gone)?;
    let mut payload = vec![0; codec::payload_bytes(header)?];
    let read: io::Result<_> = successor.stream.read_exact(&mut payload).await;
    read.map_err(HandoverError::Gone)?;
    Ok(codec::decode(&payload)?)
}
