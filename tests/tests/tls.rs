//! TLS as clients meet it: OpenSSL and curl are the judges.

use std::time::Duration;

use weir_tests::tls::{Authority, is_here, s_client};
use weir_tests::{Backend, Client, Runtime, Setup, Weir, client, curl, on_both_runtimes, wait};

on_both_runtimes!(
    curl_is_served_and_backends_are_told_so,
    names_choose_certificates,
    versions_and_protocols_that_are_not_spoken_are_refused,
    sessions_are_resumed_by_any_shard_until_the_policy_changes,
    clients_prove_who_they_are_and_are_counted_by_it,
    certificates_may_be_absent_where_they_are_optional,
    who_does_not_shake_hands_is_cut_off,
    what_is_not_tls_is_refused,
    large_bodies_go_both_ways,
    new_certificates_under_load_fail_no_request,
    the_pages_may_be_behind_tls,
);

const REQUEST: &str = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";

fn authority() -> Authority {
    let authority = Authority::default();
    authority.certify("main", &["localhost", "127.0.0.1"]);
    authority
}

/// In front of `backend`, with the certificate `main` and these keys of `tls`.
fn setup(runtime: Runtime, backend: &Backend, authority: &Authority, tls: &str) -> Setup {
    let separator = if tls.is_empty() { "" } else { ", " };
    let tls = format!("tls = {{ {}{separator}{tls} }}", authority.pair("main"));
    Setup::before(runtime, backend).listener(&tls)
}

fn url(weir: &Weir, path: &str) -> String {
    format!("https://127.0.0.1:{}{path}", weir.address("main").port())
}

/// The value of a metric, by its name with labels.
#[track_caller]
fn metric(weir: &Weir, name: &str) -> u64 {
    let page = client::get(weir.address("control"), "/metrics", &[]).text().to_owned();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a count")
}

