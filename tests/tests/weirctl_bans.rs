//! `weirctl bans`: who is kept out by hand, and by limits.

use serde_json::Value;
use weir_tests::{Backend, Runtime, Setup, Weir, client, on_both_runtimes, tools, wait};

on_both_runtimes!(
    whoever_is_banned_is_refused_by_every_shard_and_after_kill_9,
    a_ban_ends_by_itself,
    bans_by_limits_are_listed_and_lifted,
    what_cannot_be_banned_or_lifted_is_said_so,
    changes_are_on_record,
);

const TABLES: &str = r#"
[[key]]
name = "ann"
key = "ann-0123456789abcdef"
[[key]]
name = "bob"
key = "bob-0123456789abcdef"
user = "robert"
[[limit]]
name = "strict"
key = "key"
rate = "1/366d"
ban = { after = 2, within = "1h", for = "1h" }
"#;

fn setup(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .listener("trusted_proxies = [\"127.0.0.1\"]")
        .tables(TABLES)
        .route("path = \"/*\"\nauth = \"any\"\n")
        .route("path = \"/limited\"\nauth = \"any\"\nlimits = [\"strict\"]")
        .shards("2")
}

/// The statuses of requests of their own connections, so that both shards are asked.
fn statuses(weir: &Weir, key: &str, address: &str) -> Vec<u16> {
    let fields = [("X-API-Key", key), ("X-Forwarded-For", address)];
    let mut all: Vec<_> =
        (0..12).map(|_| client::get(weir.address("main"), "/", &fields).status).collect();
    all.dedup();
    all
}

fn ann(weir: &Weir, address: &str) -> Vec<u16> {
    statuses(weir, "ann-0123456789abcdef", address)
}

fn bob(weir: &Weir) -> Vec<u16> {
    statuses(weir, "bob-0123456789abcdef", "198.51.100.1")
}

#[track_caller]
fn done(weir: &Weir, arguments: &[&str]) -> String {
    let finished = weir.ctl(arguments);
    assert!(finished.status.success(), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

fn list(weir: &Weir) -> Vec<Value> {
    let text = done(weir, &["--json", "bans", "list"]);
    serde_json::from_str::<Vec<Value>>(&text).expect("a list")
}

fn whoever_is_banned_is_refused_by_every_shard_and_after_kill_9(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend).start();
    assert_eq!((ann(&weir, "192.0.2.1"), bob(&weir)), (vec![200], vec![200]));
    done(&weir, &["bans", "add", "--address", "192.0.2.7/24", "--reason", "scrapers"]);
    done(&weir, &["bans", "add", "--user", "robert", "--for", "1d"]);
    let obeyed = |weir: &Weir| {
        ann(weir, "192.0.2.1") == [403] && ann(weir, "198.51.100.1") == [200] && bob(weir) == [403]
    };
    wait::until("the shards have heard", || obeyed(&weir));
    weir.kill();
    weir.restart();
    // From the first request on.
    assert!(obeyed(&weir), "{:?} {:?}", ann(&weir, "192.0.2.1"), bob(&weir));
    let listed = list(&weir);
    assert_eq!(listed.len(), 2, "{listed:?}");
    let network = &listed[0];
    assert_eq!(
        [&network["subject"], &network["reason"], &network["left_s"]],
        [&Value::from("address 192.0.2.0/24"), &Value::from("scrapers"), &Value::Null]
    );
    assert!(network["by"].as_str().is_some_and(|by| by.starts_with("uid ")), "{network}");
    assert!(listed[1]["left_s"].as_u64().is_some_and(|left| left > 86_000), "{listed:?}");
    let explained = done(&weir, &["explain", "--path", "/", "--key", "bob"]);
    assert!(explained.contains("blocked by an operator"), "{explained}");
    assert!(done(&weir, &["bans", "lift", "--user", "robert"]).contains("lifted a block"));
    done(&weir, &["bans", "lift", "--address", "192.0.2.0/24"]);
    wait::until("they are let in", || ann(&weir, "192.0.2.1") == [200] && bob(&weir) == [200]);
    weir.kill();
    weir.restart();
    assert_eq!((ann(&weir, "192.0.2.1"), bob(&weir)), (vec![200], vec![200]));
    assert_eq!(done(&weir, &["bans", "list"]), "nobody is banned\n");
}

fn a_ban_ends_by_itself(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    done(&weir, &["bans", "add", "--key", "ann", "--for", "1s"]);
    wait::until("it is over", || list(&weir).is_empty() && ann(&weir, "192.0.2.1") == [200]);
}

fn bans_by_limits_are_listed_and_lifted(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend).start();
    let ask = |weir: &Weir| {
        let fields = [("X-API-Key", "ann-0123456789abcdef")];
        client::get(weir.address("main"), "/limited", &fields).status
    };
    assert_eq!(ask(&weir), 200);
    // Too early, again and again.
    wait::until("it is banned", || {
        assert_eq!(ask(&weir), 429);
        !list(&weir).is_empty()
    });
    weir.kill();
    weir.restart();
    let listed = list(&weir);
    assert_eq!(
        [&listed[0]["subject"], &listed[0]["limit"], &listed[0]["step"]],
        [&Value::from("key ann"), &Value::from("strict"), &Value::from(1)]
    );
    assert!(done(&weir, &["bans", "lift", "--key", "ann"]).contains("lifted 1 ban"));
    assert!(list(&weir).is_empty());
    done(&weir, &["limits", "reset", "--key", "ann"]);
    assert_eq!(ask(&weir), 200);
}

