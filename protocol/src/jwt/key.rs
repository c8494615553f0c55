//! Keys, each bound to its one algorithm.

use ring::hmac;

/// Fewest bytes of an HS256 secret: as many as the hash has (RFC 7518 section 3.2).
const HS256_SECRET_BYTES_MIN: usize = 32;

/// A key and the only algorithm it may be used with (RFC 8725 section 3.1).
#[derive(Clone)]
pub struct Key {
    material: Material,
}

#[derive(Clone)]
enum Material {
    Hs256(hmac::Key),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("an HS256 secret has at least 32 bytes, this one has {bytes}")]
    TooShort { bytes: usize },
}

impl Key {
    /// An HMAC-SHA-256 key of at least 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::TooShort`].
    pub fn hs256(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < HS256_SECRET_BYTES_MIN {
            return Err(KeyError::TooShort { bytes: secret.len() });
        }
        Ok(Self { material: Material::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret)) })
    }

    /// The value that a token's `alg` must have, in this very spelling (RFC 7515 section 4.1.1).
    pub fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Hs256(_) => "HS256",
        }
    }

    /// Whether `signature` is right for `message`; takes the same time wherever they differ.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hs256(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        match &self.material {
            Material::Hs256(key) => hmac::sign(key, message),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}
