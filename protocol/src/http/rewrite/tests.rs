use super::super::{forwarded_path, normalise_path};
use super::*;
use proptest::prelude::*;

fn normalised(path: &str) -> Result<String, PathError> {
    let mut scratch = Vec::new();
    let bytes = normalised_path(path, &mut scratch)?;
    Ok(String::from_utf8(bytes.to_vec()).expect("ASCII"))
}

fn judged(path: &[u8]) -> Vec<u8> {
    let path = std::str::from_utf8(path).expect("ASCII");
    normalise_path(path, &mut Vec::new()).expect("well-formed").to_vec()
}

#[test]
fn one_spelling_for_each_path() {
    for (written, expected) in [
        ("/", "/"),
        ("*", "*"),
        ("/a/b/", "/a/b/"),
        ("/%61%2d%2D%7e", "/a--~"),
        ("/a%2fb%2Fc", "/a%2Fb%2Fc"),
        ("//a///b//", "/a/b/"),
        ("/a/%2e/./%2E%2e/b", "/b"),
        ("/a\\b..\\c", "/a%5Cb..%5Cc"),
        ("/a|\"<{^`}>", "/a%7C%22%3C%7B%5E%60%7D%3E"),
        ("/%c3%a9%20%25", "/%C3%A9%20%25"),
        ("/%252e%252E/", "/%252e%252E/"),
        ("/a%3fb%23c", "/a%3Fb%23c"),
        ("/..", "/"),
    ] {
        assert_eq!(normalised(written).as_deref(), Ok(expected), "{written}");
    }
    for hidden in ["/a%2F../b", "/a\\..\\b", "/a/%2e.;/b"] {
        assert_eq!(normalised(hidden), Err(PathError::HiddenDots), "{hidden}");
    }
    assert_eq!(normalised("/a//%4"), Err(PathError::Encoding));
}

#[test]
fn what_lies_below_a_prefix() {
    use PathTail::{Below, Nothing};
    for (path, prefix, expected) in [
        ("/api/x", "/api/", Some(Below(b"x"))),
        ("/api", "/api/", Some(Nothing)),
        ("/api/", "/api/", Some(Below(b""))),
        ("/apiary", "/api/", None),
        ("/ap", "/api/", None),
        ("//%61pi//x//y%2Fz", "/api/", Some(Below(b"x//y%2Fz"))),
        ("/api%2Fx", "/api/", Some(Below(b"x"))),
        ("/api%2F", "/api/", Some(Below(b""))),
        ("/api%2F%2f//x", "/api/", Some(Below(b"x"))),
        ("/a//b%2F/c/d", "/a/b/c/", Some(Below(b"d"))),
        ("/evil.example", "/", Some(Below(b"evil.example"))),
        ("//evil.example", "/", Some(Below(b"evil.example"))),
        ("/%2Fevil.example", "/", Some(Below(b"evil.example"))),
        ("*", "/", None),
        ("/api%4", "/api/", None),
    ] {
        assert_eq!(path_below(path.as_bytes(), prefix), expected, "{path} {prefix}");
    }
}

/// Paths with every spelling of what a rule might be walked around with.
fn paths() -> impl Strategy<Value = String> {
    "(/(\\.\\.|%2[eE]\\.|\\.|api|%61pi|a|b%7C|%5c|\\\\|%2[fF]|a%2[fF]b|%25%32e|x\\|)?){1,8}"
}

proptest! {
    #[test]
    fn the_one_spelling_is_its_own_and_is_judged_alike(path in paths()) {
        if let Ok(once) = normalised(&path) {
            prop_assert_eq!(normalised(&once), Ok(once.clone()));
            prop_assert_eq!(judged(once.as_bytes()), judged(path.as_bytes()));
            prop_assert!(!once.contains("//"), "{}", once);
            prop_assert!(once.bytes().all(|b| is_legal(b) || b == b'%'), "{}", once);
        }
    }

    /// A rewritten path is judged as the new prefix with the rest that was judged; and every path
    /// that matches the old prefix can be rewritten.
    #[test]
    fn rewriting_keeps_what_was_judged(path in paths(), both in any::<bool>()) {
        let mut scratch = Vec::new();
        let sent = if both {
            normalised_path(&path, &mut scratch)
        } else {
            forwarded_path(&path, &mut scratch)
        };
        let Ok(sent) = sent else { return Ok(()) };
        let was = judged(path.as_bytes());
        for prefix in ["/", "/api/", "/a/", "/api/a/"] {
            let bare = prefix.strip_suffix('/').expect("ends with a slash").as_bytes();
            let below = was.strip_prefix(prefix.as_bytes());
            let tail = path_below(sent, prefix);
            match (below, tail) {
                (Some(below), Some(PathTail::Below(rest))) => {
                    let now = judged(&[b"/new/", rest].concat());
                    prop_assert_eq!(now, [b"/new/", below].concat());
                    prop_assert!(!rest.starts_with(b"/"));
                }
                (None, Some(PathTail::Nothing)) => prop_assert_eq!(&was[..], bare),
                (None, None) => prop_assert!(was != bare),
                (below, tail) => prop_assert!(false, "{:?} {:?}", below, tail),
            }
        }
    }
}
