//! Clients over TLS that do not behave.

use std::io::Write;

use weir_tests::tls::Authority;
use weir_tests::{Backend, Runtime, Setup, on_both_runtimes, wait};

on_both_runtimes!(a_client_that_reads_no_answer_is_cut_off);

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
