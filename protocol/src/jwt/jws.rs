//! The envelope: three base64url parts, a protected header and a signature (RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{Json, Object};
use super::{Key, TOKEN_BYTES_MAX, TokenError, TokenPart};

/// A token taken apart but not yet trusted.
pub(super) struct Parts<'a> {
    header: &'a [u8],
    claims: &'a [u8],
    signature: &'a [u8],
    /// Header, dot and claims as they came: what the signature covers.
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    /// RFC 7515 section 3.1: exactly three parts. An empty one is refused here at once, so an
    /// unsigned token (RFC 7519 section 6) goes no further.
    pub(super) fn split(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::Shape);
        };
        let parts = Self {
            header: &token[..first],
            claims: &token[first + 1..second],
            signature: &token[second + 1..],
            signed: &token[..second],
        };
        if [parts.header, parts.claims, parts.signature].iter().any(|part| part.is_empty()) {
            return Err(TokenError::Shape);
        }
        Ok(parts)
    }

    /// Whether the header is one that a token under `key` may have. `kid`, `jwk`, `jku`, `x5u`
    /// and `x5c` change nothing: the key is already chosen.
    pub(super) fn check_header(&self, key: &Key) -> Result<(), TokenError> {
        let text = decode(self.header, TokenPart::Header)?;
        let header = Object::parse(&text).ok_or(TokenError::Json(TokenPart::Header))?;
        // RFC 8725 section 3.1; `none` falls here too, in every spelling.
        match header.get("alg") {
            Some(Json::Text(algorithm)) if algorithm == key.algorithm() => {}
            _ => return Err(TokenError::Algorithm),
        }
        check_header_extensions(&header)?;
        check_header_type(&header)
    }

    pub(super) fn check_signature(&self, key: &Key) -> Result<(), TokenError> {
        let signature = decode(self.signature, TokenPart::Signature)?;
        if key.verifies(self.signed, &signature) { Ok(()) } else { Err(TokenError::Signature) }
    }

    pub(super) fn decoded_claims(&self) -> Result<Vec<u8>, TokenError> {
        decode(self.claims, TokenPart::Claims)
    }
}

/// RFC 7515 section 4.1.11: an extension named in `crit` that is not understood makes the token
/// invalid, and none is understood. `b64` (RFC 7797) would change what is signed, `zip` and `enc`
/// belong to encryption (RFC 7516).
fn check_header_extensions(header: &Object) -> Result<(), TokenError> {
    let plain = matches!(header.get("b64"), None | Some(Json::Bool(true)));
    if !plain || ["crit", "zip", "enc"].iter().any(|name| header.contains(name)) {
        return Err(TokenError::Extension);
    }
    Ok(())
}

/// A media type, compared without case and with `application/` understood when there is no slash
/// (RFC 7515 section 4.1.9). `at+jwt` is an OAuth access token (RFC 9068 section 2.1). Any other
/// type is a token made for something else (RFC 8725 section 3.11).
fn check_header_type(header: &Object) -> Result<(), TokenError> {
    let name = match header.get("typ") {
        None => return Ok(()),
        Some(Json::Text(name)) => name.to_ascii_lowercase(),
        Some(_) => return Err(TokenError::Type),
    };
    match name.strip_prefix("application/").unwrap_or(&name) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(TokenError::Type),
    }
}

/// RFC 7515 section 2: base64url with neither padding, line breaks nor other characters. Spare
/// bits of the last character must be zero, or one signature would have several spellings.
fn decode(part: &[u8], which: TokenPart) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Base64(which))
}

pub(super) fn sign(claims_json: &str, key: &Key) -> String {
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, key.algorithm());
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims_json, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}
