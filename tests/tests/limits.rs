//! How much callers may ask for: the answers, and the counts behind them.

use std::sync::atomic::{AtomicUsize, Ordering};

use weir_tests::{Backend, Client, Response, Runtime, Setup, Weir, client, on_both_runtimes};

on_both_runtimes!(
    the_sixth_request_of_a_free_key_is_429_and_says_everything,
    keys_have_allowances_of_their_own_and_their_tiers,
    limits_are_exact_across_shards,
    anonymous_callers_are_limited_by_address,
    a_refused_request_gives_back_what_it_was_charged,
    dry_run_counts_and_refuses_nobody,
    the_pages_of_the_control_address_are_limited_by_address_too,
);

const KEYS: &str = r#"
[[key]]
name = "ann"
key = "ann-0123456789abcdef"
tier = "free"

[[key]]
name = "bob"
key = "bob-0123456789abcdef"
tier = "basic"
"#;
const ANN: (&str, &str) = ("X-API-Key", "ann-0123456789abcdef");
const BOB: (&str, &str) = ("X-API-Key", "bob-0123456789abcdef");

const PER_TIER: &str = "[[limit]]\nname = \"per-tier\"\nkey = \"key\"\nrate = \"tier\"\n";

/// A window so long that no test meets the next one, nor an amount that has faded.
const FOREVER: &str = "366d";

fn per_address(count: usize) -> String {
    format!("[[limit]]\nname = \"per-address\"\nkey = \"address\"\nrate = \"{count}/{FOREVER}\"\n")
}

fn number(response: &Response, name: &str) -> u64 {
    let value = response.get(name).unwrap_or_else(|| panic!("{name} in {:?}", response.head));
    value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
}

/// The parameters of the only item of a structured list: `"name";a=1;b=2`.
fn parameters(response: &Response, name: &str) -> (String, Vec<(String, u64)>) {
    let value = response.get(name).unwrap_or_else(|| panic!("{name} in {:?}", response.head));
    let mut parts = value.split(';');
    let item = parts.next().expect("an item").to_owned();
    let pairs = parts.map(|part| part.split_once('=').expect("a parameter"));
    (item, pairs.map(|(key, value)| (key.to_owned(), value.parse().expect("a number"))).collect())
}

fn the_sixth_request_of_a_free_key_is_429_and_says_everything(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .tables(&format!("{KEYS}{PER_TIER}"))
        .route("path = \"/*\"\nauth = \"api_key\"\nlimits = [\"per-tier\"]");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    for left in (0..5).rev() {
        let response = client.get("/", &[ANN]);
        assert_eq!((response.status, number(&response, "x-ratelimit-remaining")), (200, left));
        assert_eq!(number(&response, "x-ratelimit-limit"), 5);
        assert_eq!(response.get("retry-after"), None);
    }
    let response = client.get("/", &[ANN]);
    assert_eq!(response.status, 429);
    // The rest of this minute, and a fifth of the next one, in which one of five has faded.
    assert!((1..=72).contains(&number(&response, "retry-after")));
    assert_eq!(number(&response, "x-ratelimit-limit"), 5);
    assert_eq!(number(&response, "x-ratelimit-remaining"), 0);
    assert!((1..=120).contains(&number(&response, "x-ratelimit-reset")));
    let (item, policy) = parameters(&response, "ratelimit-policy");
    assert_eq!((item.as_str(), policy), ("\"per-tier\"", vec![("q".into(), 5), ("w".into(), 60)]));
    let (item, rate) = parameters(&response, "ratelimit");
    assert_eq!((item.as_str(), rate[0].clone()), ("\"per-tier\"", ("r".into(), 0)));
    assert_eq!((rate[1].0.as_str(), rate[1].1), ("t", number(&response, "x-ratelimit-reset")));
    assert_eq!(response.get("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-tier"]));
    assert_eq!(backend.requests(), 5);
    // A refusal is no reason to end the connection, and HEAD is refused without a body.
    client.send(client::request("HEAD", "/", &[ANN], b""));
    assert_eq!(client.try_response("HEAD").expect("an answer").status, 429);
    assert_eq!(client.get("/", &[BOB]).status, 200);
}

fn keys_have_allowances_of_their_own_and_their_tiers(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .tables(&format!("{KEYS}{PER_TIER}"))
        .route("path = \"/*\"\nauth = \"api_key\"\nlimits = [\"per-tier\"]");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    let bearer = ("Authorization", "Bearer bob-0123456789abcdef");
    let scheme = ("Authorization", "ApiKey bob-0123456789abcdef");
    let mut admitted = Vec::new();
    for _ in 0..6 {
        admitted.push(client.get("/", &[BOB]).status);
        admitted.push(client.get("/", &[bearer]).status);
        admitted.push(client.get("/", &[scheme]).status);
        admitted.push(client.get("/?api_key=bob-0123456789abcdef", &[]).status);
    }
    // Whichever way the key is presented, it is one caller: 20 a minute.
    assert_eq!(admitted.iter().filter(|status| **status == 200).count(), 20, "{admitted:?}");
    assert!(admitted[..20].iter().all(|status| *status == 200), "{admitted:?}");
    let others: Vec<_> = (0..6).map(|_| client.get("/", &[ANN]).status).collect();
    assert_eq!(others, [200, 200, 200, 200, 200, 429]);
    let head = &backend.seen()[0];
    assert_eq!((head.get("x-weir-key"), head.get("x-weir-tier")), (Some("bob"), Some("basic")));
}

