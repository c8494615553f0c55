//! Addresses that are served, and that are not.

use std::path::Path;

use weir_tests::tls::Authority;
use weir_tests::{Backend, Client, Runtime, Setup, Weir, client, curl, on_both_runtimes, wait};

on_both_runtimes!(
    a_denied_address_is_refused_before_any_route,
    a_route_has_lists_of_its_own,
    ipv6_and_mapped_addresses_are_told_apart_by_what_they_are,
    an_untrusted_peer_is_judged_as_itself,
    a_proxy_header_names_who_is_judged,
    old_clients_and_those_over_tls_hear_the_same,
    a_file_is_read_again_at_each_reload,
);

const TRUSTS_LOOPBACK: &str = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
const LISTS: &str = "[access]\ndeny = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n\
    allow = [\"192.0.2.7\", \"2001:db8:1::/48\"]";

/// The status of a request that a trusted proxy passes on for `address`.
#[track_caller]
fn status(weir: &Weir, target: &str, address: &str) -> u16 {
    client::get(weir.address("main"), target, &[("X-Forwarded-For", address)]).status
}

fn log(path: &Path, lines: usize) -> Vec<serde_json::Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    let is_whole = |text: &str| text.ends_with('\n') && text.lines().count() >= lines;
    wait::until("the log is written", || is_whole(&read()));
    read().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn a_denied_address_is_refused_before_any_route(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .listener(TRUSTS_LOOPBACK)
        .tables(LISTS)
        .tables("[[limit]]\nname = \"a\"\nkey = \"address\"\nrate = \"1/366d\"")
        .route("path = \"/known\"\nlimits = [\"a\"]")
        .access_log("@folder@/access.log")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let mut ask = |target: &str, address: &str| client.get(target, &[("X-Forwarded-For", address)]);
    // Also where there is no route, and however often: nothing is charged.
    for target in ["/known", "/unknown", "/known", "/known"] {
        let response = ask(target, "192.0.2.1");
        assert_eq!(response.status, 403, "{target}");
        assert_eq!(response.get("content-type"), Some("application/problem+json"));
        assert_eq!((response.get("retry-after"), response.get("ratelimit")), (None, None));
        let problem = response.json();
        assert_eq!((&problem["status"], &problem["title"]), (&403.into(), &"Forbidden".into()));
        assert!(!response.text().contains("192.0.2"), "nothing of the list: {}", response.text());
    }
    // The same connection goes on for others: it is the proxy's.
    assert_eq!(ask("/known", "192.0.2.7").status, 200);
    assert_eq!(ask("/known", "198.51.100.1").status, 200);
    assert_eq!(ask("/unknown", "198.51.100.1").status, 404);
    // Of a chain, the client is the last one that no trusted proxy is.
    assert_eq!(ask("/known", "198.51.100.1, 192.0.2.1, 10.0.0.1").status, 403);
    assert_eq!(ask("/known", "192.0.2.1, 198.51.100.2, 10.0.0.1").status, 200);
    client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert_eq!(client.response().status, 403);
    assert_eq!(backend.requests(), 3);
    assert_eq!(weir.metric("weir_access_denied_total"), 6);
    let decisions: Vec<_> = log(&weir.folder().join("access.log"), 10)
        .iter()
        .map(|entry| entry["weir.decision"].as_str().expect("a decision").to_owned())
        .collect();
    let denied = "denied";
    assert_eq!(decisions[..5], [denied, denied, denied, denied, "forwarded"]);
    assert_eq!(decisions[7], denied);
}

fn a_route_has_lists_of_its_own(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .listener(TRUSTS_LOOPBACK)
        .tables(LISTS)
        .route("path = \"/admin/*\"\naccess = { allow = [\"10.0.0.0/8\", \"192.0.2.0/24\", \"203.0.113.0/24\"], default = \"deny\" }")
        .route("path = \"/*\"\naccess = { deny = [\"198.51.100.0/24\"] }\ncors = { origins = [\"https://a.example\"] }")
        .start();
    for (address, admin, other) in [
        ("203.0.113.1", 200, 200),
        ("198.51.100.1", 403, 403),
        ("198.51.101.1", 403, 200),
        // A route lets nobody in whom the engine's list keeps out.
        ("192.0.2.1", 403, 403),
        ("192.0.2.7", 200, 200),
    ] {
        assert_eq!(status(&weir, "/admin/", address), admin, "{address}");
        assert_eq!(status(&weir, "/", address), other, "{address}");
    }
    // A preflight is no way around, and a refused page may read why.
    let mut client = Client::connect(weir.address("main"));
    let asks = [
        ("X-Forwarded-For", "198.51.100.1"),
        ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "GET"),
    ];
    client.send(client::request("OPTIONS", "/", &asks, b""));
    let refused = client.response();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.get("access-control-allow-origin"), Some("https://a.example"));
}

