//! What outlives the process, and how it ends when it is asked to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use weir_tests::{After, Backend, Client, Ending, Gate, Runtime, Setup, Weir, client};
use weir_tests::{on_both_runtimes, wait};

on_both_runtimes!(
    kill_9_under_load_loses_no_count,
    a_hundred_kills_lose_no_count_and_invent_none,
    a_lost_live_table_costs_what_was_not_synced,
    a_used_up_limit_stays_used_up_after_kill_9_and_after_a_stop,
    an_idle_gateway_ends_in_order_at_once,
    sigterm_answers_what_is_in_flight_and_exits_0,
    sigterm_serves_what_the_kernel_has_accepted,
    sigterm_lets_a_body_under_way_arrive_whole,
    a_second_sigterm_cuts_short,
    drain_timeout_bounds_a_stop,
    weirctl_drain_ends_in_order,
);

fn limited(runtime: Runtime, backend: &Backend, limit: usize) -> Setup {
    // A window so long that nothing of the count fades.
    let table = format!("[[limit]]\nname = \"all\"\nkey = \"address\"\nrate = \"{limit}/366d\"\n");
    Setup::before(runtime, backend).tables(&table).route("path = \"/*\"\nlimits = [\"all\"]")
}

/// Clients that ask until they are refused, or their gateway goes away.
fn load(weir: std::net::SocketAddr, clients: usize, admitted: &AtomicUsize, refused: &AtomicBool) {
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let Ok(mut client) = Client::try_connect(weir) else { return };
                while client.try_send(client::request("GET", "/", &[], b"")).is_ok() {
                    match client.try_response("GET").map(|response| response.status) {
                        Ok(200) => drop(admitted.fetch_add(1, Ordering::SeqCst)),
                        Ok(429) => return refused.store(true, Ordering::SeqCst),
                        Ok(other) => panic!("{other}"),
                        Err(_) => return,
                    }
                }
            });
        }
    });
}

fn kill_9_under_load_loses_no_count(runtime: Runtime) {
    const LIMIT: usize = 3_000;
    const CLIENTS: usize = 8;
    let backend = Backend::text("ok");
    let mut weir = limited(runtime, &backend, LIMIT).shards("2").start();
    let (admitted, refused) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut kills = 0;
    while !refused.load(Ordering::SeqCst) {
        let before = admitted.load(Ordering::SeqCst);
        let address = weir.address("main");
        std::thread::scope(|scope| {
            scope.spawn(|| load(address, CLIENTS, &admitted, &refused));
            if kills < 3 {
                let is_under_way = || admitted.load(Ordering::SeqCst) >= before + LIMIT / 5;
                wait::until("some were admitted", is_under_way);
                weir.kill();
            }
        });
        if kills < 3 {
            kills += 1;
            weir.restart();
        }
    }
    assert_eq!(kills, 3);
    let admitted = admitted.load(Ordering::SeqCst);
    // Of each client one answer may have been lost with the gateway that had counted it.
    assert!(admitted <= LIMIT, "{admitted} were admitted");
    assert!(admitted >= LIMIT - 3 * CLIENTS, "{admitted} were admitted");
    assert!(backend.requests() <= LIMIT, "{} reached the backend", backend.requests());
}

