//! The mock backend: an epoll loop that answers every request head with the same response.
//!
//! It is built to cost as little as a backend can, because it shares a core with the load
//! generator. It knows one thing about HTTP, that a head ends with an empty line (RFC 9112
//! section 2.1), so requests must have no body.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::Error;
use crate::sys::{self, Epoll, READABLE, WRITABLE};

/// How often the thread looks whether it should stop.
const STOP_CHECK: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 4096;
const SCRATCH_BYTES: usize = 64 * 1024;
/// The listener's token; a connection's is its index.
const LISTENER: usize = usize::MAX;

/// A running backend; it stops when this is dropped.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Default)]
struct Shared {
    // Relaxed everywhere: a flag and two statistics, none of which publishes other memory.
    stop: AtomicBool,
    served: AtomicU64,
    accepted: AtomicU64,
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Request heads seen.
    pub served: u64,
    /// Connections accepted.
    pub accepted: u64,
}

impl Backend {
    /// Listens on a free loopback port; its thread runs on `cpu`, or anywhere for `None`.
    pub fn start(body: &[u8], cpu: Option<usize>) -> Result<Self, Error> {
        let listener = listen().map_err(Error::io("open the backend's listener"))?;
        let address = listener.local_addr().map_err(Error::io("name the backend's listener"))?;
        let shared = Arc::new(Shared::default());
        let response = response(body);
        let server = Server::new(listener, response, Arc::clone(&shared))
            .map_err(Error::io("watch the backend's listener"))?;
        let thread = std::thread::Builder::new()
            .name("backend".into())
            .spawn(move || {
                cpu.map_or(Ok(()), sys::pin_thread)?;
                server.run()
            })
            .map_err(Error::io("start the backend's thread"))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn seen(&self) -> Seen {
        Seen {
            served: self.shared.served.load(Ordering::Relaxed),
            accepted: self.shared.accepted.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("weir-bench: the backend failed: {error}"),
            Some(Err(_)) => eprintln!("weir-bench: the backend panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn response(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

struct Server {
    listener: TcpListener,
    response: Vec<u8>,
    shared: Arc<Shared>,
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    /// Indices of `connections` that are `None`.
    free: Vec<usize>,
    scratch: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    heads: HeadCounter,
    /// Responses not yet written in full.
    owed: usize,
    /// Bytes of the first of them already written.
    written: usize,
    blocked: bool,
}

impl Server {
    fn new(listener: TcpListener, response: Vec<u8>, shared: Arc<Shared>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(&listener, LISTENER, READABLE)?;
        let scratch = vec![0; SCRATCH_BYTES];
        let (connections, free) = (Vec::new(), Vec::new());
        Ok(Self { listener, response, shared, epoll, connections, free, scratch })
    }

    fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.epoll.wait(STOP_CHECK, &mut ready)?;
            for &token in &ready {
                if token == LISTENER {
                    self.accept()?;
                } else if !self.serve(token) {
                    self.connections[token] = None;
                    self.free.push(token);
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let token = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.epoll.add(&stream, token, READABLE)?;
            let heads = HeadCounter::default();
            let connection = Connection { stream, heads, owed: 0, written: 0, blocked: false };
            self.connections[token] = Some(connection);
            self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Moves one connection on; false when it is over.
    fn serve(&mut self, token: usize) -> bool {
        let Some(connection) = self.connections[token].as_mut() else {
            return true;
        };
        if !connection.blocked {
            match connection.stream.read(&mut self.scratch) {
                Ok(0) => return false,
                Ok(count) => {
                    let heads = connection.heads.count(&self.scratch[..count]);
                    connection.owed += heads;
                    self.shared.served.fetch_add(heads as u64, Ordering::Relaxed);
                }
                Err(error) if is_transient(&error) => return true,
                Err(_) => return false,
            }
        }
        connection.answer(&self.response, &self.epoll, token).is_ok()
    }
}

impl Connection {
    /// Writes what is owed; while the socket takes no more, nothing is read either, so a proxy
    /// that does not read cannot make this grow.
    fn answer(&mut self, response: &[u8], epoll: &Epoll, token: usize) -> io::Result<()> {
        let mut blocked = false;
        while self.owed > 0 && !blocked {
            match self.stream.write(&response[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if is_transient(&error) => blocked = true,
                Err(error) => return Err(error),
            }
            if self.written == response.len() {
                self.owed -= 1;
                self.written = 0;
            }
        }
        if blocked != self.blocked {
            self.blocked = blocked;
            epoll.modify(&self.stream, token, if blocked { WRITABLE } else { READABLE })?;
        }
        Ok(())
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Counts the ends of heads in a stream that arrives in arbitrary pieces.
#[derive(Default)]
struct HeadCounter {
    /// How many bytes of `\r\n\r\n` the last piece ended with.
    matched: usize,
}

impl HeadCounter {
    fn count(&mut self, bytes: &[u8]) -> usize {
        const END: &[u8; 4] = b"\r\n\r\n";
        let mut heads = 0;
        for &byte in bytes {
            self.matched = match byte {
                byte if byte == END[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.matched == END.len() {
                heads += 1;
                self.matched = 0;
            }
        }
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_wherever_the_pieces_break() {
        let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\r\n\r\nGET";
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut counter = HeadCounter::default();
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                let heads: usize = pieces.iter().map(|piece| counter.count(piece)).sum();
                assert_eq!(heads, 2, "broken at {first} and {second}");
            }
        }
    }

    #[test]
    fn pipelined_requests_to_a_slow_reader_are_all_answered() {
        const REQUESTS: usize = 100;
        let body = vec![b'x'; 256 * 1024];
        let backend = Backend::start(&body, None).unwrap();
        let mut stream = TcpStream::connect(backend.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&b"GET / HTTP/1.1\r\n\r\n".repeat(REQUESTS)).unwrap();
        crate::clock::sleep(Duration::from_millis(50));
        let mut rest = response(&body).len() * REQUESTS;
        let mut scratch = vec![0; SCRATCH_BYTES];
        while rest > 0 {
            rest -= stream.read(&mut scratch).expect("the backend stopped answering");
        }
        assert_eq!(backend.seen(), Seen { served: REQUESTS as u64, accepted: 1 });
    }
}
