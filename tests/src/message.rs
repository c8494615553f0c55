//! HTTP/1.1 messages read byte by byte as RFC 9112 has them, for judging what a proxy sends.
//!
//! Shares no code with the engine, so that a misreading there is not repeated here.

use std::io::{self, Read};
use std::net::TcpStream;

use crate::wait::Deadline;

/// Longest head taken.
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Names and values in their order and spelling; a name may occur again.
pub type Fields = Vec<(String, String)>;

/// A start line and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Without its CRLF.
    pub start: String,
    /// In their order and spelling, values without the space around them. Bytes that are not
    /// ASCII are read as Latin-1.
    pub fields: Fields,
}

/// Where a body ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    pub framing: Framing,
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailers: Fields,
}

impl Head {
    /// The value of the only field of that name; `None` without one.
    ///
    /// # Panics
    /// When there are several.
    #[track_caller]
    pub fn get<'a>(&'a self, name: &str) -> Option<&'a str> {
        let mut values = self.all(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} occurs twice in {self:?}");
        value
    }

    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The n-th word of the start line.
    pub fn word(&self, index: usize) -> &str {
        self.start.splitn(3, ' ').nth(index).unwrap_or("")
    }

    /// How the fields frame a body; `otherwise` when they say nothing.
    pub(crate) fn framing(&self, otherwise: Framing) -> io::Result<Framing> {
        let coding: Vec<_> = self.all("transfer-encoding").collect();
        let length: Vec<_> = self.all("content-length").collect();
        match (coding.as_slice(), length.as_slice()) {
            ([], []) => Ok(otherwise),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(Framing::Length).map_err(|_| bad("a length out of range"))
            }
            _ => Err(bad("framing that could be read in two ways")),
        }
    }
}

impl Response {
    /// See [`Head::get`].
    #[track_caller]
    pub fn get<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.head.get(name)
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }
}

/// The reading side of a connection, with what has arrived but was not taken yet.
pub struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// A head, or `None` when the peer closes before its first byte.
    pub fn head(&mut self, deadline: Deadline) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(bad("a head without end"));
            }
            match (self.fill(deadline)?, self.buffer.is_empty()) {
                (0, true) => return Ok(None),
                (0, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        parse_head(&head[..end]).map(Some)
    }

    /// A whole body, and the trailer fields of a chunked one.
    pub fn body(&mut self, framing: Framing, deadline: Deadline) -> io::Result<(Vec<u8>, Fields)> {
        match framing {
            Framing::None => Ok((Vec::new(), Vec::new())),
            Framing::Length(length) => {
                let length = usize::try_from(length).map_err(|_| bad("too long"))?;
                Ok((self.exactly(length, deadline)?, Vec::new()))
            }
            Framing::Chunked => self.chunked(deadline),
            Framing::UntilClose => {
                while self.fill(deadline)? > 0 {}
                Ok((std::mem::take(&mut self.buffer), Vec::new()))
            }
        }
    }

    /// Takes `length` bytes.
    pub fn exactly(&mut self, length: usize, deadline: Deadline) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.fill(deadline)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Takes whatever is there, at least one byte; nothing at the end of the stream.
    pub fn some(&mut self, deadline: Deadline) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill(deadline)?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn chunked(&mut self, deadline: Deadline) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            match self.chunk_size(deadline)? {
                0 => return Ok((body, self.trailers(deadline)?)),
                size => body.extend(self.chunk_data(size, deadline)?),
            }
        }
    }

    /// One chunk; `None` is the last one, behind which the trailers were dropped.
    pub fn chunk(&mut self, deadline: Deadline) -> io::Result<Option<Vec<u8>>> {
        match self.chunk_size(deadline)? {
            0 => self.trailers(deadline).map(|_| None),
            size => self.chunk_data(size, deadline).map(Some),
        }
    }

    fn chunk_size(&mut self, deadline: Deadline) -> io::Result<usize> {
        let line = self.line(deadline)?;
        let digits = line.split(';').next().unwrap_or("");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad("a chunk size that is no hexadecimal number"));
        }
        usize::from_str_radix(digits, 16).map_err(|_| bad("a chunk too long"))
    }

    fn chunk_data(&mut self, size: usize, deadline: Deadline) -> io::Result<Vec<u8>> {
        let data = self.exactly(size, deadline)?;
        if self.exactly(2, deadline)? != b"\r\n" {
            return Err(bad("a chunk that does not end where it should"));
        }
        Ok(data)
    }

    fn trailers(&mut self, deadline: Deadline) -> io::Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.line(deadline)?;
            if line.is_empty() {
                return Ok(fields);
            }
            fields.push(parse_field(&line)?);
        }
    }

    /// A line without its CRLF.
    fn line(&mut self, deadline: Deadline) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(latin1(&line[..end]));
            }
            if self.buffer.len() > HEAD_BYTES_MAX || self.fill(deadline)? == 0 {
                return Err(bad("a line without end"));
            }
        }
    }

    /// Reads more; 0 at the end of the stream.
    fn fill(&mut self, deadline: Deadline) -> io::Result<usize> {
        let remaining = deadline.remaining().ok_or(io::ErrorKind::TimedOut)?;
        self.stream.set_read_timeout(Some(remaining))?;
        let mut chunk = [0; 64 * 1024];
        let count = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What Linux answers when the timeout passes.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                result => break result?,
            }
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let text = latin1(bytes);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or("").to_owned();
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err(bad("a bare line break in a head"));
    }
    Ok(Head { start, fields: lines.map(parse_field).collect::<io::Result<_>>()? })
}

/// RFC 9112 section 5: a token, a colon at once, a value with optional space around it.
fn parse_field(line: &str) -> io::Result<(String, String)> {
    let (name, value) = line.split_once(':').ok_or_else(|| bad("a field without a colon"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(bad("a field name that is no token"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

pub(crate) fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
