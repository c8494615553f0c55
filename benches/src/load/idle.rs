//! Connections that asked once and then only stay open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::Error;
use crate::load::{ResponseError, ResponseReader, request};
use crate::sys;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Open keep-alive connections; dropping this closes them.
pub struct IdleConnections {
    streams: Vec<TcpStream>,
}

impl IdleConnections {
    /// Opens `count` connections one after the other, with one request on each: a connection
    /// that was never used would not show what a proxy keeps after an exchange.
    pub fn open(address: SocketAddr, count: usize, expected: &[u8]) -> Result<Self, Error> {
        let request = request(address);
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            if sys::interrupted() {
                return Err(Error::Interrupted);
            }
            let mut stream =
                TcpStream::connect(address).map_err(Error::io(format!("connect to {address}")))?;
            exchange(&mut stream, &request, expected).map_err(Error::Idle)?;
            streams.push(stream);
        }
        Ok(Self { streams })
    }

    /// How many are still open, by asking each socket.
    pub fn alive(&mut self) -> usize {
        self.streams.iter().filter(|stream| is_open(stream)).count()
    }
}

fn exchange(stream: &mut TcpStream, request: &[u8], expected: &[u8]) -> Result<(), ResponseError> {
    let socket = |error: std::io::Error| ResponseError::Socket(error.kind());
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(socket)?;
    stream.write_all(request).map_err(socket)?;
    let mut reader = ResponseReader::default();
    let mut scratch = [0; 4096];
    loop {
        let count = stream.read(&mut scratch).map_err(socket)?;
        if count == 0 {
            return Err(ResponseError::Closed);
        }
        match reader.feed(&scratch[..count], expected)? {
            Some(answer) if answer.keep_alive => return Ok(()),
            Some(_) => return Err(ResponseError::Closed),
            None => {}
        }
    }
}

/// An idle connection has nothing to read; one that was closed reads its end.
fn is_open(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let peeked = stream.peek(&mut [0]);
    matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
