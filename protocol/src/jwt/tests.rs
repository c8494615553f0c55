use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const NOW_S: u64 = 1_700_000_000;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn key() -> Key {
    Key::hs256(b"0123456789abcdef0123456789abcdef").expect("32 bytes are enough")
}

/// A token with any header, signed by `key()`: what an issuer that holds the secret could send.
fn signed(header: &str, claims: &str) -> String {
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(body.as_bytes()));
    format!("{body}.{signature}")
}

fn check_at(token: &str, now_s: u64) -> Result<Claims, TokenError> {
    verify(token.as_bytes(), &key(), &Expectations::default(), now_s)
}

fn check_header(header: &str) -> Result<Claims, TokenError> {
    check_at(&signed(header, r#"{"exp":1700000001}"#), NOW_S)
}

fn check_claims(claims: &str) -> Result<Claims, TokenError> {
    check_at(&signed(HEADER, claims), NOW_S)
}

#[test]
fn the_example_of_rfc_7515_appendix_a_1() {
    let secret = URL_SAFE_NO_PAD
        .decode(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        )
        .expect("the key of the RFC");
    let key = Key::hs256(&secret).expect("64 bytes");
    let token = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
        .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let expect = Expectations { issuer: Some("joe".into()), ..Expectations::default() };

    let claims = verify(token, &key, &expect, 1_300_819_379).expect("valid a second before");
    assert_eq!(claims.issuer.as_deref(), Some("joe"));
    assert_eq!(claims.expires_s, Some(1_300_819_380));
    assert_eq!(verify(token, &key, &expect, 1_300_819_380), Err(TokenError::Expired));
}

#[test]
fn every_claim_is_read() {
    let claims = check_claims(
        r#"{"sub":"ada","tier":"premium","permissions":["read","write"],"iss":"weir","jti":"7",
            "aud":"api","exp":1700000010.9,"nbf":1699999999.2,"iat":1699999990.7,"other":[{}]}"#,
    )
    .expect("all of it is proper");
    let expected = Claims {
        subject: Some("ada".into()),
        tier: Some("premium".into()),
        permissions: vec!["read".into(), "write".into()],
        issuer: Some("weir".into()),
        audience: vec!["api".into()],
        expires_s: Some(1_700_000_010),
        not_before_s: Some(1_700_000_000),
        issued_at_s: Some(1_699_999_990),
        token_id: Some("7".into()),
        others: Vec::new(),
    };
    assert_eq!(claims, expected);
}

#[test]
fn claims_that_are_asked_for_are_kept_as_text() {
    let token = signed(
        HEADER,
        r#"{"exp":1700000001,"sub":"ada","org":"acme","level":7,"beta":true,"part":0.5,"list":[1]}"#,
    );
    let kept = ["org", "level", "beta", "part", "list", "absent", "sub"].map(str::to_owned);
    let expect = Expectations { kept: kept.to_vec(), ..Expectations::default() };
    let claims = verify(token.as_bytes(), &key(), &expect, NOW_S).expect("valid");
    let told = kept.each_ref().map(|name| claims.other(name));
    let ada = Some("ada");
    assert_eq!(told, [Some("acme"), Some("7"), Some("true"), None, None, None, ada]);
}

#[test]
fn short_secrets_are_refused_and_never_printed() {
    assert_eq!(Key::hs256(&[7; 31]).expect_err("31 bytes"), KeyError::TooShort { bytes: 31 });
    assert_eq!(format!("{:?}", key()), r#"Key { algorithm: "HS256", .. }"#);
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    let good = signed(HEADER, r#"{"exp":1700000001,"sub":"ada"}"#).into_bytes();
    assert!(verify(&good, &key(), &Expectations::default(), NOW_S).is_ok());
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[position] ^= 1 << bit;
            let result = verify(&bad, &key(), &Expectations::default(), NOW_S);
            assert!(result.is_err(), "byte {position}, bit {bit}");
        }
        let shorter = &good[..position];
        assert!(verify(shorter, &key(), &Expectations::default(), NOW_S).is_err());
    }
    let other = Key::hs256(&[1; 32]).expect("32 bytes");
    let result = verify(&good, &other, &Expectations::default(), NOW_S);
    assert_eq!(result, Err(TokenError::Signature));
}

#[test]
fn the_key_decides_the_algorithm() {
    for algorithm in ["none", "None", "nOnE", "HS384", "HS512", "hs256", "RS256", "ES256", ""] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        assert_eq!(check_header(&header), Err(TokenError::Algorithm), "{algorithm}");
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(r#"{"exp":1700000001}"#)
        );
        assert_eq!(check_at(&unsigned, NOW_S), Err(TokenError::Shape));
    }
    for header in ["{}", r#"{"alg":["HS256"]}"#, r#"{"alg":null}"#, r#"{"ALG":"HS256"}"#] {
        assert_eq!(check_header(header), Err(TokenError::Algorithm), "{header}");
    }
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    for extra in [
        r#""crit":["b64"],"b64":false"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""b64":"true""#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
    ] {
        let header = format!(r#"{{"alg":"HS256",{extra}}}"#);
        assert_eq!(check_header(&header), Err(TokenError::Extension), "{extra}");
    }
    for typ in [r#""dpop+jwt""#, r#""JOSE""#, r#""""#, "null", "1", r#""text/jwt""#] {
        let header = format!(r#"{{"alg":"HS256","typ":{typ}}}"#);
        assert_eq!(check_header(&header), Err(TokenError::Type), "{typ}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        let header = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
        assert!(check_header(&header).is_ok(), "{typ}");
    }
}

#[test]
fn a_key_inside_a_token_is_not_used() {
    let own = Key::hs256(&[9; 32]).expect("32 bytes");
    let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, URL_SAFE_NO_PAD.encode([9; 32]));
    let header = format!(r#"{{"alg":"HS256","jwk":{jwk},"jku":"http://x/","x5u":"http://x/"}}"#);
    let body = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(&header),
        URL_SAFE_NO_PAD.encode(r#"{"exp":1700000001}"#)
    );
    let signature = URL_SAFE_NO_PAD.encode(own.sign(body.as_bytes()));
    let forged = format!("{body}.{signature}");
    assert_eq!(check_at(&forged, NOW_S), Err(TokenError::Signature));
    assert!(check_header(&header).is_ok(), "and it does no harm in an honest token");
}

#[test]
fn time_is_checked_to_the_second() {
    let token = signed(HEADER, r#"{"exp":1000,"nbf":500}"#);
    let at = |now_s, leeway_s| {
        let expect = Expectations { leeway_s, ..Expectations::default() };
        verify(token.as_bytes(), &key(), &expect, now_s).err()
    };
    assert_eq!(at(999, 0), None);
    assert_eq!(at(1000, 0), Some(TokenError::Expired));
    assert_eq!(at(1029, 30), None);
    assert_eq!(at(1030, 30), Some(TokenError::Expired));
    assert_eq!(at(500, 0), None);
    assert_eq!(at(499, 0), Some(TokenError::NotYetValid));
    assert_eq!(at(470, 30), None);
    assert_eq!(at(469, 30), Some(TokenError::NotYetValid));
    // No leeway is larger than the bound, whatever was asked for.
    assert_eq!(at(1299, u64::MAX), None);
    assert_eq!(at(1300, u64::MAX), Some(TokenError::Expired));
    assert_eq!(at(u64::MAX, 30), Some(TokenError::Expired));
}

#[test]
fn fractions_of_dates_shorten_a_token() {
    assert_eq!(check_claims(r#"{"exp":1700000000.9}"#), Err(TokenError::Expired));
    let late = r#"{"exp":1800000000,"nbf":1700000000.1}"#;
    assert_eq!(check_claims(late), Err(TokenError::NotYetValid));
    assert!(check_claims(r#"{"exp":1.8e9}"#).is_ok());
}

#[test]
fn issuer_and_audience() {
    let expect = Expectations {
        issuer: Some("weir".into()),
        audience: Some("api".into()),
        ..Expectations::default()
    };
    let result = |members: &str| {
        let token = signed(HEADER, &format!(r#"{{"exp":1700000001,{members}}}"#));
        verify(token.as_bytes(), &key(), &expect, NOW_S).err()
    };
    assert_eq!(result(r#""iss":"weir","aud":"api""#), None);
    assert_eq!(result(r#""iss":"weir","aud":["web","api"]"#), None);
    assert_eq!(result(r#""iss":"Weir","aud":"api""#), Some(TokenError::Issuer));
    assert_eq!(result(r#""aud":"api""#), Some(TokenError::Issuer));
    assert_eq!(result(r#""iss":"weir""#), Some(TokenError::Audience));
    assert_eq!(result(r#""iss":"weir","aud":[]"#), Some(TokenError::Audience));
    assert_eq!(result(r#""iss":"weir","aud":"api2""#), Some(TokenError::Audience));
    assert_eq!(result(r#""iss":"weir","aud":["api",1]"#), Some(TokenError::Claim("aud")));
}

#[test]
fn claims_of_the_wrong_kind() {
    assert_eq!(check_claims("{}"), Err(TokenError::NoExpiry));
    for value in ["null", r#""1800000000""#, "-1", "1e300", "[]", "true", "18446744073709551615"] {
        for name in ["exp", "nbf", "iat"] {
            let other = if name == "exp" { "" } else { r#","exp":1800000000"# };
            let claims = format!(r#"{{"{name}":{value}{other}}}"#);
            assert_eq!(check_claims(&claims), Err(TokenError::Claim(name)), "{claims}");
        }
    }
    let long = format!("\"{}\"", "a".repeat(257));
    for value in ["null", "1", r#""""#, r#""a\nb""#, r#""a\u0000""#, r#""\u009b""#, &long] {
        for name in ["sub", "tier", "iss", "jti"] {
            let claims = format!(r#"{{"exp":1800000000,"{name}":{value}}}"#);
            assert_eq!(check_claims(&claims), Err(TokenError::Claim(name)), "{claims}");
        }
    }
    let many = format!("[{}\"x\"]", "\"x\",".repeat(64));
    for value in ["null", r#""read""#, "[1]", r#"["read",""]"#, &many] {
        let claims = format!(r#"{{"exp":1800000000,"permissions":{value}}}"#);
        assert_eq!(check_claims(&claims), Err(TokenError::Claim("permissions")), "{claims}");
    }
}
