//! Faults in what a `[[route]]` asks of requests, and does to them and their answers.

use super::super::parse_with_least;

/// The faults of a route that has `lines` from line 12 on.
#[track_caller]
fn faults(route: &str, lines: &str) -> Vec<String> {
    let text = format!("[[route]]\n{route}\n{lines}\n");
    let faults = parse_with_least(&text).expect_err(&text).to_string();
    faults.lines().map(|line| line.replace("weir.toml:", "")).collect()
}

#[track_caller]
fn check(route: &str, cases: &[(&str, &[&str])]) {
    for (lines, expected) in cases {
        assert_eq!(faults(route, lines), *expected, "{lines}");
    }
}

const TO_API: &str = "path = \"/a/*\"\nupstream = \"api\"";

#[test]
fn conditions() {
    check(
        TO_API,
        &[
            (
                "methods = []",
                &[
                    "12:11: \"methods\" in [[route]]: an empty list leaves no method; name at least \
                   one, such as [\"GET\"]",
                ],
            ),
            (
                "methods = [\"get\"]",
                &["12:12: \"methods\" in [[route]]: \"get\" is not a method; write it in \
                   capitals, such as \"GET\""],
            ),
            (
                "methods = [\"GET\", \"GET\"]",
                &["12:19: \"methods\" in [[route]]: \"GET\" is named twice; remove one"],
            ),
            (
                "headers = {}",
                &["12:11: \"headers\" in [[route]]: must name between 1 and 16 fields"],
            ),
            (
                "headers = { \"X A\" = \"1\" }",
                &[
                    "12:21: \"X A\" in [route.headers]: \"X A\" is not a field name; write one such \
                   as \"X-Version\"",
                ],
            ),
            (
                "headers = { X-A = \"1\", x-a = \"2\" }",
                &["12:30: \"x-a\" in [route.headers]: this field is named twice; remove one"],
            ),
            (
                "headers = { X-Weir-Tier = \"premium\" }",
                &[
                    "12:27: \"X-Weir-Tier\" in [route.headers]: \"X-Weir-Tier\" is the gateway's own, and a \
                   client's is not believed; use \"auth\" and \"tiers\"",
                ],
            ),
            (
                "headers = { x_weir_key = \"*\" }",
                &[
                    "12:26: \"x_weir_key\" in [route.headers]: \"x_weir_key\" is the gateway's own, and a \
                   client's is not believed; use \"auth\" and \"tiers\"",
                ],
            ),
            (
                "headers = { Host = \"a.example\" }",
                &[
                    "12:20: \"Host\" in [route.headers]: use host = \"api.example.com\" on this route, \
                   which knows every spelling",
                ],
            ),
        ],
    );
}

#[test]
fn redirects() {
    check(
        "path = \"/a\"",
        &[
            (
                "redirect = {}",
                &["11:12: \"redirect\" in [[route]]: leads back to itself; give it a scheme, \
                   host, port or path"],
            ),
            (
                "redirect = { scheme = \"ftp\" }",
                &["11:23: \"scheme\" in [route.redirect]: \"ftp\" must be \"http\" or \"https\"; \
                   did you mean \"http\"?"],
            ),
            (
                "redirect = { host = \"a.example\\r\\nX: y\" }",
                &["11:21: \"host\" in [route.redirect]: \"a.example\\r\\nX: y\" is not a host; \
                   write a name such as \"www.example.com\", and its port under \"port\""],
            ),
            (
                "redirect = { port = 0, path = \"/b\" }",
                &["11:21: \"port\" in [route.redirect]: must be between 1 and 65535, not 0"],
            ),
            (
                "redirect = { path = \"/b\", status = 300 }",
                &["11:36: \"status\" in [route.redirect]: must be 301, 302, 303, 307 or 308, not \
                   300"],
            ),
            (
                "redirect = { path = \"//evil.example/\" }",
                &["11:21: \"path\" in [route.redirect]: must be written as it is to be sent: no \
                   \"//\", no dot segments, percent-encoding in capitals and only where it is \
                   needed"],
            ),
            (
                "redirect = { path = \"/b/*\" }",
                &["11:21: \"path\" in [route.redirect]: replaces a prefix, but the route's path \
                   has none; write it without \"*\""],
            ),
            (
                "upstream = \"api\"\nredirect = { path = \"/b\" }\nauth = \"any\"",
                &[
                    "11:12: \"upstream\" in [[route]]: a route has an \"upstream\" or a \
                     \"redirect\", not both; remove one",
                    "13:8: \"auth\" in [[route]]: a redirect asks for no credential; protect \
                     where it leads, and remove this",
                ],
            ),
            (
                "redirect = { path = \"/b\" }\nrewrite = { path = \"/c\" }",
                &[
                    "12:11: \"rewrite\" in [[route]]: a redirect sends nothing to a backend; remove \
                   this",
                ],
            ),
        ],
    );
}

