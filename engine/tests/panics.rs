//! A bug in one request: its connection ends with a reset, what it counted is given back, and the
//! shard lives on. The bug is a stream that panics when it reads a certain word.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use weir_engine::config::Config;
use weir_engine::metrics::ShardMetrics;
use weir_engine::runtime::epoll::{self, EpollListener};
use weir_engine::runtime::glommio::{self, GlommioListener};
use weir_engine::runtime::probe;
use weir_engine::runtime::{Endpoint, Instant, Listener, Parking, Runtime, Stream, UnixNanos};
use weir_engine::shard::{self, Command, Mailbox, ShardSetup};
use weir_engine::slots::SlotTable;
use weir_engine::snapshot::Snapshot;
use weir_engine::upstream::Registry;

const WORD: &[u8] = b"panic-now";

/// A runtime whose streams have the bug.
#[derive(Clone)]
struct Buggy<T>(T);

impl<S: Stream> Stream for Buggy<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.0.poll_read(cx, buf))?;
        assert!(!buf[..count].windows(WORD.len()).any(|part| part == WORD), "expected: a bug");
        Poll::Ready(Ok(count))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }

    fn abort(self) {
        self.0.abort();
    }
}

impl<L: Listener> Listener for Buggy<L> {
    type Stream = Buggy<L::Stream>;

    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((Buggy(stream), peer))
    }

    fn try_accept(&self) -> io::Result<Option<(Self::Stream, SocketAddr)>> {
        Ok(self.0.try_accept()?.map(|(stream, peer)| (Buggy(stream), peer)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl<P: Parking> Parking for Buggy<P> {
    type Stream = Buggy<P::Stream>;
    type Parked = P::Parked;

    fn park(&self, stream: Self::Stream, token: u32) -> Result<P::Parked, Option<Self::Stream>> {
        self.0.park(stream.0, token).map_err(|stream| stream.map(Buggy))
    }

    fn unpark(&self, parked: P::Parked) -> io::Result<Self::Stream> {
        self.0.unpark(parked).map(Buggy)
    }

    fn poll_ready(&self, cx: &mut Context<'_>, tokens: &mut Vec<u32>) -> Poll<io::Result<()>> {
        self.0.poll_ready(cx, tokens)
    }

    fn settle(&self) {
        self.0.settle();
    }
}

impl<R: Runtime> Runtime for Buggy<R> {
    type Stream = Buggy<R::Stream>;
    type Listener = Buggy<R::Listener>;
    type Parking = Buggy<R::Parking>;

    fn parking(&self) -> io::Result<Self::Parking> {
        self.0.parking().map(Buggy)
    }

    async fn bind(&self, address: SocketAddr) -> io::Result<Self::Listener> {
        self.0.bind(address).await.map(Buggy)
    }

    async fn connect(&self, endpoint: &Endpoint, deadline: Instant) -> io::Result<Self::Stream> {
        self.0.connect(endpoint, deadline).await.map(Buggy)
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.spawn(future);
    }

    async fn sleep_until(&self, deadline: Instant) {
        self.0.sleep_until(deadline).await;
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall(&self) -> UnixNanos {
        self.0.wall()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.fill_random(bytes);
    }
}

/// A backend that answers `/whole` with a length, and anything else with the first part of a body
/// that lasts until the close, and then the word.
fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || answer(stream.expect("accepts")));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    while let Ok(head) = read_head(&mut stream) {
        if head.starts_with("GET /whole ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("sends");
            continue;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nthe first part").expect("sends");
        // The test's client has that part, and asks for more by a line of its own.
        let mut line = [0; 1];
        stream.read_exact(&mut line).expect("the client's body");
        stream.write_all(WORD).expect("sends");
        // The gateway's side goes with the panic.
        let _ = stream.read(&mut line);
        return;
    }
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

struct Gateway {
    address: SocketAddr,
    mailbox: Arc<Mailbox<Command>>,
    metrics: Arc<ShardMetrics>,
    snapshot: Arc<Snapshot>,
}

fn gateway(backend: SocketAddr, listener: &TcpListener) -> (Gateway, ShardSetup) {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"a\"\nhealth = false\n\
         backend = [{{ address = \"{backend}\" }}]\n[[route]]\npath = \"/*\"\nupstream = \"a\"\n"
    );
    let config = Config::parse(&text, "test").expect("right");
    let snapshot = Snapshot::build(config, 1, &mut Registry::default(), None).expect("builds");
    let gateway = Gateway {
        address: listener.local_addr().expect("is bound"),
        mailbox: Arc::default(),
        metrics: Arc::default(),
        snapshot: Arc::new(snapshot),
    };
    let setup = ShardSetup {
        id: 0,
        mailbox: Arc::clone(&gateway.mailbox),
        snapshot: Arc::clone(&gateway.snapshot),
        table: Arc::new(SlotTable::in_memory(8, [0; 16])),
        metrics: Arc::clone(&gateway.metrics),
        log: None,
        flight: None,
    };
    (gateway, setup)
}

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
    stream
}

fn get_whole(stream: &mut TcpStream) {
    stream.write_all(b"GET /whole HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    assert!(read_head(stream).expect("a head").starts_with("HTTP/1.1 200 "));
    let mut body = [0; 2];
    stream.read_exact(&mut body).expect("a body");
}

/// Reads to the end of the stream, which must be a reset; what came before it.
fn until_reset(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let error = stream.read_to_end(&mut text).expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    String::from_utf8_lossy(&text).into_owned()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}

fn drive(gateway: &Gateway) {
    let mut neighbour = connect(gateway);
    get_whole(&mut neighbour);
    // In the head of a request.
    let mut early = connect(gateway);
    early.write_all(b"GET / HTTP/1.1\r\nHost: panic-now\r\n\r\n").expect("sends");
    assert_eq!(until_reset(&mut early), "");
    // In a request's body, while the answer is under way: both streams of the exchange go.
    let mut late = connect(gateway);
    late.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n").expect("sends");
    assert!(read_head(&mut late).expect("a head").starts_with("HTTP/1.1 200 "));
    late.write_all(b"x").expect("sends");
    let part = until_reset(&mut late);
    assert!(!part.contains("0\r\n\r\n"), "not to be taken for a whole answer: {part}");
    let metrics = &gateway.metrics;
    until("two panics are counted", || metrics.panics.get() == 2);
    until("only the neighbour is left", || metrics.connections_open.get() == 1);
    let backend = &gateway.snapshot.upstreams[0].backends[0];
    assert_eq!((backend.in_flight(), backend.requests()), (0, 2));
    get_whole(&mut neighbour);
    get_whole(&mut connect(gateway));
    assert_eq!(metrics.panics.get(), 2);
}

/// Drives the gateway that `serve` runs on a thread of its own.
fn test(serve: impl FnOnce(TcpListener, ShardSetup) + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let (gateway, setup) = gateway(backend(), &listener);
    let thread = std::thread::spawn(move || serve(listener, setup));
    drive(&gateway);
    gateway.mailbox.send(Command::Stop);
    thread.join().expect("the shard has lived on");
}

#[test]
fn a_bug_costs_one_connection_on_epoll() {
    test(|listener, setup| {
        let served = epoll::run(None, |runtime| async {
            let listener = Buggy(EpollListener::adopt(listener).expect("adopts"));
            let parking = Buggy(runtime.parking().expect("a place to park"));
            shard::run(Buggy(runtime), setup, vec![(0, listener)], parking).await;
        });
        served.expect("an executor");
    });
}

#[test]
fn a_bug_costs_one_connection_on_glommio() {
    if let Err(reason) = probe::probe() {
        println!("skipped: {reason}");
        return;
    }
    test(|listener, setup| {
        let served = glommio::run(None, |runtime| async {
            let listener = Buggy(GlommioListener::adopt(listener).expect("adopts"));
            let parking = Buggy(runtime.parking().expect("a place to park"));
            shard::run(Buggy(runtime), setup, vec![(0, listener)], parking).await;
        });
        served.expect("an executor");
    });
}
