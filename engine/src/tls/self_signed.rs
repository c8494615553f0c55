//! Certificates for development, signed by themselves: `weir cert self-signed`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::runtime::UnixNanos;

/// Clocks of those who verify may be a little behind.
const BACKDATED: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Where a certificate and its key were written.
#[derive(Debug)]
pub struct SelfSigned {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    #[error("{} is there already; choose another folder, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no certificate can be made for these hosts: {0}")]
    Make(#[from] rcgen::Error),
}

impl SelfSigned {
    /// Makes a certificate for `hosts`, names or addresses, that is good for `days` days from `now`,
    /// and writes `cert.pem` and `key.pem` (mode 0600) into `folder`, which is made if needed.
    ///
    /// # Errors
    /// Rather than replace a file.
    pub fn write(
        hosts: &[String],
        folder: &Path,
        days: u32,
        now: UnixNanos,
    ) -> Result<Self, SelfSignedError> {
        let files = Self { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        for path in [&files.certificate, &files.key] {
            if path.symlink_metadata().is_ok() {
                return Err(SelfSignedError::Exists(path.clone()));
            }
        }
        let (certificate, key) = make(hosts, days, now)?;
        std::fs::create_dir_all(folder)
            .map_err(|source| SelfSignedError::Write { path: folder.to_owned(), source })?;
        create(&files.key, 0o600, &key)?;
        create(&files.certificate, 0o644, &certificate)?;
        Ok(files)
    }
}

/// The certificate and its key in PEM.
fn make(hosts: &[String], days: u32, now: UnixNanos) -> Result<(String, String), rcgen::Error> {
    let mut parameters = CertificateParams::new(hosts)?;
    let name = hosts.first().map_or("localhost", String::as_str);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = std::time::UNIX_EPOCH + Duration::from_nanos(now.0);
    parameters.not_before = (now - BACKDATED).into();
    parameters.not_after = (now + DAY * days).into();
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Creates a file that is not there yet, whatever was true a moment ago.
fn create(path: &Path, mode: u32, text: &str) -> Result<(), SelfSignedError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => SelfSignedError::Exists(path.to_owned()),
        _ => SelfSignedError::Write { path: path.to_owned(), source },
    };
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

#[cfg(test)]
mod tests;
