//! The claims set: what a token says, and whether it holds here and now (RFC 7519 section 4).

use super::json::{Json, Object};
use super::{TokenError, TokenPart};

/// Most tolerance for clocks that disagree, in seconds; a larger wish is cut to it.
pub const LEEWAY_MAX_S: u64 = 300;

/// Longest subject, issuer, tier, token id or audience, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// Most entries in `permissions`, and in `aud`.
const ENTRIES_MAX: usize = 64;
/// Latest date: 2^53 seconds, up to which every second has its own `f64`.
const DATE_MAX_S: f64 = 9_007_199_254_740_992.0;

/// What the verifier asks of a token beyond its signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expectations {
    /// `iss` must be this; `None` does not look at it.
    pub issuer: Option<String>,
    /// `aud` must be or contain this. `None` does not look at it: RFC 7519 section 4.1.3 would
    /// refuse any token that has an `aud` then, but gateways commonly leave the check to whoever
    /// configures an audience.
    pub audience: Option<String>,
    /// Tolerance for `exp` and `nbf`, in seconds; at most [`LEEWAY_MAX_S`] counts.
    pub leeway_s: u64,
    /// Names of claims to keep in [`Claims::others`], whatever else they mean.
    pub kept: Vec<String>,
}

/// The claims of a token whose signature was right. Texts are non-empty, at most 256 bytes and
/// without control characters, so that they can be logged and put into header fields as they are
/// (outside ASCII they are UTF-8). Dates are seconds of Unix time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// `sub`: the user.
    pub subject: Option<String>,
    /// `tier`, a private claim: the name of the caller's tier.
    pub tier: Option<String>,
    /// `permissions`, a private claim: at most 64 texts; empty when absent.
    pub permissions: Vec<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`, whether it was written as one text or as a list; empty when absent.
    pub audience: Vec<String>,
    /// `exp`, a fraction cut off. `Some` in every verified token.
    pub expires_s: Option<u64>,
    /// `nbf`, a fraction rounded up.
    pub not_before_s: Option<u64>,
    /// `iat`, a fraction cut off. Information: a date ahead of the clock does not refuse a token.
    pub issued_at_s: Option<u64>,
    /// `jti`.
    pub token_id: Option<String>,
    /// Claims by name, as text, that [`Expectations::kept`] asks for: those that are usable texts,
    /// booleans, or whole numbers below 2^53. Others are left out.
    pub others: Vec<(String, String)>,
}

impl Claims {
    /// A claim that was asked for.
    pub fn other(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the claims; names that mean nothing here are ignored (RFC 7519 section 4), but their
/// values still have to be proper JSON. `null` is not an absent claim.
pub(super) fn parse(text: &[u8], kept: &[String]) -> Result<Claims, TokenError> {
    let object = Object::parse(text).ok_or(TokenError::Json(TokenPart::Claims))?;
    Ok(Claims {
        subject: parse_text(&object, "sub")?,
        tier: parse_text(&object, "tier")?,
        permissions: parse_texts(&object, "permissions")?,
        issuer: parse_text(&object, "iss")?,
        audience: match object.get("aud") {
            Some(Json::Text(_)) => parse_text(&object, "aud")?.into_iter().collect(),
            _ => parse_texts(&object, "aud")?,
        },
        expires_s: parse_date(&object, "exp", f64::floor)?,
        not_before_s: parse_date(&object, "nbf", f64::ceil)?,
        issued_at_s: parse_date(&object, "iat", f64::floor)?,
        token_id: parse_text(&object, "jti")?,
        others: kept.iter().filter_map(|name| parse_other(&object, name)).collect(),
    })
}

fn parse_other(object: &Object, name: &str) -> Option<(String, String)> {
    let value = match object.get(name)? {
        Json::Bool(value) => value.to_string(),
        Json::Number(value) if value.fract() == 0.0 && value.abs() < DATE_MAX_S => {
            value.to_string()
        }
        value => usable_text(value, "").ok()?,
    };
    Some((name.to_owned(), value))
}

fn parse_text(object: &Object, name: &'static str) -> Result<Option<String>, TokenError> {
    object.get(name).map(|value| usable_text(value, name)).transpose()
}

fn parse_texts(object: &Object, name: &'static str) -> Result<Vec<String>, TokenError> {
    match object.get(name) {
        None => Ok(Vec::new()),
        Some(Json::List(items)) if items.len() <= ENTRIES_MAX => {
            items.iter().map(|item| usable_text(item, name)).collect()
        }
        Some(_) => Err(TokenError::Claim(name)),
    }
}

fn usable_text(value: &Json, name: &'static str) -> Result<String, TokenError> {
    match value {
        Json::Text(text)
            if !text.is_empty()
                && text.len() <= TEXT_BYTES_MAX
                && !text.contains(char::is_control) =>
        {
            Ok(text.clone())
        }
        _ => Err(TokenError::Claim(name)),
    }
}

/// A NumericDate: seconds, perhaps with a fraction (RFC 7519 section 2). The clock counts whole
/// seconds, so `round` goes to the side on which the token is valid for less time.
fn parse_date(
    object: &Object,
    name: &'static str,
    round: fn(f64) -> f64,
) -> Result<Option<u64>, TokenError> {
    match object.get(name) {
        None => Ok(None),
        Some(Json::Number(seconds)) if (0.0..=DATE_MAX_S).contains(seconds) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the guard bounds it to 0..=2^53"
            )]
            let whole = round(*seconds) as u64;
            Ok(Some(whole))
        }
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// Whether the claims hold at `now_s`.
///
/// `exp` is optional in RFC 7519 but required in an access token by RFC 9068 section 2.2; a
/// bearer credential that never ends cannot be given up, so one without it is refused.
pub(super) fn check(claims: &Claims, expect: &Expectations, now_s: u64) -> Result<(), TokenError> {
    let leeway_s = expect.leeway_s.min(LEEWAY_MAX_S);
    let expires_s = claims.expires_s.ok_or(TokenError::NoExpiry)?;
    // RFC 7519 section 4.1.4: not "on or after" the expiry.
    if now_s >= expires_s.saturating_add(leeway_s) {
        return Err(TokenError::Expired);
    }
    // RFC 7519 section 4.1.5: not before, but at that very second.
    if claims.not_before_s.is_some_and(|start_s| now_s.saturating_add(leeway_s) < start_s) {
        return Err(TokenError::NotYetValid);
    }
    // Compared as they are written, case included (RFC 7519 section 2, StringOrURI).
    if expect.issuer.is_some() && claims.issuer != expect.issuer {
        return Err(TokenError::Issuer);
    }
    match &expect.audience {
        Some(wanted) if !claims.audience.contains(wanted) => Err(TokenError::Audience),
        _ => Ok(()),
    }
}
