//! Bytes of any kind as the inside of a JSON string.

use std::io::Write as _;

/// Appends `bytes`, escaped for the inside of a JSON string (RFC 8259 section 7).
///
/// UTF-8 stands as it is, but for what JSON forbids and for the other control characters (DEL and
/// U+0080 to U+009F), which could steer the terminal of whoever reads the log. A byte that is no
/// part of UTF-8 is written as `\u00XX` with its value, as if it were Latin-1: nothing is lost, and
/// the line stays JSON.
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        escape_text(chunk.valid(), out);
        for &byte in chunk.invalid() {
            escape_code(byte, out);
        }
    }
}

pub(super) fn escape_text(text: &str, out: &mut Vec<u8>) {
    let mut written = 0;
    // A C1 control is C2 80 to C2 9F in UTF-8, so its code is its second byte.
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        let after_c2 = || at > 0 && text.as_bytes()[at - 1] == 0xc2;
        let length = match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f => 1,
            0x80..=0x9f if after_c2() => 2,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[written..at + 1 - length]);
        written = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => escape_code(byte, out),
        }
    }
    out.extend_from_slice(&text.as_bytes()[written..]);
}

fn escape_code(code: u8, out: &mut Vec<u8>) {
    write!(out, "\\u{code:04x}").expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        String::from_utf8(out).expect("always UTF-8")
    }

    #[test]
    fn what_is_escaped_and_what_is_not() {
        assert_eq!(escaped(b"/a b?c=%20"), "/a b?c=%20");
        assert_eq!(escaped("é€😀".as_bytes()), "é€😀");
        assert_eq!(escaped(b"\"\\"), r#"\"\\"#);
        assert_eq!(escaped(b"\n\r\t\0\x1b[31m"), r"\u000a\u000d\u0009\u0000\u001b[31m");
        assert_eq!(escaped(b"\x7f"), r"\u007f");
        assert_eq!(escaped("a\u{9b}b\u{80}\u{a0}".as_bytes()), "a\\u009bb\\u0080\u{a0}");
        assert_eq!(escaped(b"caf\xe9 \xff\xc3"), r"caf\u00e9 \u00ff\u00c3");
        // U+20AC is E2 82 AC: the continuation 82 is not a control of its own.
        assert_eq!(escaped(b"\xe2\x82\xac\xe2\x82"), r"€\u00e2\u0082");
    }

    proptest! {
        #[test]
        fn text_survives(text in any::<String>()) {
            let parsed: String = serde_json::from_str(&format!("\"{}\"", escaped(text.as_bytes())))
                .expect("proper JSON");
            prop_assert_eq!(parsed, text);
        }

        #[test]
        fn bytes_stay_one_string_without_controls(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = escaped(&bytes);
            prop_assert!(!text.contains(char::is_control));
            let parsed = serde_json::from_str::<String>(&format!("\"{text}\""));
            prop_assert!(parsed.is_ok());
        }
    }
}
