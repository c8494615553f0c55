//! Connections that asked once and then only stay open.

use std::io;
use std::time::Duration;

use crate::error::Error;
use crate::load::transport::Transport;
use crate::load::{ResponseError, ResponseReader, Target, request};
use crate::sys;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Open keep-alive connections; dropping this closes them.
pub struct IdleConnections {
    connections: Vec<Transport>,
}

impl IdleConnections {
    /// Opens `count` connections one after the other, with one request on each: a connection
    /// that was never used would not show what a proxy keeps after an exchange.
    pub fn open(target: &Target, count: usize) -> Result<Self, Error> {
        let address = target.address;
        let request = request(address);
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            if sys::interrupted() {
                return Err(Error::Interrupted);
            }
            let mut connection = Transport::connect(address, &target.security)
                .map_err(Error::io(format!("connect to {address}")))?;
            exchange(&mut connection, &request, &target.expected).map_err(Error::Idle)?;
            connections.push(connection);
        }
        Ok(Self { connections })
    }

    /// How many are still open, by asking each socket.
    pub fn alive(&mut self) -> usize {
        self.connections.iter_mut().map(|connection| usize::from(is_open(connection))).sum()
    }
}

fn exchange(
    connection: &mut Transport,
    request: &[u8],
    expected: &[u8],
) -> Result<(), ResponseError> {
    let socket = |error: io::Error| ResponseError::Socket(error.kind());
    connection.socket().set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(socket)?;
    if connection.write(request).map_err(socket)? != request.len() {
        return Err(ResponseError::Unwritten);
    }
    let mut reader = ResponseReader::default();
    let mut scratch = [0; 4096];
    loop {
        let count = connection.read(&mut scratch).map_err(socket)?;
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

/// An idle connection has nothing to read but TLS' own messages; one that was closed reads its end.
fn is_open(connection: &mut Transport) -> bool {
    if connection.socket().set_nonblocking(true).is_err() {
        return false;
    }
    let read = connection.read(&mut [0]);
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
