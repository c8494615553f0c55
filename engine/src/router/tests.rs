use weir_protocol::http::FieldId;

use super::*;
use crate::config::{Auth, ForwardPath, RouteTarget, Upgrades};

fn route(listener: Option<usize>, host: Option<&str>, path: &str) -> RouteConfig {
    let path = match path.strip_suffix('*') {
        Some(prefix) => PathPattern::Prefix(prefix.to_owned()),
        None => PathPattern::Exact(path.to_owned()),
    };
    RouteConfig {
        listener,
        host: host.map(str::to_owned),
        path,
        conditions: None,
        target: RouteTarget::Upstream(0),
        auth: Auth::None,
        limits: vec![],
        cost: 1,
        cost_header: None,
        tiers: vec![],
        upgrade: Upgrades::default(),
        connect: false,
        forward_path: ForwardPath::AsWritten,
        policy: None,
        access: None,
    }
}

fn conditional(path: &str, methods: &[&str], headers: &[(&str, Option<&str>)]) -> RouteConfig {
    let header = |(name, value): &(&str, Option<&str>)| HeaderCondition {
        name: (*name).to_owned(),
        value: value.map(str::to_owned),
    };
    let conditions = Conditions {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        headers: headers.iter().map(header).collect(),
    };
    RouteConfig { conditions: Some(Box::new(conditions)), ..route(None, None, path) }
}

fn asked<'a>(method: &'a str, path: &'a str, fields: &'a [Field<'a>]) -> Asked<'a> {
    let method = Method::of(method);
    Asked { host: None, path: path.as_bytes(), method, fields, announced: None }
}

fn field<'a>(name: &'a str, value: &'a str) -> Field<'a> {
    Field { id: FieldId::of(name.as_bytes()), name, value: value.as_bytes() }
}

#[test]
fn precedence_does_not_depend_on_the_order_of_the_file() {
    let routes = [
        route(None, None, "/*"),
        route(None, None, "/api/*"),
        route(None, None, "/api/v2/*"),
        route(None, None, "/api/health"),
        route(None, Some("admin.example"), "/*"),
    ];
    let router = Router::new(&routes, 1, None);
    let find = |host, path| router.find(&routes, 0, &Asked { host, ..asked("GET", path, &[]) });
    assert_eq!(find(None, "/"), Some(0));
    assert_eq!(find(None, "/api"), Some(1));
    assert_eq!(find(None, "/apiary"), Some(0));
    assert_eq!(find(None, "/api/v2/x"), Some(2));
    assert_eq!(find(Some("other"), "/api/health"), Some(3));
    assert_eq!(find(Some("ADMIN.example"), "/api/health"), Some(4));
}

#[test]
fn listeners_keep_to_their_own_routes() {
    let routes = [route(None, None, "/*"), route(Some(1), None, "/stats")];
    let router = Router::new(&routes, 2, Some(1));
    let find = |listener, path| router.find(&routes, listener, &asked("GET", path, &[]));
    assert_eq!(find(0, "/stats"), Some(0));
    assert_eq!(find(1, "/stats"), Some(1));
    assert_eq!(find(1, "/other"), None);
}

#[test]
fn conditions_go_before_none_and_what_fails_them_goes_on() {
    let version = ("x-version", Some("2"));
    let routes = [
        route(None, None, "/a/*"),
        conditional("/a/*", &["GET", "HEAD"], &[]),
        conditional("/a/*", &[], &[version]),
        conditional("/a/*", &["POST"], &[version, ("x-debug", None)]),
    ];
    let router = Router::new(&routes, 1, None);
    let find =
        |method, fields: &[Field<'_>]| router.find(&routes, 0, &asked(method, "/a/b", fields));
    assert_eq!(find("GET", &[]), Some(1));
    assert_eq!(find("get", &[]), Some(0));
    assert_eq!(find("PUT", &[]), Some(0));
    assert_eq!(find("GET", &[field("X-VERSION", "1"), field("X-Version", "2")]), Some(2));
    assert_eq!(find("GET", &[field("X-Version", "2, 3")]), Some(1));
    assert_eq!(find("POST", &[field("X-Version", "2")]), Some(2));
    assert_eq!(find("POST", &[field("X-Version", "2"), field("X-Debug", "")]), Some(3));
}

#[test]
fn methods_are_named_for_a_path_that_has_others() {
    let routes = [
        conditional("/a", &["GET", "HEAD"], &[]),
        conditional("/*", &["DELETE", "GET", "HEAD"], &[]),
        conditional("/*", &["PUT"], &[("x-version", None)]),
        route(None, Some("other"), "/a"),
    ];
    let router = Router::new(&routes, 1, None);
    let post = asked("POST", "/a", &[]);
    assert_eq!(router.find(&routes, 0, &post), None);
    assert_eq!(router.methods(&routes, 0, &post), ["DELETE", "GET", "HEAD"]);
    let fields = [field("X-Version", "7")];
    let post = asked("POST", "/b", &fields);
    assert_eq!(router.methods(&routes, 0, &post), ["DELETE", "GET", "HEAD", "PUT"]);
    let only = [conditional("/a", &["GET"], &[])];
    let router = Router::new(&only, 1, None);
    assert!(router.methods(&only, 0, &asked("GET", "/b", &[])).is_empty());
}

#[test]
fn what_a_preflight_announces_is_taken_to_come() {
    let routes = [route(None, None, "/*"), conditional("/*", &[], &[("x-version", Some("2"))])];
    let router = Router::new(&routes, 1, None);
    let find = |announced| {
        let announced = Some(announced);
        router.find(&routes, 0, &Asked { announced, ..asked("PUT", "/", &[]) })
    };
    assert_eq!(find(&b"content-type, X-Version"[..]), Some(1));
    assert_eq!(find(b"x-version-2"), Some(0));
    assert_eq!(find(b""), Some(0));
}