fn ipv6_and_mapped_addresses_are_told_apart_by_what_they_are(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).listener(TRUSTS_LOOPBACK).tables(LISTS).start();
    for (address, expected) in [
        ("2001:db8::1", 403),
        ("2001:db8:1::1", 200),
        ("2001:db8:2::1", 403),
        ("2001:db9::1", 200),
        ("::ffff:192.0.2.1", 403),
        ("::ffff:192.0.2.7", 200),
        ("::ffff:c000:201", 403),
    ] {
        assert_eq!(status(&weir, "/", address), expected, "{address}");
    }
}

fn an_untrusted_peer_is_judged_as_itself(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .tables("[access]\ndeny = [\"127.0.0.0/8\"]\nallow = [\"192.0.2.7\"]")
        .start();
    let fields = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")];
    assert_eq!(client::get(weir.address("main"), "/", &fields).status, 403);
    // Its pages are behind a listener like any other; weirctl is not.
    assert_eq!(client::get(weir.address("control"), "/metrics", &fields).status, 403);
    assert!(weir.ctl(&["status"]).status.success());
    assert_eq!(backend.requests(), 0);
}

fn a_proxy_header_names_who_is_judged(runtime: Runtime) {
    let backend = Backend::text("ok");
    let announced = "[[listener]]\naddress = \"127.0.0.1:@port:announced@\"\n\
        trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n";
    let weir = Setup::before(runtime, &backend).tables(LISTS).tables(announced).start();
    for (address, expected) in [("192.0.2.1", 403), ("192.0.2.7", 200), ("198.51.100.1", 200)] {
        let mut client = Client::connect(weir.address("announced"));
        client.send(format!("PROXY TCP4 {address} 203.0.113.1 4000 443\r\n"));
        assert_eq!(client.get("/", &[]).status, expected, "{address}");
    }
}

fn old_clients_and_those_over_tls_hear_the_same(runtime: Runtime) {
    let backend = Backend::text("ok");
    let authority = Authority::default();
    authority.certify("main", &["localhost", "127.0.0.1"]);
    let secure = format!(
        "[[listener]]\naddress = \"127.0.0.1:@port:secure@\"\n{TRUSTS_LOOPBACK}\n\
         tls = {{ {} }}\n",
        authority.pair("main")
    );
    let weir = Setup::before(runtime, &backend)
        .listener(TRUSTS_LOOPBACK)
        .tables(LISTS)
        .tables(&secure)
        .start();
    let mut old = Client::connect(weir.address("main"));
    old.send("GET / HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    let response = old.response();
    assert_eq!((response.status, response.get("connection")), (403, Some("close")));
    assert_eq!(old.ending(), client::Ending::Closed);
    let mut head = Client::connect(weir.address("main"));
    head.send(client::request("HEAD", "/", &[("X-Forwarded-For", "192.0.2.1")], b""));
    assert_eq!(head.try_response("HEAD").expect("an answer").status, 403);
    let url = format!("https://127.0.0.1:{}/", weir.address("secure").port());
    let ca = authority.path("ca.pem");
    for (address, expected) in [("192.0.2.1", 403), ("192.0.2.7", 200)] {
        let field = format!("X-Forwarded-For: {address}");
        let fetched = curl::fetch(&["--cacert", &ca, "-H", &field, &url]);
        assert_eq!(fetched.status, expected, "{fetched:?}");
    }
    assert_eq!(backend.requests(), 1);
}

fn a_file_is_read_again_at_each_reload(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend).listener(TRUSTS_LOOPBACK).shards("2");
    let mut weir = setup.start();
    let list = weir.folder().join("deny.txt");
    std::fs::write(&list, "# today\n192.0.2.0/24\n").expect("writes");
    let with_list = setup.clone().tables("[access]\ndeny_file = \"@folder@/deny.txt\"").toml();
    weir.write_config(&with_list);
    let reloaded = weir.ctl(&["reload"]);
    assert!(reloaded.status.success(), "{}", reloaded.stderr);
    let both = |weir: &Weir| [status(weir, "/", "192.0.2.1"), status(weir, "/", "198.51.100.1")];
    // Shards take it up each in its turn, and connections are spread over them.
    let settles = |weir: &Weir, expected: [u16; 2]| {
        wait::until("it is in use", || (0..8).all(|_| both(weir) == expected));
    };
    settles(&weir, [403, 200]);
    std::fs::write(&list, "198.51.100.0/24\n").expect("writes");
    assert_eq!(both(&weir), [403, 200], "a file is read when that is asked for");
    assert!(weir.ctl(&["reload"]).status.success());
    settles(&weir, [200, 403]);
    std::fs::write(&list, "198.51.100.0/24\n192.0.2.0/24 # and\n192.0.2/24\n").expect("writes");
    let refused = weir.ctl(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let fault = format!("{:?} line 3: \"192.0.2/24\" is not a network", list);
    assert!(refused.stderr.contains(&fault), "{}", refused.stderr);
    assert_eq!(both(&weir), [200, 403], "nothing changed");
    weir.write_config(&setup.toml());
    assert!(weir.ctl(&["reload"]).status.success());
    settles(&weir, [200, 200]);
}
