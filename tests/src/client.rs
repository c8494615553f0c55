//! A client that sends exactly the bytes it is told to.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::backend::reset_on_close;
use crate::message::{Framing, Head, Reader, Response, bad};
use crate::wait::{Deadline, PATIENCE};

/// One connection.
pub struct Client {
    reader: Reader,
    patience: Duration,
}

/// How a peer ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With FIN.
    Closed,
    /// With RST.
    Reset,
}

impl Client {
    /// # Panics
    /// When nobody listens at `address`.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connect {address}: {error}"))
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { reader: Reader::new(stream), patience: PATIENCE })
    }

    /// Waits that long for each answer, instead of [`PATIENCE`].
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.reader.stream().local_addr().expect("a connected socket has an address")
    }

    /// # Panics
    /// When the bytes cannot be sent.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the peer takes the bytes");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream().write_all(bytes.as_ref())
    }

    /// Sends a request head with `Host` and without a body.
    #[track_caller]
    pub fn send_get(&mut self, target: &str, fields: &[(&str, &str)]) {
        self.send(request("GET", target, fields, b""));
    }

    /// A GET and its answer on this connection.
    ///
    /// # Panics
    /// When there is no proper answer.
    #[track_caller]
    pub fn get(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.send_get(target, fields);
        self.response()
    }

    /// A request with a body and its answer.
    #[track_caller]
    pub fn post(&mut self, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        self.send(request("POST", target, fields, body));
        self.response()
    }

    /// The next final answer to a request that is not HEAD; interim ones are skipped.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        loop {
            let response = self.try_response("GET").expect("a proper answer");
            if response.status >= 200 || response.status == 101 {
                return response;
            }
        }
    }

    /// The next answer, interim ones (1xx) included, to a request with `method`.
    pub fn try_response(&mut self, method: &str) -> io::Result<Response> {
        let deadline = Deadline::after(self.patience);
        let head = self.reader.head(deadline)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (status, framing) = read_status(&head, method)?;
        let (body, trailers) = self.reader.body(framing, deadline)?;
        Ok(Response { status, head, framing, body, trailers })
    }

    /// Status and head only; the body is left for [`Client::read`] and [`Client::read_exactly`].
    pub fn try_head(&mut self, method: &str) -> io::Result<(u16, Head, Framing)> {
        let deadline = Deadline::after(self.patience);
        let head = self.reader.head(deadline)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (status, framing) = read_status(&head, method)?;
        Ok((status, head, framing))
    }

    /// The next chunk of a body whose head was taken; `None` is its end, trailers included.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.reader.chunk(Deadline::after(self.patience))
    }

    /// Another handle, to send while this one reads. What has arrived already stays here.
    pub fn try_clone(&self) -> io::Result<Self> {
        let stream = self.reader.stream().try_clone()?;
        Ok(Self { reader: Reader::new(stream), patience: self.patience })
    }

    /// Some bytes; none at the end of the stream.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        self.reader.some(Deadline::after(self.patience))
    }

    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.reader.exactly(length, Deadline::after(self.patience))
    }

    /// Half-closes: no more requests, answers still welcome.
    #[track_caller]
    pub fn finish(&mut self) {
        self.reader.stream().shutdown(Shutdown::Write).expect("still connected");
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        reset_on_close(self.reader.stream());
    }

    /// Waits for the peer to end the connection without another byte.
    ///
    /// # Panics
    /// When bytes come, or nothing happens.
    #[track_caller]
    pub fn ending(&mut self) -> Ending {
        match self.read() {
            Ok(bytes) if bytes.is_empty() => Ending::Closed,
            Ok(bytes) => panic!("bytes after the end: {:?}", String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ending::Reset,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

/// A GET on a connection of its own.
///
/// # Panics
/// When there is no proper answer.
#[track_caller]
pub fn get(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Response {
    Client::connect(address).get(target, fields)
}

/// The bytes of a request. `Host` is added when `fields` have none, `Content-Length` when `body`
/// is not empty.
pub fn request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n");
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: weir.test\r\n");
    }
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// RFC 9112 section 4 for the line, section 6.3 for the body.
fn read_status(head: &Head, method: &str) -> io::Result<(u16, Framing)> {
    let code = head.word(1);
    if !matches!(head.word(0), "HTTP/1.1" | "HTTP/1.0") || code.len() != 3 {
        return Err(bad("no status line"));
    }
    let status = code.parse().map_err(|_| bad("no status code"))?;
    let framing = head.framing(Framing::UntilClose)?;
    let bodiless = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
    Ok((status, if bodiless { Framing::None } else { framing }))
}
