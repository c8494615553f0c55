//! TLS of listeners and of upstreams, as the file asks for it.

use std::sync::Arc;
use std::time::Duration;

use rustls::SupportedProtocolVersion;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};

use super::Config;
use crate::runtime::UnixNanos;
use crate::tls::Certificate;

impl Config {
    /// The certificates that are no longer valid.
    pub(super) fn expired_certificates(
        &self,
        now: UnixNanos,
    ) -> impl Iterator<Item = &Certificate> {
        let listeners = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let upstreams = self.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref());
        let own = listeners.flat_map(|tls| &tls.certificates);
        own.chain(upstreams.filter_map(|tls| tls.certificate.as_ref()))
            .filter(move |certificate| certificate.expired(now))
    }
}

/// `tls` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsConfig {
    /// At least one; the first serves clients that ask for no name, or for one that none has.
    pub certificates: Vec<Certificate>,
    pub client_auth: ClientAuth,
    /// Who may sign client certificates; empty when they are not asked for.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// Default 1.2.
    pub min_version: TlsVersion,
    /// From the accept to the end of the handshake. Default 10 s.
    pub handshake_timeout: Duration,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// The default.
    None,
    /// Asked, and served without; one that is presented must verify.
    Optional,
    Required,
}

/// The least version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

impl TlsVersion {
    /// This version and what follows it, for rustls.
    pub fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::Tls12 => &VERSIONS,
            Self::Tls13 => &VERSIONS[..1],
        }
    }
}

/// `tls` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTlsConfig {
    /// Whom a backend's certificate must come from; `None` takes any (`verify = false`). Default:
    /// the system's.
    pub roots: Option<Arc<Vec<CertificateDer<'static>>>>,
    /// What a backend must be certified as. Default: its address.
    pub server_name: Option<ServerName<'static>>,
    /// What this gateway shows to backends that ask.
    pub certificate: Option<Certificate>,
}
