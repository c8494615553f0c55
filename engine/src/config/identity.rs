//! What callers prove themselves by, as the file gives it.

use std::time::Duration;

/// A key from the configuration, kept as its SHA-256 so that the plain text is not in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub digest: [u8; 32],
    /// Names the key in logs, metrics and limits.
    pub name: String,
    pub user: String,
    pub tier: usize,
}

/// Verification of bearer tokens: HS256 with one secret.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// At least 32 bytes (RFC 7518 section 3.2).
    pub secret: Vec<u8>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// Default 30 s, at most 5 min.
    pub leeway: Duration,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for JwtConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtConfig").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
