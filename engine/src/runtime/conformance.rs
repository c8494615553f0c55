//! What every runtime must do, as checks that run on any of them: the production ones in
//! `engine/tests/`, the simulated one in `sim/tests/`.
//!
//! A check panics when the runtime breaks the contract of [`super::Stream`], [`super::Listener`]
//! or [`super::Runtime`]. Both ends of a check's connections live on the runtime under test.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Endpoint, Instant, Listener, Runtime, Stream};

/// Longer than any check takes on a slow machine; a check that hangs fails by it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every check that needs only loopback, printing the name of each.
pub async fn all<R: Runtime>(runtime: &R) {
    async fn named(runtime: &impl Runtime, name: &str, check: impl Future<Output = ()>) {
        println!("  {name}");
        assert!(within(runtime, PATIENCE, check).await.is_some(), "{name}: hangs");
    }
    named(runtime, "echo", echo(runtime)).await;
    named(runtime, "half_close_both_ways", half_close_both_ways(runtime)).await;
    named(runtime, "reset_is_seen", reset_is_seen(runtime)).await;
    named(runtime, "dropped_stream_ends", dropped_stream_ends(runtime)).await;
    named(runtime, "cancelled_read_loses_nothing", cancelled_read_loses_nothing(runtime)).await;
    named(runtime, "cancelled_accept_loses_nothing", cancelled_accept_loses_nothing(runtime)).await;
    named(runtime, "refused_connect", refused_connect(runtime)).await;
    named(runtime, "expired_deadline", expired_deadline(runtime)).await;
    named(runtime, "backpressure", backpressure(runtime)).await;
    named(runtime, "vectored_writes", vectored_writes(runtime)).await;
    named(runtime, "both_directions_at_once", both_directions_at_once(runtime)).await;
    named(runtime, "sleep_order", sleep_order(runtime)).await;
    named(runtime, "spawned_wake_up", spawned_wake_up(runtime)).await;
    named(runtime, "many_connections", many_connections(runtime, 300)).await;
    named(runtime, "clocks_and_randomness", clocks_and_randomness(runtime)).await;
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

/// What one end writes the other reads, and back.
async fn echo<R: Runtime>(runtime: &R) {
    let (mut server, mut client) = pair(runtime).await;
    for length in [1, 100, 5000] {
        let sent = pattern(length);
        let mut got = vec![0; length];
        write_all(&mut client, &sent).await;
        read_exact(&mut server, &mut got).await;
        write_all(&mut server, &got).await;
        got.fill(0);
        read_exact(&mut client, &mut got).await;
        assert_eq!(got, sent);
    }
}

/// After one end's half-close the other direction still carries data, whichever end it is.
async fn half_close_both_ways<R: Runtime>(runtime: &R) {
    for server_first in [true, false] {
        let (server, client) = pair(runtime).await;
        let (mut first, mut second) =
            if server_first { (server, client) } else { (client, server) };
        write_all(&mut first, b"last words").await;
        shutdown(&mut first).await;
        assert_eq!(read_to_end(&mut second).await.expect("end"), b"last words");
        assert_eq!(read(&mut second, &mut [0; 8]).await.expect("the end stays"), 0);
        let mut waiting = [0; 8];
        poll_fn(|cx| {
            assert!(first.poll_read(cx, &mut waiting).is_pending(), "nothing was sent yet");
            Poll::Ready(())
        })
        .await;
        write_all(&mut second, b"an answer").await;
        shutdown(&mut second).await;
        assert_eq!(read_to_end(&mut first).await.expect("end"), b"an answer");
        let refused = poll_fn(|cx| first.poll_write(cx, b"x")).await;
        assert!(refused.is_err(), "written after the half-close");
    }
}

/// An abort is an error to its peer, even when nothing was unread: not an end of stream.
async fn reset_is_seen<R: Runtime>(runtime: &R) {
    for length in [0, 10] {
        let (mut server, mut client) = pair(runtime).await;
        write_all(&mut server, &pattern(length)).await;
        let mut got = vec![0; length];
        read_exact(&mut client, &mut got).await;
        server.abort();
        let error = read(&mut client, &mut [0; 8]).await.expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

/// A dropped stream delivers what was written, then ends.
async fn dropped_stream_ends<R: Runtime>(runtime: &R) {
    let (mut server, mut client) = pair(runtime).await;
    let sent = pattern(20_000);
    write_all(&mut server, &sent).await;
    drop(server);
    assert_eq!(read_to_end(&mut client).await.expect("an orderly end"), sent);
}

/// A read given up while pending leaves the stream as it was; the next one gets every byte.
async fn cancelled_read_loses_nothing<R: Runtime>(runtime: &R) {
    let (mut server, mut client) = pair(runtime).await;
    let sent = pattern(3000);
    let mut got = Vec::new();
    for part in sent.chunks(300) {
        let mut unused = [0; 64];
        let given_up =
            within(runtime, Duration::from_millis(3), read(&mut server, &mut unused)).await;
        assert!(given_up.is_none(), "nothing was sent yet");
        write_all(&mut client, part).await;
        let mut next = vec![0; part.len()];
        read_exact(&mut server, &mut next).await;
        got.extend(next);
    }
    assert_eq!(got, sent);
}

/// An accept given up while pending swallows no connection.
async fn cancelled_accept_loses_nothing<R: Runtime>(runtime: &R) {
    let (listener, endpoint) = listen(runtime).await;
    for round in 0..20_u8 {
        // Sometimes given up before the connection exists, sometimes just as it arrives.
        let wait = Duration::from_micros(u64::from(round) * 100);
        let mut opening = pin!(connect(runtime, &endpoint));
        let mut early = None;
        let accept = async { early = Some(listener.accept().await) };
        let _ = within(runtime, wait, both(accept, opening.as_mut())).await;
        let mut server = match early {
            Some(accepted) => accepted.expect("accept").0,
            None => listener.accept().await.expect("accept").0,
        };
        write_all(&mut server, &[round]).await;
    }
}

/// Nobody listens: an error at once, of the right kind.
async fn refused_connect<R: Runtime>(runtime: &R) {
    let (listener, endpoint) = listen(runtime).await;
    drop(listener);
    // The kernel may take a moment to let the port go.
    pause(runtime, 20).await;
    let deadline = runtime.now() + PATIENCE;
    let error = runtime.connect(&endpoint, deadline).await.err().expect("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

/// A deadline that has passed already.
async fn expired_deadline<R: Runtime>(runtime: &R) {
    let (_listener, endpoint) = listen(runtime).await;
    let error = runtime.connect(&endpoint, runtime.now()).await.err().expect("too late");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

/// A peer that never answers costs no more than the deadline. `silent` takes connections from
/// nobody and refuses none.
pub async fn connect_deadline<R: Runtime>(runtime: &R, silent: SocketAddr) {
    let begun = runtime.now();
    let deadline = begun + Duration::from_millis(200);
    let connecting = async { runtime.connect(&Endpoint::Tcp(silent), deadline).await.err() };
    let error = within(runtime, PATIENCE, connecting).await.expect("hangs").expect("connected");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let took = runtime.now().since(begun);
    assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
}

/// Writes go Pending when the peer does not read, wake when it does, and no byte is lost.
async fn backpressure<R: Runtime>(runtime: &R) {
    let (mut server, mut client) = pair(runtime).await;
    let sent = pattern(64 * 1024 * 1024);
    let mut written = 0;
    // Until the buffers between them are full.
    poll_fn(|cx| {
        loop {
            match client.poll_write(cx, &sent[written..]) {
                Poll::Ready(count) => written += count.expect("write"),
                Poll::Pending => return Poll::Ready(()),
            }
            assert!(written < sent.len(), "the buffers hold 64 MiB: nothing pushes back");
        }
    })
    .await;
    let total = written + 100_000;
    let rest = async {
        write_all(&mut client, &sent[written..total]).await;
        shutdown(&mut client).await;
    };
    let (got, ()) = both(read_to_end(&mut server), rest).await;
    let got = got.expect("read");
    assert_eq!(got.len(), total);
    assert!(got == sent[..total], "bytes were changed on the way");
}

/// Vectored writes keep the order of their slices, empty ones among them, and push back.
async fn vectored_writes<R: Runtime>(runtime: &R) {
    let (mut server, mut client) = pair(runtime).await;
    let sent = pattern(2_000_000);
    let writing = async {
        let mut written = 0;
        while written < sent.len() {
            let rest = &sent[written..];
            let (head, rest) = rest.split_at(rest.len().min(150));
            let (middle, rest) = rest.split_at(rest.len().min(60_000));
            let tail = &rest[..rest.len().min(7)];
            let slices = [&[], head, &[], middle, tail].map(IoSlice::new);
            let most = head.len() + middle.len() + tail.len();
            let count = poll_fn(|cx| client.poll_write_vectored(cx, &slices)).await.expect("write");
            assert!((1..=most).contains(&count), "wrote {count} of {most}");
            written += count;
        }
        shutdown(&mut client).await;
    };
    let reading = async {
        pause(runtime, 20).await;
        read_to_end(&mut server).await.expect("read")
    };
    let ((), got) = both(writing, reading).await;
    assert!(got == sent, "{} bytes arrived of {}, or in another order", got.len(), sent.len());
}

/// One task that polls both directions of a stream is woken for each.
async fn both_directions_at_once<R: Runtime>(runtime: &R) {
    const LENGTH: usize = 8 * 1024 * 1024;
    let (server, client) = pair(runtime).await;
    let sent = pattern(LENGTH);
    let (from_server, from_client) = both(exchange(server, &sent), exchange(client, &sent)).await;
    assert!(from_server == sent && from_client == sent, "bytes were lost or changed");
}

/// Writes all of `sent` and reads to the end, from within one poll function.
async fn exchange(mut stream: impl Stream, sent: &[u8]) -> Vec<u8> {
    let (mut written, mut closed, mut ended) = (0, false, false);
    let mut got = Vec::new();
    let mut buf = vec![0; 64 * 1024];
    poll_fn(|cx| {
        while written < sent.len() {
            let Poll::Ready(count) = stream.poll_write(cx, &sent[written..]) else { break };
            written += count.expect("write");
        }
        if written == sent.len() && !closed {
            closed = stream.poll_shutdown(cx).map(|done| done.expect("shutdown")).is_ready();
        }
        while !ended {
            let Poll::Ready(count) = stream.poll_read(cx, &mut buf) else { break };
            let count = count.expect("read");
            ended = count == 0;
            got.extend_from_slice(&buf[..count]);
        }
        if closed && ended { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    got
}

/// Sleepers wake in the order of their deadlines, none early, none very late.
async fn sleep_order<R: Runtime>(runtime: &R) {
    let begun = runtime.now();
    let order: Rc<RefCell<Vec<u64>>> = Rc::default();
    for millis in [30, 10, 20, 0, 40] {
        let (runtime, order) = (runtime.clone(), Rc::clone(&order));
        runtime.clone().spawn(async move {
            let deadline = begun + Duration::from_millis(millis);
            runtime.sleep_until(deadline).await;
            let late = runtime.now().since(deadline);
            assert!(runtime.now() >= deadline, "woken early");
            assert!(late < Duration::from_secs(1), "{late:?} late");
            order.borrow_mut().push(millis);
        });
    }
    while order.borrow().len() < 5 {
        pause(runtime, 5).await;
    }
    assert_eq!(*order.borrow(), [0, 10, 20, 30, 40]);
    runtime.sleep_until(Instant::default()).await;
    let never =
        within(runtime, Duration::from_millis(5), runtime.sleep_until(Instant::NEVER)).await;
    assert!(never.is_none());
}

/// A spawned task runs by itself and wakes another.
async fn spawned_wake_up<R: Runtime>(runtime: &R) {
    let done = Rc::new(Cell::new(false));
    let waiter: Rc<Cell<Option<Waker>>> = Rc::default();
    let (task_done, task_waiter) = (Rc::clone(&done), Rc::clone(&waiter));
    let clock = runtime.clone();
    runtime.spawn(async move {
        pause(&clock, 5).await;
        task_done.set(true);
        if let Some(waker) = task_waiter.take() {
            waker.wake();
        }
    });
    poll_fn(|cx| {
        waiter.set(Some(cx.waker().clone()));
        if done.get() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Hundreds of connections at once, each with its own bytes.
async fn many_connections<R: Runtime>(runtime: &R, count: u32) {
    let (listener, endpoint) = listen(runtime).await;
    let answered = Rc::new(Cell::new(0));
    for number in 0..count {
        let (runtime, endpoint) = (runtime.clone(), endpoint.clone());
        let answered = Rc::clone(&answered);
        runtime.clone().spawn(async move {
            let mut stream = connect(&runtime, &endpoint).await;
            write_all(&mut stream, &number.to_be_bytes()).await;
            let mut echoed = [0; 4];
            read_exact(&mut stream, &mut echoed).await;
            assert_eq!(u32::from_be_bytes(echoed), number);
            answered.set(answered.get() + 1);
        });
    }
    for _ in 0..count {
        let (mut stream, _) = listener.accept().await.expect("accept");
        runtime.spawn(async move {
            let mut bytes = [0; 4];
            read_exact(&mut stream, &mut bytes).await;
            write_all(&mut stream, &bytes).await;
        });
    }
    while answered.get() < count {
        pause(runtime, 2).await;
    }
}

/// The clock moves while time passes, and random bytes differ.
async fn clocks_and_randomness<R: Runtime>(runtime: &R) {
    let (monotonic, wall) = (runtime.now(), runtime.wall());
    pause(runtime, 50).await;
    assert!(runtime.now().since(monotonic) >= Duration::from_millis(50));
    // NTP may slew the wall clock, but not by half.
    assert!(runtime.wall().0 - wall.0 >= 25_000_000, "the wall clock stands");
    let (mut first, mut second) = ([0; 32], [0; 32]);
    runtime.fill_random(&mut first);
    runtime.fill_random(&mut second);
    assert_ne!(first, second);
    assert_ne!(first, [0; 32]);
}
