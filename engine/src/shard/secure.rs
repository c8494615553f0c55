//! The step between a connection's accept and its first request: TLS, where its listener asks for
//! it.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig};

use super::connection::{LAST_CHANCE, serve};
use super::{Connection, Service, Shard};
use crate::metrics::Timeout;
use crate::runtime::{Runtime, Transport};
use crate::tls::{ClientIdentity, TlsStream};

/// Serves a connection that has just come, behind TLS where its listener asks for it.
pub(super) async fn secured<R: Runtime, F: Future<Output = ()> + 'static>(
    service: Rc<Service<R, F>>,
    connection: Connection<R>,
) {
    let shard = &service.shard;
    let asked = {
        let snapshot = shard.snapshot.borrow();
        let tls = snapshot.tls[connection.listener].as_ref();
        tls.map(|tls| (Arc::clone(&tls.config), tls.terms, tls.handshake_timeout))
    };
    let connection = match asked {
        None => Some(connection),
        Some((config, terms, timeout)) => {
            let mut shaken = shake_hands(shard, connection, config, timeout).await;
            if let Some(Connection { stream: Transport::Tls(stream), .. }) = &mut shaken {
                stream.agree(terms);
            }
            shaken
        }
    };
    if let Some(connection) = connection {
        serve(service, connection).await;
    }
}

/// `None` when the connection is over; what was to be said of it has been said.
async fn shake_hands<R: Runtime>(
    shard: &Shard<R>,
    connection: Connection<R>,
    config: Arc<ServerConfig>,
    timeout: Duration,
) -> Option<Connection<R>> {
    let Transport::Plain(socket) = connection.stream else { return Some(connection) };
    connection.timer.arm(connection.idle_since + timeout);
    let mut last_chance = false;
    let shaken = match TlsStream::accept(socket, config) {
        Err(error) => Err(io::Error::other(error)),
        Ok(mut stream) => {
            let shaken = poll_fn(|cx| {
                if let Poll::Ready(shaken) = stream.poll_handshake(cx) {
                    return Poll::Ready(shaken);
                }
                if shard.stage().closes_idle() && !std::mem::replace(&mut last_chance, true) {
                    connection.timer.arm(shard.runtime.now() + LAST_CHANCE);
                }
                let expired = connection.timer.poll_expired(cx);
                expired.map(|()| Err(io::ErrorKind::TimedOut.into()))
            });
            shaken.await.map(|()| stream)
        }
    };
    let identified = shaken.and_then(|stream| identified(shard, stream));
    match identified {
        Ok(stream) => {
            shard.metrics.tls_handshakes.increment();
            if stream.session().handshake_kind() == Some(HandshakeKind::Resumed) {
                shard.metrics.tls_resumptions.increment();
            }
            let idle_since = shard.runtime.now();
            Some(Connection { stream: Transport::Tls(stream), idle_since, ..connection })
        }
        Err(error) => {
            match error.kind() {
                io::ErrorKind::TimedOut => shard.metrics.record_timeout(Timeout::Handshake),
                _ => shard.metrics.tls_errors.increment(),
            }
            None
        }
    }
}

/// The stream with who the client has proved to be. An error when its certificate, verified when the
/// session that it resumes was begun, has expired since.
fn identified<R: Runtime>(
    shard: &Shard<R>,
    mut stream: TlsStream<R::Stream>,
) -> io::Result<TlsStream<R::Stream>> {
    let Some([own, ..]) = stream.session().peer_certificates() else { return Ok(stream) };
    let identity = ClientIdentity::of(own).ok_or(io::ErrorKind::InvalidData)?;
    if identity.expired(shard.runtime.wall()) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.identify(identity);
    Ok(stream)
}