fn curl_is_served_and_backends_are_told_so(runtime: Runtime) {
    let authority = authority();
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend, &authority, "").start();
    let (ca, url) = (authority.path("ca.pem"), url(&weir, "/"));
    let forged = ["-H", "X-Forwarded-Proto: http", "-H", "X-Weir-Cert-Subject: root"];
    // Twice on one connection.
    let fetched = curl::fetch(&[&forged[..], &["--cacert", &ca, &url, &url]].concat());
    assert!(fetched.status == 200 && fetched.body.ends_with("ok"), "{fetched:?}");
    assert_eq!(backend.requests(), 2);
    for seen in backend.seen() {
        assert_eq!(seen.get("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.get("x-weir-cert-subject"), None);
    }
    assert_eq!(metric(&weir, "weir_tls_handshakes_total"), 1);
}

fn names_choose_certificates(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let authority = authority();
    authority.certify("wild", &["*.api.example"]);
    authority.certify("exact", &["one.api.example"]);
    let backend = Backend::text("ok");
    let pairs = ["main", "wild", "exact"].map(|name| format!("{{ {} }}", authority.pair(name)));
    let tls = format!("tls = {{ certificates = [{}] }}", pairs.join(", "));
    let weir = Setup::before(runtime, &backend).listener(&tls).start();
    for (name, subject) in [
        (Some("one.api.example"), "exact"),
        (Some("two.api.example"), "wild"),
        (Some("unknown.example"), "main"),
        (None, "main"),
    ] {
        let arguments = name.map_or(vec!["-noservername"], |name| vec!["-servername", name]);
        let shown = s_client(weir.address("main"), &arguments, REQUEST).stdout;
        assert!(shown.contains(&format!("subject=CN = {subject}\n")), "{name:?}: {shown}");
        assert!(shown.contains("HTTP/1.1 200 Scripted"), "{shown}");
    }
}

fn versions_and_protocols_that_are_not_spoken_are_refused(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let authority = authority();
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend, &authority, "").start();
    let strict = setup(runtime, &backend, &authority, "min_version = \"1.3\"").start();
    let attempt =
        |weir: &Weir, arguments: &[&str]| s_client(weir.address("main"), arguments, REQUEST).stdout;
    let old = ["-tls1_1", "-cipher", "ALL@SECLEVEL=0"];
    for (weir, arguments, expected) in [
        (&weir, &["-tls1_2"][..], "HTTP/1.1 200 Scripted"),
        (&weir, &["-tls1_3"], "HTTP/1.1 200 Scripted"),
        (&weir, &["-alpn", "h2,http/1.1"], "ALPN protocol: http/1.1"),
        (&weir, &["-alpn", "h2"], "no application protocol"),
        (&weir, &old, "alert"),
        (&weir, &["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "alert handshake failure"),
        (&weir, &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], "alert handshake failure"),
        (&strict, &["-tls1_2"], "alert protocol version"),
        (&strict, &["-tls1_3"], "HTTP/1.1 200 Scripted"),
    ] {
        let said = attempt(weir, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert_eq!(metric(&weir, "weir_tls_errors_total"), 4);
}

fn sessions_are_resumed_by_any_shard_until_the_policy_changes(runtime: Runtime) {
    if !is_here("openssl") {
        return;
    }
    let authority = authority();
    let backend = Backend::text("ok");
    let plain = setup(runtime, &backend, &authority, "").shards("2");
    let mut weir = plain.start();
    let address = weir.address("main");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = authority.path(version);
        let first = s_client(address, &[version, "-sess_out", &session], REQUEST).stdout;
        assert!(first.contains("New, TLS"), "{first}");
        // By whichever shard the kernel deals them to.
        for _ in 0..12 {
            let next = s_client(address, &[version, "-sess_in", &session], REQUEST).stdout;
            assert!(next.contains("Reused, TLS") && next.contains("200 Scripted"), "{next}");
        }
    }
    for shard in 0..2 {
        let requests = metric(&weir, &format!("weir_shard_requests_total{{shard=\"{shard}\"}}"));
        assert!(requests > 0, "shard {shard} met none of 26 connections");
    }
    assert_eq!(metric(&weir, "weir_tls_resumptions_total"), 24);
    let session = authority.path("-tls1_3");
    let resumed = || s_client(address, &["-sess_in", &session], REQUEST).stdout;
    // New certificates leave sessions as they are; a new policy ends them.
    authority.certify("main", &["localhost", "127.0.0.1"]);
    reload(&mut weir, 2);
    assert!(resumed().contains("Reused, TLS"));
    let asking =
        format!("client_auth = \"optional\", client_ca = \"{}\"", authority.path("ca.pem"));
    weir.write_config(&setup(runtime, &backend, &authority, &asking).shards("2").toml());
    reload(&mut weir, 3);
    wait::until("both shards have it", || resumed().contains("New, TLS"));
    for _ in 0..4 {
        let said = resumed();
        assert!(said.contains("200 Scripted"), "{said}");
    }
}

#[track_caller]
fn reload(weir: &mut Weir, number: usize) {
    weir.hang_up();
    let words = format!("configuration {number} is in use");
    wait::until("the reload", || weir.process().stderr().contains(&words));
}

fn clients_prove_who_they_are_and_are_counted_by_it(runtime: Runtime) {
    let authority = authority();
    authority.certify("ann", &["ann.example"]);
    authority.certify("ben", &[]);
    let stranger = Authority::default();
    stranger.certify("eve", &[]);
    let backend = Backend::text("ok");
    let asking =
        format!("client_auth = \"required\", client_ca = \"{}\"", authority.path("ca.pem"));
    let log = authority.path("access.log");
    let limit = "[[limit]]\nname = \"each\"\nkey = \"certificate\"\nrate = \"2/366d\"";
    let weir = setup(runtime, &backend, &authority, &asking)
        .access_log(&log)
        .tables(limit)
        .route("path = \"/*\"\nlimits = [\"each\"]")
        .start();
    let (ca, url) = (authority.path("ca.pem"), url(&weir, "/"));
    let forged = "X-Weir-Cert-Subject: root";
    let call = |of: &Authority, name: &str| {
        let (certificate, key) = (of.path(&format!("{name}.pem")), of.path(&format!("{name}.key")));
        let own = ["--cert", &certificate, "--key", &key];
        curl::run(
            &[&own[..], &["--cacert", &ca, "-w", "%{http_code}", "-H", forged, &url]].concat(),
        )
    };
    for expected in ["ok200", "ok200"] {
        assert_eq!(call(&authority, "ann").stdout, expected);
    }
    assert!(call(&authority, "ann").stdout.ends_with("429"));
    assert_eq!(call(&authority, "ben").stdout, "ok200");
    assert!(!call(&stranger, "eve").status.success());
    assert!(!curl::run(&["--cacert", &ca, &url]).status.success(), "without any");
    let seen = backend.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].all("x-weir-cert-subject").collect::<Vec<_>>(), ["ann"]);
    assert_eq!(seen[0].get("x-weir-cert-san"), Some("ann.example"));
    assert_eq!(seen[2].get("x-weir-cert-subject"), Some("ben"));
    assert_eq!(seen[2].get("x-weir-cert-san"), None);
    let fingerprint = seen[0].get("x-weir-cert-fingerprint").expect("is told");
    assert_eq!(fingerprint.len(), 64);
    assert!(seen[0].get("x-weir-cert-serial").is_some());
    let logged = format!("\"tls.client.hash.sha256\":\"{fingerprint}\"");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    wait::until("it is logged", || lines().matches(&logged).count() == 3);
    let named = "\"tls.client.x509.subject.common_name\":\"ben\"";
    wait::until("he is too", || lines().contains(named));
}

fn certificates_may_be_absent_where_they_are_optional(runtime: Runtime) {
    let authority = authority();
    let stranger = Authority::default();
    stranger.certify("eve", &[]);
    let backend = Backend::text("ok");
    let asking =
        format!("client_auth = \"optional\", client_ca = \"{}\"", authority.path("ca.pem"));
    let weir = setup(runtime, &backend, &authority, &asking).start();
    let (ca, url) = (authority.path("ca.pem"), url(&weir, "/"));
    assert_eq!(curl::fetch(&["--cacert", &ca, &url]).status, 200);
    assert_eq!(backend.seen()[0].get("x-weir-cert-fingerprint"), None);
    let (certificate, key) = (stranger.path("eve.pem"), stranger.path("eve.key"));
    let refused = curl::run(&["--cacert", &ca, "--cert", &certificate, "--key", &key, &url]);
    assert!(!refused.status.success() && refused.stderr.contains("unknown ca"), "{refused:?}");
}

