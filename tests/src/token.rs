//! Bearer tokens, made without the code that verifies them.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;
use serde_json::Value;

/// Seconds since 1970.
///
/// # Panics
/// When the clock stands before that.
#[expect(clippy::disallowed_methods, reason = "tokens are valid for real time")]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A token of `claims` (RFC 7515 section 3.1), signed with HMAC-SHA-256 whatever its header says.
pub fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    let text = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", base64url(signature))
}

/// A proper HS256 token.
pub fn hs256(claims: &Value, secret: &str) -> String {
    sign(&serde_json::json!({ "alg": "HS256", "typ": "JWT" }), claims, secret)
}

/// RFC 4648 section 5, without padding (RFC 7515 section 2).
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.as_ref().chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=group.len() {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).expect("six bits");
            text.push(char::from(LETTERS[index]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 section 10, in the other alphabet and without padding.
    #[test]
    fn base64url_of_known_texts() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(base64url);
        assert_eq!(encoded, ["", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"]);
        assert_eq!(base64url([0xfb, 0xff, 0xfe]), "-__-");
    }

    /// RFC 7515 appendix A.1 is of a text with line breaks; this one was made with openssl.
    #[test]
    fn a_signature_of_a_known_token() {
        let token = hs256(&serde_json::json!({ "sub": "a" }), "0123456789abcdef0123456789abcdef");
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(parts[0], base64url(r#"{"alg":"HS256","typ":"JWT"}"#));
        assert_eq!(parts[1], base64url(r#"{"sub":"a"}"#));
        assert_eq!(parts[2], "YTr6qPF-N-Bo-UZqK7Hz8gvEwXiRoDS1Hw2fNFD_Ri4");
    }
}
