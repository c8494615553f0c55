use super::*;

fn options(value: &str) -> ConnectionOptions<'_> {
    let mut options = ConnectionOptions::default();
    options.note(value.as_bytes()).expect("few options");
    options
}

fn hop_by_hop(name: &str, connection: &str) -> bool {
    let field = Field { id: FieldId::of(name.as_bytes()), name, value: b"" };
    is_hop_by_hop(&field, &options(connection))
}

#[test]
fn hop_by_hop_fields_stay_on_their_hop() {
    let always = [
        "Connection",
        "keep-alive",
        "Proxy-Connection",
        "TE",
        "Transfer-Encoding",
        "UPGRADE",
        "HTTP2-Settings",
        "X_Forwarded_For",
        "x_api-key",
    ];
    for name in always {
        assert!(hop_by_hop(name, ""), "{name}");
    }
    for name in ["Host", "Trailer", "X-Custom", "X_Custom", "Set-Cookie", "Content-Length"] {
        assert!(!hop_by_hop(name, ""), "{name}");
    }
}

#[test]
fn connection_names_further_ones() {
    assert!(hop_by_hop("X-Custom", "close, x-CUSTOM"));
    assert!(hop_by_hop("X-Custom", ", ,\tx-custom\t,"));
    assert!(!hop_by_hop("X-Custom", "x-custo, x-customs, \"x-custom\""));
}

#[test]
fn connection_does_not_remove_what_is_meant_for_everyone() {
    let essential = [
        "Host",
        "Content-Length",
        "Content-Type",
        "Authorization",
        "Cookie",
        "Cache-Control",
        "X-Forwarded-For",
        "X-API-Key",
        "X-Request-Id",
        "Forwarded",
        "Expect",
        "Via",
    ];
    for name in essential {
        assert!(!hop_by_hop(name, name), "{name}");
    }
}

#[test]
fn options_are_recognised() {
    let all = options("Close , KEEP-ALIVE,upgrade, te");
    assert!(all.close && all.keep_alive && all.upgrade && all.te && all.named.is_empty());
    let none = options("closed, keepalive, close;x, clo se");
    assert!(!(none.close || none.keep_alive || none.upgrade || none.te));
}

#[test]
fn close_wins() {
    let persistent = |value, version| options(value).persistent(version);
    assert!(persistent("", Version::Http11));
    assert!(!persistent("close", Version::Http11));
    assert!(!persistent("keep-alive, close", Version::Http11));
    assert!(!persistent("", Version::Http10));
    assert!(persistent("keep-alive", Version::Http10));
    assert!(!persistent("keep-alive, close", Version::Http10));
}

#[test]
fn the_names_are_bounded() {
    let mut options = ConnectionOptions::default();
    assert_eq!(options.note(b"a, b, c, d, e, f, g, h"), Ok(()));
    // What is known takes no place.
    assert_eq!(options.note(b"close, host, cookie"), Ok(()));
    assert_eq!(options.note(b"i"), Err(HeadError::TooManyConnectionOptions));
}
