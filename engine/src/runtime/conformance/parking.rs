//! Streams set aside and taken back.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use super::{connect, listen, pair, pause, read, read_exact, read_to_end, within, write_all};
use crate::runtime::{Listener, Parking, Runtime, Stream};

/// Long enough for anything on its way to arrive.
const A_WHILE: Duration = Duration::from_millis(60);

async fn ready(parking: &impl Parking) -> Vec<u32> {
    let mut tokens = Vec::new();
    poll_fn(|cx| parking.poll_ready(cx, &mut tokens)).await.expect("watches");
    assert!(!tokens.is_empty(), "ready with nothing");
    tokens
}

fn park<P: Parking>(parking: &P, stream: P::Stream, token: u32) -> P::Parked {
    let Ok(parked) = parking.park(stream, token) else { panic!("no room for {token}") };
    parked
}

/// A parked stream is silent until its peer is not, and then the one it was; again and again.
pub(super) async fn parked_and_back<R: Runtime>(runtime: &R) {
    let parking = runtime.parking().expect("a place to park");
    let (mut server, mut client) = pair(runtime).await;
    for round in 0..5_u8 {
        // Whatever the runtime had begun to wait for must not be lost or answered twice.
        let pending = poll_fn(|cx| Poll::Ready(server.poll_read(cx, &mut [0]).is_pending())).await;
        assert!(pending, "nothing was sent");
        let parked = park(&parking, server, round.into());
        assert!(within(runtime, A_WHILE, ready(&parking)).await.is_none(), "nothing is readable");
        write_all(&mut client, &[round, round]).await;
        assert_eq!(ready(&parking).await, [u32::from(round)]);
        server = parking.unpark(parked).expect("unparks");
        let mut bytes = [0; 2];
        read_exact(&mut server, &mut bytes).await;
        assert_eq!(bytes, [round; 2]);
        write_all(&mut server, b"answer").await;
        read_exact(&mut client, &mut [0; 6]).await;
    }
}

/// What arrived before the stream was parked is not waited for.
pub(super) async fn parked_with_bytes<R: Runtime>(runtime: &R) {
    let parking = runtime.parking().expect("a place to park");
    let (server, mut client) = pair(runtime).await;
    write_all(&mut client, b"early").await;
    pause(runtime, 20).await;
    let parked = park(&parking, server, 7);
    assert_eq!(ready(&parking).await, [7]);
    let mut server = parking.unpark(parked).expect("unparks");
    let mut bytes = [0; 5];
    read_exact(&mut server, &mut bytes).await;
    assert_eq!(&bytes, b"early");
}

/// The end of a parked stream, orderly or not, is reported and then read.
pub(super) async fn parked_ends<R: Runtime>(runtime: &R) {
    let parking = runtime.parking().expect("a place to park");
    for abort in [false, true] {
        let (server, client) = pair(runtime).await;
        let parked = park(&parking, server, 1);
        assert!(within(runtime, A_WHILE, ready(&parking)).await.is_none(), "nobody closed");
        if abort {
            client.abort();
        } else {
            drop(client);
        }
        assert_eq!(ready(&parking).await, [1]);
        let mut server = parking.unpark(parked).expect("unparks");
        match read(&mut server, &mut [0; 8]).await {
            Ok(0) => assert!(!abort, "an end instead of a reset"),
            Err(error) if abort => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
            other => panic!("{other:?}"),
        }
    }
}

/// Dropping a parked stream closes it, and what it leaves behind disturbs no other.
pub(super) async fn dropped_while_parked<R: Runtime>(runtime: &R) {
    let parking = runtime.parking().expect("a place to park");
    let (server, mut client) = pair(runtime).await;
    drop(park(&parking, server, 3));
    assert!(read_to_end(&mut client).await.expect("an orderly end").is_empty());
    let (server, mut client) = pair(runtime).await;
    let parked = park(&parking, server, 3);
    write_all(&mut client, b"x").await;
    assert_eq!(ready(&parking).await, [3]);
    read_exact(&mut parking.unpark(parked).expect("unparks"), &mut [0]).await;
}

/// Hundreds at once: each that speaks is reported, no other.
pub(super) async fn many_parked<R: Runtime>(runtime: &R) {
    let parking = runtime.parking().expect("a place to park");
    let (listener, endpoint) = listen(runtime).await;
    let (mut clients, mut parked) = (Vec::new(), Vec::new());
    for token in 0..300_u32 {
        clients.push(connect(runtime, &endpoint).await);
        let (server, _) = listener.accept().await.expect("accept");
        parked.push(Some(park(&parking, server, token)));
    }
    let speakers: BTreeSet<u32> = (0..300).filter(|token| token % 3 != 0).collect();
    for token in &speakers {
        write_all(&mut clients[*token as usize], &token.to_be_bytes()).await;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < speakers.len() {
        for token in ready(&parking).await {
            assert!(seen.insert(token), "{token} twice");
            let left = parked[token as usize].take().expect("parked");
            let mut server = parking.unpark(left).expect("unparks");
            let mut bytes = [0; 4];
            read_exact(&mut server, &mut bytes).await;
            assert_eq!(u32::from_be_bytes(bytes), token);
        }
    }
    assert_eq!(seen, speakers);
    parking.settle();
    assert!(within(runtime, A_WHILE, ready(&parking)).await.is_none(), "the others are silent");
}
