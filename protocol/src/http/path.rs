//! Paths as rules see them.

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A percent sign that two hexadecimal digits do not follow, or an encoded NUL.
    #[error("malformed percent-encoding in the path")]
    Encoding,
    /// A dot segment next to an encoded slash or a backslash, or with parameters (`..;`): backends
    /// do not agree on what it means.
    #[error("dot segments beside encoded slashes, backslashes or parameters in the path")]
    HiddenDots,
}

/// The path that rules are matched against: percent-encoding decoded (an encoded slash too), empty
/// segments merged, dot segments removed (RFC 3986 section 5.2.4).
///
/// Backends differ in what they take for the same path. Matching the most decoded form means that
/// no spelling of `/admin` walks around a rule for `/admin`. A path that is normal already comes
/// back as it is; otherwise the result is built in `scratch`.
///
/// # Errors
/// [`PathError`], which deserves a 400: a backend may guess what is meant, a gateway must not.
pub fn normalise_path<'a>(path: &'a str, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    if is_normal(path.as_bytes()) {
        return Ok(path.as_bytes());
    }
    scratch.clear();
    decode(path.as_bytes(), scratch)?;
    remove_segments(scratch);
    Ok(scratch)
}

/// The path as a backend gets it: as the client wrote it, but without dot segments (RFC 3986
/// section 6.2.2.3), plain or encoded. Rules are matched without them, and a backend that did not
/// remove them would see a path that no rule has judged. A backslash, which no path may hold and
/// some readers take for a slash, is encoded. The result is built in `scratch` if anything is to be
/// changed.
///
/// # Errors
/// [`PathError::HiddenDots`]. The encoding was checked by [`normalise_path`].
pub fn forwarded_path<'a>(path: &'a str, scratch: &'a mut Vec<u8>) -> Result<&'a [u8], PathError> {
    let path = path.as_bytes();
    if is_normal(path) {
        return Ok(path);
    }
    if hides_dots(path) {
        return Err(PathError::HiddenDots);
    }
    let is_clean = !has_dots(path) && memchr::memchr(b'\\', path).is_none();
    if is_clean || path.first() != Some(&b'/') {
        return Ok(path);
    }
    without_dot_segments(path, scratch);
    Ok(scratch)
}

/// Whether a backend may find dot segments where this gateway finds none: next to what only some
/// take for slashes, or in front of parameters, which some cut off first.
pub(super) fn hides_dots(path: &[u8]) -> bool {
    let encoded = |three: &[u8]| is_encoded(three, b"%2f") || is_encoded(three, b"%5c");
    if memchr::memchr(b'\\', path).is_some() || path.windows(3).any(encoded) {
        return has_dots_decoded(path);
    }
    path.split(|byte| *byte == b'/').any(|segment| {
        let (count, rest) = leading_dots(segment);
        (1..=2).contains(&count) && (rest.first() == Some(&b';') || is_encoded(rest, b"%3b"))
    })
}

fn is_encoded(text: &[u8], encoding: &[u8; 3]) -> bool {
    text.get(..3).is_some_and(|three| three.eq_ignore_ascii_case(encoding))
}

/// `Some(1)` for `.`, `Some(2)` for `..`, in any encoding.
fn dots(segment: &[u8]) -> Option<usize> {
    let (count, rest) = leading_dots(segment);
    (rest.is_empty() && (1..=2).contains(&count)).then_some(count)
}

/// How many dots, in any encoding, `segment` begins with, and what follows them.
fn leading_dots(segment: &[u8]) -> (usize, &[u8]) {
    let mut rest = segment;
    let mut count = 0;
    loop {
        rest = match rest {
            [b'.', after @ ..] => after,
            _ if is_encoded(rest, b"%2e") => &rest[3..],
            _ => return (count, rest),
        };
        count += 1;
    }
}

/// RFC 3986 section 5.2.4, but `..` takes the last segment that is not empty, as where slashes are
/// merged: empty segments stay only where nothing turns on them.
fn without_dot_segments(path: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match dots(segment) {
            None => {
                out.push(b'/');
                push_segment(out, segment);
                continue;
            }
            Some(1) => {}
            Some(_) => pop_segment(out),
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
}

fn push_segment(out: &mut Vec<u8>, segment: &[u8]) {
    let mut parts = segment.split(|byte| *byte == b'\\');
    out.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.extend_from_slice(b"%5C");
        out.extend_from_slice(part);
    }
}

fn pop_segment(path: &mut Vec<u8>) {
    while let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
        let empty = slash + 1 == path.len();
        path.truncate(slash);
        if !empty {
            return;
        }
    }
}

fn has_dots(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|segment| dots(segment).is_some())
}

fn has_dots_decoded(path: &[u8]) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    decode(path, &mut decoded).is_err()
        || decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
            let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
            dots(&segment[..end]).is_some()
        })
}

/// Whether there is nothing to decode, merge or remove: [`normalise_path`] and [`forwarded_path`]
/// give back such a path as it is. May say no to a normal path.
#[must_use]
pub fn is_normal_path(path: &str) -> bool {
    is_normal(path.as_bytes())
}

pub(super) fn is_normal(path: &[u8]) -> bool {
    memchr::memchr2(b'%', b'\\', path).is_none()
        && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

fn decode(path: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = after;
            continue;
        }
        let (Some(high), Some(low)) = (hex(after.first()), hex(after.get(1))) else {
            return Err(PathError::Encoding);
        };
        match high << 4 | low {
            0 => return Err(PathError::Encoding),
            decoded => out.push(decoded),
        }
        rest = &after[2..];
    }
    Ok(())
}

