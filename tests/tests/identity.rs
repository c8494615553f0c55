//! Who is calling: tokens and keys that hold, those that do not, and what a tier may reach.

use serde_json::{Value, json};
use weir_tests::token::{base64url, hs256, now_s, sign};
use weir_tests::{Backend, Client, Runtime, Setup, on_both_runtimes};

on_both_runtimes!(
    a_valid_token_is_served_with_its_tiers_rate,
    tokens_that_do_not_hold_are_401,
    keys_that_are_not_known_are_401,
    a_route_of_some_tiers_is_403_for_others,
    no_spelling_of_a_path_walks_around_its_route,
    secrets_come_from_the_environment,
    a_limit_by_claim_counts_all_who_have_the_same,
);

const SECRET: &str = "a-secret-of-more-than-32-bytes-for-tests";

const CALLERS: &str = r#"
[jwt]
algorithms = ["HS256"]
secret = "a-secret-of-more-than-32-bytes-for-tests"
issuer = "https://login.test"
audience = "api"
leeway = "0s"

[[key]]
name = "ann"
key = "ann-0123456789abcdef"

[[key]]
name = "pam"
key = "pam-0123456789abcdef"
tier = "premium"

[[limit]]
name = "per-tier"
key = "key"
rate = "tier"
"#;

fn claims() -> Value {
    json!({
        "sub": "tom", "tier": "basic", "iss": "https://login.test", "aud": ["api", "other"],
        "exp": now_s() + 600,
    })
}

/// The claims of a good token, but for one.
fn but(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

fn setup(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .tables(CALLERS)
        .route("path = \"/*\"\nauth = \"jwt\"\nlimits = [\"per-tier\"]")
}

fn a_valid_token_is_served_with_its_tiers_rate(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    let (name, value) = bearer(&hs256(&claims(), SECRET));
    let response = client.get("/", &[(name, &value), ("X-Weir-User", "root")]);
    assert_eq!((response.status, response.get("x-ratelimit-limit")), (200, Some("20")));
    let head = &backend.seen()[0];
    assert_eq!((head.get("x-weir-user"), head.get("x-weir-tier")), (Some("tom"), Some("basic")));
    // Another token of the same subject is the same caller.
    let (name, value) = bearer(&hs256(&but("jti", "2"), SECRET));
    assert_eq!(client.get("/", &[(name, &value)]).get("x-ratelimit-remaining"), Some("18"));
    // A tier that is not configured gives no more than the least.
    let mut unknown = but("tier", "platinum");
    unknown["sub"] = "una".into();
    let (name, value) = bearer(&hs256(&unknown, SECRET));
    assert_eq!(client.get("/", &[(name, &value)]).get("x-ratelimit-limit"), Some("5"));
}

fn tokens_that_do_not_hold_are_401(runtime: Runtime) {
    let backend = Backend::text("never");
    let weir = setup(runtime, &backend).start();
    let good = hs256(&claims(), SECRET);
    let (head, rest) = good.split_once('.').expect("a token");
    let (body, signature) = rest.split_once('.').expect("a token");
    let header = |alg: &str| json!({ "alg": alg, "typ": "JWT" });
    let none = base64url(header("none").to_string());
    let promoted = base64url(but("tier", "enterprise").to_string());
    let other = "another-secret-of-more-than-32-bytes!!!!";
    let now = now_s();
    let tokens = [
        ("expired", hs256(&but("exp", now - 1), SECRET)),
        ("expires now", hs256(&but("exp", now), SECRET)),
        ("never expires", hs256(&but("exp", Value::Null), SECRET)),
        ("not valid yet", hs256(&but("nbf", now + 600), SECRET)),
        ("another issuer", hs256(&but("iss", "https://evil.test"), SECRET)),
        ("another audience", hs256(&but("aud", "shop"), SECRET)),
        ("another secret", hs256(&claims(), other)),
        ("alg none, unsigned", format!("{none}.{body}.")),
        ("alg none, signed", sign(&header("none"), &claims(), SECRET)),
        ("alg None", sign(&header("None"), &claims(), SECRET)),
        ("alg HS512", sign(&header("HS512"), &claims(), SECRET)),
        ("alg RS256", sign(&header("RS256"), &claims(), SECRET)),
        ("no alg", sign(&json!({ "typ": "JWT" }), &claims(), SECRET)),
        ("critical extension", sign(&json!({ "alg": "HS256", "crit": ["x"] }), &claims(), SECRET)),
        ("claims replaced", format!("{head}.{promoted}.{signature}")),
        ("signature cut", good[..good.len() - 1].to_owned()),
        ("signature gone", format!("{head}.{body}.")),
        ("padded", format!("{good}=")),
        ("one part more", format!("{good}.x")),
        ("nothing at all", "..".to_owned()),
    ];
    let mut client = Client::connect(weir.address("main"));
    for (what, token) in tokens {
        let (name, value) = bearer(&token);
        let response = client.get("/", &[(name, &value)]);
        assert_eq!(response.status, 401, "{what}");
        let challenge = response.get("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer realm="), "{what}: {challenge}");
        let error = "error=\"invalid_token\", error_description=\"";
        assert!(challenge.contains(error), "{what}: {challenge}");
        assert_eq!(response.get("content-type"), Some("application/problem+json"), "{what}");
    }
    let response = client.get("/", &[]);
    assert_eq!(
        (response.status, response.get("www-authenticate")),
        (401, Some("Bearer realm=\"weir\""))
    );
    // Two credentials in one request are none that can be trusted.
    let (name, value) = bearer(&good);
    let twice = client.get("/", &[(name, "Bearer x.y.z"), (name, &value)]);
    assert!(matches!(twice.status, 400 | 401), "{}", twice.status);
    assert_eq!(backend.requests(), 0);
}

