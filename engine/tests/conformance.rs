//! The conformance suite on the production runtimes.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use weir_engine::runtime::{
    Endpoint, Listener, Runtime, Stream, conformance, epoll, glommio, probe,
};

/// Says why when glommio cannot run here, so that a green run without it is no surprise.
fn glommio_runs() -> bool {
    probe::probe().inspect_err(|reason| println!("skipped: {reason}")).is_ok()
}

/// An address whose backlog is full: the kernel drops further handshakes without a word. The
/// sockets keep it so.
fn silent_address() -> (SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    listener.listen(0).expect("listen");
    let address = listener.local_addr().expect("address");
    let mut sockets = vec![listener];
    for _ in 0..8 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).expect("socket");
        // In progress for ever once the backlog is full, which is the purpose.
        let _ = filler.connect(&address);
        sockets.push(filler);
    }
    (address.as_socket().expect("an IP address"), sockets)
}

/// A parked executor must see a wake-up that comes from outside.
async fn woken_by_another_thread(runtime: &impl Runtime) {
    for _ in 0..5 {
        let done = Arc::new(AtomicBool::new(false));
        let waiter: Arc<Mutex<Option<Waker>>> = Arc::default();
        let (thread_done, thread_waiter) = (Arc::clone(&done), Arc::clone(&waiter));
        let begun = runtime.now();
        #[expect(clippy::disallowed_methods, reason = "another thread must let the executor park")]
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            thread_done.store(true, Ordering::Release);
            thread_waiter.lock().expect("no panic").take().expect("it waits").wake();
        });
        std::future::poll_fn(|cx| {
            *waiter.lock().expect("no panic") = Some(cx.waker().clone());
            if done.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let took = runtime.now().since(begun);
        assert!(took < Duration::from_millis(500), "woken after {took:?}");
        thread.join().expect("no panic");
    }
}

/// How shards reach the control plane; its end of stream is as TCP's.
async fn unix_socket(runtime: &impl Runtime) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let copied = io::copy(&mut stream.try_clone().expect("clone"), &mut stream);
        copied.expect("echo")
    });
    let deadline = runtime.now() + Duration::from_secs(5);
    let endpoint = Endpoint::Unix(path);
    let mut stream = runtime.connect(&endpoint, deadline).await.expect("connect");
    let sent = std::future::poll_fn(|cx| stream.poll_write(cx, b"hello")).await.expect("write");
    assert_eq!(sent, 5);
    let mut buf = [0; 16];
    let got = std::future::poll_fn(|cx| stream.poll_read(cx, &mut buf)).await.expect("read");
    assert_eq!(&buf[..got], b"hello");
    std::future::poll_fn(|cx| stream.poll_shutdown(cx)).await.expect("shutdown");
    let end = std::future::poll_fn(|cx| stream.poll_read(cx, &mut buf)).await.expect("end");
    assert_eq!((end, server.join().expect("no panic")), (0, 5));

    let missing = Endpoint::Unix(folder.path().join("missing.sock"));
    let error = runtime.connect(&missing, deadline).await.err().expect("no such socket");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

/// A task that panics takes neither the executor nor its neighbours along, and resets what it held.
async fn panic_is_contained(runtime: &impl Runtime) {
    let listener = runtime.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bind");
    let endpoint = Endpoint::Tcp(listener.local_addr().expect("address"));
    let deadline = runtime.now() + Duration::from_secs(5);
    let mut client = runtime.connect(&endpoint, deadline).await.expect("connect");
    let (held, _) = listener.accept().await.expect("accept");
    runtime.spawn(async move {
        let _held = held;
        panic!("expected: a request's bug");
    });
    let mut buf = [0; 1];
    let end = std::future::poll_fn(|cx| client.poll_read(cx, &mut buf)).await;
    assert_eq!(end.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
}

async fn suite(runtime: impl Runtime) {
    conformance::all(&runtime).await;
    println!("over TLS:");
    conformance::streams_conform(&conformance::Secured::new(runtime.clone())).await;
    let (silent, _sockets) = silent_address();
    conformance::connect_deadline(&runtime, silent).await;
    woken_by_another_thread(&runtime).await;
    unix_socket(&runtime).await;
    panic_is_contained(&runtime).await;
}

/// An adopted listener keeps the connections that waited in it.
async fn adopted<S: Stream>(accept: impl Future<Output = io::Result<(S, SocketAddr)>>) -> S {
    accept.await.expect("accept").0
}

fn waiting_listener() -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    (listener, client)
}

#[test]
fn epoll_conforms() {
    epoll::run(Some(0), suite).expect("epoll runs everywhere");
}

#[test]
fn glommio_conforms() {
    if glommio_runs() {
        glommio::run(Some(0), suite).expect("probed");
    }
}

#[test]
fn epoll_adopts_a_listener() {
    use weir_engine::runtime::Listener;
    let (listener, client) = waiting_listener();
    epoll::run(None, async |_| {
        let listener = epoll::EpollListener::adopt(listener).expect("adopt");
        adopted(listener.accept()).await.abort();
    })
    .expect("epoll runs everywhere");
    assert_reset(client);
}

#[test]
fn glommio_adopts_a_listener() {
    use weir_engine::runtime::Listener;
    if !glommio_runs() {
        return;
    }
    let (listener, client) = waiting_listener();
    glommio::run(None, async |_| {
        let listener = glommio::GlommioListener::adopt(listener).expect("adopt");
        adopted(listener.accept()).await.abort();
    })
    .expect("probed");
    assert_reset(client);
}

fn assert_reset(mut client: TcpStream) {
    let error = io::Read::read(&mut client, &mut [0; 8]).expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
