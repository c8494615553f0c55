//! Any runtime with TLS on all its connections: what holds for bytes must hold for encrypted ones.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::config::{ClientAuth, ClientTlsConfig, ServerTlsConfig, TlsVersion};
use crate::runtime::{Endpoint, Instant, Listener, Parking, Runtime, Stream, UnixNanos, os};
use crate::tls::{
    Certificate, ClientTls, SelfSigned, ServerTls, Tickets, TlsLayer, TlsStream, load_authorities,
};

/// `R`, speaking TLS with a certificate made for the occasion. Both ends shake hands before they are
/// handed out, so an accept given up on loses its connection, and each end waits for the other:
/// this is for [`streams_conform`](super::streams_conform) only.
#[derive(Clone)]
pub struct Secured<R> {
    inner: R,
    server: Arc<ServerTls>,
    client: Arc<ClientTls>,
}

impl<R: Runtime> Secured<R> {
    /// # Panics
    /// Where no temporary file can be made.
    pub fn new(inner: R) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let files = SelfSigned::write(&hosts, folder.path(), 1, os::wall()).expect("writes");
        let own = Certificate::load(&files.certificate, &files.key).expect("loads");
        let server = ServerTlsConfig {
            certificates: vec![own],
            client_auth: ClientAuth::None,
            client_ca: Vec::new(),
            min_version: TlsVersion::Tls12,
            handshake_timeout: Duration::from_secs(10),
        };
        let roots = Some(Arc::new(load_authorities(&files.certificate).expect("reads")));
        let client = ClientTlsConfig { roots, server_name: None, certificate: None };
        let localhost = std::iter::once(Ipv4Addr::LOCALHOST.into());
        let server = ServerTls::build("main", &server, &mut Tickets::default()).expect("builds");
        let client = ClientTls::build(&client, localhost).expect("builds");
        Self { inner, server: Arc::new(server), client: Arc::new(client) }
    }
}

/// Closes in order when it is dropped, as the proxy does with what it is done with.
pub struct SecuredStream<S: Stream>(Option<TlsStream<S>>);

impl<S: Stream> SecuredStream<S> {
    /// The stream, once it has shaken hands.
    fn poll_shaken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut TlsStream<S>>> {
        let stream = self.0.as_mut().expect("taken only by the end");
        ready!(stream.poll_handshake(cx))?;
        Poll::Ready(Ok(stream))
    }
}

impl<S: Stream> Drop for SecuredStream<S> {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            stream.close();
        }
    }
}

impl<S: Stream> Stream for SecuredStream<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_shaken(cx))?.poll_read(cx, buf)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_shaken(cx))?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_shaken(cx))?.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_shaken(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_shaken(cx))?.poll_shutdown(cx)
    }

    fn abort(mut self) {
        if let Some(stream) = self.0.take() {
            stream.abort();
        }
    }
}

/// Accepts what will shake hands.
pub struct SecuredListener<L> {
    inner: L,
    server: Arc<ServerTls>,
}

impl<L: Listener> SecuredListener<L> {
    fn secure(&self, stream: L::Stream) -> io::Result<SecuredStream<L::Stream>> {
        let secured = TlsStream::accept(stream, Arc::clone(&self.server.config));
        secured.map(|stream| SecuredStream(Some(stream))).map_err(io::Error::other)
    }
}

impl<L: Listener> Listener for SecuredListener<L> {
    type Stream = SecuredStream<L::Stream>;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.inner.accept().await?;
        let mut stream = self.secure(stream)?;
        poll_fn(|cx| stream.poll_shaken(cx).map_ok(|_| ())).await?;
        Ok((stream, peer))
    }

    fn try_accept(&self) -> io::Result<Option<(Self::Stream, SocketAddr)>> {
        let Some((stream, peer)) = self.inner.try_accept()? else { return Ok(None) };
        Ok(Some((self.secure(stream)?, peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Parks the stream, and keeps what is over it.
pub struct SecuredParking<P>(P);

impl<P: Parking> Parking for SecuredParking<P> {
    type Stream = SecuredStream<P::Stream>;
    type Parked = (P::Parked, Box<TlsLayer>);

    fn park(
        &self,
        mut stream: Self::Stream,
        token: u32,
    ) -> Result<Self::Parked, Option<Self::Stream>> {
        let (inner, layer) = stream.0.take().ok_or(None)?.take_apart();
        match self.0.park(inner, token) {
            Ok(parked) => Ok((parked, layer)),
            Err(inner) => {
                Err(inner.map(|inner| SecuredStream(Some(TlsStream::put_together(inner, layer)))))
            }
        }
    }

    fn unpark(&self, (parked, layer): Self::Parked) -> io::Result<Self::Stream> {
        let inner = self.0.unpark(parked)?;
        Ok(SecuredStream(Some(TlsStream::put_together(inner, layer))))
    }

    fn poll_ready(&self, cx: &mut Context<'_>, tokens: &mut Vec<u32>) -> Poll<io::Result<()>> {
        self.0.poll_ready(cx, tokens)
    }

    fn settle(&self) {
        self.0.settle();
    }
}

impl<R: Runtime> Runtime for Secured<R> {
    type Stream = SecuredStream<R::Stream>;
    type Listener = SecuredListener<R::Listener>;
    type Parking = SecuredParking<R::Parking>;

    async fn bind(&self, address: SocketAddr) -> io::Result<Self::Listener> {
        let inner = self.inner.bind(address).await?;
        Ok(SecuredListener { inner, server: Arc::clone(&self.server) })
    }

    async fn connect(&self, endpoint: &Endpoint, deadline: Instant) -> io::Result<Self::Stream> {
        let stream = self.inner.connect(endpoint, deadline).await?;
        let mut stream = SecuredStream(Some(self.client.open(stream, endpoint)?));
        poll_fn(|cx| stream.poll_shaken(cx).map_ok(|_| ())).await?;
        Ok(stream)
    }

    fn parking(&self) -> io::Result<Self::Parking> {
        self.inner.parking().map(SecuredParking)
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.inner.spawn(future);
    }

    async fn sleep_until(&self, deadline: Instant) {
        self.inner.sleep_until(deadline).await;
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn wall(&self) -> UnixNanos {
        self.inner.wall()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.inner.fill_random(bytes);
    }
}
