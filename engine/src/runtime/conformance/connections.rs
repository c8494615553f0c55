//! Connecting and accepting.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::{PATIENCE, both, connect, listen, pause, read_exact, within, write_all};
use crate::runtime::{Endpoint, Listener, Runtime};

/// An accept given up while pending swallows no connection.
pub(super) async fn cancelled_accept_loses_nothing<R: Runtime>(runtime: &R) {
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
pub(super) async fn refused_connect<R: Runtime>(runtime: &R) {
    let (listener, endpoint) = listen(runtime).await;
    drop(listener);
    // The kernel may take a moment to let the port go.
    pause(runtime, 20).await;
    let deadline = runtime.now() + PATIENCE;
    let error = runtime.connect(&endpoint, deadline).await.err().expect("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

/// A deadline that has passed already.
pub(super) async fn expired_deadline<R: Runtime>(runtime: &R) {
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

/// Hundreds of connections at once, each with its own bytes.
pub(super) async fn many_connections<R: Runtime>(runtime: &R, count: u32) {
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
