//! `Via`: RFC 9110 section 7.6.3.

use super::Version;
use super::fields::{is_token_byte, list_elements};

/// Whether `text` can be a proxy's name in `Via`: a token.
#[must_use]
pub fn is_pseudonym(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Appends the field for a message that was received in `version`, behind whatever `Via` fields
/// the message had: fields of one name are one list in their order.
pub fn append_via(out: &mut Vec<u8>, version: Version, pseudonym: &str) {
    let protocol: &[u8] = match version {
        Version::Http10 => b"Via: 1.0 ",
        Version::Http11 => b"Via: 1.1 ",
    };
    out.extend_from_slice(protocol);
    out.extend_from_slice(pseudonym.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// How often a message came through a proxy of that name, by the values of its `Via` fields.
///
/// Comments are not looked at: one that a client left open would hide every element behind it.
/// What a comment holds may count instead, to the disadvantage of nobody but its author.
pub fn count_via<'v>(values: impl Iterator<Item = &'v [u8]>, pseudonym: &str) -> usize {
    let received_by = |element: &'v [u8]| {
        let mut words = element.split(|byte| matches!(byte, b' ' | b'\t' | b'('));
        words.by_ref().find(|word| !word.is_empty());
        words.find(|word| !word.is_empty())
    };
    values
        .flat_map(list_elements)
        .filter_map(received_by)
        .filter(|name| name.eq_ignore_ascii_case(pseudonym.as_bytes()))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(values: &[&str]) -> usize {
        count_via(values.iter().map(|value| value.as_bytes()), "weir")
    }

    #[test]
    fn names_are_counted_whatever_stands_around_them() {
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&["1.1 weir"]), 1);
        assert_eq!(count(&["1.0 fred, 1.1 p.example.net:80"]), 0);
        assert_eq!(count(&["HTTP/1.1 Weir (edge), 1.1\tweir(core),, 1.1  weir"]), 3);
        assert_eq!(count(&["1.1 weir", "1.1 other, 2 weir"]), 2);
        assert_eq!(count(&["weir", "1.1 weirder", "1.1 a weir", "1.1 weir:80"]), 0);
    }

    #[test]
    fn an_open_comment_hides_nothing() {
        assert_eq!(count(&["1.1 a (, 1.1 weir, 1.1 weir"]), 2);
    }

    proptest! {
        #[test]
        fn every_field_appended_is_counted(before in "[ -~]{0,60}", versions: Vec<bool>) {
            let mut out = Vec::new();
            for old in &versions {
                append_via(&mut out, if *old { Version::Http10 } else { Version::Http11 }, "weir");
            }
            let text = String::from_utf8(out).unwrap();
            let written: Vec<&str> =
                text.lines().map(|line| line.strip_prefix("Via: ").unwrap()).collect();
            let all = [&[before.as_str()], written.as_slice()].concat();
            prop_assert_eq!(count(&all), count(&[&before]) + versions.len());
        }
    }
}
