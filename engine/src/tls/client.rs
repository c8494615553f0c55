//! The client's side: one rustls configuration for each upstream.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::sessions::Sessions;
use super::{ALPN_HTTP_1_1, Certificate, TlsStream, WallClock, provider};
use crate::config::ClientTlsConfig;
use crate::runtime::{Endpoint, Stream};

/// An upstream's TLS, as a snapshot holds it.
pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// What backends go by, where it is not their own address.
    server_name: Option<ServerName<'static>>,
}

/// What `parse` should have refused; an error so that nothing panics on a configuration.
#[derive(Debug, thiserror::Error)]
#[error("TLS to backends: {0}")]
pub struct ClientTlsError(#[from] rustls::Error);

impl ClientTls {
    /// `addresses` are the backends'.
    ///
    /// # Errors
    /// None for what was parsed.
    pub fn build(
        config: &ClientTlsConfig,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> Result<Self, ClientTlsError> {
        let builder = ClientConfig::builder_with_details(provider(), Arc::new(WallClock))
            .with_safe_default_protocol_versions()?;
        let builder = match &config.roots {
            Some(roots) => builder.with_root_certificates(trusted(roots)),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified)),
        };
        let mut built = match &config.certificate {
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(
                rustls::sign::SingleCertAndKey::from(certificate.certified()?),
            )),
            None => builder.with_no_client_auth(),
        };
        built.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        let server_name = config.server_name.clone();
        let names: Vec<_> = match &server_name {
            Some(name) => vec![name.clone()],
            None => addresses.map(ServerName::from).collect(),
        };
        built.resumption = Resumption::store(Arc::new(Sessions::new(names)));
        Ok(Self { config: Arc::new(built), server_name })
    }

    /// TLS over a connection to the backend at `endpoint`, before its handshake.
    ///
    /// # Errors
    /// Over a Unix socket without a name to verify.
    pub fn open<S: Stream>(&self, stream: S, endpoint: &Endpoint) -> io::Result<TlsStream<S>> {
        let name = match (&self.server_name, endpoint) {
            (Some(name), _) => name.clone(),
            (None, Endpoint::Tcp(address)) => ServerName::from(address.ip()),
            (None, Endpoint::Unix(_)) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        TlsStream::connect(stream, Arc::clone(&self.config), name).map_err(io::Error::other)
    }

    /// Offers these protocols instead, whatever is spoken.
    #[cfg(test)]
    pub(super) fn offer(&mut self, protocols: &[&str]) {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self.config = Arc::new(config);
    }
}

impl ClientTlsConfig {
    /// Differs when a connection made under one configuration must not be used under another.
    pub fn tag(&self) -> String {
        let mut context = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(&[u8::from(self.roots.is_some())]);
        self.roots.iter().flat_map(|roots| roots.iter()).for_each(|root| part(root));
        part(self.server_name.as_ref().map(ServerName::to_str).unwrap_or_default().as_bytes());
        let own = self.certificate.iter().flat_map(Certificate::chain);
        own.for_each(|certificate| part(certificate));
        let digest = context.finish();
        digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What of `roots` can be a trust anchor; system stores have relics that cannot.
fn trusted(roots: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    store
}

/// Takes any certificate whose key the server holds: `verify = false`.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
