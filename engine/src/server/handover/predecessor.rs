//! The engine that this one replaces, as this one sees it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use weir_protocol::control::codec::{self, HEADER_BYTES};
use weir_protocol::control::handover::{FromSuccessor, ToSuccessor};

use super::HandoverError;
use crate::runtime::descriptors;
use crate::server::sockets::Listening;

/// How long it may take to answer: it waits for heads in progress and for its disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// A predecessor that has shown its sockets, and serves until it is told that all is ready.
pub(in crate::server) struct Predecessor {
    stream: UnixStream,
    pub(in crate::server) pid: u32,
    /// The ledger's, which it holds as well.
    pub(in crate::server) lock: File,
}

impl Predecessor {
    /// Asks the engine whose socket is at `path` for what it has.
    pub(in crate::server) fn greet(path: &Path) -> Result<(Self, Vec<Listening>), HandoverError> {
        let nobody = |source| HandoverError::Nobody { path: path.display().to_string(), source };
        let mut stream = UnixStream::connect(path).map_err(nobody)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        send(&mut stream, &FromSuccessor::Hello { version, pid: std::process::id() })?;
        let (mut sockets, mut descriptors) = (Vec::new(), Vec::new());
        loop {
            let answer = receive(&mut stream, &mut descriptors)?;
            let ToSuccessor::Sockets { names, pid, last } = answer else {
                return Err(HandoverError::OutOfTurn);
            };
            if descriptors.len() != names.len() + usize::from(last) {
                return Err(HandoverError::OutOfTurn);
            }
            let mut given = descriptors.drain(..);
            sockets.extend(names.into_iter().zip(given.by_ref()).map(|(name, descriptor)| {
                Listening { name, socket: TcpListener::from(descriptor) }
            }));
            if let Some(lock) = given.next() {
                return Ok((Self { stream, pid, lock: File::from(lock) }, sockets));
            }
        }
    }

    /// Everything is prepared; returns when nobody uses the ledger any more.
    pub(in crate::server) fn await_ledger(&mut self) -> Result<(), HandoverError> {
        self.exchange(&FromSuccessor::Ready, &ToSuccessor::Released)
    }

    /// The ledger is open here; returns when this process is the one that serves.
    pub(in crate::server) fn await_turn(&mut self) -> Result<(), HandoverError> {
        self.exchange(&FromSuccessor::Opened, &ToSuccessor::Yours)
    }

    fn exchange(
        &mut self,
        message: &FromSuccessor,
        expected: &ToSuccessor,
    ) -> Result<(), HandoverError> {
        send(&mut self.stream, message)?;
        let answer = receive(&mut self.stream, &mut Vec::new())?;
        if answer == *expected { Ok(()) } else { Err(HandoverError::OutOfTurn) }
    }
}

fn send(stream: &mut UnixStream, message: &FromSuccessor) -> Result<(), HandoverError> {
    Ok(stream.write_all(&codec::encode(message)?)?)
}

/// The next message, and the descriptors that came with it. A refusal is an error.
fn receive(
    stream: &mut UnixStream,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<ToSuccessor, HandoverError> {
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        // Descriptors come with a frame's first byte.
        match descriptors::receive(stream, &mut header[filled..], descriptors)? {
            0 => return Err(HandoverError::Gone(std::io::ErrorKind::UnexpectedEof.into())),
            count => filled += count,
        }
    }
    let mut payload = vec![0; codec::payload_bytes(header)?];
    stream.read_exact(&mut payload)?;
    match codec::decode(&payload)? {
        ToSuccessor::Refused(reason) => Err(HandoverError::Refused(reason)),
        answer => Ok(answer),
    }
}
