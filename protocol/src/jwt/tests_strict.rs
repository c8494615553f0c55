//! Encodings that another reader might take differently, and bytes that mean nothing at all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::*;

const NOW_S: u64 = 1_700_000_000;
const HEADER: &[u8] = br#"{"alg":"HS256"}"#;
const CLAIMS: &[u8] = br#"{"exp":1700000001}"#;

fn key() -> Key {
    Key::hs256(b"0123456789abcdef0123456789abcdef").expect("32 bytes are enough")
}

fn check(token: &[u8]) -> Result<Claims, TokenError> {
    verify(token, &key(), &Expectations::default(), NOW_S)
}

/// Signs two parts as they are, encoded well or not.
fn signed_parts(header: &str, claims: &str) -> Vec<u8> {
    let body = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key().sign(body.as_bytes()));
    format!("{body}.{signature}").into_bytes()
}

fn signed(header: &[u8], claims: &[u8]) -> Vec<u8> {
    signed_parts(&URL_SAFE_NO_PAD.encode(header), &URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn three_parts_and_no_more() {
    let good = signed(HEADER, CLAIMS);
    assert!(check(&good).is_ok());
    for bad in [&b""[..], b".", b"..", b"a", b"a.b", b"a.b.", b".a.b", b"a..b", b"a.b.c.d"] {
        assert_eq!(check(bad), Err(TokenError::Shape), "{bad:?}");
    }
    // Five parts are an encrypted token (RFC 7516).
    assert_eq!(check(b"a.b.c.d.e"), Err(TokenError::Shape));
    assert_eq!(check(&[good, b".".to_vec()].concat()), Err(TokenError::Shape));
}

#[test]
fn length_is_bounded_before_anything_else() {
    // Grown to exactly the bound, and one byte past it.
    let sized = |bytes: usize| {
        let claims = format!(r#"{{"exp":1700000001,"x":"{}"}}"#, "y".repeat(bytes));
        signed(HEADER, claims.as_bytes())
    };
    let largest = (0..TOKEN_BYTES_MAX)
        .rev()
        .map(sized)
        .find(|token| token.len() <= TOKEN_BYTES_MAX)
        .expect("some size fits");
    assert!(largest.len() > TOKEN_BYTES_MAX - 4);
    assert!(check(&largest).is_ok());
    assert_eq!(check(&vec![b'.'; TOKEN_BYTES_MAX + 1]), Err(TokenError::TooLong));
}

#[test]
fn base64url_has_one_spelling() {
    let (header, claims) = (URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(CLAIMS));
    assert_eq!(HEADER.len() % 3, 0);
    assert_eq!(CLAIMS.len() % 3, 0);
    for spoilt in ["=", "\n", " ", "+", "/", "é", "A"] {
        let token = signed_parts(&format!("{header}{spoilt}"), &claims);
        assert_eq!(check(&token), Err(TokenError::Base64(TokenPart::Header)), "{spoilt}");
        let token = signed_parts(&header, &format!("{claims}{spoilt}"));
        assert_eq!(check(&token), Err(TokenError::Base64(TokenPart::Claims)), "{spoilt}");
    }
    // 19 bytes leave four spare bits in the last letter: `A` has them zero, `B` sets one and
    // would decode to the same byte.
    let padded = URL_SAFE_NO_PAD.encode([CLAIMS, b" "].concat());
    assert!(padded.ends_with("IA"));
    assert!(check(&signed_parts(&header, &padded)).is_ok());
    let spare = format!("{}B", &padded[..padded.len() - 1]);
    let token = signed_parts(&header, &spare);
    assert_eq!(check(&token), Err(TokenError::Base64(TokenPart::Claims)));
}

#[test]
fn a_signature_has_one_spelling() {
    let good = signed(HEADER, CLAIMS);
    // 32 bytes leave two spare bits: of the four last letters that mean one byte, one is right.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let accepted = alphabet.iter().filter(|&&letter| {
        let mut token = good.clone();
        *token.last_mut().expect("not empty") = letter;
        check(&token).is_ok()
    });
    assert_eq!(accepted.count(), 1);
    assert_eq!(check(&[&good[..], b"="].concat()), Err(TokenError::Base64(TokenPart::Signature)));
    assert_eq!(check(&good[..good.len() - 3]), Err(TokenError::Signature), "30 bytes of it");
}

#[test]
fn members_occur_once_at_every_depth() {
    for claims in [
        r#"{"exp":1,"exp":1700000001}"#,
        r#"{"exp":1700000001,"exp":1700000001}"#,
        r#"{"exp":1,"\u0065xp":1700000001}"#,
        r#"{"exp":1700000001,"a":{"b":1,"b":1}}"#,
        r#"{"exp":1700000001,"a":[{"b":{"c":1,"d":2,"c":3}}]}"#,
    ] {
        let token = signed(HEADER, claims.as_bytes());
        assert_eq!(check(&token), Err(TokenError::Json(TokenPart::Claims)), "{claims}");
    }
    let token = signed(br#"{"alg":"none","alg":"HS256"}"#, CLAIMS);
    assert_eq!(check(&token), Err(TokenError::Json(TokenPart::Header)));
    let token = signed(HEADER, br#"{"exp":1700000001,"a":{"b":1},"c":{"b":1}}"#);
    assert!(check(&token).is_ok(), "the same name in two objects is no double");
}

#[test]
fn json_is_strict_and_bounded() {
    for claims in [
        &b""[..],
        b" ",
        b"1",
        b"[]",
        b"null",
        b"\"exp\"",
        b"{",
        b"{\"exp\":1700000001",
        b"{\"exp\":1700000001}{}",
        b"{\"exp\":1700000001},",
        b"{\"exp\":1700000001}\0",
        b"{\"exp\":1700000001,}",
        b"{exp:1700000001}",
        b"{'exp':1700000001}",
        b"{\"exp\":01700000001}",
        b"{\"exp\":NaN}",
        b"{\"exp\":Infinity}",
        b"{\"exp\":1e999}",
        b"{\"exp\":1700000001,\"sub\":\"\xff\"}",
        b"{\"exp\":1700000001,\"sub\":\"\\ud800\"}",
        b"{\"exp\":1700000001,\"sub\":\"\n\"}",
        b"\xef\xbb\xbf{\"exp\":1700000001}",
        b"{\"exp\":1700000001}/**/",
    ] {
        let result = check(&signed(HEADER, claims));
        let shown = String::from_utf8_lossy(claims);
        assert!(
            matches!(result, Err(TokenError::Json(_) | TokenError::Shape)),
            "{shown}: {result:?}"
        );
    }
}

#[test]
fn depth_and_width_are_bounded() {
    let nested = |levels: usize| {
        let text =
            format!(r#"{{"exp":1700000001,"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        check(&signed(HEADER, text.as_bytes()))
    };
    assert!(nested(15).is_ok());
    assert_eq!(nested(16), Err(TokenError::Json(TokenPart::Claims)));
    assert_eq!(nested(2900), Err(TokenError::Json(TokenPart::Claims)));
    let wide = |members: usize| {
        let text: String = (1..members).map(|n| format!(r#","m{n}":0"#)).collect();
        check(&signed(HEADER, format!(r#"{{"exp":1700000001{text}}}"#).as_bytes()))
    };
    assert!(wide(64).is_ok());
    assert_eq!(wide(65), Err(TokenError::Json(TokenPart::Claims)));
}

#[test]
fn descriptions_fit_a_challenge() {
    let mut errors = vec![
        TokenError::TooLong,
        TokenError::Shape,
        TokenError::Algorithm,
        TokenError::Extension,
        TokenError::Type,
        TokenError::Signature,
        TokenError::Claim("exp"),
        TokenError::NoExpiry,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::Issuer,
        TokenError::Audience,
    ];
    for part in [TokenPart::Header, TokenPart::Claims, TokenPart::Signature] {
        errors.extend([TokenError::Base64(part), TokenError::Json(part)]);
    }
    for error in errors {
        let text = error.description();
        // RFC 6750 section 3: %x20-21 / %x23-5B / %x5D-7E.
        assert!(text.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\'));
        assert_eq!(error.to_string(), text);
    }
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|s| serde_json::to_string(&s).expect("a string")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(","))),
            prop::collection::vec(("[a-e]{1,2}", inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn bytes_never_panic(token in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(check(&token).is_err());
    }

    #[test]
    fn signed_bytes_never_panic(
        header in prop::collection::vec(any::<u8>(), 0..64),
        claims in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let _ = check(&signed(&header, &claims));
        let _ = check(&signed(HEADER, &claims));
    }

    #[test]
    fn signed_json_never_panics(value in json_value(), name in "(exp|nbf|iat|sub|aud|permissions|x)") {
        let text = format!(r#"{{"exp":1700000001,"{name}":{value}}}"#);
        let _ = check(&signed(HEADER, text.as_bytes()));
        let _ = check(&signed(format!(r#"{{"alg":"HS256","{name}":{value}}}"#).as_bytes(), CLAIMS));
    }

    /// What is signed comes back, whatever the texts, and only while it is valid.
    #[test]
    fn round_trip(
        subject in "[^\\p{Cc}]{1,32}",
        permissions in prop::collection::vec("[a-z:*]{1,12}", 0..8),
        expires_s in 0_u64..4_000_000_000,
        now_s in 0_u64..4_000_000_000,
    ) {
        let text = serde_json::json!({"sub": subject, "permissions": permissions, "exp": expires_s});
        let token = sign_hs256(&text.to_string(), &key());
        let result = verify(token.as_bytes(), &key(), &Expectations::default(), now_s);
        match result {
            Ok(claims) => {
                prop_assert!(now_s < expires_s);
                prop_assert_eq!(claims.subject, Some(subject));
                prop_assert_eq!(claims.permissions, permissions);
                prop_assert_eq!(claims.expires_s, Some(expires_s));
            }
            Err(error) => {
                prop_assert_eq!(error, TokenError::Expired);
                prop_assert!(now_s >= expires_s);
            }
        }
    }
}
