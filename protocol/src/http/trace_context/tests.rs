use super::*;
use proptest::prelude::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn tracestate(values: &[&str]) -> bool {
    is_tracestate(values.iter().map(|value| value.as_bytes()))
}

#[test]
fn traceparents() {
    let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
    let no_parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
    let cases = [
        (PARENT.to_owned(), true),
        (PARENT.replace("-01", "-ff"), true),
        (format!("{PARENT}-"), false),
        (format!("{PARENT} "), false),
        (format!("cc{}", &PARENT[2..]), true),
        (format!("cc{}-what-the-future-brings", &PARENT[2..]), true),
        (format!("cc{}what", &PARENT[2..]), false),
        (format!("ff{}", &PARENT[2..]), false),
        (zeros.to_owned(), false),
        (no_parent.to_owned(), false),
        (PARENT.to_ascii_uppercase(), false),
        (PARENT.replace('b', "g"), false),
        (PARENT.replace('-', "_"), false),
        (PARENT[..54].to_owned(), false),
        (String::new(), false),
    ];
    for (value, valid) in cases {
        assert_eq!(is_traceparent(value.as_bytes()), valid, "{value}");
    }
}

#[test]
fn tracestates() {
    for valid in [
        &["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"][..],
        &["a=1", "b=2 , c=3"],
        &["fw529a3039@dt=FfffffFxz0qa", "0=x, ,1/*_-=y"],
        &[&format!("{}=1", "k".repeat(256))],
        &[&format!("k={}", "v".repeat(256))],
    ] {
        assert!(tracestate(valid), "{valid:?}");
    }
    for invalid in [
        &[""][..],
        &["a"],
        &["=1"],
        &["a="],
        &["A=1"],
        &["-a=1"],
        &["a=b=c"],
        &["a=\tb"],
        &["a=1;b=2, ", " c"],
        &[&format!("{}=1", "k".repeat(257))],
        &[&format!("k={}", "v".repeat(257))],
    ] {
        assert!(!tracestate(invalid), "{invalid:?}");
    }
    let members = |count: usize| vec!["a=1"; count].join(",");
    assert!(tracestate(&[&members(32)]) && !tracestate(&[&members(33)]));
    assert!(!tracestate(&[&members(16), &members(17)]));
}

#[test]
fn several_fields_become_one() {
    let mut out = Vec::new();
    append_tracestate(&mut out, ["a=1", "", "b=2"].into_iter().map(str::as_bytes));
    assert_eq!(String::from_utf8(out).unwrap(), "tracestate: a=1,b=2\r\n");
}

#[test]
fn zeros_are_no_identifiers() {
    let mut out = Vec::new();
    append_traceparent(&mut out, &[0; 24]);
    let expected =
        "traceparent: 00-00000000000000000000000000000001-0000000000000001-00\r\n".as_bytes();
    assert_eq!(out, expected);
}

proptest! {
    #[test]
    fn what_is_made_is_valid(random: [u8; 24]) {
        let mut out = Vec::new();
        append_traceparent(&mut out, &random);
        let value = out.strip_prefix(b"traceparent: ").unwrap().strip_suffix(b"\r\n").unwrap();
        prop_assert!(is_traceparent(value), "{}", value.escape_ascii());
    }

    #[test]
    fn any_bytes_are_judged(value: Vec<u8>, parent in "[0-9a-f-]{50,60}") {
        let _ = is_traceparent(&value);
        let _ = is_traceparent(parent.as_bytes());
        let _ = is_tracestate([value.as_slice(), b"a=1"].into_iter());
    }
}
