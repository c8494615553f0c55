//! `[tiers]`, `[jwt]` and `[[key]]`: who callers are and what they may use.

use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::names::Names;
use super::super::node::Node;
use super::super::scalar;
use super::super::{ApiKey, JwtConfig, Rate, Tier};
use super::{Variable, secret};

/// RFC 7518 section 3.2: a key of the same size as the hash output or larger.
const JWT_SECRET_BYTES_MIN: usize = 32;
const KEY_CHARACTERS_MIN: usize = 16;
const LEEWAY_DEFAULT: Duration = Duration::from_secs(30);
const LEEWAY_MAX: Duration = Duration::from_secs(5 * 60);
/// Requests a minute.
const TIERS_DEFAULT: [(&str, u32); 4] =
    [("free", 5), ("basic", 20), ("premium", 100), ("enterprise", 1000)];
const ALGORITHMS_LATER: [&str; 10] =
    ["HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];

/// The default tiers, changed where the file names them, and then the file's own.
pub(super) fn tiers(table: Option<Table<'_>>) -> (Vec<Tier>, Names) {
    let per_minute = |count| Rate { count, window: Duration::from_secs(60) };
    let mut names = Names::new("tier");
    let mut tiers: Vec<Tier> = TIERS_DEFAULT
        .iter()
        .map(|(name, count)| Tier {
            name: names.add_text(None, (*name).to_owned()),
            rate: per_minute(*count),
        })
        .collect();
    for (key, node) in table.map(|mut table| table.take_all()).unwrap_or_default() {
        let name = scalar::name(key).inspect_err(|error| node.fault(error));
        let rate = node.scalar("a rate such as \"5/1m\"", scalar::rate).unwrap_or(per_minute(1));
        let Ok(name) = name else { continue };
        if let Some(tier) = tiers.iter_mut().find(|tier| tier.name == name) {
            tier.rate = rate;
        } else {
            tiers.push(Tier { name: names.add_text(Some(&node), name), rate });
        }
    }
    (tiers, names)
}

/// `Some` when there is a `[jwt]`, faulty or not.
pub(super) fn jwt(table: Option<Table<'_>>, variable: Variable<'_>) -> Option<JwtConfig> {
    let mut table = table?;
    if let Some(node) = table.take("algorithms") {
        jwt_algorithms(&node);
    }
    let advice = "[jwt] has no secret; add one of \"secret_env\", \"secret_file\" or \"secret\", \
                  such as secret_env = \"WEIR_JWT_SECRET\"";
    let jwt = JwtConfig {
        secret: secret::only_one(&mut table, &["secret", "secret_env", "secret_file"], advice)
            .and_then(|(key, node)| jwt_secret(key, &node, variable))
            .unwrap_or_default(),
        issuer: jwt_text(&mut table, "issuer"),
        audience: jwt_text(&mut table, "audience"),
        leeway: table.duration("leeway", Duration::ZERO..=LEEWAY_MAX).unwrap_or(LEEWAY_DEFAULT),
    };
    table.not_yet(&["jwks", "jwks_url", "jwks_file", "claims"]);
    table.finish();
    Some(jwt)
}

fn jwt_algorithms(node: &Node<'_>) {
    let items = node.list().unwrap_or_default();
    if items.is_empty() && node.is_list() {
        node.fault("must name an algorithm: [\"HS256\"]");
    }
    for item in items {
        if item.is_string() && item.text().is_some_and(|text| text.eq_ignore_ascii_case("none")) {
            // RFC 8725 section 3.2: unsecured tokens only on explicit request of the caller.
            item.fault("\"none\" is never accepted: anybody could make such a token");
        } else {
            item.choice(&[("HS256", ())], &ALGORITHMS_LATER);
        }
    }
}

fn jwt_secret(key: &str, node: &Node<'_>, variable: Variable<'_>) -> Option<Vec<u8>> {
    let secret = match key {
        "secret_env" => secret::from_variable(node, variable),
        "secret_file" => secret::from_file(node),
        _ => node.text().map(|text| text.as_bytes().to_vec()),
    }?;
    if secret.len() < JWT_SECRET_BYTES_MIN {
        let (min, found) = (JWT_SECRET_BYTES_MIN, secret.len());
        node.fault(format_args!(
            "the secret has {found} bytes; HS256 needs at least {min} (RFC 7518 section 3.2)"
        ));
    }
    Some(secret)
}

fn jwt_text(table: &mut Table<'_>, key: &'static str) -> Option<String> {
    let node = table.take(key)?;
    let text = node.text()?;
    if text.is_empty() {
        node.fault("is empty; remove it or give it a value");
    }
    Some(text.to_owned())
}

pub(super) fn keys(tables: Vec<Table<'_>>, tiers: &Names, variable: Variable<'_>) -> Vec<ApiKey> {
    let mut names = Names::new("key");
    let mut keys: Vec<ApiKey> = Vec::new();
    for table in tables {
        let key = api_key(table, &keys, tiers, &mut names, variable);
        keys.push(key);
    }
    keys
}

fn api_key(
    mut table: Table<'_>,
    earlier: &[ApiKey],
    tiers: &Names,
    names: &mut Names,
    variable: Variable<'_>,
) -> ApiKey {
    let name = names.add(table.require("name", "name = \"alice-laptop\"").as_ref(), &[]);
    let advice = "[[key]] has no key; add one of \"key_env\", \"sha256\" or \"key\", such as \
                  key_env = \"WEIR_KEY_ALICE\"";
    let given = secret::only_one(&mut table, &["key", "key_env", "sha256"], advice);
    let hashed = given.as_ref().and_then(|(key, node)| key_digest(key, node, variable));
    if let (Some((_, node)), Some(digest)) = (&given, hashed)
        && let Some(other) = earlier.iter().find(|key| key.digest == digest)
    {
        let other = Quoted(&other.name);
        node.fault(format_args!("the [[key]] {other} is the same key; give each its own"));
    }
    let user = table.take("user").and_then(|node| node.scalar("a user's name", scalar::user));
    let tier = match table.take("tier") {
        Some(node) => tiers.find(&node),
        // The first default tier, `free`, is always there.
        None => Some(0),
    };
    table.finish();
    ApiKey {
        digest: hashed.unwrap_or_default(),
        user: user.unwrap_or_else(|| name.clone()),
        name,
        tier: tier.unwrap_or(0),
    }
}

fn key_digest(key: &str, node: &Node<'_>, variable: Variable<'_>) -> Option<[u8; 32]> {
    let plain = match key {
        "sha256" => return key_digest_hex(node),
        "key_env" => secret::from_variable(node, variable)?,
        _ => node.text()?.as_bytes().to_vec(),
    };
    // A key travels in a header field or a query: no spaces, nothing that needs escaping there.
    if !plain.iter().all(u8::is_ascii_graphic) {
        node.fault("a key is made of visible ASCII characters, without spaces");
        return None;
    }
    if plain.len() < KEY_CHARACTERS_MIN {
        let (min, found) = (KEY_CHARACTERS_MIN, plain.len());
        node.fault(format_args!("the key has {found} characters; use at least {min}"));
    }
    digest(&SHA256, &plain).as_ref().try_into().ok()
}

fn key_digest_hex(node: &Node<'_>) -> Option<[u8; 32]> {
    let bytes = node.text()?.as_bytes();
    let mut digest = [0; 32];
    let (pairs, rest) = bytes.as_chunks::<2>();
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let is_hex = bytes.iter().all(u8::is_ascii_hexdigit);
    if !is_hex || !rest.is_empty() || pairs.len() != digest.len() {
        node.fault("must be a SHA-256 digest: 64 hexadecimal digits, as sha256sum prints them");
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(digest)
}