/// How often the gateway is killed; `WEIR_KILLS` says another number.
fn kills() -> u64 {
    std::env::var("WEIR_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

/// What was counted, by what is left of the limit for one more request; which counts too.
fn counted(weir: &Weir, limit: usize) -> usize {
    let answer = client::get(weir.address("main"), "/", &[]);
    assert_eq!(answer.status, 200);
    let left = answer.get("x-ratelimit-remaining").expect("the limit's standing");
    limit - 1 - left.parse::<usize>().expect("a number")
}

/// After each of the kills, at instants that a seed chooses, what was answered has been counted,
/// and nothing that was never asked.
fn a_hundred_kills_lose_no_count_and_invent_none(runtime: Runtime) {
    const LIMIT: usize = 1_000_000;
    const CLIENTS: usize = 4;
    let backend = Backend::text("ok");
    let mut weir = limited(runtime, &backend, LIMIT).shards("2").start();
    let (asked, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut draw = 0x9E37_79B9_7F4A_7C15_u64;
    for kill in 1..=kills() {
        // xorshift: a seeded instant, counted in answers so that no clock has a part in it.
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        let wanted = answered.load(Ordering::SeqCst) + usize::try_from(draw % 60).expect("small");
        let address = weir.address("main");
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| ask(address, &asked, &answered));
            }
            wait::until("some were answered", || answered.load(Ordering::SeqCst) >= wanted);
            weir.kill();
        });
        weir.restart();
        let (least, most) = (answered.load(Ordering::SeqCst), asked.load(Ordering::SeqCst));
        let found = counted(&weir, LIMIT);
        assert!(found >= least, "kill {kill}: {found} counted, {least} answered");
        assert!(found <= most, "kill {kill}: {found} counted, {most} asked");
        // The question itself.
        asked.fetch_add(1, Ordering::SeqCst);
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asks until the gateway goes away.
fn ask(weir: std::net::SocketAddr, asked: &AtomicUsize, answered: &AtomicUsize) {
    let Ok(mut client) = Client::try_connect(weir) else { return };
    loop {
        asked.fetch_add(1, Ordering::SeqCst);
        if client.try_send(client::request("GET", "/", &[], b"")).is_err() {
            return;
        }
        match client.try_response("GET").map(|response| response.status) {
            Ok(200) => drop(answered.fetch_add(1, Ordering::SeqCst)),
            Ok(other) => panic!("{other}"),
            Err(_) => return,
        }
    }
}

/// As after a loss of power: shared memory is gone, the disk has what it acknowledged.
fn a_lost_live_table_costs_what_was_not_synced(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = limited(runtime, &backend, 100_000).engine("sync_interval = \"100ms\"").start();
    let mut client = Client::connect(weir.address("main"));
    (0..7).for_each(|_| assert_eq!(client.get("/", &[]).status, 200));
    let syncs = weir.metric("weir_ledger_syncs_total");
    // One may have been under way when the last request was counted.
    wait::until("they are on the disk", || {
        assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
        weir.metric("weir_ledger_syncs_total") >= syncs + 2
    });
    assert_eq!(weir.metric("weir_ledger_sync_failures_total"), 0);
    weir.kill();
    std::fs::remove_file(weir.live_table()).expect("it was left");
    weir.restart();
    let found = counted(&weir, 100_000);
    assert!(found >= 7, "{found}");
    assert!(weir.process().stderr().contains("not closed in order"), "it says so");
    assert!(weir.terminate().status.success());
    assert!(!weir.live_table().exists());
}

fn a_used_up_limit_stays_used_up_after_kill_9_and_after_a_stop(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = limited(runtime, &backend, 5).start();
    let statuses = |weir: &Weir, count: usize| {
        let mut client = Client::connect(weir.address("main"));
        (0..count).map(|_| client.get("/", &[]).status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&weir, 3), [200, 200, 200]);
    weir.kill();
    weir.restart();
    assert_eq!(statuses(&weir, 3), [200, 200, 429]);
    weir.kill();
    weir.restart();
    assert_eq!(statuses(&weir, 1), [429]);
    assert!(weir.terminate().status.success());
    weir.restart();
    assert_eq!(statuses(&weir, 1), [429]);
}

/// Its shards end before the rest of it has heard of the drain.
fn an_idle_gateway_ends_in_order_at_once(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = Setup::before(runtime, &backend).shards("4").start();
    for _ in 0..5 {
        let finished = weir.terminate();
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        weir.restart();
    }
}

/// A backend whose answers wait for the gate.
fn gated(gate: &Gate) -> Backend {
    let gate = gate.clone();
    Backend::start(move |exchange| {
        if exchange.target() != "/" {
            gate.pass();
        }
        exchange.reply(200, &[], b"done")
    })
}

#[track_caller]
fn until_draining(weir: &mut Weir) {
    wait::until("it drains", || weir.process().stderr().contains("weir: draining"));
}

fn sigterm_answers_what_is_in_flight_and_exits_0(runtime: Runtime) {
    let gate = Gate::default();
    let backend = gated(&gate);
    let mut weir = Setup::before(runtime, &backend).shards("2").start();
    let mut idle: Vec<_> = (0..5).map(|_| Client::connect(weir.address("main"))).collect();
    assert!(idle.iter_mut().all(|client| client.get("/", &[]).status == 200));
    let mut busy: Vec<_> = (0..5).map(|_| Client::connect(weir.address("main"))).collect();
    busy.iter_mut().for_each(|client| client.send_get("/held", &[]));
    wait::until("the requests are at the backend", || backend.requests() == 10);
    weir.process().signal(libc::SIGTERM);
    until_draining(&mut weir);
    for mut client in idle {
        assert_eq!(client.ending(), Ending::Closed);
    }
    wait::until("nobody is let in", || Client::try_connect(weir.address("main")).is_err());
    assert_eq!(weir.process().status(), None, "it waits");
    gate.open();
    for mut client in busy {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "done"));
        assert_eq!(client.ending(), Ending::Closed);
    }
    let finished = weir.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(!weir.folder().join("weir.sock").exists());
}

