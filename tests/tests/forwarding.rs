//! What backends and clients are told of a request's path, and what of it is believed.

use std::collections::BTreeSet;

use weir_tests::{After, Backend, Client, Runtime, Setup, client, on_both_runtimes, ports, wait};

on_both_runtimes!(
    the_client_behind_a_trusted_proxy_is_limited_logged_and_passed_on,
    an_untrusted_peer_is_itself,
    every_request_has_an_id_that_all_sides_know,
    ids_can_be_replaced_told_or_left_out,
    traces_are_passed_on_or_begun,
    a_loop_of_gateways_ends,
    answers_say_what_a_backend_did,
    whom_to_trust_follows_a_reload,
);

const TRUSTS_LOOPBACK: &str = "trusted_proxies = [\"10.0.0.0/8\", \"127.0.0.1\"]";

/// The log as it is on the disk once `lines` requests are in it.
fn log(path: &std::path::Path, lines: usize) -> Vec<serde_json::Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    let is_whole = |text: &str| text.ends_with('\n') && text.lines().count() >= lines;
    wait::until("the log is written", || is_whole(&read()));
    read().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn the_client_behind_a_trusted_proxy_is_limited_logged_and_passed_on(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .listener(TRUSTS_LOOPBACK)
        .tables("[[limit]]\nname = \"a\"\nkey = \"address\"\nrate = \"2/1h\"")
        .route("path = \"/*\"\nlimits = [\"a\"]")
        .access_log("@folder@/access.log")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let mut status = |chain: &str| {
        client.get("/", &[("X-Forwarded-For", chain), ("X-Forwarded-Proto", "https")]).status
    };
    // What stands before the client is of its own making: it changes nothing.
    assert_eq!(status("192.0.2.1"), 200);
    assert_eq!(status("6.6.6.6, 192.0.2.1, 10.0.0.9"), 200);
    assert_eq!(status("7.7.7.7, 192.0.2.1"), 429);
    assert_eq!(status("192.0.2.2"), 200);
    assert_eq!(status("2001:db8::1"), 200);
    let seen = backend.seen();
    let told = |index: usize| seen[index].get("x-forwarded-for").unwrap();
    assert_eq!(told(1), "6.6.6.6, 192.0.2.1, 10.0.0.9, 127.0.0.1");
    assert_eq!(told(3), "2001:db8::1, 127.0.0.1");
    assert_eq!(seen[0].get("x-forwarded-proto"), Some("https"));
    let clients: Vec<String> = log(&weir.folder().join("access.log"), 5)
        .iter()
        .map(|entry| entry["client.ip"].as_str().expect("an address").to_owned())
        .collect();
    assert_eq!(clients, ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1"]);
}

fn an_untrusted_peer_is_itself(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .listener("trusted_proxies = [\"10.0.0.0/8\"]")
        .tables(
            "[forwarding]\nforwarded = \"both\"\n[[limit]]\nname = \"a\"\nkey = \"address\"\n\
             rate = \"2/1h\"",
        )
        .route("path = \"/*\"\nlimits = [\"a\"]")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let mut status = |address: &str| {
        let element = format!("for={address}");
        let fields = [
            ("X-Forwarded-For", address),
            ("X-Real-IP", address),
            ("Forwarded", &element),
            ("X-Forwarded-Port", "1"),
        ];
        client.get("/", &fields).status
    };
    assert_eq!([status("10.0.0.1"), status("10.0.0.2"), status("10.0.0.3")], [200, 200, 429]);
    for head in backend.seen() {
        assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(head.get("forwarded"), Some("for=127.0.0.1;host=weir.test;proto=http"));
        assert_eq!((head.get("x-real-ip"), head.get("x-forwarded-port")), (None, None));
    }
}

fn every_request_has_an_id_that_all_sides_know(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend)
        .route("path = \"/known/*\"")
        .access_log("@folder@/access.log")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let ids: [&[(&str, &str)]; 6] = [
        &[("X-Request-Id", "kept-1")],
        &[],
        &[],
        &[("X-Request-Id", "not \"kept\"")],
        &[("X-Request-Id", "a"), ("x-request-id", "b")],
        &[("X_Request_Id", "alias")],
    ];
    for fields in ids {
        assert_eq!(client.get("/known/", fields).get("x-request-id"), None);
    }
    let seen = backend.seen();
    let told: Vec<&str> =
        seen.iter().map(|head| head.get("x-request-id").expect("an id")).collect();
    assert_eq!(told[0], "kept-1");
    let made: BTreeSet<&str> = told[1..].iter().copied().collect();
    assert_eq!(made.len(), 5, "{made:?}");
    let is_ours = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(made.iter().all(is_ours), "{made:?}");
    let refused = client.get("/unknown", &[]);
    assert_eq!(refused.status, 404);
    let mut all: Vec<String> = told.iter().map(|id| (*id).to_owned()).collect();
    all.push(refused.get("x-request-id").expect("an id").to_owned());
    let logged: Vec<String> = log(&weir.folder().join("access.log"), 7)
        .iter()
        .map(|entry| entry["http.request.id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(logged, all);
}

fn ids_can_be_replaced_told_or_left_out(runtime: Runtime) {
    let backend = Backend::start(|exchange| exchange.reply(200, &[("X-Request-Id", "echo")], b""));
    let fields = [("X-Request-Id", "mine"), ("Via", "1.0 before")];
    let start = |lines: &str| {
        Setup::before(runtime, &backend).tables(&format!("[forwarding]\n{lines}")).start()
    };
    let weir =
        start("request_id = \"replace\"\nrequest_id_in_response = true\nvia_in_response = true");
    let answer = client::get(weir.address("main"), "/", &fields);
    let head = &backend.seen()[0];
    assert_eq!(answer.get("x-request-id"), head.get("x-request-id"));
    assert_eq!(head.get("x-request-id").map(str::len), Some(32));
    assert_eq!(head.all("via").collect::<Vec<_>>(), ["1.0 before", "1.1 weir"]);
    assert_eq!(answer.get("via"), Some("1.1 weir"));
    let weir = start("request_id = \"off\"\nvia = false\nforwarded = \"off\"");
    let answer = client::get(weir.address("main"), "/", &fields);
    let head = &backend.seen()[1];
    assert_eq!((answer.get("x-request-id"), answer.get("via")), (Some("echo"), None));
    assert_eq!((head.get("x-request-id"), head.get("via")), (None, Some("1.0 before")));
    assert_eq!((head.get("x-forwarded-for"), head.get("x-forwarded-host")), (None, None));
}

fn traces_are_passed_on_or_begun(runtime: Runtime) {
    let backend = Backend::text("ok");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let state = ("tracestate", "a=1");
    let start = |value: &str| {
        let tables = format!("[forwarding]\ntrace_context = \"{value}\"");
        Setup::before(runtime, &backend).tables(&tables).start()
    };
    let ask = |weir: &weir_tests::Weir, fields: &[(&str, &str)]| {
        assert_eq!(client::get(weir.address("main"), "/", fields).status, 200);
        let head = backend.seen().pop().expect("a request");
        let text = |name: &str| head.get(name).map(str::to_owned);
        (text("traceparent"), text("tracestate"))
    };
    let whole = (Some(parent.to_owned()), Some("a=1".to_owned()));
    let weir = start("pass");
    assert_eq!(ask(&weir, &[("traceparent", parent), state]), whole);
    let malformed = (Some(parent.to_owned()), None);
    assert_eq!(ask(&weir, &[("traceparent", parent), ("tracestate", "nonsense")]), malformed);
    assert_eq!(ask(&weir, &[("traceparent", &parent[1..]), state]), (None, None));
    assert_eq!(ask(&weir, &[("traceparent", parent), ("traceparent", parent)]), (None, None));
    assert_eq!(ask(&weir, &[state]), (None, None));
    let weir = start("make");
    assert_eq!(ask(&weir, &[("traceparent", parent), state]), whole);
    let (first, none) = ask(&weir, &[("traceparent", "junk"), state]);
    let (second, _) = ask(&weir, &[]);
    assert_eq!(none, None);
    for made in [&first, &second] {
        let made = made.as_deref().expect("a parent");
        assert!(made.len() == 55 && made.starts_with("00-") && made.ends_with("-00"), "{made}");
    }
    assert_ne!(first, second);
    let weir = start("off");
    assert_eq!(ask(&weir, &[("traceparent", parent), state]), (None, None));
}

fn a_loop_of_gateways_ends(runtime: Runtime) {
    let upstream = "[[upstream]]\nname = \"self\"\nhealth = false\n\
                    backend = [{ address = \"127.0.0.1:@port:main@\" }]";
    let weir = Setup::new(runtime)
        .backend(ports::free_address())
        .tables(upstream)
        .route("path = \"/*\"\nupstream = \"self\"")
        .start();
    let answer = client::get(weir.address("main"), "/", &[]);
    assert_eq!(answer.status, 502);
    assert_eq!(answer.get("proxy-status"), Some("weir; error=proxy_loop_detected"));
    let metrics = client::get(weir.address("control"), "/metrics", &[]);
    assert!(metrics.text().contains("\nweir_loops_total 1\n"), "{}", metrics.text());
}

fn answers_say_what_a_backend_did(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let bytes: &[u8] = match exchange.target() {
            "/silent" => return After::Hang,
            "/closes" => return After::Close,
            "/begins" => b"HTTP/1.1 200 OK\r\nContent-",
            "/babbles" => b"220 smtp.test ESMTP\r\n\r\n",
            "/switches" => b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "/codes" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "/boasts" => &[b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'x'; 20_000]].concat(),
            _ => return exchange.reply(200, &[("Proxy-Status", "inner; error=dns_error")], b""),
        };
        let _ = exchange.send(bytes);
        After::Close
    });
    let setup = Setup::new(runtime);
    let weir = setup.clone().backend(backend.address()).start();
    for (path, error) in [
        ("/closes", "connection_terminated"),
        ("/begins", "http_response_incomplete"),
        ("/babbles", "http_protocol_error"),
        ("/switches", "http_upgrade_failed"),
        ("/codes", "http_response_transfer_coding"),
        ("/boasts", "http_response_header_section_size"),
    ] {
        let answer = client::get(weir.address("main"), path, &[]);
        let expected = format!("weir; error={error}");
        assert_eq!((answer.status, answer.get("proxy-status")), (502, Some(expected.as_str())));
    }
    let answer = client::get(weir.address("main"), "/", &[]);
    assert_eq!(answer.get("proxy-status"), Some("inner; error=dns_error"));
    assert_eq!(client::get(weir.address("control"), "/nowhere", &[]).get("proxy-status"), None);
    // Only for the answer that never comes: on a slow machine the others would be late too.
    let hasty = setup.clone().backend(backend.address()).upstream("response_timeout = \"100ms\"");
    let late = client::get(hasty.start().address("main"), "/silent", &[]);
    assert_eq!(late.status, 504);
    assert_eq!(late.get("proxy-status"), Some("weir; error=http_response_timeout"));
    let dead = setup.backend(ports::free_address());
    let refused = client::get(dead.start().address("main"), "/", &[]);
    assert_eq!(refused.get("proxy-status"), Some("weir; error=connection_refused"));
    let silent = dead.tables("[forwarding]\nproxy_status = false").start();
    let answer = client::get(silent.address("main"), "/", &[]);
    assert_eq!((answer.status, answer.get("proxy-status")), (502, None));
}

fn whom_to_trust_follows_a_reload(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend);
    let mut weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    let fields = [("X-Forwarded-For", "192.0.2.1")];
    let mut told = || {
        assert_eq!(client.get("/", &fields).status, 200);
        backend.seen().pop().and_then(|head| head.get("x-forwarded-for").map(str::to_owned))
    };
    assert_eq!(told().as_deref(), Some("127.0.0.1"));
    weir.write_config(&setup.listener(TRUSTS_LOOPBACK).toml());
    weir.hang_up();
    // The same connection: trust belongs to the configuration, not to it.
    wait::until("the proxy is trusted", || told().as_deref() == Some("192.0.2.1, 127.0.0.1"));
}
