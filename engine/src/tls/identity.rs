//! Who a client certificate says its holder is.

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::runtime::UnixNanos;

/// What of a verified certificate backends, limits and logs are told. Texts are printable ASCII,
/// fit for a field value; what is not is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The subject's first common name.
    pub subject: Option<String>,
    /// The first alternative name that is a DNS name, a URI or an e-mail address.
    pub alternative_name: Option<String>,
    /// SHA-256 of the certificate.
    pub digest: [u8; 32],
    /// The same in lower-case hexadecimal.
    pub fingerprint: String,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// End of validity, in seconds since 1970.
    expires_s: i64,
}

impl ClientIdentity {
    /// `None` for what is not a certificate, which verification does not let pass.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let subject = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok());
        let names = parsed.subject_alternative_name().ok().flatten();
        let alternative_name =
            names.and_then(|names| names.value.general_names.iter().find_map(text));
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Some(Self {
            subject: subject.and_then(field_value),
            alternative_name: alternative_name.and_then(field_value),
            digest: sha256,
            fingerprint: hexadecimal(&sha256),
            serial: hexadecimal(parsed.raw_serial()),
            expires_s: parsed.validity().not_after.timestamp(),
        })
    }

    /// A resumed session is not verified again, so its certificate may have run out meanwhile.
    pub fn expired(&self, now: UnixNanos) -> bool {
        self.expires_s < i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
    }
}

fn text<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => {
            Some(text)
        }
        _ => None,
    }
}

fn field_value(text: &str) -> Option<String> {
    let text = text.trim();
    let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (printable && !text.is_empty()).then(|| text.to_owned())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests;