fn who_does_not_shake_hands_is_cut_off(runtime: Runtime) {
    let authority = authority();
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend, &authority, "handshake_timeout = \"300ms\"").start();
    let mut silent = Client::connect(weir.address("main"));
    let mut slow = Client::connect(weir.address("main"));
    // The beginning of a record that never ends.
    slow.send([0x16, 3, 1, 2, 0, 1]);
    for client in [&mut silent, &mut slow] {
        let (_, took) = wait::timed(|| client.ending());
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    let timeouts = || metric(&weir, "weir_timeouts_total{kind=\"handshake\"}");
    wait::until("both are counted", || timeouts() == 2);
    let ca = authority.path("ca.pem");
    assert_eq!(curl::fetch(&["--cacert", &ca, &url(&weir, "/")]).status, 200);
}

fn what_is_not_tls_is_refused(runtime: Runtime) {
    let authority = authority();
    let backend = Backend::text("ok");
    let weir = setup(runtime, &backend, &authority, "").start();
    let garbage: Vec<u8> = (0..4000_u32).map(|n| n.wrapping_mul(97).to_le_bytes()[0]).collect();
    let plain = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    for bytes in [plain, garbage, vec![0x16, 3, 1, 0xff, 0xff], vec![0x80; 100]] {
        let mut client = Client::connect(weir.address("main"));
        client.send(&bytes);
        let mut answer = Vec::new();
        while let Ok(part) = client.read() {
            if part.is_empty() {
                break;
            }
            answer.extend(part);
        }
        // An alert, and nothing in plain text.
        assert!(answer.first().is_none_or(|kind| *kind == 0x15), "{answer:?}");
    }
    wait::until("all are counted", || metric(&weir, "weir_tls_errors_total") == 4);
    assert_eq!(backend.requests(), 0);
}

fn large_bodies_go_both_ways(runtime: Runtime) {
    let authority = authority();
    let backend = Backend::start(|exchange| match exchange.body() {
        Ok(body) => exchange.reply(200, &[], &body),
        Err(error) => panic!("the body: {error}"),
    });
    let weir = setup(runtime, &backend, &authority, "").start();
    let sent = weir_tests::backend::pattern(0, 3_000_000);
    let (upload, download) = (authority.path("upload"), authority.path("download"));
    std::fs::write(&upload, &sent).expect("writes");
    let (ca, url) = (authority.path("ca.pem"), url(&weir, "/"));
    for framing in ["Expect:", "Transfer-Encoding: chunked"] {
        let data = format!("@{upload}");
        let fetched = curl::fetch(&[
            "--cacert",
            &ca,
            "-H",
            framing,
            "--data-binary",
            &data,
            "-o",
            &download,
            &url,
        ]);
        assert_eq!(fetched.status, 200, "{framing}");
        assert!(std::fs::read(&download).expect("reads") == sent, "{framing}");
    }
}

fn new_certificates_under_load_fail_no_request(runtime: Runtime) {
    let authority = authority();
    let backend = Backend::text("ok");
    let mut weir = setup(runtime, &backend, &authority, "").shards("2").start();
    let (ca, many) = (authority.path("ca.pem"), url(&weir, "/[1-400]"));
    let done = std::sync::atomic::AtomicBool::new(false);
    let (ca, many, done) = (&ca, &many, &done);
    std::thread::scope(|scope| {
        // Some on connections that live on, some on a new one each.
        for header in ["X-Test: 1", "Connection: close"] {
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let arguments = ["--cacert", ca, "-H", header, "-w", "%{http_code}\n", many];
                    let finished = curl::run(&arguments);
                    assert!(finished.status.success(), "{}", finished.stderr);
                    assert_eq!(finished.stdout, "ok200\n".repeat(400));
                }
            });
        }
        for generation in 2..8 {
            authority.certify("main", &["localhost", "127.0.0.1"]);
            reload(&mut weir, generation);
            let before = backend.requests();
            wait::until("it goes on", || backend.requests() > before + 40);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // A file that cannot be used changes nothing.
    std::fs::write(authority.file("main.key"), "none").expect("writes");
    let refused = weir.ctl(&["reload"]);
    assert!(!refused.status.success() && refused.stderr.contains("main.key has no private key"));
    assert_eq!(curl::fetch(&["--cacert", ca, &url(&weir, "/")]).status, 200);
}

fn the_pages_may_be_behind_tls(runtime: Runtime) {
    let authority = authority();
    let backend = Backend::text("ok");
    let text = Setup::before(runtime, &backend).toml();
    let tls = format!("[control]\ntls = {{ {} }}", authority.pair("main"));
    let weir = Weir::start(&text.replace("[control]", &tls));
    let url = format!("https://127.0.0.1:{}/health", weir.address("control").port());
    assert_eq!(curl::fetch(&["--cacert", &authority.path("ca.pem"), &url]).status, 200);
}
