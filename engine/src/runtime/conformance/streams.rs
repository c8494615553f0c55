//! Bytes between two connected ends.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use super::{
    both, pair, pattern, pause, read, read_exact, read_to_end, shutdown, within, write_all,
};
use crate::runtime::{Runtime, Stream};

/// What one end writes the other reads, and back.
pub(super) async fn echo<R: Runtime>(runtime: &R) {
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
pub(super) async fn half_close_both_ways<R: Runtime>(runtime: &R) {
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
pub(super) async fn reset_is_seen<R: Runtime>(runtime: &R) {
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
pub(super) async fn dropped_stream_ends<R: Runtime>(runtime: &R) {
    let (mut server, mut client) = pair(runtime).await;
    let sent = pattern(20_000);
    write_all(&mut server, &sent).await;
    drop(server);
    assert_eq!(read_to_end(&mut client).await.expect("an orderly end"), sent);
}

/// A read given up while pending leaves the stream as it was; the next one gets every byte.
pub(super) async fn cancelled_read_loses_nothing<R: Runtime>(runtime: &R) {
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

/// Writes go Pending when the peer does not read, wake when it does, and no byte is lost.
pub(super) async fn backpressure<R: Runtime>(runtime: &R) {
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
pub(super) async fn vectored_writes<R: Runtime>(runtime: &R) {
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
pub(super) async fn both_directions_at_once<R: Runtime>(runtime: &R) {
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
