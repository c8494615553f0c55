//! What every runtime must do, as checks that run on any of them: the production ones in
//! `engine/tests/`, the simulated one in `sim/tests/`.
//!
//! A check panics when the runtime breaks the contract of [`super::Stream`], [`super::Listener`]
//! or [`super::Runtime`]. Both ends of a check's connections live on the runtime under test.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{Endpoint, Listener, Runtime, Stream};

mod connections;
mod executor;
mod parking;
mod secured;
mod streams;

pub use connections::connect_deadline;
pub use secured::Secured;

/// Longer than any check takes on a slow machine; a check that hangs fails by it.
const PATIENCE: Duration = Duration::from_secs(20);

async fn named(runtime: &impl Runtime, name: &str, check: impl Future<Output = ()>) {
    println!("  {name}");
    assert!(within(runtime, PATIENCE, check).await.is_some(), "{name}: hangs");
}

/// Runs every check that needs only loopback, printing the name of each.
pub async fn all<R: Runtime>(runtime: &R) {
    streams_conform(runtime).await;
    named(
        runtime,
        "cancelled_accept_loses_nothing",
        connections::cancelled_accept_loses_nothing(runtime),
    )
    .await;
    named(runtime, "refused_connect", connections::refused_connect(runtime)).await;
    named(runtime, "expired_deadline", connections::expired_deadline(runtime)).await;
    named(runtime, "parked_ends", parking::parked_ends(runtime)).await;
    named(runtime, "dropped_while_parked", parking::dropped_while_parked(runtime)).await;
    named(runtime, "many_parked", parking::many_parked(runtime)).await;
    named(runtime, "sleep_order", executor::sleep_order(runtime)).await;
    named(runtime, "spawned_wake_up", executor::spawned_wake_up(runtime)).await;
    named(runtime, "clocks_and_randomness", executor::clocks_and_randomness(runtime)).await;
}

/// The checks of [`all`] that concern established connections.
pub async fn streams_conform<R: Runtime>(runtime: &R) {
    named(runtime, "echo", streams::echo(runtime)).await;
    named(runtime, "half_close_both_ways", streams::half_close_both_ways(runtime)).await;
    named(runtime, "reset_is_seen", streams::reset_is_seen(runtime)).await;
    named(runtime, "dropped_stream_ends", streams::dropped_stream_ends(runtime)).await;
    named(runtime, "cancelled_read_loses_nothing", streams::cancelled_read_loses_nothing(runtime))
        .await;
    named(runtime, "backpressure", streams::backpressure(runtime)).await;
    named(runtime, "vectored_writes", streams::vectored_writes(runtime)).await;
    named(runtime, "both_directions_at_once", streams::both_directions_at_once(runtime)).await;
    named(runtime, "many_connections", connections::many_connections(runtime, 300)).await;
    named(runtime, "parked_and_back", parking::parked_and_back(runtime)).await;
    named(runtime, "parked_with_bytes", parking::parked_with_bytes(runtime)).await;
}

/// What `future` returns, if it does so in time.
async fn within<T>(
    runtime: &impl Runtime,
    time: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut expiry = pin!(runtime.sleep_until(runtime.now() + time));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => expiry.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Both futures, polled together.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    futures_util::future::join(a, b).await
}

async fn pause(runtime: &impl Runtime, millis: u64) {
    runtime.sleep_until(runtime.now() + Duration::from_millis(millis)).await;
}

async fn read<S: Stream>(stream: &mut S, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll_read(cx, buf)).await
}

async fn read_to_end<S: Stream>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = vec![0; 16 * 1024];
    loop {
        match read(stream, &mut buf).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

async fn read_exact<S: Stream>(stream: &mut S, buf: &mut [u8]) {
    let mut filled = 0;
    while filled < buf.len() {
        let count = read(stream, &mut buf[filled..]).await.expect("read");
        assert_ne!(count, 0, "the stream ended early");
        filled += count;
    }
}

async fn write_all<S: Stream>(stream: &mut S, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| stream.poll_write(cx, bytes)).await.expect("write");
        assert!((1..=bytes.len()).contains(&count), "wrote {count} of {}", bytes.len());
        bytes = &bytes[count..];
    }
    poll_fn(|cx| stream.poll_flush(cx)).await.expect("flush");
}

async fn shutdown<S: Stream>(stream: &mut S) {
    poll_fn(|cx| stream.poll_shutdown(cx)).await.expect("shutdown");
}

/// A listener on a free port of the loopback address.
async fn listen<R: Runtime>(runtime: &R) -> (R::Listener, Endpoint) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = runtime.bind(any).await.expect("bind");
    let address = listener.local_addr().expect("local address");
    assert_ne!(address.port(), 0, "the port is known after binding");
    (listener, Endpoint::Tcp(address))
}

async fn connect<R: Runtime>(runtime: &R, endpoint: &Endpoint) -> R::Stream {
    runtime.connect(endpoint, runtime.now() + PATIENCE).await.expect("connect")
}

/// Two ends of one connection: the accepted one and the connecting one.
async fn pair<R: Runtime>(runtime: &R) -> (R::Stream, R::Stream) {
    let (listener, endpoint) = listen(runtime).await;
    let (accepted, client) = both(listener.accept(), connect(runtime, &endpoint)).await;
    let (server, peer) = accepted.expect("accept");
    assert!(peer.ip().is_loopback() && peer.port() != 0, "{peer} is not the client's address");
    (server, client)
}

/// `length` bytes in which a lost, doubled or swapped one shows.
fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(length).collect()
}