fn keys_that_are_not_known_are_401(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .tables(CALLERS)
        .route("path = \"/*\"\nauth = \"api_key\"")
        .start();
    let mut client = Client::connect(weir.address("main"));
    for key in ["", "ann", "ann-0123456789abcde", "ann-0123456789abcdef0", "ANN-0123456789ABCDEF"] {
        let response = client.get("/", &[("X-API-Key", key)]);
        assert_eq!(response.status, 401, "{key:?}");
        let challenge = response.get("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("ApiKey realm="), "{challenge}");
    }
    let (name, value) = bearer(&hs256(&claims(), SECRET));
    assert_eq!(client.get("/", &[(name, &value)]).status, 401, "a token is no key");
    assert_eq!(client.get("/?api_key=nobody-0123456789", &[]).status, 401);
    assert_eq!(backend.requests(), 0);
    assert_eq!(client.get("/", &[("X-API-Key", "ann-0123456789abcdef")]).status, 200);
}

/// `/` for everybody; `/premium` and all below it for the better tiers.
fn tiered(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .tables(CALLERS)
        .route("path = \"/*\"")
        .route("path = \"/api/premium/*\"\nauth = \"any\"\ntiers = [\"premium\", \"enterprise\"]")
}

fn a_route_of_some_tiers_is_403_for_others(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = tiered(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    let (name, basic) = bearer(&hs256(&claims(), SECRET));
    let (_, premium) = bearer(&hs256(&but("tier", "premium"), SECRET));
    let target = "/api/premium/report";
    let refused = client.get(target, &[(name, &basic)]);
    assert_eq!((refused.status, &refused.json()["status"]), (403, &json!(403)));
    assert_eq!(client.get(target, &[("X-API-Key", "ann-0123456789abcdef")]).status, 403);
    assert_eq!(client.get(target, &[]).status, 401);
    assert_eq!(backend.requests(), 0);
    assert_eq!(client.get(target, &[(name, &premium)]).status, 200);
    assert_eq!(client.get(target, &[("X-API-Key", "pam-0123456789abcdef")]).status, 200);
    assert_eq!(client.get("/api/free", &[]).status, 200);
}

fn no_spelling_of_a_path_walks_around_its_route(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = tiered(runtime, &backend).start();
    let ann = ("X-API-Key", "ann-0123456789abcdef");
    let mut client = Client::connect(weir.address("main"));
    for spelling in [
        "/api/premium",
        "/api/premium/",
        "//api/premium/x",
        "/api//premium/x",
        "/./api/premium/x",
        "/api/./premium/x",
        "/api/other/../premium/x",
        "/api/%2e/premium/x",
        "/api/other/%2E%2e/premium/x",
        "/%61pi/premium/x",
        "/api/%70remium/x",
        "/api%2Fpremium%2fx",
        "/api/premium%2Fx",
        "/../api/premium/x",
        "http://weir.test/api/premium/x",
        "http://weir.test//api/%70remium/x",
        "/api/premium?x=/",
        "/api/premium/x?/../../",
    ] {
        let response = client.get(spelling, &[ann]);
        assert_eq!(response.status, 403, "{spelling}");
    }
    for malformed in ["/api/%premium", "/api/%7", "/api/premium%00", "/api/premium%2F..%2Fopen"] {
        let mut client = Client::connect(weir.address("main"));
        assert_eq!(client.get(malformed, &[ann]).status, 400, "{malformed}");
    }
    assert_eq!(backend.requests(), 0);
    // What a rule has judged is what the backend gets.
    for spelling in ["/api/premium/../open", "/api/premium/%2e%2E/open", "/api/premium//../open"] {
        assert_eq!(client.get(spelling, &[ann]).status, 200, "{spelling}");
    }
    let targets: Vec<_> = backend.seen().iter().map(|head| head.word(1).to_owned()).collect();
    assert_eq!(targets, ["/api/open"; 3]);
}

fn secrets_come_from_the_environment(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .tables(
            "[jwt]\nsecret_env = \"JWT_SECRET\"\n[[key]]\nname = \"eve\"\nkey_env = \"EVES_KEY\"",
        )
        .route("path = \"/*\"\nauth = \"any\"");
    let launch = setup.launch().env("JWT_SECRET", SECRET).env("EVES_KEY", "eve-0123456789abcdef");
    let weir = launch.start();
    let mut client = Client::connect(weir.address("main"));
    let (name, value) = bearer(&hs256(&claims(), SECRET));
    assert_eq!(client.get("/", &[(name, &value)]).status, 200);
    assert_eq!(client.get("/", &[("X-API-Key", "eve-0123456789abcdef")]).status, 200);
    assert_eq!(client.get("/", &[]).status, 401);
    let finished = setup.launch().env("EVES_KEY", "eve-0123456789abcdef").refused(|_| {});
    assert!(!finished.status.success());
    assert!(finished.stderr.contains("JWT_SECRET is not set"), "{}", finished.stderr);
}

fn a_limit_by_claim_counts_all_who_have_the_same(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .tables(CALLERS)
        .tables("[[limit]]\nname = \"org\"\nkey = \"claim:org\"\nrate = \"2/366d\"")
        .route("path = \"/*\"\nauth = \"any\"\nlimits = [\"org\"]")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let mut ask = |user: &str, org: Value| {
        let mut claims = but("org", org);
        claims["sub"] = user.into();
        let (name, value) = bearer(&hs256(&claims, SECRET));
        let answer = client.get("/", &[(name, &value)]);
        (answer.status, answer.get("x-ratelimit-remaining").map(str::to_owned))
    };
    let counted = |left: &str| (200, Some(left.to_owned()));
    assert_eq!(ask("tom", "acme".into()), counted("1"));
    assert_eq!(ask("una", "acme".into()), counted("0"));
    assert_eq!(ask("vic", "acme".into()).0, 429);
    assert_eq!(ask("vic", "other".into()), counted("1"));
    // A whole number is its digits, a boolean its word.
    assert_eq!((ask("tom", 7.into()), ask("una", "7".into())), (counted("1"), counted("0")));
    assert_eq!((ask("tom", true.into()), ask("una", "true".into())), (counted("1"), counted("0")));
    // Anything else is no name of anybody.
    for org in [Value::Null, json!(1.5), json!(["acme"]), json!({ "id": "acme" })] {
        for _ in 0..3 {
            assert_eq!(ask("tom", org.clone()), (200, None), "{org}");
        }
    }
    // Nor has a caller by key any claims.
    for _ in 0..3 {
        assert_eq!(client.get("/", &[("X-API-Key", "ann-0123456789abcdef")]).status, 200);
    }
}
