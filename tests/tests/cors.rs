//! Requests of pages from other origins: preflights, permissions to read, and who gets none.

use weir_tests::{Backend, Client, Response, Runtime, Setup, client, on_both_runtimes, wait};

on_both_runtimes!(
    preflights_are_answered_by_the_gateway,
    answers_say_who_may_read_them,
    refusals_can_be_read_too,
    a_preflight_goes_where_its_request_would,
);

const PAGE: &str = "https://app.example.com";

const CORS: &str = "cors = { origins = [\"https://app.example.com\", \"https://*.example.org\"], \
                    methods = [\"GET\", \"PUT\"], headers = [\"Authorization\"], \
                    expose = [\"ETag\"], credentials = true, max_age = \"1m\" }";

/// Says of itself that everybody may read it.
fn backend() -> Backend {
    Backend::start(|exchange| {
        let fields = [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", "X-Secret"),
            ("Vary", "Accept-Encoding"),
        ];
        exchange.reply(200, &fields, b"data")
    })
}

#[track_caller]
fn preflight(client: &mut Client, target: &str, fields: &[(&str, &str)]) -> Response {
    client.send(client::request("OPTIONS", target, fields, b""));
    client.try_response("OPTIONS").expect("a proper answer")
}

/// The fields of the Fetch standard, without their prefix.
fn permissions(response: &Response) -> Vec<String> {
    let prefix = "access-control-";
    let fields = response.head.fields.iter();
    let own = fields.filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        name.strip_prefix(prefix).map(|name| format!("{name}: {value}"))
    });
    own.collect()
}

fn preflights_are_answered_by_the_gateway(runtime: Runtime) {
    let backend = backend();
    let weir = Setup::before(runtime, &backend)
        .access_log("@folder@/access.log")
        .tables(
            "[[key]]\nname = \"ann\"\nkey = \"ann-0123456789abcdef\"\n\
             [[limit]]\nname = \"few\"\nkey = \"address\"\nrate = \"3/1h\"\n",
        )
        .route(&format!("path = \"/*\"\nauth = \"api_key\"\nlimits = [\"few\"]\n{CORS}"))
        .start();
    let mut client = Client::connect(weir.address("main"));
    let asks = ("Access-Control-Request-Method", "PUT");
    let allowed = preflight(&mut client, "/data", &[("Origin", PAGE), asks]);
    assert_eq!((allowed.status, allowed.get("content-length")), (204, None));
    assert_eq!(allowed.get("vary"), Some("Origin"));
    assert_eq!(
        permissions(&allowed),
        [
            "allow-origin: https://app.example.com",
            "allow-credentials: true",
            "allow-methods: GET, PUT",
            "allow-headers: Authorization",
            "max-age: 60",
        ]
    );
    // A connection that goes on, and a private network that nobody may ask for.
    let network = ("Access-Control-Request-Private-Network", "true");
    let allowed =
        preflight(&mut client, "/", &[("Origin", "https://a.example.org"), asks, network]);
    assert_eq!((allowed.status, permissions(&allowed).len()), (204, 5));
    let denied = preflight(&mut client, "/", &[("Origin", "https://evil.example"), asks]);
    assert_eq!((denied.status, denied.get("vary")), (403, Some("Origin")));
    assert!(permissions(&denied).is_empty());
    // It costs what anonymous requests cost, and the refusal says so to the page.
    let limited = preflight(&mut client, "/", &[("Origin", PAGE), asks]);
    assert_eq!((limited.status, permissions(&limited).len()), (429, 2));
    assert_eq!(backend.requests(), 0);
    let log = weir.folder().join("access.log");
    wait::until("the log tells of preflights", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.matches("\"weir.decision\":\"preflight\"").count() == 3
    });
}

