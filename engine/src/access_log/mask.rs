//! Masks credentials that callers put into paths and queries.
//!
//! Whether a text names a secret depends on how its reader splits and decodes it, and nobody knows
//! who reads it next. So whatever could be the name of a secret to anyone is one: too much masked
//! does less harm than too little.

use memchr::{memchr, memchr2_iter};

use super::escape::escape;

/// Names of secrets, in lower case and without what is no letter: `X-Api-Key[2]` ends with `key`.
/// These count as whole words only, for others end with them too.
const WORDS: [&[u8]; 6] = [b"key", b"pwd", b"pass", b"auth", b"sig", b"sid"];

/// These also count at the end of a word: `accessToken`.
const ENDINGS: [&[u8]; 12] = [
    b"apikey",
    b"accesskey",
    b"secretkey",
    b"token",
    b"secret",
    b"password",
    b"passwd",
    b"credential",
    b"authorization",
    b"signature",
    b"jwt",
    b"sessionid",
];

/// How often a text may have been encoded: once by the client, once within another one's value.
const DECODINGS: usize = 2;

/// Appends a path or query, escaped for JSON, with `***` in the place of secrets.
///
/// A secret ends at `&` only, so that no half of it is left over whatever else it may hold. Where
/// decoding alone brings it to light, what stands before the first escape is all that is shown.
pub(super) fn write_masked(text: &[u8], out: &mut Vec<u8>) {
    for (index, part) in text.split(|&byte| byte == b'&').enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        match secret_within(part, out) {
            None => escape(part, out),
            Some(at) => {
                escape(&part[..at], out);
                out.extend_from_slice(b"***");
            }
        }
    }
}

/// Where in `part` a secret begins. `scratch` is as before when this returns.
fn secret_within(part: &[u8], scratch: &mut Vec<u8>) -> Option<usize> {
    let Some(escaped) = memchr(b'%', part) else { return secret_at(part) };
    let start = scratch.len();
    scratch.extend_from_slice(part);
    for _ in 0..DECODINGS {
        let length = decode(&mut scratch[start..]);
        scratch.truncate(start + length);
    }
    let at = secret_at(&scratch[start..]);
    scratch.truncate(start);
    // Up to the first escape both are the same.
    at.map(|at| at.min(escaped))
}

/// Where in a decoded text the first value of a secret begins, if there is a byte of it.
fn secret_at(text: &[u8]) -> Option<usize> {
    let mut start = 0;
    memchr2_iter(b'=', b':', text).find_map(|at| {
        let name = &text[start..at];
        start = at + 1;
        // Members of JSON have quotes around their names; other colons assign nothing.
        let assigns = text[at] == b'=' || name.trim_ascii_end().ends_with(b"\"");
        (assigns && start < text.len() && is_secret(name)).then_some(start)
    })
}

/// Goes by the last word: before it may stand what another reader takes for a separator, and behind
/// it an index, a bracket or a blank.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    let is_letter = u8::is_ascii_alphabetic;
    let Some(last) = name.iter().rposition(is_letter) else { return false };
    let before = name[..last].iter().rposition(|byte| !is_letter(byte));
    let word = &name[before.map_or(0, |at| at + 1)..=last];
    let ends_with = |ending: &&[u8]| {
        let start = word.len().checked_sub(ending.len());
        start.is_some_and(|start| word[start..].eq_ignore_ascii_case(ending))
    };
    WORDS.iter().any(|secret| word.eq_ignore_ascii_case(secret)) || ENDINGS.iter().any(ends_with)
}