fn sigterm_serves_what_the_kernel_has_accepted(runtime: Runtime) {
    let backend = Backend::text("served");
    let mut weir = Setup::before(runtime, &backend).shards("1").start();
    weir.process().signal(libc::SIGSTOP);
    let mut waiting: Vec<_> = (0..300).map(|_| Client::connect(weir.address("main"))).collect();
    waiting.iter_mut().for_each(|client| client.send_get("/", &[]));
    weir.process().signal(libc::SIGTERM);
    weir.process().signal(libc::SIGCONT);
    for client in &mut waiting {
        assert_eq!(client.response().text(), "served");
    }
    assert_eq!(weir.wait().status.code(), Some(0));
}

fn sigterm_lets_a_body_under_way_arrive_whole(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst";
        exchange.send(head).expect("the gateway is there");
        held.pass();
        exchange.send(b" half").map_or(After::Close, |()| After::KeepAlive)
    });
    let mut weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/", &[]);
    assert_eq!(client.try_head("GET").expect("a head").0, 200);
    assert_eq!(client.read_exactly(5).expect("the first half"), b"first");
    weir.process().signal(libc::SIGTERM);
    until_draining(&mut weir);
    gate.open();
    assert_eq!(client.read_exactly(5).expect("the other half"), b" half");
    assert_eq!(client.ending(), Ending::Closed);
    assert_eq!(weir.wait().status.code(), Some(0));
}

fn a_second_sigterm_cuts_short(runtime: Runtime) {
    let gate = Gate::default();
    let backend = gated(&gate);
    let mut weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/held", &[]);
    wait::until("the request is at the backend", || backend.requests() == 1);
    weir.process().signal(libc::SIGTERM);
    until_draining(&mut weir);
    weir.process().signal(libc::SIGTERM);
    let finished = weir.wait();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("at the second signal"), "{}", finished.stderr);
    client.try_response("GET").expect_err("it was cut off");
    gate.open();
}

fn drain_timeout_bounds_a_stop(runtime: Runtime) {
    let gate = Gate::default();
    let backend = gated(&gate);
    let setup = Setup::before(runtime, &backend).engine("drain_timeout = \"200ms\"");
    let mut weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/held", &[]);
    wait::until("the request is at the backend", || backend.requests() == 1);
    let finished = weir.terminate();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("drain_timeout"), "{}", finished.stderr);
    client.try_response("GET").expect_err("it was cut off");
    gate.open();
}

fn weirctl_drain_ends_in_order(runtime: Runtime) {
    let gate = Gate::default();
    let backend = gated(&gate);
    let mut weir = Setup::before(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    client.send_get("/held", &[]);
    wait::until("the request is at the backend", || backend.requests() == 1);
    let drained = weir.ctl(&["drain"]);
    assert!(drained.status.success(), "{}", drained.stderr);
    assert!(drained.stdout.starts_with("draining"), "{}", drained.stdout);
    let status: serde_json::Value =
        serde_json::from_str(&weir.ctl(&["--json", "status"]).stdout).expect("JSON");
    assert_eq!(status["draining"], true);
    gate.open();
    assert_eq!(client.response().text(), "done");
    assert_eq!(weir.wait().status.code(), Some(0));
    let gone = weir.ctl(&["status"]);
    assert_eq!(gone.status.code(), Some(1));
    assert_eq!(gone.stderr.lines().count(), 1, "{}", gone.stderr);
}