fn answers_say_who_may_read_them(runtime: Runtime) {
    let backend = backend();
    let weir = Setup::before(runtime, &backend)
        .route(&format!("path = \"/some/*\"\n{CORS}"))
        .route("path = \"/all/*\"\ncors = { origins = [\"*\"] }")
        .route("path = \"/theirs/*\"")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let some = client.get("/some/", &[("Origin", PAGE)]);
    let expected = [
        "allow-origin: https://app.example.com",
        "allow-credentials: true",
        "expose-headers: ETag",
    ];
    assert_eq!(permissions(&some), expected);
    assert_eq!(some.get("vary"), Some("Accept-Encoding, Origin"));
    let huge = format!("https://{}.example.org", "a".repeat(6000));
    for origin in ["https://evil.example", "null", "https://app.example.com.evil.example", &huge] {
        let other = client.get("/some/", &[("Origin", origin)]);
        assert_eq!((other.status, other.text()), (200, "data"));
        assert!(permissions(&other).is_empty(), "{origin}");
        assert_eq!(other.get("vary"), Some("Accept-Encoding, Origin"));
    }
    let twice = client.get("/some/", &[("Origin", PAGE), ("Origin", "https://evil.example")]);
    assert!(permissions(&twice).is_empty());
    let nobody = client.get("/some/", &[]);
    assert_eq!((nobody.status, nobody.get("vary")), (200, Some("Accept-Encoding, Origin")));
    let all = client.get("/all/", &[("Origin", "https://anybody.example")]);
    assert_eq!(permissions(&all), ["allow-origin: *"]);
    assert_eq!(all.get("vary"), Some("Accept-Encoding"));
    let theirs = client.get("/theirs/", &[("Origin", PAGE)]);
    assert_eq!(permissions(&theirs), ["allow-origin: *", "expose-headers: X-Secret"]);
}

fn refusals_can_be_read_too(runtime: Runtime) {
    let mut backend = backend();
    let weir = Setup::before(runtime, &backend)
        .http("body_bytes_max = 10")
        .tables("[[key]]\nname = \"ann\"\nkey = \"ann-0123456789abcdef\"\n")
        .route(&format!("path = \"/key\"\nauth = \"api_key\"\n{CORS}"))
        .route(&format!("path = \"/*\"\n{CORS}"))
        .start();
    backend.refuse();
    let mut client = Client::connect(weir.address("main"));
    let unknown = client.get("/key", &[("Origin", PAGE)]);
    let down = client.get("/", &[("Origin", PAGE)]);
    let large = client.post("/", &[("Origin", PAGE)], b"more than ten bytes");
    for (response, status) in [(unknown, 401), (down, 502), (large, 413)] {
        assert_eq!(response.status, status);
        assert_eq!(permissions(&response).len(), 3, "{status}");
        assert_eq!(response.get("vary"), Some("Origin"));
    }
}

fn a_preflight_goes_where_its_request_would(runtime: Runtime) {
    let backend = backend();
    let weir = Setup::before(runtime, &backend)
        .route("path = \"/*\"\ncors = { origins = [\"*\"] }")
        .route("path = \"/a\"\nmethods = [\"PUT\"]\ncors = { origins = [\"https://a.test\"] }")
        .route("path = \"/a\"\nmethods = [\"DELETE\"]")
        .route("path = \"/b\"\nheaders = { X-Version = \"2\" }")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let mut ask = |target: &str, method: &str, names: &str| {
        let fields = [
            ("Origin", PAGE),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", names),
        ];
        preflight(&mut client, target, &fields).status
    };
    assert_eq!(ask("/a", "GET", ""), 204);
    assert_eq!(ask("/a", "PUT", ""), 403);
    assert_eq!(ask("/b", "GET", "x-other"), 204);
    assert_eq!(backend.requests(), 0);
    // Routes without origins leave preflights to whatever serves OPTIONS.
    assert_eq!(ask("/a", "DELETE", ""), 200);
    assert_eq!(ask("/b", "GET", "x-other, X-VERSION"), 200);
    assert_eq!(backend.requests(), 2);
    // Without the fields of one, OPTIONS is a request like any other.
    assert_eq!(preflight(&mut client, "/a", &[("Origin", PAGE)]).status, 200);
    assert_eq!(backend.requests(), 3);
}
