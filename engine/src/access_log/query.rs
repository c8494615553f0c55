//! Masks credentials that callers put into query strings.

use super::escape::escape;

/// Parameters whose values are never written, in lower case.
const SECRET: [&[u8]; 5] = [b"api_key", b"token", b"access_token", b"key", b"password"];

/// Appends `query`, escaped for JSON, with `***` for the values of secret parameters.
///
/// Names are compared without case and percent-decoded, as whoever takes a key from them may do.
/// A name may also begin behind a `;`, which some servers take for `&`; a value always ends at `&`
/// only, so that no half of a secret is left over.
pub(super) fn write_redacted(query: &[u8], out: &mut Vec<u8>) {
    for (index, parameter) in query.split(|&byte| byte == b'&').enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        let shown = shown_bytes(parameter);
        escape(&parameter[..shown], out);
        if shown < parameter.len() {
            out.extend_from_slice(b"***");
        }
    }
}

/// How much of `parameter` may be shown: all of it, or up to the `=` of a secret one.
fn shown_bytes(parameter: &[u8]) -> usize {
    let mut start = 0;
    for piece in parameter.split(|&byte| byte == b';') {
        if let Some(equals) = memchr::memchr(b'=', piece)
            && is_secret(&piece[..equals])
        {
            return start + equals + 1;
        }
        start += piece.len() + 1;
    }
    parameter.len()
}

fn is_secret(name: &[u8]) -> bool {
    SECRET.iter().any(|secret| {
        let mut rest = name;
        secret.iter().all(|&wanted| next_decoded(&mut rest) == Some(wanted)) && rest.is_empty()
    })
}

/// Takes one byte off the front of `rest`, percent-decoded and in lower case.
fn next_decoded(rest: &mut &[u8]) -> Option<u8> {
    let (byte, length) = match **rest {
        [] => return None,
        [b'%', high, low, ..] => match (hex_digit(high), hex_digit(low)) {
            (Some(high), Some(low)) => (high << 4 | low, 3),
            _ => (b'%', 1),
        },
        [byte, ..] => (byte, 1),
    };
    *rest = &rest[length..];
    Some(byte.to_ascii_lowercase())
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
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        let mut out = Vec::new();
        write_redacted(query.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn secrets_are_masked() {
        for name in ["api_key", "token", "access_token", "key", "password"] {
            check(&format!("{name}=s3cret"), &format!("{name}=***"));
            check(&format!("a=1&{name}=s3cret&b=2"), &format!("a=1&{name}=***&b=2"));
        }
        check("token=a&token=b", "token=***&token=***");
        check("key=a=b=c", "key=***");
        check("key=\"\u{7}", "key=***");
    }

    #[test]
    fn spelling_does_not_hide_a_secret() {
        check("API_Key=x", "API_Key=***");
        check("api%5fkey=x", "api%5fkey=***");
        check("%61%70i%5Fkey=x", "%61%70i%5Fkey=***");
        check("a=1;token=x;y&b=2", "a=1;token=***&b=2");
        check(";;key=x", ";;key=***");
    }

    #[test]
    fn everything_else_stays() {
        check("", "");
        check("&", "&");
        check("=", "=");
        check("key", "key");
        check("key=", "key=");
        check("keys=1&monkey=2&token2=3&a=token", "keys=1&monkey=2&token2=3&a=token");
        check("api%5=x&ke%zz=y&%", "api%5=x&ke%zz=y&%");
        check("q=\"", "q=\\\"");
    }
}
