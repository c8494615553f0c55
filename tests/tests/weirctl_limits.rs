//! What `weirctl limits` and `weirctl explain` say, against what requests get.

use serde_json::Value;
use weir_tests::token::{hs256, now_s};
use weir_tests::{Backend, Client, Runtime, Setup, Weir, client, on_both_runtimes, wait};

on_both_runtimes!(
    counters_are_shown_and_reset_under_traffic_on_two_shards,
    a_limit_or_caller_that_is_not_there_is_said_so,
    an_explanation_says_what_a_request_then_gets,
    explaining_charges_nothing,
    a_question_about_nothing_is_refused,
);

const ANN: &str = "ann-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const SECRET: &str = "a-secret-of-more-than-32-bytes-for-tests";

/// Windows so long that nothing of a count fades.
const TABLES: &str = r#"
[jwt]
secret = "a-secret-of-more-than-32-bytes-for-tests"
[[key]]
name = "ann"
key = "ann-0123456789abcdef"
[[key]]
name = "bob"
key = "bob-0123456789abcdef"
tier = "premium"
[access]
deny = ["192.0.2.0/24"]
[[limit]]
name = "per-address"
key = "address"
rate = "3/366d"
[[limit]]
name = "per-key"
key = "key"
algorithm = "strict"
rate = "5/366d"
[[limit]]
name = "per-route"
key = ["user", "route"]
rate = "2/366d"
[[limit]]
name = "dry"
key = "user"
rate = "1/366d"
dry_run = true
[[limit]]
name = "tenants"
key = "header:x-tenant"
rate = "1/366d"
"#;

fn setup(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .listener("trusted_proxies = [\"127.0.0.1\"]")
        .tables(TABLES)
        .route("path = \"/open\"\nlimits = [\"per-address\", \"per-key\"]")
        .route("path = \"/keys/*\"\nauth = \"api_key\"\nlimits = [\"per-key\", \"dry\"]")
        .route("path = \"/users/*\"\nauth = \"any\"\nlimits = [\"per-route\"]")
        .route("path = \"/tokens\"\nauth = \"jwt\"\nlimits = [\"per-key\"]")
        .route("path = \"/rich\"\nauth = \"any\"\ntiers = [\"premium\"]")
        .route("path = \"/tenants\"\nlimits = [\"tenants\"]")
        .route("path = \"/costly\"\nlimits = [\"per-address\"]\ncost = 2")
        .route("path = \"/old\"\nredirect = { path = \"/open\" }")
        .route("path = \"/post\"\nmethods = [\"POST\"]")
}

#[track_caller]
fn json(weir: &Weir, arguments: &[&str]) -> Value {
    let finished = weir.ctl(&[&["--json"], arguments].concat());
    assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

fn ask(weir: &Weir, key: &str) -> u16 {
    client::get(weir.address("main"), "/keys/a", &[("X-API-Key", key)]).status
}

fn counters_are_shown_and_reset_under_traffic_on_two_shards(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).shards("2").start();
    // Each on a connection of its own, so that both shards count.
    let statuses: Vec<_> = (0..7).map(|_| ask(&weir, ANN)).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(ask(&weir, BOB), 200);
    let top = json(&weir, &["limits", "top", "--limit", "per-key"]);
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| row[name].as_u64().unwrap_or_default();
        (text("subject"), number("used"), number("quota"), number("admitted"), number("refused"))
    };
    let rows: Vec<_> = top.as_array().expect("a list").iter().map(row).collect();
    assert_eq!(rows, [("key ann".into(), 5, 5, 5, 2), ("key bob".into(), 1, 5, 1, 0)]);
    assert_eq!(top[0]["algorithm"], "strict");
    let shown = json(&weir, &["limits", "show", "--key", "ann"]);
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    // What a dry run counts is by user.
    let shown = json(&weir, &["limits", "show", "--user", "ann"]);
    assert_eq!((&shown[0]["limit"], &shown[0]["used"]), (&"dry".into(), &1.into()), "{shown}");
    let table =
        weir.ctl(&["limits", "top", "-n", "1", "--by", "refused", "--limit", "per-key"]).stdout;
    assert!(table.starts_with("LIMIT") && table.contains("key ann"), "{table}");
    assert_eq!(table.lines().count(), 2, "{table}");
    let reset = weir.ctl(&["limits", "reset", "--key", "ann"]);
    assert!(reset.status.success(), "{}", reset.stderr);
    assert!(reset.stdout.contains("1 counters of key ann begin anew, under per-key"), "{reset:?}");
    let statuses: Vec<_> = (0..6).map(|_| ask(&weir, ANN)).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429], "the allowance is back, exactly");
    assert_eq!(
        json(&weir, &["limits", "show", "--key", "bob"])[0]["used"],
        1,
        "others keep theirs"
    );
    // A key of several parts is found by any of them.
    client::get(weir.address("main"), "/users/a", &[("X-API-Key", BOB)]);
    let shown = json(&weir, &["limits", "show", "--user", "bob"]);
    let subjects: Vec<_> = shown.as_array().expect("a list").iter().map(row).map(|r| r.0).collect();
    assert_eq!(subjects, ["user bob", "user, route: bob /users/*"]);
}

