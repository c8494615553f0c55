//! A backend that a test scripts: one closure answers every request.
//!
//! Threads and blocking sockets, so that it shares no code and no fault with the engine.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::message::{Fields, Framing, Head, Reader};
use crate::wait::{Deadline, PATIENCE};

/// What becomes of a connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Reads the next request.
    KeepAlive,
    /// Closes with FIN.
    Close,
    /// Closes with RST.
    Reset,
    /// Says nothing more, until the peer closes or the backend ends.
    Hang,
}

type Handler = dyn Fn(&mut Exchange<'_>) -> After + Send + Sync;

/// A running backend; ends, with all its connections, when dropped.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    refusing: AtomicBool,
    connections: AtomicUsize,
    seen: Mutex<Vec<Head>>,
    /// Handles to cut connections off, by number.
    open: Mutex<BTreeMap<usize, TcpStream>>,
}

/// One request, and the means to answer it.
pub struct Exchange<'a> {
    /// Counts requests of this backend from 0.
    pub number: usize,
    /// Counts its connections from 0.
    pub connection: usize,
    pub head: Head,
    reader: &'a mut Reader,
    body_read: bool,
}

impl Backend {
    /// Starts on a port of its own.
    pub fn start(handler: impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            refusing: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
            open: Mutex::new(BTreeMap::new()),
        });
        let accepting = Some(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Answers 200 with `body` to everything.
    pub fn text(body: &'static str) -> Self {
        Self::start(move |exchange| exchange.reply(200, &[], body.as_bytes()))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests whose head has arrived.
    pub fn requests(&self) -> usize {
        self.shared.seen.lock().expect("not poisoned").len()
    }

    /// The heads of all requests, in the order of their arrival.
    pub fn seen(&self) -> Vec<Head> {
        self.shared.seen.lock().expect("not poisoned").clone()
    }

    /// Connections accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open_connections(&self) -> usize {
        self.shared.open.lock().expect("not poisoned").len()
    }

    /// Dies as a crashed host's process does: connections break, new ones are refused.
    pub fn refuse(&mut self) {
        if let Some(thread) = self.accepting.take() {
            self.shared.refusing.store(true, Ordering::SeqCst);
            // Wakes the thread from its accept; if that fails the listener is gone already.
            let _ = TcpStream::connect(self.address);
            thread.join().expect("the accepting thread does not panic");
        }
        for stream in self.shared.open.lock().expect("not poisoned").values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Comes back at the same address.
    ///
    /// # Panics
    /// When somebody else has taken the port meanwhile.
    #[track_caller]
    pub fn resume(&mut self) {
        assert!(self.accepting.is_none(), "it is running");
        let listener = TcpListener::bind(self.address).expect("the port is still free");
        self.shared.refusing.store(false, Ordering::SeqCst);
        self.accepting = Some(accept(listener, Arc::clone(&self.shared)));
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.refuse();
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.refusing.load(Ordering::SeqCst) {
                return;
            }
            // A connection that broke while it was queued is nobody's loss.
            let Ok(stream) = stream else { continue };
            let Ok(handle) = stream.try_clone() else { continue };
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            shared.open.lock().expect("not poisoned").insert(number, handle);
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream, number, &shared));
        }
    })
}

fn serve(stream: TcpStream, connection: usize, shared: &Shared) {
    let mut reader = Reader::new(stream);
    // A peer that breaks off is what many tests are about: the connection ends, no more.
    let after = serve_requests(&mut reader, connection, shared).unwrap_or(After::Close);
    // The second handle goes first, or closing this one would close nothing.
    shared.open.lock().expect("not poisoned").remove(&connection);
    if after == After::Reset {
        reset_on_close(reader.stream());
    }
}

fn serve_requests(reader: &mut Reader, connection: usize, shared: &Shared) -> io::Result<After> {
    let _ = reader.stream().set_nodelay(true);
    loop {
        // Keep-alive connections idle as long as their peer likes.
        let Some(head) = reader.head(Deadline::after(PATIENCE * 100))? else {
            return Ok(After::Close);
        };
        let number = {
            let mut seen = shared.seen.lock().expect("not poisoned");
            seen.push(head.clone());
            seen.len() - 1
        };
        let mut exchange = Exchange { number, connection, head, reader, body_read: false };
        match (shared.handler)(&mut exchange) {
            After::KeepAlive => exchange.skip_body()?,
            After::Hang => while !exchange.read()?.is_empty() {},
            after => return Ok(after),
        }
    }
}

impl Exchange<'_> {
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// The whole body; says `100 Continue` first to a client that waits for it.
    ///
    /// # Errors
    /// When it breaks off or is badly framed.
    pub fn body(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.body_and_trailers()?.0)
    }

    /// The whole body, and the fields behind it when it is chunked.
    ///
    /// # Errors
    /// When it breaks off or is badly framed.
    pub fn body_and_trailers(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        if self.head.all("expect").any(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.body_read = true;
        let framing = self.head.framing(Framing::None)?;
        self.reader.body(framing, Deadline::after(PATIENCE))
    }

    /// Some raw bytes from the peer; none at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        self.reader.some(Deadline::after(PATIENCE * 100))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.stream().write_all(bytes)
    }

    /// Half-closes: nothing more from here, while the peer may go on.
    ///
    /// # Errors
    /// When the connection is broken already.
    pub fn finish(&mut self) -> io::Result<()> {
        self.reader.stream().shutdown(Shutdown::Write)
    }

    /// A whole answer with its length; the request's body is read first.
    pub fn reply(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) -> After {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        all.extend_from_slice(fields);
        let content = if self.method() == "HEAD" { &b""[..] } else { body };
        let bytes = [response_head(status, &all).as_slice(), content].concat();
        let sent = self.skip_body().and_then(|()| self.send(&bytes));
        if sent.is_ok() { After::KeepAlive } else { After::Close }
    }

    /// A chunked answer, one chunk for each element.
    pub fn reply_chunked(&mut self, fields: &[(&str, &str)], chunks: &[&[u8]]) -> After {
        let mut all = vec![("Transfer-Encoding", "chunked")];
        all.extend_from_slice(fields);
        let mut bytes = response_head(200, &all);
        for chunk in chunks {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let sent = self.skip_body().and_then(|()| self.send(&bytes));
        if sent.is_ok() { After::KeepAlive } else { After::Close }
    }

    /// An answer of `length` bytes from [`pattern`], written as fast as the peer takes it.
    pub fn reply_stream(&mut self, length: usize) -> After {
        let text = length.to_string();
        let head = response_head(200, &[("Content-Length", text.as_str())]);
        let sent = self.skip_body().and_then(|()| {
            self.send(&head)?;
            let mut sent = 0;
            while sent < length {
                let piece = pattern(sent, (length - sent).min(64 * 1024));
                self.send(&piece)?;
                sent += piece.len();
            }
            Ok(())
        });
        if sent.is_ok() { After::KeepAlive } else { After::Close }
    }

    fn skip_body(&mut self) -> io::Result<()> {
        if !self.body_read {
            self.body()?;
        }
        Ok(())
    }
}

/// Bytes that tell their place, so that a lost, doubled or shifted piece of a stream shows.
pub fn pattern(start: usize, length: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 0xff).expect("masked");
    (start..start + length).map(byte).collect()
}

fn response_head(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Has the closing of `stream` send RST instead of FIN.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).expect("a few bytes");
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and the pointer and size
    // are those of a `linger`, which is what SO_LINGER takes.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    assert_eq!(result, 0, "SO_LINGER: {}", io::Error::last_os_error());
}