pub(super) fn hex(digit: Option<&u8>) -> Option<u8> {
    match digit? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// In place: what is kept never grows. `..` at the root stays at the root.
pub(super) fn remove_segments(path: &mut Vec<u8>) {
    let absolute = path.first() == Some(&b'/');
    let trailing = matches!(path.rsplit(|b| *b == b'/').next(), Some(b"" | b"." | b".."));
    let mut kept = 0;
    let mut from = 0;
    while from < path.len() {
        let to = path[from..].iter().position(|b| *b == b'/').map_or(path.len(), |at| from + at);
        match &path[from..to] {
            b"" | b"." => {}
            b".." => kept = path[..kept].iter().rposition(|b| *b == b'/').unwrap_or(0),
            _ => {
                if absolute || kept > 0 {
                    // Every kept segment follows a slash that was read, so there is room for one.
                    path[kept] = b'/';
                    kept += 1;
                }
                path.copy_within(from..to, kept);
                kept += to - from;
            }
        }
        from = to + 1;
    }
    path.truncate(kept);
    if path.is_empty() || (trailing && !path.ends_with(b"/")) {
        path.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(path: &str) -> String {
        let mut scratch = Vec::new();
        let bytes = normalise_path(path, &mut scratch).map(<[u8]>::to_vec);
        bytes.map_or_else(|e| e.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn spellings_of_one_path_are_one() {
        for spelling in [
            "/api/v2/premium",
            "//api/v2/premium",
            "/api//v2///premium",
            "/api/./v2/premium",
            "/api/x/../v2/premium",
            "/../api/v2/premium",
            "/api/v2/%70remium",
            "/api%2Fv2%2fpremium",
            "/api/x/%2e%2E/v2/premium",
            "/api/x%2F..%2Fv2/premium",
        ] {
            assert_eq!(normal(spelling), "/api/v2/premium", "{spelling}");
        }
    }

    #[test]
    fn trailing_slashes_and_roots_stay() {
        assert_eq!(normal("/"), "/");
        assert_eq!(normal("//"), "/");
        assert_eq!(normal("/.."), "/");
        assert_eq!(normal("/a/b/.."), "/a/");
        assert_eq!(normal("/a/b/."), "/a/b/");
        assert_eq!(normal("/a%2F"), "/a/");
        assert_eq!(normal("/a/"), "/a/");
        assert_eq!(normal("/.well-known/x"), "/.well-known/x");
        assert_eq!(normal("/a..b/...c"), "/a..b/...c");
        assert_eq!(normal("*"), "*");
    }

    #[test]
    fn malformed_encodings_are_refused() {
        for path in ["/%", "/%4", "/%zz", "/a%", "/%00", "/%+1"] {
            assert_eq!(normalise_path(path, &mut Vec::new()), Err(PathError::Encoding), "{path}");
        }
    }

    #[test]
    fn backends_get_what_the_client_wrote_without_dot_segments() {
        let mut scratch = Vec::new();
        for (written, forwarded) in [
            ("/", "/"),
            ("*", "*"),
            ("/a//b/%20c/", "/a//b/%20c/"),
            ("/a%2Fb", "/a%2Fb"),
            ("/.well-known/..x/...", "/.well-known/..x/..."),
            ("/premium/../free", "/free"),
            ("/premium/%2e%2E/free", "/free"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/../../x", "/x"),
            ("/premium//../free", "/free"),
            ("/a//b/./c", "/a//b/c"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a;b=1/../c;d", "/c;d"),
            ("/..a;/...;/x.;x.", "/..a;/...;/x.;x."),
            ("/a\\b//\\c", "/a%5Cb//%5Cc"),
        ] {
            let path = forwarded_path(written, &mut scratch).expect("is forwarded");
            assert_eq!(std::str::from_utf8(path), Ok(forwarded), "{written}");
        }
        for hidden in [
            "/premium%2F..%2Ffree",
            "/premium%2f%2e%2e/free",
            "/a%2f./b",
            "/x/a%2Fc/../b",
            "/free/..;/premium",
            "/free/%2E.;x=1/premium",
            "/free/..%3B/premium",
            "/.;",
            "/free%2f..;/premium",
            "/free\\..\\premium",
            "/free/..\\premium",
            "/free%5c..%5Cpremium",
            "/a\\b/../c",
        ] {
            assert_eq!(
                forwarded_path(hidden, &mut scratch),
                Err(PathError::HiddenDots),
                "{hidden}"
            );
        }
    }

    proptest! {
        /// What goes out is judged as what came in was.
        #[test]
        fn rules_match_the_forwarded_path_alike(path in "(/(\\.\\.|%2[eE]\\.|\\.|a|b%61|%2[fF]|a%2[fF]b|;|%5c|\\\\|)?){0,8}") {
            let mut scratch = Vec::new();
            if let Ok(forwarded) = forwarded_path(&path, &mut scratch) {
                let forwarded = String::from_utf8(forwarded.to_vec()).expect("ASCII");
                prop_assert!(forwarded.split('/').all(|s| dots(s.as_bytes()).is_none()));
                prop_assert_eq!(normal(&forwarded), normal(&path));
            }
        }

        /// What is normal has no dot segment, no empty segment, and is its own normal form.
        #[test]
        fn the_result_has_nothing_left_to_remove(path in "/([a-c./]|%2[eEfF]|%6[1-3]){0,24}") {
            let once = normal(&path);
            let inner = once.trim_start_matches('/').trim_end_matches('/');
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.contains("//"), "{}", once);
            prop_assert!(
                inner.is_empty() || inner.split('/').all(|s| !matches!(s, "" | "." | "..")),
                "{}", once
            );
            prop_assert_eq!(normal(&once), once);
        }
    }
}