fn what_cannot_be_banned_or_lifted_is_said_so(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend).start();
    done(&weir, &["bans", "add", "--address", "192.0.2.0/24"]);
    let again = done(&weir, &["bans", "add", "--address", "192.0.2.0/24", "--for", "1h"]);
    assert!(again.contains("in place of an earlier block"), "{again}");
    let stranger = done(&weir, &["bans", "add", "--key", "zoe"]);
    assert!(stranger.contains("no key of the configuration has that name"), "{stranger}");
    for (arguments, expected) in [
        (&["bans", "add", "--address", "192.0.2.0/33"][..], "is no address or network"),
        (&["bans", "add", "--user", ""], "the user's name is empty"),
        (&["bans", "lift", "--key", "ann"], "key ann is neither blocked nor banned"),
        (&["bans", "lift", "--address", "192.0.2.7"], "with all of 192.0.2.0/24: lift that"),
    ] {
        let finished = weir.ctl(arguments);
        assert_eq!(finished.status.code(), Some(1), "{arguments:?}");
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
}

fn changes_are_on_record(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend).start();
    ann(&weir, "192.0.2.1");
    client::get(weir.address("main"), "/limited", &[("X-API-Key", "ann-0123456789abcdef")]);
    done(&weir, &["bans", "add", "--key", "ann"]);
    done(&weir, &["bans", "lift", "--key", "ann"]);
    done(&weir, &["limits", "reset", "--key", "ann"]);
    done(&weir, &["reload"]);
    done(&weir, &["drain"]);
    assert!(weir.wait().status.success());
    let ledger = weir.folder().join("ledger");
    let dumped = tools::weir(&["ledger", "dump", ledger.to_str().expect("UTF-8")]);
    assert!(dumped.status.success(), "{}", dumped.stderr);
    let lines = dumped.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let audits: Vec<_> = lines.filter(|line| line["record"] == "audit").collect();
    let actions: Vec<_> = audits.iter().map(|audit| audit["action"].as_str()).collect();
    let expected = ["bans add", "bans lift", "limits reset", "reload", "drain"];
    assert_eq!(actions, expected.map(Some));
    let actor = |audit: &Value| audit["actor"].as_str().is_some_and(|by| by.starts_with("uid "));
    assert!(audits.iter().all(actor), "{audits:?}");
}