/// Sends GETs from several connections at once until each was refused three times; how many were
/// admitted.
fn saturate(weir: &Weir, fields: &[(&str, &str)]) -> usize {
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let mut refused = 0;
                while refused < 3 {
                    // A connection for a few requests, so that the kernel spreads them.
                    let mut client = Client::connect(weir.address("main"));
                    for _ in 0..7 {
                        match client.get("/", fields).status {
                            200 => drop(admitted.fetch_add(1, Ordering::SeqCst)),
                            429 => refused += 1,
                            other => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });
    admitted.load(Ordering::SeqCst)
}

fn limits_are_exact_across_shards(runtime: Runtime) {
    const LIMIT: usize = 500;
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .shards("2")
        .tables(&per_address(LIMIT))
        .route("path = \"/*\"\nlimits = [\"per-address\"]");
    let weir = setup.start();
    assert_eq!(saturate(&weir, &[]), LIMIT);
    assert_eq!(backend.requests(), LIMIT);
    let status: serde_json::Value =
        serde_json::from_str(&weir.ctl(&["--json", "status"]).stdout).expect("JSON");
    let shards = status["shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 2);
    for shard in shards {
        assert_ne!(shard["requests"], 0, "one shard alone proves nothing: {status}");
    }
}

fn anonymous_callers_are_limited_by_address(runtime: Runtime) {
    let backend = Backend::text("ok");
    let jwt = "[jwt]\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
    let setup = Setup::before(runtime, &backend)
        .tables(&format!("{KEYS}{}{jwt}", per_address(10)))
        .route("path = \"/*\"\nlimits = [\"per-address\"]")
        .route("path = \"/strict\"\nauth = \"any\"\nlimits = [\"per-address\"]");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    // Known callers are not counted by address.
    for _ in 0..20 {
        assert_eq!(client.get("/", &[ANN]).status, 200);
        assert_eq!(client.get("/strict", &[ANN]).status, 200);
    }
    let forged = [("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.AA")];
    let unknown = [("X-API-Key", "nobody-0123456789abcdef")];
    // A flood of forged credentials is paid for, also where they are refused.
    for _ in 0..3 {
        assert_eq!(client.get("/strict", &forged).status, 401);
        assert_eq!(client.get("/strict", &unknown).status, 401);
    }
    assert_eq!(client.get("/strict", &[]).status, 401);
    for _ in 0..3 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    for (target, fields) in [("/", &[][..]), ("/strict", &forged), ("/", &forged), ("/strict", &[])]
    {
        let response = client.get(target, fields);
        assert_eq!(response.status, 429, "{target} {fields:?}");
        assert_eq!(response.json()["violated-policies"], serde_json::json!(["per-address"]));
    }
    assert_eq!(client.get("/strict", &[ANN]).status, 200);
}

fn a_refused_request_gives_back_what_it_was_charged(runtime: Runtime) {
    let backend = Backend::text("ok");
    let wide = format!("[[limit]]\nname = \"wide\"\nkey = \"user\"\nrate = \"8/{FOREVER}\"\n");
    let narrow = format!("[[limit]]\nname = \"narrow\"\nkey = \"key\"\nrate = \"3/{FOREVER}\"\n");
    let setup = Setup::before(runtime, &backend)
        .tables(&format!("{KEYS}{wide}{narrow}"))
        .route("path = \"/both\"\nauth = \"api_key\"\nlimits = [\"wide\", \"narrow\"]")
        .route("path = \"/wide\"\nauth = \"api_key\"\nlimits = [\"wide\"]");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    let both: Vec<_> = (0..10).map(|_| client.get("/both", &[ANN]).status).collect();
    assert_eq!(both, [200, 200, 200, 429, 429, 429, 429, 429, 429, 429]);
    let wide: Vec<_> = (0..6).map(|_| client.get("/wide", &[ANN]).status).collect();
    assert_eq!(wide, [200, 200, 200, 200, 200, 429], "8 less the 3 that were admitted");
}

fn dry_run_counts_and_refuses_nobody(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .tables(&format!("{}dry_run = true\n", per_address(3)))
        .route("path = \"/*\"\nlimits = [\"per-address\"]");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..8 {
        let response = client.get("/", &[]);
        assert_eq!((response.status, response.get("ratelimit")), (200, None));
    }
    let text = client::get(weir.address("control"), "/metrics", &[]).text().to_owned();
    for line in [
        "weir_limit_admitted_total{limit=\"per-address\"} 3",
        "weir_limit_would_refuse_total{limit=\"per-address\"} 6",
    ] {
        // The scrape itself is the sixth that would have been refused.
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
}

fn the_pages_of_the_control_address_are_limited_by_address_too(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).tables(&per_address(4)).start();
    let mut client = Client::connect(weir.address("control"));
    let statuses: Vec<_> = (0..6).map(|_| client.get("/health", &[]).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}
