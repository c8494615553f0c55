//! Certificates with their keys, as files hold them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::provider;
use crate::runtime::UnixNanos;

/// More than any bundle of authorities has; bounds what a wrong path makes us read.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// A chain with the key of its first certificate, read and checked. Equal when they prove the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where the chain came from, for messages.
    path: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    /// Lower case; `*.` begins a wildcard.
    names: Vec<String>,
    /// End of validity, in seconds since 1970.
    expires_s: i64,
}

/// What is wrong with a file; says nothing of what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{} cannot be read: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} has no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} has a section that is not PEM", .0.display())]
    NotPem(PathBuf),
    #[error("{} has no private key in PEM that is not encrypted", .0.display())]
    NoKey(PathBuf),
    #[error("{} has a certificate that cannot be used: {reason}", .path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error("{} is the key of another certificate than {}", .key.display(), .certificate.display())]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("{} has a key of a kind that is not supported; use ECDSA P-256, P-384, Ed25519 or RSA \
             of 2048 bits at least", .0.display())]
    UnsupportedKey(PathBuf),
}

impl CertificateError {
    /// The file that is wrong.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. } | Self::Unusable { path, .. } => path,
            Self::NoCertificate(path) | Self::NotPem(path) | Self::NoKey(path) => path,
            Self::Mismatch { key, .. } | Self::UnsupportedKey(key) => key,
        }
    }

    /// Whether a file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Certificate {
    /// Reads a chain, its own certificate first, and the key, both in PEM.
    ///
    /// # Errors
    /// See [`CertificateError`]. An expired certificate is none: see [`Certificate::expired`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let chain = load_authorities(certificate)?;
        let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|_| CertificateError::NoKey(key.to_owned()))?;
        let (names, expires_s) = described(&chain[0]).map_err(|reason| {
            CertificateError::Unusable { path: certificate.to_owned(), reason }
        })?;
        let loaded =
            Self { path: certificate.to_owned(), chain, key: Arc::new(secret), names, expires_s };
        match loaded.certified() {
            Ok(_) => Ok(loaded),
            Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::Mismatch {
                key: key.to_owned(),
                certificate: certificate.to_owned(),
            }),
            Err(_) => Err(CertificateError::UnsupportedKey(key.to_owned())),
        }
    }

    /// For rustls.
    ///
    /// # Errors
    /// None for what [`Certificate::load`] has made.
    pub(super) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// DNS names that it is good for.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub fn expired(&self, now: UnixNanos) -> bool {
        self.expires_s < i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads certificates in PEM; at least one.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn load_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = read(path)?;
    let read = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, pem::Error>>();
    let certificates = read.map_err(|_| CertificateError::NotPem(path.to_owned()))?;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|source| CertificateError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// The DNS names and the end of validity. Subjects are no names of hosts (RFC 9525 section 2).
fn described(certificate: &CertificateDer<'_>) -> Result<(Vec<String>, i64), String> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let names = match parsed.subject_alternative_name().map_err(|error| error.to_string())? {
        Some(extension) => extension.value.general_names.iter().filter_map(dns_name).collect(),
        None => Vec::new(),
    };
    Ok((names, parsed.validity().not_after.timestamp()))
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}
