//! How many connections one address may have, and what happens when descriptors run out.

use std::io::{Read, Write};

use weir_tests::client::{self, Client, Ending};
use weir_tests::tls::{Authority, Secure};
use weir_tests::{Backend, Response, Runtime, Setup, on_both_runtimes, wait};

on_both_runtimes!(
    an_address_has_so_many_connections_and_no_more,
    nobody_shakes_hands_to_hear_a_refusal,
    addresses_are_counted_as_announced,
    a_lack_of_descriptors_passes,
);

/// A listener besides the main one, whose connections begin with a header.
const ANNOUNCED: &str = "[[listener]]\naddress = \"127.0.0.1:@port:announced@\"\n\
    trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n";

/// A backend that answers with the client it was told of.
fn telling() -> Backend {
    Backend::start(|exchange| {
        let told = exchange.head.get("x-forwarded-for").unwrap_or("nobody").to_owned();
        exchange.reply(200, &[], told.as_bytes())
    })
}

#[track_caller]
fn expect_refused(response: &Response) {
    assert_eq!(response.status, 503);
    assert_eq!(response.get("connection"), Some("close"));
    assert!(response.get("retry-after").is_some());
}

fn an_address_has_so_many_connections_and_no_more(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend).shards("2").access_log("off");
    let limit = |count: u32| setup.clone().http(&format!("connections_per_address = {count}"));
    let mut weir = limit(5).start();
    let mut open: Vec<_> = (0..5).map(|_| Client::connect(weir.address("main"))).collect();
    assert!(open.iter_mut().all(|client| client.get("/", &[]).status == 200));
    // On both shards together; again and again.
    for _ in 0..10 {
        let mut over = Client::connect(weir.address("main"));
        expect_refused(&over.response());
        assert_eq!(over.ending(), Ending::Closed);
    }
    // The places of connections that are closed are free.
    open.truncate(2);
    wait::until("there is room", || {
        let mut client = Client::connect(weir.address("main"));
        let _ = client.try_send(client::request("GET", "/", &[], b""));
        client.try_response("GET").is_ok_and(|response| response.status == 200)
    });
    // A reload lifts the limit; those counted before go on.
    weir.write_config(&limit(0).toml());
    weir.hang_up();
    wait::until("the reload", || weir.process().stderr().contains("configuration 2 is in use"));
    wait::until("it is in use", || {
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(weir.address("main"))).collect();
        clients.iter_mut().for_each(|client| {
            let _ = client.try_send(client::request("GET", "/", &[], b""));
        });
        let ok = |client: &mut Client| client.try_response("GET").is_ok_and(|r| r.status == 200);
        clients.iter_mut().all(ok)
    });
    assert!(open.iter_mut().all(|client| client.get("/", &[]).status == 200));
}

/// A whole exchange; false when the gateway ends the connection without a byte.
fn is_served(client: &mut Secure) -> bool {
    let request = client::request("GET", "/", &[], b"");
    client.write_all(&request).and_then(|()| client.read_exact(&mut [0; 12])).is_ok()
}

fn nobody_shakes_hands_to_hear_a_refusal(runtime: Runtime) {
    let (authority, backend) = (Authority::default(), Backend::text("ok"));
    authority.certify("main", &["localhost"]);
    let tls = format!("tls = {{ {} }}", authority.pair("main"));
    let setup = Setup::before(runtime, &backend).shards("2").listener(&tls);
    let weir = setup.http("connections_per_address = 4").start();
    let address = weir.address("main");
    // The one that reads the counts is counted as well.
    let mut pages = Client::connect(weir.address("control"));
    let mut metric = |name: &str| {
        let page = pages.get("/metrics", &[]).text().to_owned();
        let named = page.lines().filter_map(|line| line.strip_prefix(name));
        let own = named.filter(|rest| rest.starts_with([' ', '{']));
        let values = own.filter_map(|rest| rest.rsplit(' ').next()?.parse::<u64>().ok());
        values.reduce(|sum, value| sum + value).expect("it is there")
    };
    assert_eq!(metric("weir_connections_refused_by_address_total"), 0);
    // Who shakes hands has a place, and so has who has not begun to.
    let mut open: Vec<_> = (0..2).map(|_| authority.connect(address)).collect();
    assert!(open.iter_mut().all(is_served));
    let silent = Client::connect(address);
    wait::until("it is accepted", || metric("weir_connections_open") == 4);
    for _ in 0..5 {
        assert_eq!(Client::connect(address).ending(), Ending::Closed);
        assert!(!is_served(&mut authority.connect(address)));
    }
    assert_eq!(metric("weir_connections_refused_by_address_total"), 10);
    assert_eq!(metric("weir_connections_refused_total"), 0, "that is another limit");
    assert_eq!((metric("weir_tls_handshakes_total"), metric("weir_tls_errors_total")), (2, 0));
    assert_eq!(backend.requests(), 2);
    // Places come back from who has been served, and from who never shook hands.
    drop((open, silent));
    wait::until("there is room for three", || {
        let mut again: Vec<_> = (0..3).map(|_| authority.connect(address)).collect();
        again.iter_mut().all(is_served)
    });
}

