//! Bans by limits, as callers meet them.

use std::time::Duration;

use weir_tests::{Backend, Client, Response, Runtime, Setup, Weir, client, on_both_runtimes, wait};

on_both_runtimes!(
    who_does_not_wait_is_banned_and_nobody_else_of_the_address,
    who_waits_as_told_is_never_banned,
    a_ban_outlives_kill_9_until_it_is_lifted,
    a_banned_address_takes_its_network_along_but_nobody_who_is_allowed,
);

const TABLES: &str = r#"
[[key]]
name = "ann"
key = "ann-0123456789abcdef"
[[key]]
name = "bob"
key = "bob-0123456789abcdef"
[[limit]]
name = "key"
key = "key"
rate = "1/366d"
ban = { after = 2, within = "1h", for = "1h" }
[[limit]]
name = "quick"
key = "key"
algorithm = "token_bucket"
rate = "1/1s"
burst = 1
ban = { after = 1, within = "1h", for = "1h" }
"#;
/// Limits by address hold on the control listener too.
const BY_ADDRESS: &str = r#"
[[limit]]
name = "address"
key = "address"
callers = "all"
rate = "1/366d"
ban = { after = 2, within = "1h", for = "1h" }
[access]
allow = ["192.0.2.7"]
"#;
const ANN: (&str, &str) = ("X-API-Key", "ann-0123456789abcdef");
const BOB: (&str, &str) = ("X-API-Key", "bob-0123456789abcdef");
const BAN_S: u64 = 3_600;

fn setup(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .listener("trusted_proxies = [\"127.0.0.1\"]")
        .tables(TABLES)
        .route("path = \"/*\"\nauth = \"any\"")
        .route("path = \"/key\"\nauth = \"any\"\nlimits = [\"key\"]")
        .route("path = \"/quick\"\nauth = \"any\"\nlimits = [\"quick\"]")
        .route("path = \"/open\"")
        .shards("2")
}

/// On a connection of its own, so that both shards are asked.
fn ask(weir: &Weir, target: &str, who: (&str, &str)) -> Response {
    client::get(weir.address("main"), target, &[who])
}

#[track_caller]
fn retry_after_s(refused: &Response) -> u64 {
    assert_eq!(refused.status, 429);
    refused.get("retry-after").and_then(|text| text.parse().ok()).expect("seconds")
}

/// One request that is admitted, a refusal that says when to come back, and two that do not wait.
#[track_caller]
fn misbehave(weir: &Weir, target: &str, who: (&str, &str)) {
    assert_eq!(ask(weir, target, who).status, 200);
    assert!(retry_after_s(&ask(weir, target, who)) > BAN_S + 1, "the limit's own time");
    for _ in 0..2 {
        assert_eq!(ask(weir, target, who).status, 429);
    }
}

#[track_caller]
fn assert_banned(weir: &Weir, target: &str, who: (&str, &str)) {
    for _ in 0..4 {
        let left_s = retry_after_s(&ask(weir, target, who));
        // A ban ends with a second of the clock: up to one later than it says.
        assert!((1..=BAN_S + 1).contains(&left_s), "{left_s} s are left of the ban");
    }
}

#[track_caller]
fn done(weir: &Weir, arguments: &[&str]) -> String {
    let finished = weir.ctl(arguments);
    assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

fn who_does_not_wait_is_banned_and_nobody_else_of_the_address(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    misbehave(&weir, "/key", ANN);
    assert_banned(&weir, "/key", ANN);
    // Whatever is asked for, and without being counted as refused by the limit.
    assert_banned(&weir, "/", ANN);
    assert_eq!(weir.metric("weir_limit_refused_total{limit=\"key\"}"), 3);
    assert_eq!((weir.metric("weir_bans"), weir.metric("weir_bans_total")), (1, 1));
    assert_eq!(weir.metric("weir_slots_live"), 1);
    assert!(weir.metric("weir_slots_oldest_seconds") > 0);
    assert_eq!(backend.requests(), 1);
    // From the same address: another key, which has its own allowance, and nobody at all.
    assert_eq!((ask(&weir, "/", BOB).status, ask(&weir, "/key", BOB).status), (200, 200));
    assert_eq!(client::get(weir.address("main"), "/open", &[]).status, 200);
}

/// By the limit that bans for a single strike: what is waited for is what the gateway asks for.
fn who_waits_as_told_is_never_banned(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for round in 0..3 {
        assert_eq!(client.get("/quick", &[ANN]).status, 200, "round {round}");
        // As fast as it can; a machine that is slower than the rate is never refused.
        let ask = || Some(client.get("/quick", &[ANN])).filter(|answer| answer.status != 200);
        let refused = wait::poll(wait::PATIENCE, ask).expect("a refusal");
        let told = Duration::from_secs(retry_after_s(&refused));
        assert!(told <= Duration::from_secs(1), "{told:?}: a ban");
        assert_eq!(wait::poll(told, || None::<()>), None);
    }
    assert_eq!(client.get("/quick", &[ANN]).status, 200);
    assert_eq!(weir.metric("weir_bans_total"), 0);
    assert!(weir.metric("weir_limit_refused_total{limit=\"quick\"}") >= 3);
    // Who does not wait at all is, by the same limit.
    let banned = || {
        let answer = client.get("/quick", &[BOB]);
        (answer.status == 429 && retry_after_s(&answer) > 1).then_some(())
    };
    assert_eq!(wait::poll(wait::PATIENCE, banned), Some(()));
}

fn a_ban_outlives_kill_9_until_it_is_lifted(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend).start();
    misbehave(&weir, "/key", ANN);
    for _ in 0..2 {
        weir.kill();
        weir.restart();
        assert_banned(&weir, "/", ANN);
        assert_eq!(ask(&weir, "/", BOB).status, 200);
    }
    let listed = done(&weir, &["bans", "list"]);
    assert!(listed.contains("key ann"), "{listed}");
    assert!(done(&weir, &["bans", "lift", "--key", "ann"]).contains("lifted 1 ban"));
    assert_eq!(ask(&weir, "/", ANN).status, 200);
    assert_eq!(done(&weir, &["bans", "list"]), "nobody is banned\n");
    // What was counted is not forgiven with it.
    assert!(retry_after_s(&ask(&weir, "/key", ANN)) > BAN_S + 1);
    weir.kill();
    weir.restart();
    assert_eq!(ask(&weir, "/", ANN).status, 200, "lifted for good");
}

fn a_banned_address_takes_its_network_along_but_nobody_who_is_allowed(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend)
        .tables(BY_ADDRESS)
        .route("path = \"/address\"\nlimits = [\"address\"]")
        .start();
    let at = |address: &'static str| ("X-Forwarded-For", address);
    misbehave(&weir, "/address", at("192.0.2.1"));
    assert_banned(&weir, "/open", at("192.0.2.1"));
    assert_eq!(ask(&weir, "/open", at("192.0.2.2")).status, 200);
    // IPv6 by /64.
    misbehave(&weir, "/address", at("2001:db8::1"));
    assert_banned(&weir, "/open", at("2001:db8::2:3"));
    assert_eq!(ask(&weir, "/open", at("2001:db8:0:1::1")).status, 200);
    // An address that a list allows is limited like others, and never banned.
    misbehave(&weir, "/address", at("192.0.2.7"));
    for _ in 0..4 {
        assert!(retry_after_s(&ask(&weir, "/address", at("192.0.2.7"))) > BAN_S + 1);
        assert_eq!(ask(&weir, "/open", at("192.0.2.7")).status, 200);
    }
}
