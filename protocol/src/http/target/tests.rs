use super::*;

fn parts<'a>(
    raw: &'a str,
    method: &Method<'_>,
) -> (TargetForm, &'a str, Option<&'a str>, Option<&'a str>) {
    let target = Target::parse(raw, method).unwrap_or_else(|error| panic!("{raw}: {error}"));
    assert_eq!(target.raw, raw);
    (target.form, target.path, target.query, target.authority)
}

#[test]
fn origin_form() {
    let cases = [
        ("/", "/", None),
        ("/a/b.c", "/a/b.c", None),
        ("/a?", "/a", Some("")),
        ("/a?b=c?d=/", "/a", Some("b=c?d=/")),
        ("//a", "//a", None),
        ("/a:80/@http://x", "/a:80/@http://x", None),
        ("/%7e/%zz", "/%7e/%zz", None),
        ("/|\"{}<>^`\\[]", "/|\"{}<>^`\\[]", None),
    ];
    for (raw, path, query) in cases {
        assert_eq!(parts(raw, &Method::Get), (TargetForm::Origin, path, query, None), "{raw}");
    }
}

#[test]
fn absolute_form() {
    let cases = [
        ("http://a", "/", None, "a"),
        ("HTTP://A:80/", "/", None, "A:80"),
        ("https://a?b", "/", Some("b"), "a"),
        ("http://[::1]:8080/x?y", "/x", Some("y"), "[::1]:8080"),
        ("http://a/http://b", "/http://b", None, "a"),
        ("http://a?/x", "/", Some("/x"), "a"),
    ];
    for (raw, path, query, authority) in cases {
        let expected = (TargetForm::Absolute, path, query, Some(authority));
        assert_eq!(parts(raw, &Method::Get), expected, "{raw}");
    }
    assert_eq!(parts("http://a", &Method::Options).1, "*");
    assert_eq!(parts("http://a/", &Method::Options).1, "/");
    assert_eq!(parts("http://a?b", &Method::Options).1, "/");
}

#[test]
fn asterisk_and_authority_forms_belong_to_their_methods() {
    assert_eq!(parts("*", &Method::Options), (TargetForm::Asterisk, "*", None, None));
    let connect = (TargetForm::Authority, "", None, Some("a:443"));
    assert_eq!(parts("a:443", &Method::Connect), connect);
    assert_eq!(parts("[::1]:443", &Method::Connect).3, Some("[::1]:443"));
    let refused = [
        ("*", Method::Get),
        ("*a", Method::Options),
        ("a:443", Method::Get),
        ("a", Method::Connect),
        ("a:", Method::Connect),
        ("a:0", Method::Connect),
        ("a:00", Method::Connect),
        ("[::1]", Method::Connect),
        ("/", Method::Connect),
        ("http://a/", Method::Connect),
        ("*", Method::Connect),
    ];
    for (raw, method) in refused {
        assert_eq!(Target::parse(raw, &method), Err(HeadError::Target), "{raw} {method:?}");
    }
}

#[test]
fn refused_targets() {
    let refused = [
        "",
        "a",
        "a/b",
        "?a",
        "/a#b",
        "/a b",
        "/a\tb",
        "/a\0",
        "/\u{7f}",
        "/\u{e9}",
        "http:/a",
        "http:a",
        "://a",
        "ftp://a/",
        "javascript://a/",
        "http://",
        "http:///a",
        "http://:80/",
        "http://user@a/",
        "http://user:pw@a/",
        "http://a:99999/",
        "http://a:8a/",
        "http://a\\b/",
        "http://[::1/",
        "http://[::g]/",
    ];
    for raw in refused {
        assert_eq!(Target::parse(raw, &Method::Get), Err(HeadError::Target), "{raw}");
    }
}

#[test]
fn hosts() {
    let accepted = [
        "a",
        "A.example",
        "a.example.",
        "under_score",
        "a:",
        "a:0",
        "a:65535",
        "127.0.0.1:80",
        "[::1]",
        "[2001:db8::1]:443",
        "[::ffff:1.2.3.4]",
    ];
    for text in accepted {
        assert_eq!(parse_host(text.as_bytes()), Ok(text));
    }
    let refused = [
        "", ":80", "a b", "a,b", "a/b", "a?b", "a#b", "a@b", "a\\b", "a%2fb", "<a>", "a\"",
        "a:65536", "a:+80", "a:80:80", "::1", "[::1]x", "[::1]:x", "[]", "[v1.a]", "x[::1]",
        "\u{e9}",
    ];
    for text in refused {
        assert_eq!(parse_host(text.as_bytes()), Err(HeadError::Host), "{text}");
    }
    assert_eq!(parse_host(b"\xff"), Err(HeadError::Host));
}

#[test]
fn ports_are_cut_off() {
    let cases = [("a", "a"), ("a:80", "a"), ("a:", "a"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]")];
    for (authority, host) in cases {
        assert_eq!(host_without_port(authority), host);
    }
}
