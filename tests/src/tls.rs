//! Certificates made for a test, and OpenSSL as a client and as a backend.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use tempfile::TempDir;

use crate::process::{Finished, Process};
use crate::wait::PATIENCE;
use crate::{ports, sandbox, wait};

/// A client's connection over TLS, for bytes that no program would send.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Whether the program can be run; says on the test's output when it cannot.
pub fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("version").output().is_ok();
    if !found {
        sandbox::say_skipped(&format!("there is no {program}"));
    }
    found
}

/// An authority, and a folder with what it signed.
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Default for Authority {
    fn default() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new([]).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {:?}", &key.public_key_raw()[1..9]);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("signs itself");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("writes");
        Self { folder, issuer }
    }
}

impl Authority {
    /// A file of the folder: `ca.pem`, and `NAME.pem` with `NAME.key` for each name certified.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text.
    pub fn path(&self, name: &str) -> String {
        self.file(name).to_str().expect("a temporary folder of UTF-8").to_owned()
    }

    /// Certifies, or certifies anew, `name` for the hosts.
    pub fn certify(&self, name: &str, hosts: &[&str]) {
        self.certify_until(name, hosts, 2050);
    }

    /// With the end of validity at the beginning of `year`.
    pub fn certify_until(&self, name: &str, hosts: &[&str], year: i32) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut parameters = CertificateParams::new(hosts).expect("hosts");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let signed = parameters.signed_by(&key, &self.issuer).expect("signs");
        std::fs::write(self.file(&format!("{name}.pem")), signed.pem()).expect("writes");
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).expect("writes");
    }

    /// Connects to `address`, certified for `localhost`; the first byte shakes hands.
    ///
    /// # Panics
    /// When nobody listens.
    #[track_caller]
    pub fn connect(&self, address: SocketAddr) -> Secure {
        self.client().connect(address)
    }

    /// A client that believes this authority.
    pub fn client(&self) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let versions = builder.with_safe_default_protocol_versions().expect("versions");
        let config = versions.with_root_certificates(roots).with_no_client_auth();
        TlsClient(Arc::new(config))
    }

    /// A server with the certificate of `name`.
    ///
    /// # Panics
    /// When that was not certified.
    #[track_caller]
    pub fn server(&self, name: &str) -> TlsServer {
        let chain = CertificateDer::from_pem_file(self.file(&format!("{name}.pem")));
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key")));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let versions = builder.with_safe_default_protocol_versions().expect("versions");
        let chain = vec![chain.expect("a certificate")];
        let built = versions.with_no_client_auth().with_single_cert(chain, key.expect("a key"));
        TlsServer(Arc::new(built.expect("a pair")))
    }

    /// The keys of a TOML table for the certificate of `name`.
    pub fn pair(&self, name: &str) -> String {
        let path = |end: &str| self.path(&format!("{name}.{end}"));
        format!("certificate = \"{}\", key = \"{}\"", path("pem"), path("key"))
    }
}

/// The client's side of TLS, which resumes its sessions.
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClient {
    /// See [`Authority::connect`].
    #[track_caller]
    pub fn connect(&self, address: SocketAddr) -> Secure {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::clone(&self.0), name).expect("a configuration");
        let socket = TcpStream::connect_timeout(&address, PATIENCE).expect("the gateway listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        StreamOwned::new(session, socket)
    }
}

/// The server's side of TLS, for backends that a test writes itself.
pub struct TlsServer(Arc<ServerConfig>);

impl TlsServer {
    /// `None` when there is no TLS to be had.
    pub fn accept(&self, stream: TcpStream) -> Option<StreamOwned<ServerConnection, TcpStream>> {
        let session = ServerConnection::new(Arc::clone(&self.0)).ok()?;
        Some(StreamOwned::new(session, stream))
    }
}

/// Shakes hands with `address` by `openssl s_client`, sends `request`, and reads until the close.
#[track_caller]
pub fn s_client(address: SocketAddr, arguments: &[&str], request: &str) -> Finished {
    let mut command = Command::new("sh");
    let script = "printf \"$0\" | timeout 20 openssl s_client -ign_eof -connect \"$@\" 2>&1";
    command.args(["-c", script, request, &address.to_string()]).args(arguments);
    Process::run(command)
}

/// `openssl s_server` as a backend that answers every request with a page on its connection.
pub struct TlsBackend {
    address: SocketAddr,
    /// Ends it when dropped.
    _process: Process,
}

impl TlsBackend {
    /// With the certificate of `name`.
    ///
    /// # Panics
    /// When it does not listen.
    #[track_caller]
    pub fn start(authority: &Authority, name: &str, arguments: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let mut command = Command::new("openssl");
        command.args(["s_server", "-www", "-accept", &address.to_string()]);
        command.arg("-cert").arg(authority.file(&format!("{name}.pem")));
        command.arg("-key").arg(authority.file(&format!("{name}.key"))).args(arguments);
        let process = Process::spawn(command);
        wait::until("s_server listens", || process.stdout().contains("ACCEPT"));
        Self { address, _process: process }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
