//! Limits of every algorithm and by every kind of key, as clients meet them.

use std::sync::mpsc;

use weir_tests::{After, Backend, Client, Exchange, Gate, Runtime, Setup, Weir, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    each_algorithm_refuses_with_its_own_policy,
    parts_of_a_key_count_apart,
    tiers_and_overrides_change_the_allowance,
    a_backend_reports_what_a_request_did_cost,
    a_quota_of_bytes_counts_heads_and_bodies,
    permits_are_held_until_the_answer_is_out,
    permits_come_back_when_clients_or_backends_leave,
    a_tunnel_holds_its_permit_until_it_ends,
    bodies_are_held_back_and_arrive_whole,
    a_dry_run_is_told_in_the_log_and_the_metrics,
    all_kinds_are_exact_across_shards,
    answers_say_nothing_of_limits_when_told_so,
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

fn limit(name: &str, rest: &str) -> String {
    format!("[[limit]]\nname = \"{name}\"\n{rest}\n")
}

/// A gateway with one route for each of `routes`, whose path is `/` and its place.
fn serve(runtime: Runtime, backend: &Backend, tables: &str, routes: &[&str]) -> Weir {
    setup(runtime, backend, tables, routes).start()
}

fn setup(runtime: Runtime, backend: &Backend, tables: &str, routes: &[&str]) -> Setup {
    let setup = Setup::before(runtime, backend).tables(&format!("{KEYS}{tables}"));
    routes
        .iter()
        .enumerate()
        .fold(setup, |setup, (index, rest)| setup.route(&format!("path = \"/{index}/*\"\n{rest}")))
}

/// How many of some requests in a row are answered 200; the others are 429.
fn admitted(weir: &Weir, target: &str, fields: &[(&str, &str)]) -> usize {
    let mut client = Client::connect(weir.address("main"));
    let statuses = (0..12).map(|_| client.get(target, fields).status);
    statuses.filter(|status| [200, 429].contains(status) && *status == 200).count()
}

fn metric(weir: &Weir, line: &str) -> bool {
    let text = client::get(weir.address("control"), "/metrics", &[]).text().to_owned();
    text.lines().any(|have| have == line)
}

fn each_algorithm_refuses_with_its_own_policy(runtime: Runtime) {
    let backend = Backend::text("ok");
    let kinds = [
        ("window", "rate = \"4/366d\"", "q=4;w=31622400"),
        ("strict", "rate = \"4/366d\"\nalgorithm = \"strict\"", "q=4;w=31622400"),
        ("bucket", "rate = \"1/7d\"\nburst = 4\nalgorithm = \"token_bucket\"", "q=4;"),
        ("quota", "rate = \"4/month\"\nalgorithm = \"quota\"", "q=4"),
    ];
    let tables = kinds.map(|(name, rest, _)| limit(name, &format!("key = \"key\"\n{rest}")));
    let routes = kinds.map(|(name, ..)| format!("limits = [\"{name}\"]"));
    let routes = routes.each_ref().map(String::as_str);
    let weir = serve(runtime, &backend, &tables.concat(), &routes);
    for (index, (name, _, policy)) in kinds.iter().enumerate() {
        let target = format!("/{index}/");
        assert_eq!(admitted(&weir, &target, &[ANN]), 4, "{name}");
        let refused = client::get(weir.address("main"), &target, &[ANN]);
        assert_eq!(refused.status, 429, "{name}");
        let told = refused.get("ratelimit-policy").expect("a policy");
        assert!(told.starts_with(&format!("\"{name}\";{policy}")), "{told}");
        assert!(refused.get("retry-after").is_some_and(|s| s.parse::<u64>().is_ok()), "{name}");
        assert_eq!(refused.json()["violated-policies"], serde_json::json!([name]));
        assert_eq!(client::get(weir.address("main"), &target, &[BOB]).status, 200);
        assert!(metric(&weir, &format!("weir_limit_admitted_total{{limit=\"{name}\"}} 5")));
        assert!(metric(&weir, &format!("weir_limit_refused_total{{limit=\"{name}\"}} 9")));
    }
}

fn parts_of_a_key_count_apart(runtime: Runtime) {
    let backend = Backend::text("ok");
    let tables = limit("team", "key = [\"header:X-Team\", \"route\"]\nrate = \"3/366d\"")
        + &limit("tier", "key = \"tier\"\nrate = \"5/366d\"");
    let routes = ["limits = [\"team\"]", "limits = [\"team\"]", "limits = [\"tier\"]"];
    let weir = serve(runtime, &backend, &tables, &routes);
    for target in ["/0/", "/1/"] {
        for team in ["red", "blue"] {
            assert_eq!(admitted(&weir, target, &[("x-team", team)]), 3, "{target} {team}");
        }
        assert_eq!(admitted(&weir, target, &[]), 12, "without the field nobody is counted");
    }
    assert_eq!(admitted(&weir, "/2/", &[ANN]), 5);
    assert_eq!((admitted(&weir, "/2/", &[BOB]), admitted(&weir, "/2/", &[])), (5, 12));
}

fn tiers_and_overrides_change_the_allowance(runtime: Runtime) {
    let backend = Backend::text("ok");
    let tables = limit("tiers", "key = \"key\"\nrate = { free = \"2/366d\" }")
        + &limit("own", "key = \"key\"\nrate = \"2/366d\"\noverrides = { bob = \"6/366d\" }");
    let weir = serve(runtime, &backend, &tables, &["limits = [\"tiers\"]", "limits = [\"own\"]"]);
    assert_eq!((admitted(&weir, "/0/", &[ANN]), admitted(&weir, "/0/", &[BOB])), (2, 12));
    assert_eq!((admitted(&weir, "/1/", &[ANN]), admitted(&weir, "/1/", &[BOB])), (2, 6));
}

fn a_backend_reports_what_a_request_did_cost(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let cost = exchange.target().rsplit('/').next().unwrap_or_default().to_owned();
        exchange.reply(200, &[("X-Cost", &cost), ("X-Other", "kept")], b"ok")
    });
    let tables = limit("l", "key = \"key\"\nrate = \"20/366d\"");
    let route = "limits = [\"l\"]\ncost = 5\ncost_header = \"x-cost\"";
    let weir = serve(runtime, &backend, &tables, &[route]);
    let mut client = Client::connect(weir.address("main"));
    let mut left = |reported: &str| {
        let answer = client.get(&format!("/0/{reported}"), &[ANN]);
        assert_eq!((answer.get("x-cost"), answer.get("x-other")), (None, Some("kept")));
        answer.get("x-ratelimit-remaining").expect("a number").to_owned()
    };
    assert_eq!([left("1"), left("7"), left("nonsense")], ["15", "14", "7"]);
    assert_eq!(left("40"), "2");
    assert_eq!(client.get("/0/1", &[ANN]).status, 429);
    assert!(metric(&weir, "weir_cost_reports_invalid_total 1"));
}

