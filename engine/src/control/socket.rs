//! `weirctl`'s socket: where it is in the filesystem, and who may say what on it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use weir_protocol::control::codec::{self, FrameError, HEADER_BYTES};
use weir_protocol::control::handover::{FromSuccessor, ToSuccessor, is_handover};
use weir_protocol::control::{Request, Response};

use super::answer::answer;
use super::{Operations, stopped};

mod file;

pub use file::{SocketError, SocketFile, Unplaced, bind, prepare};

/// Connections served at once; one more is told to come back.
const CLIENTS_MAX: usize = 16;

/// How long a client may take to send a request, or to take its answer.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long accepting rests after a failure, which is usually a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long who connected before a stop, and has not asked yet, may take to do so.
const STOP_PATIENCE: Duration = Duration::from_millis(250);

/// Serves clients until the stop is told, then finishes the answers under way, those to clients who
/// have only just connected included. A client that takes longer than `patience` over a request or
/// an answer is let go.
pub(super) async fn serve(
    listener: UnixListener,
    operations: Arc<dyn Operations>,
    told: watch::Receiver<bool>,
    patience: Duration,
) {
    let mut clients = Clients { operations, told, patience, own: own_uid(), tasks: JoinSet::new() };
    loop {
        tokio::select! {
            () = stopped(clients.told.clone()) => break,
            Some(_) = clients.tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => clients.admit(stream),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // Nobody who waits in the kernel is left there. The kernel is asked, since tokio may not have
    // heard of them yet.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, _)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
            stream.into_iter().for_each(|stream| clients.admit(stream));
        }
    }
    while clients.tasks.join_next().await.is_some() {}
}

/// Those who are served, and what they are served with.
struct Clients {
    operations: Arc<dyn Operations>,
    told: watch::Receiver<bool>,
    patience: Duration,
    own: Option<u32>,
    tasks: JoinSet<()>,
}

impl Clients {
    fn admit(&mut self, stream: UnixStream) {
        match refusal(&stream, self.own, self.tasks.len()) {
            None => {
                let (by, operations) = (by(&stream), Arc::clone(&self.operations));
                self.tasks.spawn(client(stream, by, operations, self.told.clone(), self.patience));
            }
            Some(reason) => refuse(stream, reason),
        }
    }
}

/// Why a new client is turned away.
fn refusal(stream: &UnixStream, own: Option<u32>, clients: usize) -> Option<String> {
    let peer = stream.peer_cred().ok().map(|credentials| credentials.uid());
    if !may_control(peer, own) {
        return Some("only root and the engine's own user may control it".to_owned());
    }
    (clients >= CLIENTS_MAX).then(|| format!("{CLIENTS_MAX} clients are connected; try again"))
}

/// Root and the engine's own user may; nobody may whose user is not known.
fn may_control(peer: Option<u32>, own: Option<u32>) -> bool {
    peer.is_some_and(|peer| peer == 0 || Some(peer) == own)
}

/// Who a client is, for the record.
fn by(stream: &UnixStream) -> String {
    let uid = stream.peer_cred().map(|credentials| credentials.uid());
    // Whose user is not known is refused before.
    uid.map_or_else(|_| "unknown".to_owned(), |uid| format!("uid {uid}"))
}

/// The user this process runs as, as the kernel tells a peer of ours.
fn own_uid() -> Option<u32> {
    let (_, stream) = UnixStream::pair().ok()?;
    stream.peer_cred().ok().map(|credentials| credentials.uid())
}

/// Says why, as far as the socket's buffer takes it, and closes.
fn refuse(stream: UnixStream, reason: String) {
    if let Ok(frame) = codec::encode(&Response::Failed(reason))
        && let Ok(mut stream) = stream.into_std()
    {
        // Non-blocking, and a client that is gone needs no answer.
        let _ = stream.write(&frame);
    }
}

/// Another engine, which asks to take this one's place.
pub struct Successor {
    pub stream: UnixStream,
    /// Its program's version, for people.
    pub version: String,
    pub pid: u32,
}

/// Passes on who asks to take over, or says why not.
async fn begin_handover(
    payload: &[u8],
    mut stream: UnixStream,
    operations: &Arc<dyn Operations>,
    patience: Duration,
) {
    let refusal = match codec::decode(payload) {
        Ok(FromSuccessor::Hello { version, pid }) => {
            return operations.hand_over(Successor { stream, version, pid });
        }
        Ok(_) => "a hand-over begins with Hello".to_owned(),
        Err(error) => error.to_string(),
    };
    let frame = codec::encode(&ToSuccessor::Refused(refusal)).expect("a short message");
    // A successor that is gone needs no answer.
    let _ = timeout(patience, stream.write_all(&frame)).await;
}

/// One client: requests and answers in turn, until it closes, errs, stalls or the engine stops.
async fn client(
    mut stream: UnixStream,
    by: String,
    operations: Arc<dyn Operations>,
    told: watch::Receiver<bool>,
    patience: Duration,
) {
    let mut has_asked = false;
    loop {
        let payload = tokio::select! {
            biased;
            payload = timeout(patience, read_payload(&mut stream)) => payload,
            () = stop_for(has_asked, told.clone()) => return,
        };
        has_asked = true;
        let request = match payload {
            Ok(Ok(Some(payload))) if is_handover(&payload) => {
                return begin_handover(&payload, stream, &operations, patience).await;
            }
            other => other.map(|read| read.and_then(decode)),
        };
        let (response, last) = match request {
            Ok(Ok(Some(request))) => {
                (answer(request, by.clone(), Arc::clone(&operations)).await, false)
            }
            Ok(Ok(None) | Err(ReadError::Stream(_))) | Err(_) => return,
            Ok(Err(ReadError::Frame(error))) => (Response::Failed(error.to_string()), true),
        };
        let sent = timeout(patience, stream.write_all(&encode(&response))).await;
        if last || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Resolves when a client should wait for its next answer no longer.
async fn stop_for(has_asked: bool, told: watch::Receiver<bool>) {
    stopped(told).await;
    if !has_asked {
        tokio::time::sleep(STOP_PATIENCE).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Stream(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// The next frame's payload; `None` when the client closed between requests.
async fn read_payload(stream: &mut UnixStream) -> Result<Option<Vec<u8>>, ReadError> {
    let mut header = [0; HEADER_BYTES];
    if stream.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[1..]).await?;
    let mut payload = vec![0; codec::payload_bytes(header)?];
    stream.read_exact(&mut payload).await?;
    Ok(Some(payload))
}

fn decode(payload: Option<Vec<u8>>) -> Result<Option<Request>, ReadError> {
    Ok(payload.map(|payload| codec::decode(&payload)).transpose()?)
}

/// The answer as a frame, or why it does not fit one.
fn encode(response: &Response) -> Vec<u8> {
    codec::encode(response)
        .or_else(|error| codec::encode(&Response::Failed(error.to_string())))
        .expect("a short message fits a frame")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_our_own_user_may_control() {
        assert!(may_control(Some(0), Some(1_000)));
        assert!(may_control(Some(1_000), Some(1_000)));
        assert!(!may_control(Some(1_001), Some(1_000)));
        assert!(!may_control(Some(1_000), Some(0)));
        assert!(!may_control(None, Some(1_000)));
        assert!(!may_control(Some(1_000), None));
        assert!(!may_control(None, None));
    }
}
