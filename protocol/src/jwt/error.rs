//! Why a token or a signing key was refused.

/// The three parts of a compact token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPart {
    Header,
    Claims,
    Signature,
}

/// Why a token was refused. No variant carries anything that came from the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.description())]
pub enum TokenError {
    /// Longer than [`TOKEN_BYTES_MAX`](super::TOKEN_BYTES_MAX).
    TooLong,
    /// Not three non-empty parts.
    Shape,
    /// Padding, white space, another alphabet, or spare bits that are not zero.
    Base64(TokenPart),
    /// Not one JSON object, a member twice, or too deep or too wide.
    Json(TokenPart),
    /// The header's `alg` is not exactly the key's.
    Algorithm,
    /// The header asks for an extension (`crit`, `b64`, `zip`, `enc`), none of which is offered.
    Extension,
    /// The header's `typ` is something other than an access token.
    Type,
    Signature,
    /// The named claim has the wrong type, is empty, too long or has control characters.
    Claim(&'static str),
    /// No `exp`.
    NoExpiry,
    Expired,
    NotYetValid,
    Issuer,
    Audience,
}

impl TokenError {
    /// For `error_description` in `WWW-Authenticate: Bearer error="invalid_token"`: constant
    /// text, of the characters that RFC 6750 section 3 allows there (no quote, no backslash).
    pub fn description(&self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::Shape => "the token is not three parts joined by dots",
            Self::Base64(TokenPart::Header) => "the token header is not base64url",
            Self::Base64(TokenPart::Claims) => "the token claims are not base64url",
            Self::Base64(TokenPart::Signature) => "the token signature is not base64url",
            Self::Json(TokenPart::Header) => "the token header is not a proper JSON object",
            Self::Json(_) => "the token claims are not a proper JSON object",
            Self::Algorithm => "the token algorithm is not the expected one",
            Self::Extension => "the token header asks for an extension that is not supported",
            Self::Type => "the token type is not that of an access token",
            Self::Signature => "the token signature is wrong",
            Self::Claim(_) => "a claim of the token has a wrong type or value",
            Self::NoExpiry => "the token has no expiry",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token issuer is not the expected one",
            Self::Audience => "the token is meant for another audience",
        }
    }
}
