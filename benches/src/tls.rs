//! TLS of the comparison: one certificate for all contestants, one set of terms from the client.
//!
//! The client offers a single version, cipher and group (TLS 1.3, AES-128-GCM, X25519), so no
//! contestant can choose cheaper ones than another.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, KeyPair};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, NamedGroup, RootCertStore};

use crate::error::Error;

/// What the certificate names and the client asks for.
pub const HOST: &str = "localhost";

/// An ECDSA P-256 certificate, signed by itself and made at run time.
pub struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

impl Identity {
    pub fn make() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![HOST.to_owned()])?.self_signed(&key)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.into(),
        })
    }

    /// Puts `cert.pem`, `key.pem` and, for HAProxy, `both.pem` into `folder`.
    pub fn write_to(&self, folder: &Path) -> Result<(), Error> {
        let both = format!("{}{}", self.certificate_pem, self.key_pem);
        let files =
            [("cert.pem", &self.certificate_pem), ("key.pem", &self.key_pem), ("both.pem", &both)];
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
        }
        Ok(())
    }

    /// A client that trusts this certificate only. With `resume` it keeps the tickets it is given
    /// and uses each once; without, every handshake is a full one.
    pub fn client(&self, resume: bool) -> Result<Arc<ClientConfig>, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = if resume {
            Resumption::store(Arc::new(Tickets::default()))
        } else {
            Resumption::disabled()
        };
        Ok(Arc::new(config))
    }
}

/// Tickets of the one server there is. rustls' own store keeps eight, and servers give one for each
/// that is used: connections that finish together would lose some and shake hands in full later.
#[derive(Debug, Default)]
struct Tickets(Mutex<Vec<Tls13ClientSessionValue>>);

const TICKETS_MAX: usize = 4096;

impl ClientSessionStore for Tickets {
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() < TICKETS_MAX {
            tickets.push(value);
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    // The client offers one group, and not TLS 1.2.
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
}
