//! TLS over a wire that moves as many bytes as it likes.

use proptest::prelude::*;

use super::super::testing::{Authority, Pipe, build, context, shaken, until};
use super::*;
use crate::config::{ServerTlsConfig, TlsVersion};
use crate::tls::{ClientTls, ServerTls, Tickets};

struct Ends {
    server: ServerTls,
    client: ClientTls,
}

fn ends(min_version: TlsVersion) -> Ends {
    let authority = Authority::new();
    let own = authority.certify("server", &["127.0.0.1"]);
    let config = ServerTlsConfig { min_version, ..authority.server(vec![own]) };
    Ends { server: build(&config, &mut Tickets::default()), client: authority.client(None) }
}

impl Ends {
    fn shaken(&self, whims: &[usize]) -> (TlsStream<Pipe>, TlsStream<Pipe>) {
        shaken(&self.server, &self.client, whims).expect("they trust each other")
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(length).collect()
}

/// Everything that `sent` writes and `got` reads until the half-close.
fn pass(
    from: &mut TlsStream<Pipe>,
    to: &mut TlsStream<Pipe>,
    sent: &[u8],
    write_most: usize,
    read_most: usize,
) -> Vec<u8> {
    let (mut written, mut got, mut buf) = (0, Vec::new(), vec![0; read_most]);
    until(|cx| {
        if written < sent.len() {
            let part = &sent[written..sent.len().min(written + write_most)];
            let (first, second) = part.split_at(part.len() / 3);
            let parts = [IoSlice::new(first), IoSlice::new(&[]), IoSlice::new(second)];
            if let Poll::Ready(count) = from.poll_write_vectored(cx, &parts) {
                let count = count.expect("writes");
                assert!((1..=part.len()).contains(&count));
                written += count;
            }
        } else if let Poll::Ready(done) = from.poll_shutdown(cx) {
            done.expect("shuts down");
        }
        loop {
            match to.poll_read(cx, &mut buf) {
                Poll::Ready(Ok(0)) => return true,
                Poll::Ready(count) => got.extend_from_slice(&buf[..count.expect("reads")]),
                Poll::Pending => return false,
            }
        }
    });
    assert_eq!(written, sent.len());
    got
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However the wire cuts, and whatever the ends' buffers, each end gets what the other wrote,
    /// both ways, and then the end.
    #[test]
    fn any_split_carries_the_same_bytes(
        // At least one move makes progress.
        mut whims in prop::collection::vec(prop_oneof![0..9_usize, 9..70_000_usize], 0..6),
        length in prop_oneof![0..300_usize, 0..90_000_usize],
        write_most in 3..70_000_usize,
        read_most in prop_oneof![1..64_usize, 1000..20_000_usize, Just(65_536_usize)],
    ) {
        whims.push(5000);
        let ends = ends(TlsVersion::Tls12);
        let (mut server, mut client) = ends.shaken(&whims);
        let sent = pattern(length);
        prop_assert!(pass(&mut client, &mut server, &sent, write_most, read_most) == sent);
        prop_assert!(pass(&mut server, &mut client, &sent, write_most, read_most) == sent);
    }
}

fn write(stream: &mut TlsStream<Pipe>, bytes: &[u8]) {
    let mut written = 0;
    until(|cx| {
        if let Poll::Ready(count) = stream.poll_write(cx, &bytes[written..]) {
            written += count.expect("writes");
        }
        written == bytes.len()
    });
    until(|cx| stream.poll_flush(cx).is_ready());
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    let (mut server, mut client) = ends(TlsVersion::Tls12).shaken(&[]);
    write(&mut server, b"a part of the answer");
    server.inner.outgoing.borrow_mut().ended = true;
    let mut buf = [0; 2048];
    let read = client.poll_read(&mut context(), &mut buf);
    assert!(matches!(read, Poll::Ready(Ok(20))), "{read:?}");
    let end = client.poll_read(&mut context(), &mut buf);
    let Poll::Ready(Err(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_close_says_that_it_is_the_end() {
    let (server, mut client) = ends(TlsVersion::Tls13).shaken(&[]);
    server.close();
    let read = client.poll_read(&mut context(), &mut [0; 64]);
    assert!(matches!(read, Poll::Ready(Ok(0))), "{read:?}");
}

#[test]
fn decrypted_bytes_are_given_without_a_look_at_the_socket() {
    let (mut server, mut client) = ends(TlsVersion::Tls12).shaken(&[]);
    write(&mut client, b"two parts");
    let mut buf = [0; 4];
    let read = server.poll_read(&mut context(), &mut buf);
    assert!(matches!(read, Poll::Ready(Ok(4))), "{read:?}");
    let reads = server.inner.incoming.borrow().reads;
    let read = server.poll_read(&mut context(), &mut [0; 2048]);
    assert!(matches!(read, Poll::Ready(Ok(5))), "{read:?}");
    assert_eq!(server.inner.incoming.borrow().reads, reads);
}

#[test]
fn tickets_on_an_idle_connection_are_no_bytes() {
    let (mut server, mut client) = ends(TlsVersion::Tls13).shaken(&[]);
    until(|cx| server.poll_flush(cx).is_ready());
    assert!(!client.inner.incoming.borrow().bytes.is_empty(), "tickets were sent");
    assert!(client.poll_read(&mut context(), &mut [0; 1]).is_pending());
    assert!(client.inner.incoming.borrow().bytes.is_empty(), "and were read");
}

#[test]
fn a_head_and_its_body_leave_as_one_record_in_one_write() {
    let (mut server, mut client) = ends(TlsVersion::Tls13).shaken(&[]);
    // Tickets leave with the first answer.
    write(&mut server, b"first");
    assert_eq!(server.inner.outgoing.borrow().writes, 2, "a flight of the handshake, then all");
    until(|cx| matches!(client.poll_read(cx, &mut [0; 2048]), Poll::Ready(Ok(5))));
    let parts = [IoSlice::new(&[b'h'; 200]), IoSlice::new(&[b'b'; 10_000])];
    let written = server.poll_write_vectored(&mut context(), &parts);
    assert!(matches!(written, Poll::Ready(Ok(10_200))), "{written:?}");
    // RFC 8446 section 5.2: a header of 5 bytes, the content's type, and a tag of 16.
    assert_eq!(client.inner.incoming.borrow().bytes.len(), 10_200 + 22);
    assert_eq!(server.inner.outgoing.borrow().writes, 3);
}

#[test]
fn a_full_wire_pushes_back_within_a_bound() {
    let (mut server, _client) = ends(TlsVersion::Tls12).shaken(&[]);
    let mut accepted = 0;
    while let Poll::Ready(count) = server.poll_write(&mut context(), &[7; 30_000]) {
        accepted += count.expect("writes");
        assert!(accepted < 200_000, "nothing pushes back");
    }
    assert!(server.poll_flush(&mut context()).is_pending());
}

#[test]
fn nothing_is_written_after_the_half_close() {
    let (mut server, _client) = ends(TlsVersion::Tls12).shaken(&[]);
    until(|cx| server.poll_shutdown(cx).is_ready());
    let written = server.poll_write(&mut context(), b"x");
    let Poll::Ready(Err(error)) = written else { panic!("{written:?}") };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_forged_record_is_an_error_and_stays_one() {
    let (mut server, mut client) = ends(TlsVersion::Tls13).shaken(&[]);
    write(&mut client, b"a request");
    *server.inner.incoming.borrow_mut().bytes.back_mut().expect("a record") ^= 1;
    for _ in 0..2 {
        let read = server.poll_read(&mut context(), &mut [0; 2048]);
        let Poll::Ready(Err(error)) = read else { panic!("{read:?}") };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
    // The client is told.
    let read = client.poll_read(&mut context(), &mut [0; 2048]);
    let Poll::Ready(Err(error)) = read else { panic!("{read:?}") };
    assert!(describe(&error).contains("BadRecordMac"), "{}", describe(&error));
}

#[test]
fn who_does_not_speak_tls_is_refused() {
    let (near, mut far) = Pipe::pair(&[]);
    let config = Arc::clone(&ends(TlsVersion::Tls12).server.config);
    let mut server = TlsStream::accept(near, config).expect("a server");
    let written = far.poll_write(&mut context(), b"GET / HTTP/1.1\r\nHost: plain\r\n\r\n");
    assert!(written.is_ready());
    let shaken = server.poll_handshake(&mut context());
    let Poll::Ready(Err(error)) = shaken else { panic!("{shaken:?}") };
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
