//! The server's side: one rustls configuration for each listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::{ALPN_HTTP_1_1, Certificate, Tickets, WallClock, provider};
use crate::config::{ClientAuth, ServerTlsConfig};

/// A listener's TLS, as a snapshot holds it.
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    /// From the accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// Another number for each client authentication and least version there was; never zero.
    pub terms: u64,
}

/// What `parse` should have refused; an error so that nothing panics on a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    #[error("a certificate cannot be used: {0}")]
    Certificate(rustls::Error),
    #[error("the authorities of client certificates cannot be used: {0}")]
    ClientAuthorities(String),
    #[error("the versions of TLS cannot be had: {0}")]
    Versions(rustls::Error),
    #[error("no randomness for session tickets: {0}")]
    Tickets(rustls::Error),
}

impl ServerTls {
    /// `tickets` keeps ticket keys from one snapshot to the next under the listener's name.
    ///
    /// # Errors
    /// None for what was parsed.
    pub fn build(
        listener: &str,
        config: &ServerTlsConfig,
        tickets: &mut Tickets,
    ) -> Result<Self, ServerTlsError> {
        let builder = ServerConfig::builder_with_details(provider(), Arc::new(WallClock))
            .with_protocol_versions(config.min_version.and_later())
            .map_err(ServerTlsError::Versions)?;
        let builder = match config.client_auth {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Optional | ClientAuth::Required => {
                builder.with_client_cert_verifier(client_verifier(config)?)
            }
        };
        let resolver = Resolver::new(&config.certificates).map_err(ServerTlsError::Certificate)?;
        let mut built = builder.with_cert_resolver(Arc::new(resolver));
        built.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        // Tickets carry the whole session, so any shard resumes what another began, and no shard
        // asks a store that they share.
        built.session_storage = Arc::new(NoServerSessionStorage {});
        let granted = tickets.of(listener, config).map_err(ServerTlsError::Tickets)?;
        built.ticketer = granted.ticketer;
        let handshake_timeout = config.handshake_timeout;
        Ok(Self { config: Arc::new(built), handshake_timeout, terms: granted.terms })
    }
}

fn client_verifier(
    config: &ServerTlsConfig,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, ServerTlsError> {
    let mut roots = RootCertStore::empty();
    for authority in &config.client_ca {
        roots
            .add(authority.clone())
            .map_err(|error| ServerTlsError::ClientAuthorities(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = match config.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => builder,
    };
    builder.build().map_err(|error| ServerTlsError::ClientAuthorities(error.to_string()))
}

/// Chooses a certificate by the name the client asks for.
#[derive(Debug)]
struct Resolver {
    /// In the order of the configuration; the first serves names that none has.
    keys: Vec<Arc<CertifiedKey>>,
    /// Indices into `keys`: certificates of one name differ in the kind of their keys.
    exact: BTreeMap<String, Vec<usize>>,
    /// By what follows the `*.`, which stands for one label (RFC 9525 section 6.3).
    wildcard: BTreeMap<String, Vec<usize>>,
}

impl Resolver {
    fn new(certificates: &[Certificate]) -> Result<Self, rustls::Error> {
        let mut resolver =
            Self { keys: Vec::new(), exact: BTreeMap::new(), wildcard: BTreeMap::new() };
        for (index, certificate) in certificates.iter().enumerate() {
            resolver.keys.push(Arc::new(certificate.certified()?));
            for name in certificate.names() {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut resolver.wildcard, parent),
                    None => (&mut resolver.exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_default().push(index);
            }
        }
        Ok(resolver)
    }

    /// Indices of the certificates for `name`, which is in lower case.
    fn candidates(&self, name: &str) -> &[usize] {
        let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(name).or_else(parent).map_or(&[], Vec::as_slice)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls has lowered the name's case.
        let named = hello.server_name().map_or(&[][..], |name| self.candidates(name));
        let all = 0..self.keys.len();
        let usable = |index: &usize| {
            self.keys[*index].key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let chosen = match named {
            [] => all.take(1).next(),
            [only] => Some(*only),
            several => several.iter().copied().find(usable).or(Some(several[0])),
        };
        chosen.map(|index| Arc::clone(&self.keys[index]))
    }
}

#[cfg(test)]
mod tests;
