//! What the tests of TLS share: certificates made on the spot, and two ends of a wire in memory.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tempfile::TempDir;

use super::{Certificate, ClientTls, ServerTls, Tickets, TlsStream};
use crate::config::{ClientAuth, ClientTlsConfig, ServerTlsConfig, TlsVersion};
use crate::runtime::{Endpoint, Stream};

pub(super) const BACKEND: Endpoint =
    Endpoint::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 443));

/// An authority with a folder for what it signs.
pub(super) struct Authority {
    pub(super) folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut parameters = CertificateParams::new([]).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let name = format!("authority {:?}", &key.public_key_raw()[1..9]);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("signs itself");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("writes");
        Self { folder, issuer }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(super) fn certify(&self, subject: &str, names: &[&str]) -> Certificate {
        self.certify_with(subject, names, |_| {})
    }

    /// A certificate that `change` has had its way with.
    pub(super) fn certify_with(
        &self,
        subject: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        parameters.distinguished_name.push(DnType::CommonName, subject);
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut parameters);
        let key = KeyPair::generate().expect("a key");
        let signed = parameters.signed_by(&key, &self.issuer).expect("signs");
        let [certificate, secret] =
            ["pem", "key"].map(|end| self.folder.path().join(format!("{subject}.{end}")));
        write(&certificate, &signed.pem());
        write(&secret, &key.serialize_pem());
        Certificate::load(&certificate, &secret).expect("loads")
    }

    pub(super) fn server(&self, certificates: Vec<Certificate>) -> ServerTlsConfig {
        ServerTlsConfig {
            certificates,
            client_auth: ClientAuth::None,
            client_ca: Vec::new(),
            min_version: TlsVersion::Tls12,
            handshake_timeout: Duration::from_secs(10),
        }
    }

    /// Asks clients for certificates of this authority.
    pub(super) fn asking(&self, mode: ClientAuth) -> ServerTlsConfig {
        let own = self.certify("server", &["127.0.0.1", "localhost"]);
        let client_ca = super::load_authorities(&self.path()).expect("reads");
        ServerTlsConfig { client_auth: mode, client_ca, ..self.server(vec![own]) }
    }

    pub(super) fn client(&self, certificate: Option<Certificate>) -> ClientTls {
        self.client_for(None, certificate)
    }

    pub(super) fn client_for(
        &self,
        name: Option<&str>,
        certificate: Option<Certificate>,
    ) -> ClientTls {
        let roots = super::load_authorities(&self.path()).expect("reads");
        let server_name = name.map(|name| name.to_owned().try_into().expect("a name"));
        let config = ClientTlsConfig { roots: Some(Arc::new(roots)), server_name, certificate };
        ClientTls::build(&config, [Ipv4Addr::LOCALHOST.into()].into_iter()).expect("builds")
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("writes");
}

pub(super) fn build(config: &ServerTlsConfig, tickets: &mut Tickets) -> ServerTls {
    ServerTls::build("main", config, tickets).expect("builds")
}

/// One direction of a wire.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) bytes: VecDeque<u8>,
    pub(super) ended: bool,
    /// How much the next operations move, over and over; zero is one wait. Empty is no limit.
    whims: Vec<usize>,
    /// The next whim of reads and of writes, apart: one's waits must not fall on the other's turn.
    next_whim: [usize; 2],
    /// How many reads were answered.
    pub(super) reads: usize,
    pub(super) writes: usize,
}

impl Wire {
    fn whim(&mut self, kind: usize) -> usize {
        if self.whims.is_empty() {
            return usize::MAX;
        }
        let next = &mut self.next_whim[kind];
        *next = (*next + 1) % self.whims.len();
        self.whims[*next]
    }
}

/// One end of two wires. Nobody is woken: whoever tests polls again.
pub(super) struct Pipe {
    pub(super) incoming: Rc<RefCell<Wire>>,
    pub(super) outgoing: Rc<RefCell<Wire>>,
}

/// Bytes that a wire holds at most.
const WIRE_BYTES_MAX: usize = 40_000;

impl Pipe {
    pub(super) fn pair(whims: &[usize]) -> (Self, Self) {
        let wire = || Rc::new(RefCell::new(Wire { whims: whims.to_vec(), ..Wire::default() }));
        let (there, back) = (wire(), wire());
        let near = Self { incoming: Rc::clone(&back), outgoing: Rc::clone(&there) };
        (near, Self { incoming: there, outgoing: back })
    }
}

impl Stream for Pipe {
    fn poll_read(&mut self, _cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.incoming.borrow_mut();
        wire.reads += 1;
        let most = wire.whim(0).min(buf.len()).min(wire.bytes.len());
        if most == 0 && !(wire.ended && wire.bytes.is_empty()) {
            return Poll::Pending;
        }
        for (to, from) in buf.iter_mut().zip(wire.bytes.drain(..most)) {
            *to = from;
        }
        Poll::Ready(Ok(most))
    }

    fn poll_write(&mut self, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.outgoing.borrow_mut();
        assert!(!wire.ended, "written after the end");
        wire.writes += 1;
        let most = wire.whim(1).min(buf.len()).min(WIRE_BYTES_MAX - wire.bytes.len());
        if most == 0 {
            return Poll::Pending;
        }
        wire.bytes.extend(&buf[..most]);
        Poll::Ready(Ok(most))
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gathered: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.poll_write(cx, &gathered)
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.borrow_mut().ended = true;
        Poll::Ready(Ok(()))
    }

    fn abort(self) {}
}

pub(super) fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Both ends of one connection, shaken hands over; an error is the server's, then the client's.
pub(super) fn shaken(
    server: &ServerTls,
    client: &ClientTls,
    whims: &[usize],
) -> Result<(TlsStream<Pipe>, TlsStream<Pipe>), io::Error> {
    let (near, far) = Pipe::pair(whims);
    let mut server = TlsStream::accept(near, Arc::clone(&server.config)).expect("a server");
    let mut client = client.open(far, &BACKEND).expect("a client");
    for _ in 0..100_000 {
        let here = server.poll_handshake(&mut context());
        if let Poll::Ready(Err(error)) = here {
            return Err(error);
        }
        let there = client.poll_handshake(&mut context());
        if let Poll::Ready(Err(error)) = there {
            // What the client said last may be what the server fails by.
            if let Poll::Ready(Err(error)) = server.poll_handshake(&mut context()) {
                return Err(error);
            }
            return Err(error);
        }
        if here.is_ready() && there.is_ready() {
            return Ok((server, client));
        }
    }
    panic!("the handshake makes no progress");
}

/// Reads and writes until `work` says that it is done.
pub(super) fn until(mut work: impl FnMut(&mut Context<'_>) -> bool) {
    for _ in 0..1_000_000 {
        if work(&mut context()) {
            return;
        }
    }
    panic!("no progress");
}
