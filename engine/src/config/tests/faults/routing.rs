//! Faults in `[[upstream]]` and `[[route]]`.

use super::super::parse_with_least;
use super::check;

#[test]
fn upstreams() {
    let upstream = |rest: &str| {
        let text =
            format!("[[upstream]]\nname = \"b\"\nbackend = [{{ address = \"[::1]:1\" }}]\n{rest}");
        parse_with_least(&text).expect_err(rest).to_string().replace("weir.toml:", "")
    };
    let cases = [
        (
            "strategy = \"least_connections\"",
            "12:12: \"strategy\" in [[upstream]]: \"least_connections\" is not available yet in \
             this version; use \"round_robin\"",
        ),
        (
            "strategy = \"roundrobin\"",
            "12:12: \"strategy\" in [[upstream]]: \"roundrobin\" must be \"round_robin\"; did you \
             mean \"round_robin\"?",
        ),
        (
            "breaker = { failures = 5 }",
            "12:1: \"breaker\" in [[upstream]] is not available yet in this version; remove it",
        ),
        (
            "queue = { depth = 5 }",
            "12:1: \"queue\" in [[upstream]] is not available yet in this version; remove it",
        ),
        (
            "health = { interval = \"2s\", timeout = \"2s\" }",
            "12:39: \"timeout\" in [upstream.health]: must be shorter than \"interval\", so that \
             checks do not overlap",
        ),
        (
            "health = { path = \"health\" }",
            "12:19: \"path\" in [upstream.health]: \"health\" must start with \"/\", such as \
             \"/api/*\" or \"/health\"",
        ),
        (
            "health = { rise = 0 }",
            "12:19: \"rise\" in [upstream.health]: must be between 1 and 100, not 0",
        ),
        (
            "retry = { attempts = 0, budget = 101, floors = 1 }",
            "12:22: \"attempts\" in [upstream.retry]: must be between 1 and 10, not 0\n\
             12:34: \"budget\" in [upstream.retry]: must be between 0 and 100, not 101\n\
             12:39: unknown key \"floors\" in [upstream.retry]; did you mean \"floor\"?",
        ),
        (
            "retry = 2",
            "12:9: \"retry\" in [[upstream]] must be a table: write [upstream.retry], not an \
             integer",
        ),
        (
            "health = 3",
            "12:10: \"health\" in [[upstream]] must be a table: write [upstream.health], not an \
             integer",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(upstream(rest), expected);
    }
}

#[test]
fn backends_and_names() {
    check(&[
        (
            "[[upstream]]\nname = \"control\"\nbackend = [{ address = \"[::1]:1\" }]",
            &[
                "10:8: \"name\" in [[upstream]]: \"control\" is the engine's own; choose another name",
            ],
        ),
        (
            "[[upstream]]\nname = \"b\"\nbackend = [{ address = \"[::1]:0\" }, {}]",
            &[
                "11:24: \"address\" in [[upstream.backend]]: \"[::1]:0\" needs a port from 1 to 65535",
                "11:37: [[upstream.backend]] has no \"address\"; add one, such as address = \
                 \"127.0.0.1:5001\"",
            ],
        ),
        (
            "[[upstream]]\nname = \"b\"\n[[upstream.backend]]\naddress = \"[::1]:1\"\nweight = 2\n\
             [[upstream.backend]]\naddress = \"[::1]:1\"",
            &[
                "13:1: \"weight\" in [[upstream.backend]] is not available yet in this version; \
                 remove it",
                "15:11: \"address\" in [[upstream.backend]]: this upstream has this backend \
                 already; remove one",
            ],
        ),
    ]);
}

#[test]
fn routes() {
    let route = |rest: &str| {
        let faults = parse_with_least(&format!("[[route]]\n{rest}")).expect_err(rest);
        faults.to_string().replace("weir.toml:", "")
    };
    let cases = [
        (
            "path = \"/a\"\nupstream = \"apii\"",
            "11:12: \"upstream\" in [[route]]: no upstream is named \"apii\"; did you mean \"api\"?",
        ),
        (
            "path = \"/a\"\nupstream = \"backends\"",
            "11:12: \"upstream\" in [[route]]: no upstream is named \"backends\"; there are \"api\"",
        ),
        (
            "path = \"/*\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: an earlier [[route]] has this listener, host and path; \
             remove one",
        ),
        (
            "path = \"a\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"a\" must start with \"/\", such as \"/api/*\" or \
             \"/health\"",
        ),
        (
            "path = \"/a*\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"/a*\" may hold \"*\" only as its end, \"/*\", such as \
             \"/api/*\"",
        ),
        (
            "path = \"/*/b\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"/*/b\" may hold \"*\" only as its end, \"/*\", such as \
             \"/api/*\"",
        ),
        (
            "path = \"/a?b\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"/a?b\" holds '?', which no request's path does; \
             percent-encode it or leave it out",
        ),
        ("upstream = \"api\"", "9:1: [[route]] has no \"path\"; add one, such as path = \"/*\""),
        (
            "path = \"/a\"",
            "9:1: [[route]] has no \"upstream\"; add one, such as upstream = \"api\"",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(route(rest), expected);
    }
}

#[test]
fn routes_beyond_their_path() {
    let to_api = "[[route]]\npath = \"/a\"\nupstream = \"api\"\n";
    let cases = [
        (
            "host = \"a.example:80\"",
            "12:8: \"host\" in [[route]]: \"a.example:80\" must be without a port; routes choose \
             the port by \"listener\"",
        ),
        (
            "host = \"*.example.com\"",
            "12:8: \"host\" in [[route]]: \"*.example.com\": wildcard hosts are not available yet \
             in this version; write one route for each host",
        ),
        (
            "host = \"a..b\"",
            "12:8: \"host\" in [[route]]: \"a..b\" is not a host; write a name such as \
             \"api.example.com\"",
        ),
        (
            "listener = \"control\"",
            "12:12: \"listener\" in [[route]]: no listener is named \"control\"; there are \
             \"127.0.0.1:8080\"",
        ),
        (
            "limits = [\"per-address\"]",
            "12:11: \"limits\" in [[route]]: no limit is named \"per-address\"; the file defines none",
        ),
        (
            "tiers = [\"free\", \"free\"]",
            "12:18: \"tiers\" in [[route]]: \"free\" is named twice; remove one",
        ),
        ("tiers = \"free\"", "12:9: \"tiers\" in [[route]] must be a list, not a string"),
        (
            "auth = \"jwt\"",
            "12:8: \"auth\" in [[route]]: \"jwt\" needs a [jwt] table; add it or use \"none\"",
        ),
        (
            "auth = \"api_key\"",
            "12:8: \"auth\" in [[route]]: \"api_key\" needs at least one [[key]]; add it or use \
             \"none\"",
        ),
        (
            "auth = \"any\"",
            "12:8: \"auth\" in [[route]]: \"any\" needs a [jwt] table or a [[key]]; add it or use \
             \"none\"",
        ),
        (
            "auth = \"basic\"",
            "12:8: \"auth\" in [[route]]: \"basic\" must be \"none\" or \"api_key\" or \"jwt\" or \
             \"any\"",
        ),
        (
            "cache = { ttl = \"30s\" }",
            "12:1: \"cache\" in [[route]] is not available yet in this version; remove it",
        ),
    ];
    for (rest, expected) in cases {
        check(&[(&format!("{to_api}{rest}"), &[expected])]);
    }
}

#[test]
fn too_many_limits_on_a_route() {
    let limit = |n| format!("[[limit]]\nname = \"l{n}\"\nkey = \"user\"\nrate = \"1/s\"\n");
    let limits: String = (0..9).map(limit).collect();
    let names: Vec<String> = (0..9).map(|n| format!("\"l{n}\"")).collect();
    let names = names.join(", ");
    let text = format!("{limits}[[route]]\npath = \"/a\"\nupstream = \"api\"\nlimits = [{names}]");
    let faults = parse_with_least(&text).unwrap_err().to_string();
    let expected =
        "weir.toml:48:10: \"limits\" in [[route]]: 9 limits; a request is charged 8 at most";
    assert_eq!(faults, expected);
}
