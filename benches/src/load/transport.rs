//! One client connection, in plain text or over TLS, blocking or not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::tls::HOST;

/// How a client speaks to its server.
#[derive(Debug, Clone)]
pub enum Security {
    Plain,
    Tls(Arc<ClientConfig>),
}

/// Says goodbye when it is dropped, as a browser does.
pub(super) struct Transport {
    stream: TcpStream,
    session: Option<Box<ClientConnection>>,
}

impl Transport {
    /// Connects, blocking. A handshake begins with the first write.
    pub(super) fn connect(address: SocketAddr, security: &Security) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let session = match security {
            Security::Plain => None,
            Security::Tls(config) => {
                let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
                let session = ClientConnection::new(Arc::clone(config), name);
                Some(Box::new(session.map_err(io::Error::other)?))
            }
        };
        Ok(Self { stream, session })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the handshake is over and resumed an earlier session.
    pub(super) fn resumed(&self) -> bool {
        let kind = self.session.as_ref().and_then(|session| session.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Writes `bytes`, or over TLS takes them all, to leave when the handshake is over.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.stream.write(bytes);
        };
        let count = session.writer().write(bytes)?;
        flush(session, &mut self.stream)?;
        Ok(count)
    }

    /// Reads bytes of the application; an error of kind `WouldBlock` when there are none yet.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.stream.read(scratch);
        };
        loop {
            match session.reader().read(scratch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            session.read_tls(&mut self.stream)?;
            let outcome = session.process_new_packets();
            flush(session, &mut self.stream)?;
            outcome.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

fn flush(session: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(stream)?;
    }
    Ok(())
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        if let Some(session) = self.session.as_mut().filter(|session| !session.is_handshaking()) {
            session.send_close_notify();
            // A peer that has gone already needs no goodbye.
            let _ = flush(session, &mut self.stream);
        }
    }
}
