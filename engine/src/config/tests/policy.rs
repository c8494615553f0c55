//! What routes do to requests and answers, as it is written.

use weir_protocol::http::OriginPattern;

use super::super::*;
use super::{parse_with_least, right};

fn route(lines: &str) -> RouteConfig {
    right(&format!("[[route]]\nupstream = \"api\"\n{lines}")).routes[1].clone()
}

fn policy(lines: &str) -> RoutePolicy {
    *route(&format!("path = \"/api/*\"\n{lines}")).policy.expect("a policy")
}

#[test]
fn conditions_are_sorted_and_get_means_head_too() {
    let lines = "path = \"/\"\nmethods = [\"POST\", \"GET\"]\n\
                 headers = { X-Version = \"2\", X-Any = \"*\" }";
    let conditions = route(lines).conditions.expect("conditions");
    assert_eq!(conditions.methods, ["GET", "HEAD", "POST"]);
    let header = |name: &str, value: Option<&str>| HeaderCondition {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(conditions.headers, [header("x-any", None), header("x-version", Some("2"))]);
    let only = route("path = \"/\"\nmethods = [\"PROPFIND\"]").conditions.expect("conditions");
    assert_eq!(only.methods, ["PROPFIND"]);
}

#[test]
fn routes_of_one_path_differ_by_their_conditions() {
    let two = |second: &str| {
        let first = "[[route]]\nupstream = \"api\"\npath = \"/a\"\nmethods = [\"PUT\", \"GET\"]\n";
        let second = format!("[[route]]\nupstream = \"api\"\npath = \"/a\"\n{second}\n");
        parse_with_least(&format!("{first}{second}")).map_err(|faults| faults.to_string())
    };
    assert!(two("").is_ok());
    assert!(two("methods = [\"PUT\"]").is_ok());
    assert!(two("methods = [\"PUT\", \"GET\"]\nheaders = { X-A = \"*\" }").is_ok());
    assert_eq!(
        two("methods = [\"HEAD\", \"GET\", \"PUT\"]").expect_err("the same"),
        "weir.toml:15:8: \"path\" in [[route]]: an earlier [[route]] has this listener, host and \
         path, with the same conditions; remove one"
    );
}

#[test]
fn redirects_as_written() {
    let redirect = |lines: &str| {
        let text = format!("[[route]]\npath = \"/old/*\"\nredirect = {{ {lines} }}\n");
        match &right(&text).routes[1].target {
            RouteTarget::Redirect(redirect) => (**redirect).clone(),
            other => panic!("{other:?}"),
        }
    };
    let nothing = Redirect { https: None, host: None, port: None, path: None, status: 308 };
    assert_eq!(redirect("scheme = \"https\""), Redirect { https: Some(true), ..nothing.clone() });
    let all = "scheme = \"http\", host = \"WWW.example\", port = 81, path = \"/n/*\", status = 302";
    assert_eq!(
        redirect(all),
        Redirect {
            https: Some(false),
            host: Some("www.example".to_owned()),
            port: Some(81),
            path: Some(PathPattern::Prefix("/n/".to_owned())),
            status: 302,
        }
    );
    let path = Some(PathPattern::Exact("/fixed".to_owned()));
    assert_eq!(redirect("path = \"/fixed\""), Redirect { path, ..nothing });
}

#[test]
fn rewrites_as_written() {
    let policy = |lines: &str| policy(&format!("rewrite = {{ {lines} }}"));
    assert_eq!(policy("path = \"/v2/*\"").path, Some(PathPattern::Prefix("/v2/".to_owned())));
    assert_eq!(policy("host = \"backend\"").host, HostPolicy::Backend);
    for (written, host) in [
        ("Internal.Example", "internal.example"),
        ("internal.example:8080", "internal.example:8080"),
        ("[::1]:80", "[::1]:80"),
    ] {
        let expected = HostPolicy::Named(host.to_owned());
        assert_eq!(policy(&format!("host = \"{written}\"")).host, expected);
    }
}

#[test]
fn field_edits_as_written() {
    let policy = policy(
        "request_headers = { set = { X-A = \"v\" }, add = { X_B = \"w x\" }, remove = [\"X-C\"] }\n\
         response_headers = { remove = [\"Server\"] }",
    );
    assert_eq!(policy.request_fields.lines, "X-A: v\r\nX_B: w x\r\n");
    assert_eq!(policy.request_fields.dropped, ["x-a", "x-c"]);
    assert_eq!(policy.response_fields.dropped, ["server"]);
    assert!(policy.response_fields.lines.is_empty());
    let drops = |name| policy.request_fields.drops(name);
    assert!(!format!("{policy:?}").contains("w x"), "a value may be a secret");
    assert!(drops("X-A") && drops("x_a") && drops("X-c") && !drops("X-B") && !drops("X-AA"));
}

#[test]
fn cors_as_written() {
    let all = policy(
        "cors = { origins = [\"https://*.a.example\", \"null\"], methods = [\"PUT\"], \
         headers = [\"X-A\", \"X-B\"], expose = [\"ETag\"], credentials = true, max_age = \"1h\" }",
    );
    let cors = all.cors.expect("a policy of origins");
    assert!(cors.credentials && !cors.any_origin());
    assert!(cors.allows(b"null") && cors.allows(b"https://b.a.example"));
    assert_eq!(
        cors.preflight_lines,
        "Access-Control-Allow-Methods: PUT\r\nAccess-Control-Allow-Headers: X-A, X-B\r\n\
         Access-Control-Max-Age: 3600\r\n"
    );
    assert_eq!(cors.answer_lines, "Access-Control-Expose-Headers: ETag\r\n");
    let least = policy("cors = { origins = [\"*\"] }").cors.expect("a policy of origins");
    assert_eq!((&least.origins[..], least.credentials), (&[OriginPattern::Any][..], false));
    assert_eq!(
        least.preflight_lines,
        "Access-Control-Allow-Methods: GET, HEAD, POST\r\nAccess-Control-Max-Age: 600\r\n"
    );
    assert_eq!(least.answer_lines, "");
}

#[test]
fn a_route_chooses_how_its_path_is_sent() {
    let forwarded = |http: &str, route: &str| {
        let route = format!("[[route]]\npath = \"/a\"\nupstream = \"api\"\n{route}");
        let config = right(&format!("[http]\n{http}\n{route}"));
        config.routes.iter().map(|route| route.forward_path).collect::<Vec<_>>()
    };
    use ForwardPath::{AsWritten, Normalised};
    assert_eq!(forwarded("", ""), [AsWritten, AsWritten]);
    let normalised = "forward_path = \"normalised\"";
    assert_eq!(forwarded("", normalised), [AsWritten, Normalised]);
    assert_eq!(forwarded(normalised, ""), [Normalised, Normalised]);
    assert_eq!(forwarded(normalised, "forward_path = \"as-written\""), [Normalised, AsWritten]);
}
