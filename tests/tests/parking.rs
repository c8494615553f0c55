//! Idle connections are parked, and nobody notices.

use weir_tests::client::{self, Client, Ending};
use weir_tests::{Backend, Gate, Response, Runtime, Setup, Weir, on_both_runtimes, wait};

on_both_runtimes!(
    a_parked_connection_answers_again,
    a_parked_connection_ends_when_its_client_leaves,
    parked_connections_are_closed_in_time_also_by_a_new_timeout,
    a_drain_closes_what_is_parked_and_hears_out_what_is_new,
    parked_connections_keep_their_places,
    hundreds_are_parked_and_answer,
);

#[track_caller]
fn until_parked(weir: &Weir, count: u64) {
    wait::until(&format!("{count} are parked"), || weir.metric("weir_connections_parked") == count);
}

fn used(weir: &Weir) -> Client {
    let mut client = Client::connect(weir.address("main"));
    expect_ok(&client.get("/", &[]));
    client
}

#[track_caller]
fn expect_ok(response: &Response) {
    assert_eq!((response.status, response.text()), (200, "ok"));
}

fn a_parked_connection_answers_again(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).start();
    let mut client = used(&weir);
    for _ in 0..3 {
        until_parked(&weir, 1);
        expect_ok(&client.get("/", &[]));
    }
    until_parked(&weir, 1);
    // A request in pieces, and two at once.
    client.send("GET / HTTP/1.1\r\nHo");
    until_parked(&weir, 0);
    client.send("st: a\r\n\r\n");
    expect_ok(&client.response());
    until_parked(&weir, 1);
    let twice = [client::request("GET", "/", &[], b""), client::request("GET", "/", &[], b"")];
    client.send(twice.concat());
    expect_ok(&client.response());
    expect_ok(&client.response());
    assert_eq!(weir.metric("weir_panics_total"), 0);
}

fn a_parked_connection_ends_when_its_client_leaves(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).start();
    let clients = [used(&weir), used(&weir), Client::connect(weir.address("main"))];
    until_parked(&weir, 3);
    drop(clients);
    until_parked(&weir, 0);
    // The one left is that which asks.
    wait::until("they are gone", || weir.metric("weir_connections_open") == 1);
    assert_eq!(weir.metric("weir_timeouts_total"), 0);
}

fn parked_connections_are_closed_in_time_also_by_a_new_timeout(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend);
    let mut weir = setup.clone().http("idle_timeout = \"2s\"").start();
    let (mut old, mut young) = (used(&weir), Client::connect(weir.address("main")));
    assert_eq!((old.ending(), young.ending()), (Ending::Closed, Ending::Closed));
    assert!(weir.metric("weir_timeouts_total") >= 2);
    weir.write_config(&setup.clone().http("idle_timeout = \"1h\"").toml());
    weir.hang_up();
    wait::until("the reload", || weir.process().stderr().contains("configuration 2 is in use"));
    let mut client = used(&weir);
    until_parked(&weir, 1);
    // A reload keeps it, and its new timeout holds for it.
    weir.write_config(&setup.http("idle_timeout = \"1s\"").toml());
    weir.hang_up();
    assert_eq!(client.ending(), Ending::Closed);
}

fn a_drain_closes_what_is_parked_and_hears_out_what_is_new(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let backend = Backend::start(move |exchange| {
        if exchange.target() == "/slow" {
            held.pass();
        }
        exchange.reply(200, &[], b"ok")
    });
    let mut weir = Setup::before(runtime, &backend).start();
    let (mut old, mut young) = (used(&weir), Client::connect(weir.address("main")));
    until_parked(&weir, 2);
    let mut busy = Client::connect(weir.address("main"));
    busy.send_get("/slow", &[]);
    wait::until("it is in flight", || backend.requests() == 2);
    weir.process().signal(libc::SIGTERM);
    assert_eq!(old.ending(), Ending::Closed);
    assert_eq!(young.ending(), Ending::Closed);
    gate.open();
    expect_ok(&busy.response());
    let finished = weir.wait();
    assert!(finished.status.success(), "{finished:#?}");
}

fn parked_connections_keep_their_places(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend).engine("connections_per_shard = 3");
    let weir = setup.http("requests_per_connection = 3").start();
    let (mut one, _two) = (used(&weir), used(&weir));
    until_parked(&weir, 2);
    let _three = Client::connect(weir.address("main"));
    wait::until("the fourth is refused", || {
        let mut over = Client::connect(weir.address("main"));
        over.response().status == 503
    });
    // What it has used up of its requests is remembered too.
    expect_ok(&one.get("/", &[]));
    let last = one.get("/", &[]);
    assert_eq!(last.get("connection"), Some("close"));
    assert_eq!(one.ending(), Ending::Closed);
}

fn hundreds_are_parked_and_answer(runtime: Runtime) {
    const COUNT: u64 = 400;
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).shards("2").start();
    let mut clients: Vec<_> = (0..COUNT).map(|_| used(&weir)).collect();
    for _ in 0..2 {
        until_parked(&weir, COUNT);
        clients.iter_mut().for_each(|client| client.send_get("/", &[]));
        clients.iter_mut().for_each(|client| expect_ok(&client.response()));
    }
    until_parked(&weir, COUNT);
    drop(clients);
    until_parked(&weir, 0);
}