fn a_limit_or_caller_that_is_not_there_is_said_so(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    assert_eq!(weir.ctl(&["limits", "top"]).stdout, "nothing is counted\n");
    assert_eq!(weir.ctl(&["limits", "show", "--key", "nobody"]).stdout, "nothing is counted\n");
    for (arguments, expected) in [
        (&["limits", "top", "--limit", "x"][..], "no limit is called \"x\"; there are per-address"),
        (&["limits", "reset", "--key", "ann"], "nothing is counted for key ann"),
        (&["limits", "show", "--address", "x"], "\"x\" is not an address"),
    ] {
        let finished = weir.ctl(arguments);
        assert_eq!(finished.status.code(), Some(1), "{arguments:?}");
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
}

/// A request, as weirctl and as a client puts it.
struct Case {
    line: String,
    method: &'static str,
    target: &'static str,
    fields: Vec<(&'static str, String)>,
}

fn case(line: &str, method: &'static str, target: &'static str) -> Case {
    let address = line
        .split_once("--address ")
        .map_or("198.51.100.1", |(_, rest)| rest.split(' ').next().unwrap_or_default());
    let mut fields = vec![("X-Forwarded-For", address.to_owned())];
    for (name, key) in [("ann", ANN), ("bob", BOB)] {
        if line.contains(&format!("--key {name}")) {
            fields.push(("X-API-Key", key.to_owned()));
        }
    }
    if let Some((_, rest)) = line.split_once("--user ") {
        let user = rest.split(' ').next().unwrap_or_default();
        let tier = rest.split_once("--tier ").map(|(_, tier)| tier);
        let claims = serde_json::json!({ "sub": user, "tier": tier, "exp": now_s() + 600 });
        let claims = match tier {
            Some(_) => claims,
            None => serde_json::json!({ "sub": user, "exp": now_s() + 600 }),
        };
        fields.push(("Authorization", format!("Bearer {}", hs256(&claims, SECRET))));
    }
    if let Some((_, tenant)) = line.split_once("--header X-Tenant:") {
        fields.push(("X-Tenant", tenant.to_owned()));
    }
    let mut line = format!("explain --path {target} --method {method} --host a {line}");
    if !line.contains("--address") {
        line += " --address 198.51.100.1";
    }
    Case { line: line.split_whitespace().collect::<Vec<_>>().join(" "), method, target, fields }
}

fn cases() -> Vec<Case> {
    vec![
        case("", "GET", "/open"),
        case("", "GET", "/%6fpen"),
        case("", "GET", "/none"),
        case("", "GET", "/post"),
        case("", "POST", "/post"),
        case("", "GET", "/%zz"),
        case("", "GET", "/old"),
        case("", "GET", "/costly"),
        case("", "TRACE", "/open"),
        case("--address 192.0.2.7", "GET", "/open"),
        case("--address 2001:db8::9", "GET", "/open"),
        case("", "GET", "/keys/a"),
        case("--key ann", "GET", "/keys/a"),
        case("--key ann", "GET", "/keys/a?b=c"),
        case("--user tom", "GET", "/keys/a"),
        case("--key ann", "GET", "/tokens"),
        case("--user tom", "GET", "/tokens"),
        case("--key bob", "GET", "/open"),
        case("--key bob", "GET", "/users/a"),
        case("--user bob", "GET", "/users/b"),
        case("--key ann", "GET", "/rich"),
        case("--key bob", "GET", "/rich"),
        case("--user tom --tier premium", "GET", "/rich"),
        case("--user tom --tier unknown", "GET", "/rich"),
        case("", "GET", "/tenants"),
        case("--header X-Tenant:acme", "GET", "/tenants"),
        case("", "OPTIONS", "*"),
    ]
}

/// The `r` of each limit in a `RateLimit` field.
fn remaining(field: &str) -> Vec<(String, u64)> {
    let item = |item: &str| {
        let (name, parameters) = item.trim().split_once(';')?;
        let left = parameters.split(';').find_map(|p| p.trim().strip_prefix("r="))?;
        Some((name.trim_matches('"').to_owned(), left.parse().ok()?))
    };
    field.split(',').filter_map(item).collect()
}

/// What the limits that count would leave after a request that passes.
fn left_after(explanation: &Value) -> Vec<(String, u64)> {
    let limits = explanation["limits"].as_array().expect("a list").iter();
    let counted = limits.filter(|limit| limit["verdict"] != "skipped" && limit["dry_run"] == false);
    counted
        .map(|limit| {
            let counter = |name: &str| limit["counter"][name].as_u64().expect("a number");
            let cost = limit["cost"].as_u64().expect("a number");
            let left = counter("quota") - counter("used");
            let charged = if limit["verdict"] == "passes" { cost } else { left };
            (limit["name"].as_str().expect("a name").to_owned(), left - charged)
        })
        .collect()
}

fn an_explanation_says_what_a_request_then_gets(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).shards("2").start();
    let mut refused = 0;
    // Often enough that each limit is used up on the way.
    for round in 0..6 {
        for case in cases() {
            let explanation = json(&weir, &case.line.split(' ').collect::<Vec<_>>());
            let mut client = Client::connect(weir.address("main"));
            let fields: Vec<_> = case.fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            client.send(client::request(case.method, case.target, &fields, b""));
            let response = client.try_response(case.method).expect("an answer");
            let said = explanation["status"].as_u64().unwrap_or(200);
            let context = format!("round {round}, {}: {explanation:#}", case.line);
            assert_eq!(said, u64::from(response.status), "{context}");
            if let Some(field) = response.get("ratelimit")
                && response.status != 429
            {
                assert_eq!(left_after(&explanation), remaining(field), "{context}");
            }
            refused += usize::from(response.status == 429);
        }
    }
    assert!(refused > 20, "{refused} of them met a limit that was used up");
}

fn explaining_charges_nothing(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    let line = ["explain", "--path", "/keys/a", "--key", "ann"];
    for _ in 0..20 {
        assert_eq!(json(&weir, &line)["status"], Value::Null);
    }
    assert_eq!(weir.ctl(&["limits", "top"]).stdout, "nothing is counted\n");
    assert_eq!(json(&weir, &["status"])["slots_used"], 0);
    assert_eq!(backend.requests(), 0);
    let text = weir.ctl(&line).stdout;
    for words in ["identity", "key ann", "per-key", "passes", "would go on to its upstream"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    for _ in 0..5 {
        assert_eq!(ask(&weir, ANN), 200);
    }
    let text = weir.ctl(&line).stdout;
    assert!(text.contains("refuses") && text.contains("would answer 429"), "{text}");
    wait::until("the dry run shows", || {
        let explained = json(&weir, &line);
        let dry = explained["limits"].as_array().expect("a list").iter();
        dry.filter(|limit| limit["dry_run"] == true).all(|limit| limit["verdict"] == "refuses")
    });
}

fn a_question_about_nothing_is_refused(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    for (arguments, expected) in [
        (&["explain", "--path", "/", "--key", "nobody"][..], "no key is called \"nobody\""),
        (&["explain", "--path", "/", "--listener", "x"], "no listener is called \"x\""),
        (&["explain", "--path", "/", "--address", "x"], "\"x\" is not an address"),
        (&["explain", "--path", "/ HTTP/1.1\r\nA: b"], "has a control character"),
    ] {
        let finished = weir.ctl(arguments);
        assert_eq!(finished.status.code(), Some(1), "{arguments:?}");
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
    let malformed = json(&weir, &["explain", "--path", "no-slash"]);
    assert_eq!(
        (&malformed["status"], &malformed["steps"][0]["name"]),
        (&400.into(), &"head".into())
    );
}