/// Takes percent-encoding off, in place; returns how many bytes are left.
fn decode(text: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let (byte, length) = match text[from..] {
            [b'%', high, low, ..] => match (hex_digit(high), hex_digit(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [byte, ..] => (byte, 1),
            [] => break,
        };
        text[to] = byte;
        from += length;
        to += 1;
    }
    to
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn masked(text: &str) -> String {
        let mut out = b"before".to_vec();
        write_masked(text.as_bytes(), &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        text.strip_prefix("before").expect("what was there stays").to_owned()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(masked(text), expected);
    }

    #[test]
    fn secrets_are_masked() {
        for name in [
            "api_key",
            "token",
            "access_token",
            "id_token",
            "key",
            "secret",
            "client_secret",
            "password",
            "password2",
            "pwd",
            "sig",
            "X-Amz-Signature",
            "authorization",
            "jwt",
            "apiKey",
            "accessToken",
            "jsessionid",
        ] {
            check(&format!("{name}=s3cret"), &format!("{name}=***"));
            check(&format!("a=1&{name}=s3cret&b=2"), &format!("a=1&{name}=***&b=2"));
        }
        check("token=a&token=b", "token=***&token=***");
        check("key=a=b=c", "key=***");
        check("key=\"\u{7}", "key=***");
        check("user[password]=x&keys[]=1&key[]=x", "user[password]=***&keys[]=1&key[]=***");
    }

    #[test]
    fn spelling_does_not_hide_a_secret() {
        check("API_Key=x", "API_Key=***");
        check("api%5fkey=x", "api***");
        check("%61%70i%5Fkey=x", "***");
        check("api%255fkey=x", "api***");
        check("api_key%3dx", "api_key***");
        check("api_key%3Dx&b=2", "api_key***&b=2");
        check("api_key%253dx", "api_key***");
        check("api_key+=x", "api_key+=***");
        check("api_key%00=x", "api_key***");
        check("%zz%;token=x", "***");
    }

    #[test]
    fn another_way_to_split_does_not_show_a_secret() {
        check("a=1;token=x;y&b=2", "a=1;token=***&b=2");
        check(";;key=x", ";;key=***");
        check("?api_key=x", "?api_key=***");
        check("a=1?api_key=x", "a=1?api_key=***");
        check("a=1&amp;api_key=x", "a=1&amp;api_key=***");
        check("a=1%26api_key=x&b", "a=1***&b");
        check("next=/b%3Ftoken%3Dx", "next=/b***");
        // The first counts, however it is written.
        check("token=x;api%5fkey=y", "token=***");
        check("api%5fkey=x;token=y", "api***");
        check("q={\"user\":\"a\",\"token\": \"x\"}", "q={\\\"user\\\":\\\"a\\\",\\\"token\\\":***");
        check("q=%7B%22token%22%20:%20%22x", "q=***");
    }

    #[test]
    fn paths_hold_secrets_too() {
        check("/a;jsessionid=x/b", "/a;jsessionid=***");
        check("/a%3fapi_key=x/b", "/a***");
        check("/token/key/password", "/token/key/password");
        check("/v1/key:rotate", "/v1/key:rotate");
    }

    #[test]
    fn everything_else_stays() {
        check("", "");
        check("&", "&");
        check("=", "=");
        check("key", "key");
        check("key=", "key=");
        check("keys=1&monkey=2&tokens=3&a=token", "keys=1&monkey=2&tokens=3&a=token");
        check("api%5=x&ke%zz=y&%&%4&key%3d", "api%5=x&ke%zz=y&%&%4&key%3d");
        check("next=https%3A%2F%2Fauth:80%2F%3Fa%3Db", "next=https%3A%2F%2Fauth:80%2F%3Fa%3Db");
        check("q=\"&sort=key:asc", "q=\\\"&sort=key:asc");
    }

    #[test]
    fn a_long_row_of_signs_takes_no_time() {
        // Quadratic work would be some 10^12 steps.
        let signs = "=".repeat(1 << 20);
        check(&signs, &signs);
    }

    /// A byte as it is, or encoded once or twice.
    fn spelt(byte: u8, times: u8) -> String {
        match times {
            0 => char::from(byte).to_string(),
            1 => format!("%{byte:02x}"),
            _ => format!("%25{byte:02X}"),
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_shown_however_it_is_written(
            before in select(&["", "a=1&", "a=1;", "?", "a=1&amp;", "a=%41%&", "%253"][..]),
            joint in select(&["", "&", ";", "%26", "%253b", "%3F"][..]),
            name in select(&["api_key", "TOKEN", "x-secret", "Password"][..]),
            times in prop::collection::vec(0_u8..3, 10),
            after in select(&["", "&b=2", ";b=2", "%"][..]),
        ) {
            let name: Vec<u8> = name.bytes().chain(*b"=").collect();
            let name: String = name.iter().zip(times).map(|(&byte, times)| spelt(byte, times)).collect();
            let written = masked(&format!("{before}{joint}{name}VALUE{after}"));
            prop_assert!(!written.contains("VALUE"), "{}", written);
        }
    }
}
