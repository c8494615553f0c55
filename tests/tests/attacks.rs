//! What is done to limits by who means harm, and what must not come of it.

use weir_tests::{After, Backend, Client, Gate, Response, Runtime, Setup, Weir, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    permits_survive_aborts_reloads_and_an_upgrade,
    a_flood_of_field_values_stops_at_a_limit_by_address,
    a_flood_of_field_values_alone_fills_the_table,
    odd_values_are_counted_apart,
    reports_of_costs_that_lie_change_nothing,
    who_waits_as_told_is_not_banned_and_who_does_not_is,
    a_forged_address_neither_saves_nor_bans,
    guessed_keys_are_charged_to_the_address,
);

fn limit(name: &str, rest: &str) -> String {
    format!("[[limit]]\nname = \"{name}\"\n{rest}\n")
}

fn behind(runtime: Runtime, backend: &Backend, tables: &str, route: &str) -> Setup {
    Setup::before(runtime, backend).tables(tables).route(&format!("path = \"/*\"\n{route}"))
}

#[track_caller]
fn ask(weir: &Weir, fields: &[(&str, &str)]) -> Response {
    client::get(weir.address("main"), "/", fields)
}

#[track_caller]
fn remaining(answer: &Response) -> usize {
    let left = answer.get("x-ratelimit-remaining").expect("the limit's standing");
    left.parse().expect("a number")
}

/// Not from the metrics, which every limit by address guards.
#[track_caller]
fn slots_used(weir: &Weir) -> u64 {
    let status = weir.ctl(&["--json", "status"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    status["slots_used"].as_u64().expect("a number")
}

fn permits_survive_aborts_reloads_and_an_upgrade(runtime: Runtime) {
    const MAX: usize = 40;
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        if exchange.target() == "/held" {
            held.pass();
            return After::Close;
        }
        exchange.reply(200, &[], b"ok")
    });
    let table = |rest: &str| limit("c", &format!("key = \"address\"\n{rest}"));
    let permits = table(&format!("algorithm = \"concurrency\"\nmax = {MAX}"));
    let setup = |table: &str| behind(runtime, &backend, table, "limits = [\"c\"]").shards("2");
    let mut weir = setup(&permits).start();
    let all_but = |weir: &Weir, held: usize| {
        wait::until("the others are back", || remaining(&ask(weir, &[])) == MAX - 1 - held);
    };
    let mut kept = Client::connect(weir.address("main"));
    kept.send_get("/held", &[]);
    all_but(&weir, 1);
    // Gone before their heads are whole, before their answers come, and with a reset.
    for round in 0..300 {
        let mut client = Client::connect(weir.address("main"));
        let request = client::request("GET", "/held", &[], b"");
        let length = if round % 3 == 0 { request.len() / 2 } else { request.len() };
        client.send(&request[..length]);
        // Who only says that he sends no more may still wait for the answer.
        if round % 3 != 0 || round % 2 == 0 {
            client.reset();
        }
    }
    all_but(&weir, 1);
    // A limit of another kind, and gone altogether, while a permit of it is out.
    for other in [table("rate = \"1000/1m\""), String::new()] {
        let named = if other.is_empty() { "" } else { "limits = [\"c\"]" };
        weir.write_config(&behind(runtime, &backend, &other, named).shards("2").toml());
        assert!(weir.ctl(&["reload"]).status.success());
        wait::until("it is in use", || {
            let told = ask(&weir, &[]).get("x-ratelimit-limit").map(str::to_owned);
            told.as_deref() == if other.is_empty() { None } else { Some("1000") }
        });
    }
    weir.write_config(&setup(&permits).toml());
    assert!(weir.ctl(&["reload"]).status.success());
    wait::until("it is in use", || ask(&weir, &[]).get("x-ratelimit-limit").is_some());
    let old = weir.upgrade();
    all_but(&weir, 0);
    gate.open();
    assert_eq!(kept.response().status, 502);
    assert_eq!(old.wait().status.code(), Some(0));
    all_but(&weir, 0);
    assert!(weir.terminate().status.success());
}

/// More values than the table has slots.
#[track_caller]
fn flood(weir: &Weir) -> Vec<u16> {
    let mut client = Client::connect(weir.address("main"));
    (0..120).map(|at| client.get("/", &[("X-Team", &format!("team-{at}"))]).status).collect()
}

