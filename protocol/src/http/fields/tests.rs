use proptest::prelude::*;

use super::*;

#[test]
fn known_names_are_found_in_any_case() {
    for &(length, name, id) in KNOWN {
        assert_eq!(name.len(), length, "{name}");
        assert_eq!(id.name(), Some(name));
        assert_eq!(FieldId::of(name.as_bytes()), id, "{name}");
        assert_eq!(FieldId::of(name.to_ascii_uppercase().as_bytes()), id, "{name}");
    }
}

proptest! {
    /// What the look-up by words finds is what letter by letter comparison finds.
    #[test]
    fn any_bytes_are_told_apart(
        index in 0..KNOWN.len(),
        at in 0..19_usize,
        byte: u8,
        upper: bool,
    ) {
        let (_, known, _) = KNOWN[index];
        let mut name = known.as_bytes().to_vec();
        if upper {
            name.make_ascii_uppercase();
        }
        let at = at % name.len();
        name[at] = byte;
        let same = KNOWN.iter().find(|(_, text, _)| name.eq_ignore_ascii_case(text.as_bytes()));
        let alias = KNOWN.iter().any(|(_, text, _)| is_alias(&name, text.as_bytes()));
        let otherwise = if alias { FieldId::Alias } else { FieldId::Other };
        prop_assert_eq!(FieldId::of(&name), same.map_or(otherwise, |(_, _, id)| *id));
    }
}

#[test]
fn a_line_is_found_where_it_was_written_plainly() {
    let line = |head: &'static str, name: Range<usize>, value: Range<usize>| {
        let field = Field { id: FieldId::Other, name: &head[name], value: &head.as_bytes()[value] };
        field.line(head.as_bytes())
    };
    assert_eq!(line("?A: b\r\n", 1..2, 4..5), Some(1..7));
    assert_eq!(line("?A: \r\n", 1..2, 4..4), Some(1..6));
    for (head, value) in [
        ("?A:b\r\n", 3..4),
        ("?A:  b\r\n", 5..6),
        ("?A:\tb\r\n", 4..5),
        ("?A :b\r\n", 4..5),
        ("?A: b \r\n", 4..5),
        ("?A: b", 4..5),
        ("?A: b\n\n", 4..5),
        ("?A: b, c\r\n", 4..5),
    ] {
        assert_eq!(line(head, 1..2, value), None, "{}", head.escape_debug());
    }
    let (name, value) = ("A".to_owned(), b"b".to_vec());
    let elsewhere = Field { id: FieldId::Other, name: &name, value: &value };
    assert_eq!(elsewhere.line(b"A: b\r\n"), None);
}

#[test]
fn near_misses_are_other() {
    for name in ["", "x", "hos", "hosts", "hast", "content-lengt", "content.length", "x-api-kez"] {
        assert_eq!(FieldId::of(name.as_bytes()), FieldId::Other, "{name}");
    }
}

#[test]
fn underscores_do_not_hide_a_known_name() {
    for &(_, name, _) in KNOWN.iter().filter(|(_, name, _)| name.contains('-')) {
        let alias = name.replace('-', "_").to_ascii_uppercase();
        assert_eq!(FieldId::of(alias.as_bytes()), FieldId::Alias, "{alias}");
    }
    assert_eq!(FieldId::of(b"X-Forwarded_For"), FieldId::Alias);
    assert_eq!(FieldId::of(b"x_forwarded_foo"), FieldId::Other);
    assert_eq!(FieldId::of(b"_ost"), FieldId::Other);
}

#[test]
fn names_that_clients_may_not_say() {
    for name in ["X-Weir-User", "x_weir_x", "X-WEIR-", "Proxy", "proxy"] {
        assert!(is_reserved(name.as_bytes()), "{name}");
    }
    for name in ["X-Weird", "X-Weir", "Proxy-Status", "X-Proxy", "", "X-Forwarded-A"] {
        assert!(!is_reserved(name.as_bytes()), "{name}");
    }
    assert!(is_x_forwarded(b"X-Forwarded-Prefix") && is_x_forwarded(b"x_forwarded_ssl"));
    assert!(!is_x_forwarded(b"X-Forwarded") && !is_x_forwarded(b"X-Forwarder-For"));
}

#[test]
fn lists_are_split() {
    let elements: Vec<&[u8]> = list_elements(b" a ,,\tb c\t, ,d").collect();
    assert_eq!(elements, [b"a".as_slice(), b"b c", b"d"]);
    assert_eq!(list_elements(b" , ").count(), 0);
}

#[test]
fn tokens_are_told_from_the_rest() {
    assert_eq!(token(b"a1!#$%&'*+-.^_`|~Z"), Some("a1!#$%&'*+-.^_`|~Z"));
    for text in [b"".as_slice(), b"a b", b"a:b", b"a/b", b"\"a\"", b"a\x00", b"\xff", b"(a)"] {
        assert_eq!(token(text), None, "{}", text.escape_ascii());
    }
}
