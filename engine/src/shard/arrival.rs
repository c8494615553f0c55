//! Between a connection's accept and its first request: who it is, and whether there is room.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use weir_protocol::proxy_protocol::{self, Command, Ssl};

use super::connection::{Announced, Connection, LAST_CHANCE, spawn};
use super::contain::contain;
use super::secure::secured;
use super::{Entered, Service, Shard};
use crate::metrics::Timeout;
use crate::proxy::{Answer, AnswerContext, linger, write_all};
use crate::runtime::{Runtime, Stream};

/// How long a connection over a limit may take to read that it is refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Refused connections that are given time at once; a flood gets its answers followed by resets.
const REFUSED_MAX: usize = 1024;

/// The shortest headers of the PROXY protocol: `PROXY UNKNOWN` with its line end, and the part of
/// version 2 that says how long it is.
const V1_BYTES_MIN: usize = 15;
const V2_BYTES_FIXED: usize = 16;

/// Takes in a connection that `listener` has accepted from `peer`.
pub(super) fn arrive<R: Runtime, F: Future<Output = ()> + 'static>(
    service: &Rc<Service<R, F>>,
    stream: R::Stream,
    peer: SocketAddr,
    listener: usize,
) {
    let shard = &service.shard;
    let metrics = &shard.metrics;
    metrics.connections_accepted.increment();
    let mut connection = Connection::new(shard, stream, peer, listener);
    let snapshot = shard.snapshot.borrow();
    if shard.open.get() > snapshot.config.engine.connections_per_shard {
        metrics.connections_refused.increment();
        refuse(service, connection);
    } else if snapshot.config.listeners[listener].proxy_protocol {
        if snapshot.forwarding.is_trusted(listener, peer.ip()) {
            let task = announced(Rc::clone(service), connection);
            shard.runtime.spawn(contain(shard, task));
        } else {
            metrics.proxy_protocol_untrusted.increment();
        }
    } else if !count(shard, &mut connection) {
        refuse(service, connection);
    } else if snapshot.tls[listener].is_some() {
        shard.runtime.spawn(contain(shard, secured(Rc::clone(service), connection)));
    } else {
        spawn(service, connection);
    }
}

/// Counts the connection for its client's address, where those are limited; false when the address
/// has too many.
fn count<R: Runtime>(shard: &Shard<R>, connection: &mut Connection<R>) -> bool {
    let snapshot = shard.snapshot.borrow();
    let most = snapshot.config.http.connections_per_address;
    let Some(addresses) = &snapshot.addresses else { return true };
    let address = connection.peer.ip();
    if most == 0 || snapshot.forwarding.is_trusted(connection.listener, address) {
        return true;
    }
    match addresses.enter(shard.hash_address(address), most) {
        Entered::Counted(claim) => {
            if let Some(place) = &mut connection.place {
                place.claim = Some(claim);
            }
            true
        }
        Entered::Over => {
            shard.metrics.connections_refused_by_address.increment();
            false
        }
        Entered::NoRoom => {
            shard.metrics.connections_uncounted.increment();
            true
        }
    }
}

/// Serves a connection that begins with a PROXY header.
async fn announced<R: Runtime, F: Future<Output = ()> + 'static>(
    service: Rc<Service<R, F>>,
    mut connection: Connection<R>,
) {
    let shard = &service.shard;
    match read_header(shard, &mut connection).await {
        Ok(Some(named)) => {
            connection.peer = named.address;
            connection.announced = if named.secure { Announced::Secure } else { Announced::Plain };
        }
        Ok(None) => connection.announced = Announced::Nothing,
        Err(Unheard::Gone) => return,
        Err(Unheard::TimedOut) => return shard.metrics.record_timeout(Timeout::Head),
        Err(Unheard::Malformed) => return shard.metrics.proxy_protocol_errors.increment(),
    }
    connection.idle_since = shard.runtime.now();
    if count(shard, &mut connection) {
        secured(service, connection).await;
    } else {
        refuse(&service, connection);
    }
}

/// Whom a header speaks for.
struct Named {
    address: SocketAddr,
    /// Whether it came over TLS.
    secure: bool,
}

/// Why there is no header.
enum Unheard {
    /// The peer left without one, as a load balancer does that only tries the port.
    Gone,
    TimedOut,
    Malformed,
}

