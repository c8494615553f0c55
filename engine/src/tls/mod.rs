//! TLS for clients and for backends, with rustls and its ring provider.
//!
//! Invariants:
//! - TLS 1.2 and 1.3 with ephemeral key exchange and authenticated encryption only: what rustls
//!   offers is within what Mozilla calls "intermediate";
//! - what a configuration names is read and checked when it is loaded ([`Certificate::load`]), so a
//!   snapshot holds certificates that work;
//! - a connection without TLS pays for none of this: it never holds a [`TlsStream`].

mod accepted;
mod certificate;
mod client;
mod identity;
mod self_signed;
mod server;
mod sessions;
mod stream;
#[cfg(test)]
mod testing;
mod tickets;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

pub use accepted::AcceptedTls;
pub use certificate::{Certificate, CertificateError, load_authorities};
pub use client::{ClientTls, ClientTlsError};
pub use identity::ClientIdentity;
pub use self_signed::{SelfSigned, SelfSignedError};
pub use server::{ServerTls, ServerTlsError};
pub use stream::{TlsLayer, TlsStream, describe};
pub use tickets::Tickets;

use crate::runtime::os;

/// The only protocol spoken behind a handshake (RFC 7301 section 6).
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

/// What certificates and tickets are held against: the machine's wall clock, also in a simulation,
/// for certificates are made outside of it.
#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(os::wall().0)))
    }
}