fn a_quota_of_bytes_counts_heads_and_bodies(runtime: Runtime) {
    let backend = Backend::text("0123456789");
    let tables = limit("b", "key = \"key\"\nalgorithm = \"quota\"\nrate = \"1kB/month\"");
    let weir = serve(runtime, &backend, &tables, &["limits = [\"b\"]"]);
    let mut client = Client::connect(weir.address("main"));
    let sent = client::request("GET", "/0/", &[ANN], b"").len();
    let first = client.get("/0/", &[ANN]);
    assert_eq!(first.get("x-ratelimit-remaining"), Some("999"));
    let policy = first.get("ratelimit-policy").expect("a policy");
    assert!(policy.contains("qu=\"content-bytes\""), "{policy}");
    let second = client.get("/0/", &[ANN]);
    let left: usize = second.get("x-ratelimit-remaining").unwrap().parse().unwrap();
    // The head of the answer is written by the gateway; what it had is what is missing.
    let answer = 1000 - 1 - left - sent;
    assert!((100..700).contains(&answer), "{answer} bytes of an answer");
    let admitted = 2 + (0..12).filter(|_| client.get("/0/", &[ANN]).status == 200).count();
    let each = sent + answer;
    assert!((1000 / each..=1000 / each + 1).contains(&admitted), "{admitted} of {each} bytes");
    assert_eq!(client.get("/0/", &[BOB]).status, 200);
}

