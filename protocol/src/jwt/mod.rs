//! Bearer tokens: JSON Web Tokens (RFC 7519) in the compact serialisation of JWS (RFC 7515).
//!
//! Invariants, after RFC 8725:
//! - the key names the algorithm and the token only has to agree (section 3.1); a key inside a
//!   token or an address of one (`jwk`, `jku`, `x5u`) is never looked at (section 3.10);
//! - claims are parsed only after the signature was found right;
//! - there is one way to write a token: strict base64url, no member twice, nothing after the end.
//!   What two parsers could read differently is refused;
//! - no error repeats a byte of the token.

mod claims;
mod error;
mod json;
mod jws;
mod key;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_strict;

pub use claims::{Claims, Expectations, LEEWAY_MAX_S};
pub use error::{TokenError, TokenPart};
pub use key::{Key, KeyError};

/// Longest token looked at, in bytes: what fits the default bound on a request head.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verifies the compact token `token` with `key` at wall-clock second `now_unix_s`, and returns
/// its claims when they hold against `expect`.
///
/// # Errors
/// The first reason found, in the order shape, header, signature, claims, time, issuer, audience.
pub fn verify(
    token: &[u8],
    key: &Key,
    expect: &Expectations,
    now_unix_s: u64,
) -> Result<Claims, TokenError> {
    let parts = jws::Parts::split(token)?;
    parts.check_header(key)?;
    parts.check_signature(key)?;
    let claims = claims::parse(&parts.decoded_claims()?, &expect.kept)?;
    claims::check(&claims, expect, now_unix_s)?;
    Ok(claims)
}

/// Makes a token of `claims_json` (the text of a JSON object, taken as it is) with an HS256 key.
///
/// It is for the demo, tests and whoever issues tokens with the same secret. Nothing in
/// `claims_json` is checked here: a caller that wants the token accepted includes `exp`.
pub fn sign_hs256(claims_json: &str, key: &Key) -> String {
    jws::sign(claims_json, key)
}
