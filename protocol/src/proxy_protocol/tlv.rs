//! What version 2 can say beside addresses: type, length, value. Section 2.2.

use super::Error;

/// Types of values, as the specification numbers them.
pub mod kind {
    /// The protocol within TLS, as ALPN names it.
    pub const ALPN: u8 = 0x01;
    /// The host that the client asked for, as SNI does.
    pub const AUTHORITY: u8 = 0x02;
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    pub const UNIQUE_ID: u8 = 0x05;
    pub const SSL: u8 = 0x20;
    /// Within [`SSL`]: such as `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// Within [`SSL`]: the common name of the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    pub const SSL_CIPHER: u8 = 0x23;
    pub const SSL_SIG_ALG: u8 = 0x24;
    pub const SSL_KEY_ALG: u8 = 0x25;
    pub const NETNS: u8 = 0x30;
}

/// Section 2.2.5: at most so many bytes identify a connection.
const UNIQUE_ID_BYTES_MAX: usize = 128;
/// A name in DNS has no more, and SNI holds nothing else.
const AUTHORITY_BYTES_MAX: usize = 255;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    pub kind: u8,
    pub value: &'a [u8],
}

/// The values of a header. Those that are known are right, and none of them stands there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tlvs<'a> {
    /// All of them, in the order sent.
    pub all: TlvIter<'a>,
    pub alpn: Option<&'a [u8]>,
    /// 1 to 255 bytes of visible ASCII; a claim of the client's like any Host.
    pub authority: Option<&'a str>,
    /// At most 128 bytes of any kind.
    pub unique_id: Option<&'a [u8]>,
    pub ssl: Option<Ssl<'a>>,
    /// The name of the network namespace; visible ASCII.
    pub netns: Option<&'a str>,
    /// Verified before the header was accepted.
    pub(super) checksum: Option<&'a [u8; 4]>,
}

/// What the sender says of the client's TLS: section 2.2.6. Texts are any UTF-8: whoever puts one
/// into a field or a log looks at its bytes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// Bits: [`Ssl::CLIENT_SSL`], [`Ssl::CLIENT_CERT_CONN`], [`Ssl::CLIENT_CERT_SESS`].
    pub client: u8,
    /// 0 when the client presented a certificate that was verified.
    pub verify: u32,
    pub all: TlvIter<'a>,
    /// Such as `TLSv1.3`.
    pub version: Option<&'a str>,
    /// The common name of the client's certificate.
    pub common_name: Option<&'a str>,
    pub cipher: Option<&'a str>,
    pub signature_algorithm: Option<&'a str>,
    pub key_algorithm: Option<&'a str>,
}

impl Ssl<'_> {
    /// The client connected over TLS.
    pub const CLIENT_SSL: u8 = 1;
    /// It presented a certificate on this connection.
    pub const CLIENT_CERT_CONN: u8 = 2;
    /// It presented one at least once in this TLS session.
    pub const CLIENT_CERT_SESS: u8 = 4;

    /// Whether the client showed a certificate, and the sender found it good. `verify` alone does
    /// not say so: some senders write 0 there without a certificate.
    #[must_use]
    pub fn has_verified_certificate(&self) -> bool {
        self.client & (Self::CLIENT_CERT_CONN | Self::CLIENT_CERT_SESS) != 0 && self.verify == 0
    }
}

/// Values one by one, of bytes that were found to be nothing but values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TlvIter<'a>(&'a [u8]);

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split_tlv(self.0)?;
        self.0 = rest;
        Some(tlv)
    }
}

impl<'a> TlvIter<'a> {
    /// Takes `bytes` if values fill them exactly.
    fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split_tlv(rest).ok_or(Error::Tlv)?;
        }
        Ok(Self(bytes))
    }
}

fn split_tlv(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let ([kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((Tlv { kind: *kind, value }, rest))
}

impl<'a> Tlvs<'a> {
    /// Reads everything behind the addresses. Unknown types are passed over (section 2.2).
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut tlvs = Self { all: TlvIter::parse(bytes)?, ..Self::default() };
        for Tlv { kind, value } in tlvs.all {
            match kind {
                kind::ALPN => set(&mut tlvs.alpn, value)?,
                kind::AUTHORITY if value.len() > AUTHORITY_BYTES_MAX => return Err(Error::Tlv),
                kind::AUTHORITY => set(&mut tlvs.authority, name(value)?)?,
                kind::CRC32C => {
                    set(&mut tlvs.checksum, value.as_array().ok_or(Error::Tlv)?)?;
                }
                kind::UNIQUE_ID if value.len() > UNIQUE_ID_BYTES_MAX => return Err(Error::Tlv),
                kind::UNIQUE_ID => set(&mut tlvs.unique_id, value)?,
                kind::SSL => set(&mut tlvs.ssl, Ssl::parse(value)?)?,
                kind::NETNS => set(&mut tlvs.netns, name(value)?)?,
                _ => {}
            }
        }
        Ok(tlvs)
    }
}

impl<'a> Ssl<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let ([client, verify @ ..], rest) = bytes.split_first_chunk::<5>().ok_or(Error::Tlv)?;
        let mut ssl = Self {
            client: *client,
            verify: u32::from_be_bytes(*verify),
            all: TlvIter::parse(rest)?,
            version: None,
            common_name: None,
            cipher: None,
            signature_algorithm: None,
            key_algorithm: None,
        };
        for Tlv { kind, value } in ssl.all {
            match kind {
                kind::SSL_VERSION => set(&mut ssl.version, text(value)?)?,
                kind::SSL_CN => set(&mut ssl.common_name, text(value)?)?,
                kind::SSL_CIPHER => set(&mut ssl.cipher, text(value)?)?,
                kind::SSL_SIG_ALG => set(&mut ssl.signature_algorithm, text(value)?)?,
                kind::SSL_KEY_ALG => set(&mut ssl.key_algorithm, text(value)?)?,
                _ => {}
            }
        }
        Ok(ssl)
    }
}

/// Recipients differ in which of two they believe.
fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::RepeatedTlv),
    }
}

fn text(value: &[u8]) -> Result<&str, Error> {
    str::from_utf8(value).map_err(|_| Error::Tlv)
}

/// What names a host or a namespace, and may come to stand in a log.
fn name(value: &[u8]) -> Result<&str, Error> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
        return Err(Error::Tlv);
    }
    text(value)
}

pub(super) fn push_tlv(out: &mut Vec<u8>, tlv: &Tlv<'_>) -> Result<(), Error> {
    let length = u16::try_from(tlv.value.len()).map_err(|_| Error::TooLong)?;
    out.push(tlv.kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(tlv.value);
    Ok(())
}

/// Appends the value of a [`kind::SSL`] to `out`: `client` and `verify` as in [`Ssl`], then `tlvs`
/// such as [`kind::SSL_VERSION`].
///
/// # Errors
/// [`Error::TooLong`] if a value has more than 65,535 bytes.
pub fn write_ssl(
    out: &mut Vec<u8>,
    client: u8,
    verify: u32,
    tlvs: &[Tlv<'_>],
) -> Result<(), Error> {
    out.push(client);
    out.extend_from_slice(&verify.to_be_bytes());
    tlvs.iter().try_for_each(|tlv| push_tlv(out, tlv))
}
