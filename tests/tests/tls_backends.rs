//! TLS to backends, with OpenSSL as the backend, and certificates for development.

use std::path::Path;
use std::process::Command;

use weir_tests::tls::{Authority, TlsBackend, is_here};
use weir_tests::{
    Backend, Process, Runtime, Setup, binaries, client, curl, on_both_runtimes, wait,
};

on_both_runtimes!(
    a_backend_that_proves_itself_is_asked,
    a_backend_that_does_not_is_not_asked,
    health_checks_speak_tls,
    a_backend_may_ask_for_a_certificate,
    plain_connections_are_not_kept_for_tls,
);

fn authority() -> Authority {
    let authority = Authority::default();
    authority.certify("backend", &["127.0.0.1", "api.example"]);
    authority
}

fn setup(runtime: Runtime, backend: &TlsBackend, tls: &str) -> Setup {
    let timeouts = "connect_timeout = \"10s\"";
    Setup::new(runtime).upstream(&format!("{timeouts}\ntls = {tls}")).backend(backend.address())
}

fn verified_by(authority: &Authority) -> String {
    format!("ca = \"{}\"", authority.path("ca.pem"))
}

fn a_backend_that_proves_itself_is_asked(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let authority = authority();
    for arguments in [&["-tls1_2"][..], &["-tls1_3"]] {
        let backend = TlsBackend::start(&authority, "backend", arguments);
        let weir = setup(runtime, &backend, &format!("{{ {} }}", verified_by(&authority))).start();
        // A page of s_server ends with its connection, so each comes over a new one.
        let page = |weir: &weir_tests::Weir| {
            let page = client::get(weir.address("main"), "/", &[]);
            assert_eq!(page.status, 200);
            page.text().to_owned()
        };
        assert!(page(&weir).contains("New, TLSv1."));
        for _ in 0..3 {
            let page = page(&weir);
            assert!(page.contains("Reused, TLSv1."), "{page}");
        }
    }
    let backend = TlsBackend::start(&authority, "backend", &[]);
    let named = format!("{{ {}, server_name = \"api.example\" }}", verified_by(&authority));
    let weir = setup(runtime, &backend, &named).start();
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
}

fn a_backend_that_does_not_is_not_asked(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let (authority, stranger) = (authority(), Authority::default());
    authority.certify_until("old", &["127.0.0.1"], 2001);
    authority.certify("other", &["other.example"]);
    stranger.certify("unknown", &["127.0.0.1"]);
    let trusting = format!("{{ {} }}", verified_by(&authority));
    for (signer, name, reason) in [
        (&authority, "old", "certificate expired"),
        (&authority, "other", "not valid for name"),
        (&stranger, "unknown", "UnknownIssuer"),
    ] {
        let backend = TlsBackend::start(signer, name, &[]);
        let mut weir = setup(runtime, &backend, &trusting).start();
        let answer = client::get(weir.address("main"), "/", &[]);
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains("the backend could not be reached"), "{}", answer.text());
        assert_eq!(client::get(weir.address("main"), "/", &[]).status, 502);
        wait::until("it is told", || weir.process().stderr().contains(reason));
        let told = weir.process().stderr();
        assert_eq!(told.matches("no TLS with backend").count(), 1, "one line for both: {told}");
        let metrics = client::get(weir.address("control"), "/metrics", &[]).text().to_owned();
        for counter in ["weir_backend_tls_errors_total 2", "weir_backend_connect_errors_total 2"] {
            assert!(metrics.contains(counter), "{counter}");
        }
        let weir = setup(runtime, &backend, "{ verify = false }").start();
        assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    }
}

fn health_checks_speak_tls(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let (authority, stranger) = (authority(), Authority::default());
    stranger.certify("unknown", &["127.0.0.1"]);
    let known = TlsBackend::start(&authority, "backend", &[]);
    let unknown = TlsBackend::start(&stranger, "unknown", &[]);
    let weir = setup(runtime, &known, &format!("{{ {} }}", verified_by(&authority)))
        .backend(unknown.address())
        .health("{ interval = \"100ms\", timeout = \"90ms\", fall = 1, rise = 1 }")
        .start();
    let found = |what: &str| weir.ctl(&["--json", "backends"]).stdout.contains(what);
    wait::until("one passes", || found("\"passed\""));
    wait::until("the other does not", || found("UnknownIssuer"));
}

fn a_backend_may_ask_for_a_certificate(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let authority = authority();
    authority.certify("gateway", &[]);
    let ca = authority.path("ca.pem");
    let backend = TlsBackend::start(&authority, "backend", &["-Verify", "1", "-CAfile", &ca]);
    let own = format!("{{ {}, {} }}", verified_by(&authority), authority.pair("gateway"));
    let weir = setup(runtime, &backend, &own).start();
    let page = client::get(weir.address("main"), "/", &[]);
    assert!(page.status == 200 && page.text().contains("CN=gateway"), "{}", page.text());
}

/// A connection made in plain text is not used once the upstream asks for TLS.
fn plain_connections_are_not_kept_for_tls(runtime: Runtime) {
    let plain = Backend::text("plain");
    let setup = Setup::before(runtime, &plain);
    let mut weir = setup.start();
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    assert_eq!(plain.open_connections(), 1);
    // The backend takes what it is sent for the beginning of a request, and waits for the rest.
    let secured = setup.upstream("connect_timeout = \"300ms\"\ntls = { verify = false }");
    weir.write_config(&secured.toml());
    assert!(weir.ctl(&["reload"]).status.success());
    wait::until("TLS is tried", || client::get(weir.address("main"), "/", &[]).status == 504);
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 504);
}

fn self_signed(arguments: &[&str]) -> weir_tests::Finished {
    let mut command = Command::new(binaries::weir());
    command.args(["cert", "self-signed"]).args(arguments);
    Process::run(command)
}

#[test]
fn a_self_signed_certificate_serves_as_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("certs");
    let path = |name: &str| out.join(name).to_str().expect("UTF-8").to_owned();
    let arguments =
        ["--host", "localhost", "--host", "127.0.0.1", "--out", out.to_str().expect("UTF-8")];
    let made = self_signed(&arguments);
    assert!(made.status.success(), "{}", made.stderr);
    let line = made.stdout.lines().find(|line| line.starts_with("tls = ")).expect("what to write");
    let backend = Backend::text("ok");
    let weir = Setup::before(Runtime::Epoll, &backend).listener(line).start();
    let url = format!("https://127.0.0.1:{}/", weir.address("main").port());
    assert_eq!(curl::fetch(&["--cacert", &path("cert.pem"), &url]).status, 200);
    let again = self_signed(&arguments);
    assert!(!again.status.success() && again.stderr.contains("is there already"), "{again:?}");
    assert!(Path::new(&path("key.pem")).exists());
}
