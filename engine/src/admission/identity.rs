//! Who is calling, by what the request carries.

use std::net::IpAddr;

use weir_protocol::http::{FieldId, RequestHead};
use weir_protocol::jwt::{self, Claims};

use crate::config::Auth;
use crate::runtime::UnixNanos;
use crate::snapshot::Snapshot;

/// A caller, as far as known.
#[derive(Debug, Default)]
pub enum Caller {
    #[default]
    Anonymous,
    /// Index into the configuration's keys.
    Key(usize),
    Token(Box<Claims>),
}

/// A credential as it stands in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Nothing,
    Key(&'a [u8]),
    Token(&'a [u8]),
}

impl Caller {
    pub fn user<'s>(&'s self, snapshot: &'s Snapshot) -> Option<&'s str> {
        match self {
            Self::Anonymous => None,
            Self::Key(index) => Some(&snapshot.config.keys[*index].user),
            Self::Token(claims) => claims.subject.as_deref(),
        }
    }

    pub fn key_name<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s str> {
        match self {
            Self::Key(index) => Some(&snapshot.config.keys[*index].name),
            Self::Anonymous | Self::Token(_) => None,
        }
    }

    /// A claim of its token that limits count by.
    pub fn claim(&self, name: &str) -> Option<&str> {
        match self {
            Self::Token(claims) => claims.other(name),
            Self::Anonymous | Self::Key(_) => None,
        }
    }

    /// Index into the configuration's tiers. A token without a tier, or with one that is not
    /// configured, has the first tier: an unknown name must not widen an allowance.
    pub fn tier(&self, snapshot: &Snapshot) -> Option<usize> {
        match self {
            Self::Anonymous => None,
            Self::Key(index) => Some(snapshot.config.keys[*index].tier),
            Self::Token(claims) => {
                Some(claims.tier.as_deref().and_then(|name| snapshot.find_tier(name)).unwrap_or(0))
            }
        }
    }
}

/// The credential that `wanted` looks at: a key by `X-API-Key`, then `Authorization`, then the
/// query; a token by `Authorization` only (RFC 6750 section 2.1).
pub(crate) fn presented<'a>(head: &RequestHead<'a, '_>, wanted: Auth) -> Presented<'a> {
    let bearer = head
        .get(FieldId::Authorization)
        .map_or(Presented::Nothing, |value| authorization(value, wanted));
    let key = || {
        let field = head.get(FieldId::ApiKey).filter(|key| !key.is_empty());
        field.or(match bearer {
            Presented::Key(key) => Some(key),
            _ => head.target.query.and_then(query_key),
        })
    };
    match (wanted, bearer) {
        (Auth::Jwt, Presented::Token(_)) => bearer,
        (Auth::Jwt, _) => Presented::Nothing,
        (Auth::ApiKey, _) => key().map_or(Presented::Nothing, Presented::Key),
        (Auth::Any | Auth::None, _) => key().map_or(bearer, Presented::Key),
    }
}

/// `Bearer <token>`, `Bearer <key>` or `ApiKey <key>`; what has the shape of a token is one. Where
/// only a token will do, what has another shape is a malformed one (RFC 6750 section 3.1).
fn authorization(value: &[u8], wanted: Auth) -> Presented<'_> {
    let Some(space) = value.iter().position(|byte| *byte == b' ') else {
        return Presented::Nothing;
    };
    let (scheme, rest) = value.split_at(space);
    let credential = rest.trim_ascii();
    let dots = credential.iter().filter(|byte| **byte == b'.').count();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        let token = dots == 2 || wanted == Auth::Jwt;
        if token { Presented::Token(credential) } else { Presented::Key(credential) }
    } else if scheme.eq_ignore_ascii_case(b"apikey") {
        Presented::Key(credential)
    } else {
        Presented::Nothing
    }
}

/// `api_key=…`, as written: keys hold no character that needs an escape.
fn query_key(query: &str) -> Option<&[u8]> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("api_key="))?;
    (!value.is_empty()).then_some(value.as_bytes())
}

/// Who the credential names, or why it names nobody (safe to tell the client).
pub(crate) fn identify(
    presented: Presented<'_>,
    snapshot: &Snapshot,
    wall: &dyn Fn() -> UnixNanos,
) -> Result<Caller, &'static str> {
    match (presented, &snapshot.jwt) {
        (Presented::Nothing, _) => Ok(Caller::Anonymous),
        (Presented::Key(key), _) => {
            snapshot.find_key(key).map(Caller::Key).ok_or("the API key is not known")
        }
        (Presented::Token(_), None) => Err("tokens are not accepted here"),
        (Presented::Token(token), Some(verifier)) => {
            jwt::verify(token, &verifier.key, &verifier.expectations, wall().as_secs())
                .map(|claims| Caller::Token(Box::new(claims)))
                .map_err(|error| error.description())
        }
    }
}

/// An address as limits count it: IPv4 whole (also when mapped into IPv6), IPv6 by its /64, since
/// one subscriber has all of it.
pub(crate) fn address_key(address: IpAddr) -> ([u8; 8], usize) {
    let mut key = [0; 8];
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            key[..4].copy_from_slice(&v4.octets());
            (key, 4)
        }
        IpAddr::V6(v6) => {
            key.copy_from_slice(&v6.octets()[..8]);
            (key, 8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_tells_tokens_from_keys() {
        let any = |value: &'static [u8]| authorization(value, Auth::Any);
        assert_eq!(any(b"Bearer a.b.c"), Presented::Token(b"a.b.c"));
        assert_eq!(any(b"bearer  a.b.c"), Presented::Token(b"a.b.c"));
        assert_eq!(any(b"Bearer plain-key"), Presented::Key(b"plain-key"));
        assert_eq!(any(b"ApiKey plain.key"), Presented::Key(b"plain.key"));
        assert_eq!(any(b"Basic dTpw"), Presented::Nothing);
        assert_eq!(any(b"Bearer"), Presented::Nothing);
        assert_eq!(authorization(b"Bearer a.b.c.d", Auth::Jwt), Presented::Token(b"a.b.c.d"));
    }

    #[test]
    fn the_query_names_a_key_exactly() {
        assert_eq!(query_key("a=1&api_key=k1&b=2"), Some(&b"k1"[..]));
        assert_eq!(query_key("xapi_key=k1"), None);
        assert_eq!(query_key("api_key="), None);
    }

    #[test]
    fn one_ipv6_subscriber_is_one_key_and_a_mapped_address_is_its_ipv4() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
