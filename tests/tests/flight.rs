//! The flight recorder of the real process, and `weir backtest` on what it has recorded.

use std::process::Command;

use serde_json::Value;
use weir_tests::{Backend, Client, Runtime, Setup, Weir, binaries, on_both_runtimes, wait};

on_both_runtimes!(
    the_same_configuration_decides_the_same,
    another_configuration_decides_what_it_says,
    kill_9_loses_no_record,
    an_upgrade_goes_on_recording,
    a_reload_names_what_is_new,
);

/// Keys of a caller for the second limit.
const KEY: &str = "0123456789abcdef-key";

fn setup(runtime: Runtime, backend: &Backend, per_address: &str, per_key: &str) -> Setup {
    let tables = format!(
        "[[key]]\nname = \"k-1\"\nuser = \"alice\"\ntier = \"free\"\nkey = \"{KEY}\"\n\
         [[limit]]\nname = \"per-address\"\nkey = \"address\"\nrate = \"{per_address}\"\n\
         [[limit]]\nname = \"per-key\"\nkey = \"key\"\nrate = \"{per_key}\"\n",
    );
    Setup::before(runtime, backend)
        .engine("flight = \"1MiB\"")
        .tables(&tables)
        .route("path = \"/*\"\nlimits = [\"per-address\", \"per-key\"]")
}

/// Nine without a key, then nine with one, on one connection; the statuses.
fn ask(weir: &Weir) -> Vec<u16> {
    let mut client = Client::connect(weir.address("main"));
    (0..18)
        .map(|n| {
            let key = [("X-API-Key", KEY)];
            client.get("/", if n < 9 { &[] } else { &key }).status
        })
        .collect()
}

fn backtest(weir: &Weir, config: &Setup) -> Value {
    let path = weir.folder().join("new.toml");
    let folder = weir.folder().to_str().expect("a folder of UTF-8");
    let text = config.toml().replace("@folder@", folder);
    let text = text.replace("@port:main@", "1").replace("@port:control@", "2");
    std::fs::write(&path, text).expect("writes the configuration");
    let run = |json: &[&str]| {
        let mut command = Command::new(binaries::weir());
        command.arg("backtest").arg("--flight").arg(weir.folder().join("ledger/flight"));
        command.arg("--config").arg(&path).args(json);
        let output = command.output().expect("weir starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = run(&["--top", "5"]);
    assert!(text.contains("\nlimit per-address\n"), "{text}");
    serde_json::from_str(&run(&["--json"])).expect("JSON")
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|seen| **seen == status).count()
}

fn the_same_configuration_decides_the_same(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = setup(runtime, &backend, "5/1h", "7/1h");
    let mut weir = setup.start();
    let statuses = ask(&weir);
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (12, 6));
    assert!(weir.terminate().status.success());
    let report = backtest(&weir, &setup);
    assert_eq!(report["records"], 18, "{report}");
    for (limit, refused) in [(0, 4), (1, 2)] {
        assert_eq!(report["limits"][limit]["refused"], refused, "{report}");
        assert_eq!(report["limits"][limit]["would_refuse"], refused, "{report}");
    }
    assert_eq!((&report["newly_refused"], &report["newly_admitted"]), (&0.into(), &0.into()));
    assert_eq!(report["limits"][0]["keys"][0]["key"], "127.0.0.1");
    assert_eq!(report["limits"][1]["keys"][0]["key"], "k-1");
}

fn another_configuration_decides_what_it_says(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend, "5/1h", "7/1h").start();
    ask(&weir);
    assert!(weir.terminate().status.success());
    let report = backtest(&weir, &setup(runtime, &backend, "8/1h", "6/1h"));
    // Without a key: the seventh and the eighth by `per-key`, which counts their address, and the
    // ninth by `per-address`. With it, the seventh to the ninth.
    assert_eq!(report["limits"][0]["would_refuse"], 1, "{report}");
    assert_eq!(report["limits"][1]["would_refuse"], 5, "{report}");
    assert_eq!((&report["newly_refused"], &report["newly_admitted"]), (&1.into(), &1.into()));
}

fn kill_9_loses_no_record(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = setup(runtime, &backend, "100/1h", "100/1h").shards("2");
    let mut weir = setup.start();
    (0..5).for_each(|_| drop(ask(&weir)));
    weir.kill();
    weir.restart();
    ask(&weir);
    assert!(weir.terminate().status.success());
    // A record is written when its answer has left: the last of each connection may be missing.
    let records = backtest(&weir, &setup)["records"].as_u64().expect("a number");
    assert!((6 * 18 - 5..=6 * 18).contains(&records), "{records}");
}

fn an_upgrade_goes_on_recording(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = setup(runtime, &backend, "100/1h", "100/1h");
    let mut weir = setup.start();
    ask(&weir);
    let predecessor = weir.upgrade();
    assert!(predecessor.wait().status.success());
    ask(&weir);
    assert!(weir.terminate().status.success());
    assert_eq!(backtest(&weir, &setup)["records"], 36);
}

fn a_reload_names_what_is_new(runtime: Runtime) {
    let backend = Backend::text("ok");
    let old = setup(runtime, &backend, "1000/1h", "100/1h");
    let mut weir = old.start();
    ask(&weir);
    let new = old.clone().route("path = \"/new\"\nlimits = [\"per-key\"]");
    weir.write_config(&new.toml());
    let reloaded = weir.ctl(&["reload"]);
    assert!(reloaded.status.success(), "{}", reloaded.stderr);
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.get("/new", &[]).status, 200);
    wait::until("all are recorded", || weir.metric("weir_flight_records_total") >= 19);
    let report = backtest(&weir, &old);
    assert_eq!(report["missing_routes"][0]["route"], "*/new", "{report}");
    assert_eq!(report["limits"][1]["would_admit"], 18, "{report}");
    assert_eq!(backtest(&weir, &new)["without_route"], 0);
    assert!(weir.terminate().status.success());
}