#[test]
fn rewrites() {
    let path = "must be written as it is to be sent: no \"//\", no dot segments, percent-encoding \
                in capitals and only where it is needed";
    for text in ["/b/../c", "/b//*", "/%61", "/%2f", "/%0", "/%00"] {
        let lines = format!("rewrite = {{ path = \"{text}\" }}");
        let expected = format!("12:20: \"path\" in [route.rewrite]: {path}");
        assert_eq!(faults(TO_API, &lines), [expected], "{text}");
    }
    check(
        TO_API,
        &[
            (
                "rewrite = {}",
                &[
                    "12:11: \"rewrite\" in [[route]]: changes nothing; give it a path or a host, or \
                   leave it out",
                ],
            ),
            (
                "rewrite = { host = \"a.example:0\" }",
                &[
                    "12:20: \"host\" in [route.rewrite]: \"a.example:0\" is not a host; write a name \
                   such as \"internal.example\", perhaps with a port, or \"backend\"",
                ],
            ),
            (
                "forward_path = \"raw\"",
                &["12:16: \"forward_path\" in [[route]]: \"raw\" must be \"as-written\" or \
                   \"normalised\""],
            ),
        ],
    );
}

#[test]
fn field_edits() {
    check(
        TO_API,
        &[
            (
                "request_headers = {}",
                &["12:19: \"request_headers\" in [[route]]: changes nothing; name fields under \
                   set, add or remove, or leave it out"],
            ),
            (
                "request_headers = { set = { X-A = \"a\\r\\nX-B: secret\" } }",
                &["12:35: \"X-A\" in [route.request_headers.set]: must be visible ASCII \
                   characters, with white space only between them"],
            ),
            (
                "request_headers = { set = { X-A = \"1\" }, remove = [\"x_a\"] }",
                &["12:52: \"remove\" in [route.request_headers]: \"x_a\" is named twice; name it \
                   once"],
            ),
            (
                "request_headers = { sett = { X-A = \"1\" } }",
                &[
                    "12:19: \"request_headers\" in [[route]]: changes nothing; name fields under \
                     set, add or remove, or leave it out",
                    "12:21: unknown key \"sett\" in [route.request_headers]; did you mean \"set\"?",
                ],
            ),
        ],
    );
}

#[test]
fn fields_of_the_gateways_own() {
    let reason = |side: &str, name: &str| {
        let found = faults(TO_API, &format!("{side} = {{ remove = [\"{name}\"] }}"));
        found.into_iter().find(|line| line.contains("cannot be changed")).expect(name)
    };
    for (name, expected) in [
        ("Host", "use rewrite = { host = \"internal.example\" } on this route"),
        ("content_length", "it frames the message, which the gateway does itself"),
        ("Transfer-Encoding", "it frames the message, which the gateway does itself"),
        ("CONNECTION", "it belongs to one connection, which is the gateway's own"),
        ("X-Forwarded-For", "the gateway writes it itself"),
        ("x_weir_user", "the gateway writes it itself"),
        ("tracestate", "the gateway writes it itself"),
    ] {
        assert!(reason("request_headers", name).ends_with(expected), "{name}");
    }
    for name in ["Date", "RateLimit", "X-RateLimit-Reset", "Proxy-Status"] {
        assert!(reason("response_headers", name).ends_with("the gateway writes it itself"));
    }
    let cors =
        "cors = { origins = [\"*\"] }\nresponse_headers = { remove = [\"Access-Control-X\"] }";
    assert!(faults(TO_API, cors)[0].ends_with("\"cors\" of this route writes it"));
}

#[test]
fn origins() {
    check(
        TO_API,
        &[
            (
                "cors = {}",
                &["12:8: [route.cors] has no \"origins\"; add one, such as origins = \
                   [\"https://app.example.com\"]"],
            ),
            (
                "cors = { origins = [] }",
                &["12:20: \"origins\" in [route.cors]: an empty list allows nobody; name an \
                   origin, or remove \"cors\""],
            ),
            (
                "cors = { origins = [\"app.example.com\"] }",
                &["12:21: \"origins\" in [route.cors]: \"app.example.com\" is not an origin as \
                   browsers send it; write \"https://app.example.com\", \
                   \"https://*.example.com\" or \"*\", without a path or a default port"],
            ),
            (
                "cors = { origins = [\"*\"], credentials = true }",
                &["12:8: \"cors\" in [[route]]: \"*\" does not go with credentials; name what is \
                   allowed one by one"],
            ),
            (
                "cors = { origins = [\"null\"], headers = [\"*\"], credentials = true }",
                &["12:8: \"cors\" in [[route]]: \"*\" does not go with credentials; name what is \
                   allowed one by one"],
            ),
            (
                "cors = { origins = [\"*\"], expose = [\"a b\"], max_age = \"2d\" }",
                &[
                    "12:37: \"expose\" in [route.cors]: \"a b\" is not a field name; write one \
                     such as \"X-Version\"",
                    "12:55: \"max_age\" in [route.cors]: must be between 0s and 1d, not \"2d\"",
                ],
            ),
        ],
    );
}

/// What is wrong is said once: a faulty part is a part.
#[test]
fn one_fault_each() {
    for (lines, expected) in [
        ("rewrite = { path = \"v2\" }", "\"path\" in [route.rewrite]"),
        ("request_headers = { set = { Content-Length = \"5\" } }", "[route.request_headers.set]"),
        ("request_headers = { remove = [\"Host\"] }", "[route.request_headers]"),
        ("request_headers = { add = 5 }", "[route.request_headers]"),
    ] {
        let faults = faults(TO_API, lines);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{lines}: {faults:?}");
    }
}
