//! Clients over TLS that do not behave.

use std::io::{Read, Write};

use weir_tests::tls::{Authority, Secure};
use weir_tests::{Backend, Client, Runtime, Setup, client, on_both_runtimes, wait};

on_both_runtimes!(
    a_client_that_reads_no_answer_is_cut_off,
    a_client_that_half_closes_is_answered,
    connections_do_not_outlive_the_terms_they_were_granted_on,
);

fn authority() -> Authority {
    let authority = Authority::default();
    authority.certify("main", &["localhost"]);
    authority
}

fn setup(runtime: Runtime, backend: &Backend, authority: &Authority) -> Setup {
    let tls = format!("tls = {{ {} }}", authority.pair("main"));
    Setup::before(runtime, backend).listener(&tls)
}

/// The gateway's own answers pile up where TLS took them and the socket does not.
fn a_client_that_reads_no_answer_is_cut_off(runtime: Runtime) {
    let (authority, backend) = (authority(), Backend::text("ok"));
    let weir = setup(runtime, &backend, &authority)
        .http("body_timeout = \"300ms\"")
        .route("path = \"/*\"\nredirect = { host = \"elsewhere.example\" }")
        .start();
    let mut client = authority.connect(weir.address("main"));
    let path = "x".repeat(7 << 10);
    let request = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let sending = std::thread::spawn(move || while client.write_all(request.as_bytes()).is_ok() {});
    let cut_off = || weir.metric("weir_timeouts_total{kind=\"write\"}") == 1;
    wait::until("the gateway gives up", cut_off);
    sending.join().expect("a client that ends");
}

/// Everything up to the `close_notify`.
#[track_caller]
fn read_to_end(client: &mut Secure) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).expect("an end in order");
    text
}

fn a_client_that_half_closes_is_answered(runtime: Runtime) {
    let (authority, backend) = (authority(), Backend::text("ok"));
    let weir = setup(runtime, &backend, &authority).start();
    let mut client = authority.connect(weir.address("main"));
    client.write_all(&client::request("GET", "/", &[], b"")).expect("is sent");
    client.conn.send_close_notify();
    client.flush().expect("is sent");
    let answer = read_to_end(&mut client);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
}

fn connections_do_not_outlive_the_terms_they_were_granted_on(runtime: Runtime) {
    let (authority, backend) = (authority(), Backend::text("ok"));
    let plain = Setup::before(runtime, &backend);
    let open = setup(runtime, &backend, &authority);
    let pair = authority.pair("main");
    let ca = authority.path("ca.pem");
    let asking = format!("tls = {{ {pair}, client_auth = \"required\", client_ca = \"{ca}\" }}");
    let mut weir = plain.start();
    let mut generation = 1;
    let mut reload = |weir: &mut weir_tests::Weir, setup: &Setup| {
        generation += 1;
        weir.write_config(&setup.toml());
        weir.hang_up();
        let words = format!("configuration {generation} is in use");
        wait::until("the reload", || weir.process().stderr().contains(&words));
    };
    let mut first = Client::connect(weir.address("main"));
    assert_eq!(first.get("/", &[]).status, 200);
    reload(&mut weir, &open);
    wait::until("plain text ends", || {
        first.try_send(client::request("GET", "/", &[], b"")).is_err()
            || first.try_response("GET").is_err()
    });
    let mut second = authority.connect(weir.address("main"));
    let mut ask = || {
        second.write_all(&client::request("GET", "/", &[], b""))?;
        second.read_exact(&mut [0; 12])
    };
    ask().expect("an answer");
    // New certificates are no new terms.
    authority.certify("main", &["localhost"]);
    reload(&mut weir, &open);
    ask().expect("an answer");
    reload(&mut weir, &plain.clone().listener(&asking));
    wait::until("who has no certificate is not served", || ask().is_err());
}