/// A gateway whose only route has two permits, and whose backend answers once the gate is open.
fn with_permits(runtime: Runtime, gate: &Gate) -> (Backend, Weir) {
    let gate = gate.clone();
    let backend = Backend::start(move |exchange: &mut Exchange<'_>| {
        if exchange.target() == "/0/wait" {
            gate.pass();
        }
        exchange.reply(200, &[], b"ok")
    });
    let tables = limit("p", "key = \"key\"\nalgorithm = \"concurrency\"\nmax = 2");
    let weir = serve(runtime, &backend, &tables, &["limits = [\"p\"]"]);
    (backend, weir)
}

fn permits_are_held_until_the_answer_is_out(runtime: Runtime) {
    let gate = Gate::default();
    let (backend, weir) = with_permits(runtime, &gate);
    let mut waiting: Vec<Client> = (0..2).map(|_| Client::connect(weir.address("main"))).collect();
    for client in &mut waiting {
        client.send_get("/0/wait", &[ANN]);
    }
    wait::until("both are with the backend", || backend.requests() == 2);
    let refused = client::get(weir.address("main"), "/0/", &[ANN]);
    assert_eq!((refused.status, refused.get("retry-after")), (429, Some("1")));
    let policy = refused.get("ratelimit-policy").expect("a policy");
    assert_eq!(policy, "\"p\";q=2;qu=\"concurrent-requests\"");
    assert_eq!(client::get(weir.address("main"), "/0/", &[BOB]).status, 200);
    gate.open();
    for client in &mut waiting {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(admitted(&weir, "/0/", &[ANN]), 12, "one after the other");
}

fn permits_come_back_when_clients_or_backends_leave(runtime: Runtime) {
    let gate = Gate::default();
    let (mut backend, weir) = with_permits(runtime, &gate);
    let free = || client::get(weir.address("main"), "/0/", &[ANN]).status == 200;
    for round in 1..=2 {
        let clients = (0..2).map(|_| {
            let mut client = Client::connect(weir.address("main"));
            client.send_get("/0/wait", &[ANN]);
            client
        });
        let clients: Vec<Client> = clients.collect();
        wait::until("both are with the backend", || {
            backend.seen().iter().filter(|head| head.word(1) == "/0/wait").count() == 2 * round
        });
        assert!(!free(), "all permits are out");
        clients.into_iter().for_each(Client::reset);
        wait::until("they are back", free);
    }
    backend.refuse();
    for _ in 0..5 {
        let failed = client::get(weir.address("main"), "/0/", &[ANN]).status;
        assert!([502, 503].contains(&failed), "{failed}: no answer, and no permit kept");
    }
    gate.open();
}

fn a_tunnel_holds_its_permit_until_it_ends(runtime: Runtime) {
    const SWITCH: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let backend = Backend::start(|exchange| {
        if exchange.target() != "/0/tunnel" {
            return exchange.reply(200, &[], b"ok");
        }
        exchange.send(SWITCH).expect("the gateway reads");
        while exchange.read().is_ok_and(|piece| !piece.is_empty()) {}
        After::Close
    });
    let tables = limit("p", "key = \"key\"\nalgorithm = \"concurrency\"\nmax = 1");
    let weir = serve(runtime, &backend, &tables, &["limits = [\"p\"]"]);
    let mut tunnel = Client::connect(weir.address("main"));
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ANN];
    tunnel.send(client::request("GET", "/0/tunnel", &fields, b""));
    assert_eq!(tunnel.try_head("GET").expect("a head").0, 101);
    for _ in 0..3 {
        assert_eq!(client::get(weir.address("main"), "/0/", &[ANN]).status, 429);
    }
    tunnel.reset();
    wait::until("the permit is back", || {
        client::get(weir.address("main"), "/0/", &[ANN]).status == 200
    });
}