const BY_TEAM: &str = "key = \"header:X-Team\"\nrate = \"100/366d\"";

fn a_flood_of_field_values_stops_at_a_limit_by_address(runtime: Runtime) {
    let backend = Backend::text("ok");
    let tables = limit("a", "key = \"address\"\nrate = \"20/366d\"\ncallers = \"all\"")
        + &limit("t", BY_TEAM)
        + &limit("r", "key = \"route\"\nrate = \"100/366d\"");
    let setup = behind(runtime, &backend, &tables, "limits = [\"t\", \"r\", \"a\"]");
    let weir = setup.engine("slots = 64").start();
    let statuses = flood(&weir);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20);
    assert!(statuses[20..].iter().all(|status| *status == 429), "{statuses:?}");
    // Its own, the route's, and one for each request that was let in.
    assert_eq!(slots_used(&weir), 22);
}

/// What docs/limits.md warns of.
fn a_flood_of_field_values_alone_fills_the_table(runtime: Runtime) {
    let backend = Backend::text("ok");
    for (on_full, after) in [("refuse", 503), ("admit", 200)] {
        let rest = format!("{BY_TEAM}\non_full = \"{on_full}\"");
        let setup = behind(runtime, &backend, &limit("t", &rest), "limits = [\"t\"]");
        let weir = setup.engine("slots = 64").start();
        let statuses = flood(&weir);
        assert_eq!(statuses[0], 200);
        assert_eq!(statuses[119], after, "{statuses:?}");
        assert_eq!(ask(&weir, &[("X-Team", "team-0")]).status, 200, "who has a slot keeps it");
        assert!(weir.metric("weir_limit_table_full_total") > 40);
    }
}

fn odd_values_are_counted_apart(runtime: Runtime) {
    let backend = Backend::text("ok");
    let table = limit("t", "key = \"header:X-Team\"\nrate = \"1/366d\"");
    let weir = behind(runtime, &backend, &table, "limits = [\"t\"]").start();
    let long = "x".repeat(7_000);
    let other = format!("{}y", "x".repeat(6_999));
    let values: [&[u8]; 6] =
        [b"", b"\xff\xfe", b"\xff\xfd", long.as_bytes(), other.as_bytes(), "größe".as_bytes()];
    for expected in [200, 429] {
        for value in values {
            let mut client = Client::connect(weir.address("main"));
            let head = b"GET / HTTP/1.1\r\nHost: h\r\nX-Team: ";
            client.send([head, value, b"\r\n\r\n"].concat());
            let shown = String::from_utf8_lossy(&value[..value.len().min(9)]).into_owned();
            assert_eq!(client.response().status, expected, "{shown}");
        }
    }
    assert_eq!(ask(&weir, &[]).status, 200, "without the field nobody is counted");
}

fn reports_of_costs_that_lie_change_nothing(runtime: Runtime) {
    const LIMIT: usize = 100;
    let reports: [&[(&str, &str)]; 9] = [
        &[("X-Cost", "-1")],
        &[("X-Cost", "1e30")],
        &[("X-Cost", "5.0")],
        &[("X-Cost", "")],
        &[("X-Cost", "0x10")],
        &[("X-Cost", "+5")],
        &[("X-Cost", "5, 6")],
        &[("X-Cost", "5 6")],
        &[("X-Cost", "99999999999999999999999999")],
    ];
    let backend = Backend::start(move |exchange| {
        let at = exchange.target().trim_start_matches('/').parse::<usize>().unwrap_or(0);
        exchange.reply(200, reports[at], b"ok")
    });
    let table = limit("l", &format!("key = \"address\"\nrate = \"{LIMIT}/366d\""));
    let route = "limits = [\"l\"]\ncost_header = \"X-Cost\"";
    let weir = behind(runtime, &backend, &table, route).start();
    for (at, report) in reports.iter().enumerate() {
        let answer = client::get(weir.address("main"), &format!("/{at}"), &[]);
        assert_eq!((answer.status, answer.get("x-cost")), (200, None), "{report:?}");
        assert_eq!(remaining(&answer), LIMIT - 1 - at, "{report:?}");
    }
    assert_eq!(weir.metric("weir_cost_reports_invalid_total"), 9);
}

