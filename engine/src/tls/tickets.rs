//! Keys of session tickets, which outlive the snapshots that use them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;

use crate::config::{ClientAuth, ServerTlsConfig, TlsVersion};

/// The ticketer of every listener.
///
/// A ticket vouches for its session: who the client is was checked when it was made. So a ticketer
/// lives as long as what it was checked against: another mode of client authentication, other
/// authorities or another least version begin with new keys, and nobody resumes a session that
/// would not be granted now. New certificates of our own change nothing of that.
///
/// Keys change every six hours and are forgotten after twelve; rustls' rotator reads them under a
/// read-write lock, once for each handshake.
#[derive(Default)]
pub struct Tickets {
    known: BTreeMap<String, (Policy, Granted)>,
    /// Those that were given to a listener last.
    terms: u64,
}

/// What connections of one listener are granted on one policy.
#[derive(Clone)]
pub(super) struct Granted {
    pub(super) ticketer: Arc<dyn ProducesTickets>,
    /// A number of the policy's own, never zero.
    pub(super) terms: u64,
}

/// SHA-256 of what a session was granted by.
type Policy = [u8; 32];

impl Tickets {
    /// # Errors
    /// When the system has no randomness for keys.
    pub(super) fn of(
        &mut self,
        listener: &str,
        config: &ServerTlsConfig,
    ) -> Result<Granted, rustls::Error> {
        let policy = policy(config);
        if let Some((known, granted)) = self.known.get(listener)
            && *known == policy
        {
            return Ok(granted.clone());
        }
        self.terms += 1;
        let granted = Granted { ticketer: Ticketer::new()?, terms: self.terms };
        self.known.insert(listener.to_owned(), (policy, granted.clone()));
        Ok(granted)
    }
}

fn policy(config: &ServerTlsConfig) -> Policy {
    let mut context = Context::new(&SHA256);
    let mode = match config.client_auth {
        ClientAuth::None => 0,
        ClientAuth::Optional => 1,
        ClientAuth::Required => 2,
    };
    let version = match config.min_version {
        TlsVersion::Tls12 => 2,
        TlsVersion::Tls13 => 3,
    };
    context.update(&[mode, version]);
    let mut authorities: Vec<&[u8]> = config.client_ca.iter().map(AsRef::as_ref).collect();
    authorities.sort_unstable();
    for authority in authorities {
        context.update(&(authority.len() as u64).to_be_bytes());
        context.update(authority);
    }
    let mut policy = [0; 32];
    policy.copy_from_slice(context.finish().as_ref());
    policy
}

#[cfg(test)]
mod tests;