/// The time-outs for slow clients are shorter than the limit holds a buffer's bytes.
fn bodies_are_held_back_and_arrive_whole(runtime: Runtime) {
    const BYTES: usize = 90_000;
    let (told, bodies) = mpsc::channel();
    let backend = Backend::start(move |exchange| {
        if exchange.method() == "POST" {
            let body = exchange.body().expect("all of it");
            told.send(body.len()).expect("the test listens");
            return exchange.reply(200, &[], b"ok");
        }
        exchange.reply_stream(BYTES)
    });
    let paced = "key = \"key\"\nalgorithm = \"byte_rate\"\nrate = \"20kB/s\"\nburst = \"10kB\"";
    let setup = setup(runtime, &backend, &limit("b", paced), &["limits = [\"b\"]"]);
    let weir = setup.http("body_timeout = \"2s\"\nbody_rate_min = \"1GiB\"").start();
    let mut client = Client::connect(weir.address("main"));
    let down = client.get("/0/", &[ANN]);
    assert_eq!((down.status, down.body.len()), (200, BYTES));
    assert_eq!(client.post("/0/", &[ANN], &vec![b'x'; BYTES / 3]).status, 200);
    assert_eq!(bodies.recv(), Ok(BYTES / 3));
    let text = client::get(weir.address("control"), "/metrics", &[]).text().to_owned();
    let line = "weir_limit_delayed_seconds_total{limit=\"b\"} ";
    let delayed = text.lines().find_map(|have| have.strip_prefix(line)).expect("the metric");
    let delayed: f64 = delayed.parse().expect("seconds");
    assert!(delayed > 0.0, "held back for {delayed} s");
}

fn a_dry_run_is_told_in_the_log_and_the_metrics(runtime: Runtime) {
    let backend = Backend::text("ok");
    let tables = limit("dry", "key = \"key\"\nrate = \"2/366d\"\ndry_run = true");
    let weir = setup(runtime, &backend, &tables, &["limits = [\"dry\"]"])
        .access_log("@folder@/access.log")
        .start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..3 {
        assert_eq!(client.get("/0/", &[ANN]).status, 200);
    }
    assert!(metric(&weir, "weir_limit_would_refuse_total{limit=\"dry\"} 1"));
    assert!(metric(&weir, "weir_limit_refused_total{limit=\"dry\"} 0"));
    wait::until("the log says so", || {
        let log = std::fs::read_to_string(weir.folder().join("access.log")).expect("the log");
        log.lines().filter(|line| line.contains("\"weir.would_refuse\":\"dry\"")).count() == 1
    });
}

fn all_kinds_are_exact_across_shards(runtime: Runtime) {
    const LIMIT: usize = 60;
    let backend = Backend::text("ok");
    let kinds = [
        format!("rate = \"{LIMIT}/366d\"\nalgorithm = \"strict\""),
        format!("rate = \"1/3d\"\nburst = {LIMIT}\nalgorithm = \"token_bucket\""),
        format!("rate = \"{LIMIT}/month\"\nalgorithm = \"quota\""),
    ];
    let names = ["a", "b", "c"];
    let tables = names.iter().zip(&kinds);
    let tables: String =
        tables.map(|(name, rest)| limit(name, &format!("key = \"key\"\n{rest}"))).collect();
    let routes = names.map(|name| format!("limits = [\"{name}\"]"));
    let routes = routes.each_ref().map(String::as_str);
    let weir = setup(runtime, &backend, &tables, &routes).shards("2").start();
    for (index, kind) in kinds.iter().enumerate() {
        let target = format!("/{index}/");
        let counts = std::thread::scope(|scope| {
            let ask = || -> usize { (0..4).map(|_| admitted(&weir, &target, &[ANN])).sum() };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<usize>()
        });
        assert_eq!(counts, LIMIT, "{kind}");
    }
}

fn answers_say_nothing_of_limits_when_told_so(runtime: Runtime) {
    let backend = Backend::text("ok");
    let tables = limit("l", "key = \"key\"\nrate = \"1/366d\"");
    let weir = setup(runtime, &backend, &tables, &["limits = [\"l\"]"])
        .http("rate_limit_fields = false")
        .start();
    for status in [200, 429] {
        let answer = client::get(weir.address("main"), "/0/", &[ANN]);
        let told = ["ratelimit", "ratelimit-policy", "x-ratelimit-limit"].map(|f| answer.get(f));
        assert_eq!((answer.status, told), (status, [None; 3]));
        assert_eq!(answer.get("retry-after").is_some(), status == 429);
    }
}
