//! Shards that stand still: who is told, who is served meanwhile, and how the process ends.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use weir_tests::wait::PATIENCE;
use weir_tests::{Backend, Client, Response, Runtime, Setup, Stall, Weir, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    a_shard_that_stands_still_is_told_of_until_it_turns,
    a_shard_that_stands_still_ends_the_process_where_that_is_asked_for,
    a_shard_that_stands_still_does_not_hold_up_the_end,
    no_successor_gets_what_a_shard_that_stands_still_has,
);

/// Long enough for a shard that turns.
const TURN: Duration = Duration::from_millis(500);

fn setup(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend).shards("2").engine("watchdog = \"3s\"")
}

fn hold(weir: &mut Weir) -> Option<Stall> {
    Stall::begin(weir.process(), "weir-shard-0")
}

/// A page by whichever shard turns: the kernel deals connections to both.
#[track_caller]
fn page(weir: &Weir, path: &str) -> Response {
    let answered = wait::poll(PATIENCE, || {
        let mut client = Client::connect(weir.address("control")).patience(TURN);
        client.try_send(client::request("GET", path, &[], b"")).ok()?;
        client.try_response("GET").ok()
    });
    answered.expect("one of the shards answers")
}

#[track_caller]
fn until_told(weir: &mut Weir, words: &str) {
    wait::until(words, || weir.process().stderr().contains(words));
}

fn status(weir: &Weir) -> serde_json::Value {
    let status = weir.ctl(&["--json", "status"]);
    serde_json::from_str(&status.stdout).expect("JSON")
}

fn a_shard_that_stands_still_is_told_of_until_it_turns(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend).start();
    assert_eq!(page(&weir, "/health").status, 200);
    let Some(stall) = hold(&mut weir) else { return };
    until_told(&mut weir, "weir: shard 0 has not turned for ");
    let shards = &status(&weir)["shards"];
    assert_eq!((&shards[0]["stalled"], &shards[0]["stalls"]), (&true.into(), &1.into()));
    assert_eq!((&shards[1]["stalled"], &shards[1]["stalls"]), (&false.into(), &0.into()));
    let health = page(&weir, "/health");
    assert_eq!(health.status, 503);
    assert!(health.text().contains("stalled"), "{}", health.text());
    let metrics = page(&weir, "/metrics").text().to_owned();
    for line in [
        "weir_shard_stalled{shard=\"0\"} 1\n",
        "weir_shard_stalled{shard=\"1\"} 0\n",
        "weir_shard_stalls_total{shard=\"0\"} 1\n",
        "weir_shard_stalls_total{shard=\"1\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // The other one serves its share, and nobody who waits is lost.
    let mut clients: Vec<_> = (0..16).map(|_| Client::connect(weir.address("main"))).collect();
    clients.iter_mut().for_each(|client| client.send_get("/", &[]));
    wait::until("the other one serves", || backend.requests() > 0);
    drop(stall);
    assert!(clients.iter_mut().all(|client| client.response().status == 200));
    until_told(&mut weir, "weir: shard 0 turns again, after ");
    assert_eq!(page(&weir, "/health").status, 200);
    assert_eq!(weir.metric("weir_shard_stalled{shard=\"0\"}"), 0);
    assert_eq!(weir.metric("weir_shard_stalls_total{shard=\"0\"}"), 1);
    assert_eq!(weir.process().stderr().matches("has not turned").count(), 1, "it is told once");
}

fn a_shard_that_stands_still_ends_the_process_where_that_is_asked_for(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = setup(runtime, &backend).engine("watchdog_action = \"abort\"");
    let limit = "[[limit]]\nname = \"all\"\nkey = \"address\"\nrate = \"10/366d\"\n";
    let setup = setup.tables(limit).route("path = \"/*\"\nlimits = [\"all\"]");
    let mut weir = setup.start();
    let remaining = |weir: &Weir| {
        let response = client::get(weir.address("main"), "/", &[]);
        response.get("x-ratelimit-remaining").expect("a limited route").to_owned()
    };
    assert_eq!(remaining(&weir), "9");
    let Some(stall) = hold(&mut weir) else { return };
    until_told(&mut weir, "watchdog_action = \"abort\": this process ends now");
    drop(stall);
    let finished = weir.wait();
    assert_eq!(finished.status.signal(), Some(libc::SIGABRT), "{}", finished.stderr);
    assert!(finished.stderr.contains("shard 0 has not turned for"), "{}", finished.stderr);
    weir.restart();
    assert_eq!(remaining(&weir), "8", "what was counted stays counted");
}

fn a_shard_that_stands_still_does_not_hold_up_the_end(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend).engine("drain_timeout = \"500ms\"").start();
    let Some(mut stall) = hold(&mut weir) else { return };
    weir.process().signal(libc::SIGTERM);
    wait::until("the process ends", || stall.has_ended());
    drop(stall);
    let finished = weir.wait();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let last = finished.stderr.lines().last().expect("it says why");
    assert!(last.contains("when drain_timeout passed") && last.ends_with(": 1"), "{last}");
}

fn no_successor_gets_what_a_shard_that_stands_still_has(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = setup(runtime, &backend);
    let mut weir = setup.start();
    let Some(stall) = hold(&mut weir) else { return };
    let refused = weir.begin_upgrade(&setup.toml()).wait();
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    until_told(&mut weir, "not handed over, and serves on: the shards did not settle in time");
    drop(stall);
    let address = weir.address("main");
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(address)).collect();
    assert!(clients.iter_mut().all(|client| client.get("/", &[]).status == 200));
    let old = weir.upgrade().wait();
    assert_eq!(old.status.code(), Some(0), "{}", old.stderr);
    assert_eq!(client::get(address, "/", &[]).status, 200);
}
