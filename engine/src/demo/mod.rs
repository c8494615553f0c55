//! What `weir demo` needs besides the engine: backends, a configuration, credentials and the text
//! that says what to try.
//!
//! Its keys are published in this file, so none of it is for a host that others can reach: every
//! address here is on the loopback.

mod configuration;
mod guide;
pub mod mock;
mod run;

use weir_protocol::jwt::{self, Key, KeyError};

use crate::runtime::UnixNanos;

pub use configuration::configuration;
pub use guide::guide;
pub use run::{DemoError, run};

/// A key of the demo and the tier it stands for; the key's user has the tier's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoKey {
    pub tier: &'static str,
    pub key: &'static str,
}

/// One key for each tier, from the smallest allowance to the largest.
pub const KEYS: [DemoKey; 4] = [
    DemoKey { tier: "free", key: "demo-free-key-0001" },
    DemoKey { tier: "basic", key: "demo-basic-key-0001" },
    DemoKey { tier: "premium", key: "demo-premium-key-0001" },
    DemoKey { tier: "enterprise", key: "demo-enterprise-key-0001" },
];

/// The issuer that demo tokens name and the demo's configuration asks for.
const ISSUER: &str = "weir-demo";

/// How long a demo token is valid.
const TOKEN_LIFETIME_S: u64 = 3_600;

/// Where the demo listens on the loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoPorts {
    pub gateway: u16,
    pub control: u16,
    pub backends: [u16; 3],
}

impl Default for DemoPorts {
    fn default() -> Self {
        Self { gateway: 8080, control: 5000, backends: [5001, 5002, 5003] }
    }
}

/// A bearer token of the premium tier, valid for an hour from `now`, for the demo's own `secret`.
///
/// # Errors
/// [`KeyError`] when the secret is too short for HS256.
pub fn token(secret: &str, now: UnixNanos) -> Result<String, KeyError> {
    let key = Key::hs256(secret.as_bytes())?;
    let claims = serde_json::json!({
        "iss": ISSUER,
        "sub": "demo-user",
        "tier": "premium",
        "iat": now.as_secs(),
        "exp": now.as_secs() + TOKEN_LIFETIME_S,
    });
    Ok(jwt::sign_hs256(&claims.to_string(), &key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_protocol::jwt::{Expectations, TokenError, verify};

    const SECRET: &str = "a demo secret of forty characters, long";

    #[test]
    fn a_token_is_valid_for_an_hour() {
        let now = UnixNanos(1_700_000_000_999_999_999);
        let token = token(SECRET, now).expect("long enough");
        let key = Key::hs256(SECRET.as_bytes()).expect("long enough");
        let issuer = Some(ISSUER.to_owned());
        let expect = Expectations { issuer, ..Expectations::default() };
        let at = |second| verify(token.as_bytes(), &key, &expect, second);
        let claims = at(1_700_000_000).expect("valid");
        assert_eq!(claims.subject.as_deref(), Some("demo-user"));
        assert_eq!(claims.tier.as_deref(), Some("premium"));
        assert!(at(1_700_003_599).is_ok());
        let late: Result<_, TokenError> = at(1_700_003_600 + 600);
        assert!(late.is_err());
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(token("short", UnixNanos(0)).is_err());
    }
}