fn addresses_are_counted_as_announced(runtime: Runtime) {
    let backend = telling();
    let setup = Setup::before(runtime, &backend).tables(ANNOUNCED);
    let weir = setup.http("connections_per_address = 1").start();
    let open = |address: &str| {
        let mut client = Client::connect(weir.address("announced"));
        client.send(format!("PROXY {address} 1 443\r\n"));
        client
    };
    let mut first = open("TCP4 192.0.2.1 198.51.100.1");
    assert_eq!(first.get("/", &[]).text(), "192.0.2.1");
    expect_refused(&open("TCP4 192.0.2.1 198.51.100.1").response());
    assert_eq!(open("TCP4 192.0.2.2 198.51.100.1").get("/", &[]).text(), "192.0.2.2");
    // One subscriber has all of a /64.
    let mut six = open("TCP6 2001:db8::1 2001:db8:f::1");
    assert_eq!(six.get("/", &[]).text(), "2001:db8::1");
    expect_refused(&open("TCP6 2001:db8::ffff 2001:db8:f::1").response());
    let mut other = open("TCP6 2001:db8:0:1::1 2001:db8:f::1");
    assert_eq!(other.get("/", &[]).text(), "2001:db8:0:1::1");
    // The proxy itself is not counted, and closed connections are not either.
    let mut probes: Vec<_> = (0..3).map(|_| open("UNKNOWN :: ::")).collect();
    assert!(probes.iter_mut().all(|probe| probe.get("/", &[]).text() == "127.0.0.1"));
    assert!(weir.metric("weir_connections_refused_by_address_total") >= 2);
    drop(first);
    wait::until("its place is free", || {
        let mut again = open("TCP4 192.0.2.1 198.51.100.1");
        let _ = again.try_send(client::request("GET", "/", &[], b""));
        again.try_response("GET").is_ok_and(|response| response.status == 200)
    });
}

/// Lowers the soft limit of the gateway to what it has open, or restores it; the former limit.
fn limit_descriptors(pid: u32, limit: Option<libc::rlimit>) -> libc::rlimit {
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    let mut former = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `former` is a valid place for the answer, and nothing is set.
    let result =
        unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut former) };
    assert_eq!(result, 0);
    let taken = |number: &u64| !std::path::Path::new(&format!("/proc/{pid}/fd/{number}")).exists();
    let limit = limit.unwrap_or_else(|| {
        let lowest = (0..).find(taken).expect("one is free");
        libc::rlimit { rlim_cur: lowest, ..former }
    });
    // SAFETY: `limit` is a valid structure, which the kernel only reads.
    let result =
        unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) };
    assert_eq!(result, 0);
    former
}

fn a_lack_of_descriptors_passes(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend).upstream("keepalive_connections = 0");
    let mut weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.get("/", &[]).status, 200);
    let pid = weir.process().pid();
    let former = limit_descriptors(pid, None);
    // Descriptors of connections that were just closed may be free below the limit.
    wait::until("no connection to a backend can be had", || {
        limit_descriptors(pid, None);
        client.get("/", &[]).status == 503
    });
    // Nor can another client be accepted, unless with the descriptor that watched the listener;
    // those that are here go on meanwhile.
    let mut late = Client::connect(weir.address("main"));
    late.send_get("/", &[]);
    assert_eq!(client.get("/", &[]).status, 503);
    limit_descriptors(pid, Some(former));
    assert!(matches!(late.response().status, 200 | 503));
    assert_eq!(client.get("/", &[]).status, 200);
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    assert!(weir.metric("weir_backend_connect_errors_total") >= 2);
    assert!(weir.metric("weir_accept_errors_total") >= 1);
    assert_eq!(weir.metric("weir_panics_total"), 0);
}