const BAN: &str = "ban = { after = 3, within = \"1m\", for = \"300s\" }";

fn who_waits_as_told_is_not_banned_and_who_does_not_is(runtime: Runtime) {
    let backend = Backend::text("ok");
    let rest =
        format!("key = \"key\"\nrate = \"1/1s\"\nalgorithm = \"token_bucket\"\nburst = 1\n{BAN}");
    let keys = ["patient", "hasty"].map(|name| {
        format!("[[key]]\nname = \"{name}\"\nkey = \"{name}-0123456789abcdef\"\ntier = \"free\"\n")
    });
    let tables = keys.concat() + &limit("t", &rest);
    let weir = behind(runtime, &backend, &tables, "limits = [\"t\"]").start();
    let patient = [("X-API-Key", "patient-0123456789abcdef")];
    let hasty = [("X-API-Key", "hasty-0123456789abcdef")];
    let mut refusals = 0;
    let mut client = Client::connect(weir.address("main"));
    while refusals < 5 {
        let answer = client.get("/", &patient);
        if answer.status == 429 {
            refusals += 1;
            let told: u64 = answer.get("retry-after").expect("told").parse().expect("seconds");
            assert!(told <= 1, "told {told}, after {refusals} refusals");
            wait::as_told(std::time::Duration::from_secs(told));
        }
    }
    assert_eq!(weir.metric("weir_limit_banned_total"), 0);
    wait::until("it is banned", || {
        client.get("/", &hasty).get("retry-after").is_some_and(|told| told.len() > 2)
    });
    assert_eq!(client.get("/", &patient).get("retry-after").filter(|told| told.len() > 2), None);
}

fn by_address(runtime: Runtime, backend: &Backend) -> Setup {
    let rest = format!("key = \"address\"\nrate = \"1/366d\"\n{BAN}");
    behind(runtime, backend, &limit("a", &rest), "limits = [\"a\"]")
}

fn a_forged_address_neither_saves_nor_bans(runtime: Runtime) {
    let backend = Backend::text("ok");
    let forged = |at: usize| format!("198.51.100.{}", at % 200);
    // Nobody is trusted: whatever is claimed, it is one caller.
    let weir = by_address(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    let mut ask = |at| client.get("/", &[("X-Forwarded-For", &forged(at))]).status;
    assert_eq!((0..30).filter(|at| ask(*at) == 200).count(), 1);
    let bans = weir.ctl(&["--json", "bans", "list"]);
    assert!(bans.stdout.contains("127.0.0.1") && !bans.stdout.contains("198.51"), "{bans:?}");
    // Behind a proxy: what a client claims before the proxy's own word counts for nobody.
    let setup = by_address(runtime, &backend).listener("trusted_proxies = [\"127.0.0.1\"]");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    let mut ask = |claimed: &str, at: &str| {
        client.get("/", &[("X-Forwarded-For", &format!("{claimed}, {at}"))]).status
    };
    let victim = "198.51.100.7";
    assert_eq!((0..30).filter(|_| ask(victim, "203.0.113.9") == 200).count(), 1);
    assert_eq!(ask("203.0.113.9", victim), 200, "he did nothing");
}

fn guessed_keys_are_charged_to_the_address(runtime: Runtime) {
    let backend = Backend::text("ok");
    let key = "[[key]]\nname = \"ann\"\nkey = \"ann-0123456789abcdef\"\ntier = \"free\"\n";
    let tables = key.to_owned() + &limit("a", "key = \"address\"\nrate = \"10/366d\"");
    let route = "auth = \"api_key\"\nlimits = [\"a\"]";
    let weir = behind(runtime, &backend, &tables, route).start();
    let guess = |at: usize| ask(&weir, &[("X-API-Key", &format!("guess-{at}-0123456789"))]).status;
    assert!((0..10).all(|at| guess(at) == 401));
    assert!((10..20).all(|at| guess(at) == 429), "not even told that it is wrong");
    assert_eq!(ask(&weir, &[("X-API-Key", "ann-0123456789abcdef")]).status, 200);
    assert_eq!(slots_used(&weir), 1, "a guess takes no slot");
}