/// Reads the header and not a byte more: what follows belongs to TLS or HTTP. `None` when it
/// names nobody: the peer speaks for itself, or does not know for whom.
async fn read_header<R: Runtime>(
    shard: &Shard<R>,
    connection: &mut Connection<R>,
) -> Result<Option<Named>, Unheard> {
    let timeout = shard.snapshot.borrow().config.http.head_timeout;
    let Connection { stream, timer, .. } = connection;
    timer.arm(connection.idle_since + timeout);
    let mut header = Vec::new();
    let mut last_chance = false;
    poll_fn(|cx| {
        loop {
            match poll_missing(stream, cx, &mut header) {
                Poll::Ready(Ok(0)) if !header.is_empty() => {
                    return Poll::Ready(Err(Unheard::Malformed));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Unheard::Gone)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
            match proxy_protocol::parse(&header) {
                Ok(None) => {}
                Ok(Some((header, _))) if header.command == Command::Local => {
                    return Poll::Ready(Ok(None));
                }
                Ok(Some((header, _))) => {
                    let ssl = header.tlvs.ssl.map_or(0, |ssl| ssl.client);
                    let secure = ssl & Ssl::CLIENT_SSL != 0;
                    let named = header.source.map(|address| Named { address, secure });
                    return Poll::Ready(Ok(named));
                }
                Err(_) => return Poll::Ready(Err(Unheard::Malformed)),
            }
        }
        if shard.stage().closes_idle() && !std::mem::replace(&mut last_chance, true) {
            timer.arm(shard.runtime.now() + LAST_CHANCE);
        }
        timer.poll_expired(cx).map(|()| Err(Unheard::TimedOut))
    })
    .await
}

/// Reads a part of what the header is known to need yet.
fn poll_missing(
    stream: &mut impl Stream,
    cx: &mut std::task::Context<'_>,
    header: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let filled = header.len();
    header.resize(filled + missing(header), 0);
    let read = stream.poll_read(cx, &mut header[filled..]);
    let count = if let Poll::Ready(Ok(count)) = &read { *count } else { 0 };
    header.truncate(filled + count);
    read
}

/// How many bytes an incomplete header lacks at least. Version 1 has no length, so that behind its
/// shortest line it is read byte by byte.
fn missing(header: &[u8]) -> usize {
    if header.len() < V1_BYTES_MIN {
        return V1_BYTES_MIN - header.len();
    }
    if header[0] == b'P' {
        return 1;
    }
    match header.get(14..V2_BYTES_FIXED) {
        Some(length) => {
            let length = u16::from_be_bytes([length[0], length[1]]);
            (V2_BYTES_FIXED + usize::from(length)).saturating_sub(header.len()).max(1)
        }
        None => V2_BYTES_FIXED - header.len(),
    }
}

/// Answers 503 without looking at the request.
fn refuse<R: Runtime, F: Future<Output = ()> + 'static>(
    service: &Rc<Service<R, F>>,
    connection: Connection<R>,
) {
    // Nobody shakes hands to hear a refusal.
    if service.shard.snapshot.borrow().tls[connection.listener].is_some() {
        return;
    }
    let task = refusal(Rc::clone(service), connection);
    service.shard.runtime.spawn(contain(&service.shard, task));
}

async fn refusal<R: Runtime, F>(service: Rc<Service<R, F>>, mut connection: Connection<R>) {
    let (shard, refused) = (&service.shard, &service.refused);
    let answer =
        Answer { retry_after_ns: Some(1_000_000_000), ..Answer::new(503, "too many connections") };
    let out = answer.compose(shard, AnswerContext::LAST_WORD);
    let deadline = shard.runtime.now() + REFUSAL_TIMEOUT;
    let sent = write_all(&mut connection, &out, deadline).await;
    // It takes nobody's place while it waits for the client to read.
    connection.place = None;
    if sent.is_ok() && refused.get() < REFUSED_MAX {
        refused.set(refused.get() + 1);
        linger(shard, &mut connection, REFUSAL_TIMEOUT).await;
        refused.set(refused.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_behind_a_header_is_asked_for() {
        let v1 = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".as_bytes();
        let unknown = b"PROXY UNKNOWN\r\n".as_slice();
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        v2.extend_from_slice(&[0; 12]);
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".as_slice();
        for whole in [v1, unknown, &v2, local] {
            for filled in 0..whole.len() {
                let wanted = missing(&whole[..filled]);
                assert!((1..=whole.len() - filled).contains(&wanted), "{filled}: {wanted}");
            }
        }
    }
}
