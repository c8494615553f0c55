//! A configuration that is replaced while it is in use.

use weir_tests::{Backend, Client, Gate, Runtime, Setup, Weir, client, on_both_runtimes, wait};

on_both_runtimes!(
    sighup_swaps_routes_and_backends,
    weirctl_reload_swaps_limits_and_keeps_their_counts,
    a_bad_file_changes_nothing_and_says_where,
    a_request_in_flight_goes_on_with_what_it_started_with,
    changes_that_need_a_restart_are_refused_by_name,
    a_reload_under_load_fails_no_request,
);

/// Hangs up and waits until the gateway says that generation `number` is in use.
#[track_caller]
fn reload(weir: &mut Weir, number: usize) {
    weir.hang_up();
    let words = format!("configuration {number} is in use");
    wait::until("the reload", || weir.process().stderr().contains(&words));
}

fn sighup_swaps_routes_and_backends(runtime: Runtime) {
    let (first, second) = (Backend::text("first"), Backend::text("second"));
    let old = Setup::before(runtime, &first).shards("2").route("path = \"/old\"");
    let mut weir = old.start();
    let mut client = Client::connect(weir.address("main"));
    assert_eq!(client.get("/old", &[]).text(), "first");
    assert_eq!(client.get("/new", &[]).status, 404);
    let new = Setup::before(runtime, &second).shards("2").route("path = \"/new\"");
    weir.write_config(&new.toml());
    reload(&mut weir, 2);
    // Shards take it up each in its turn, on connections that live on.
    wait::until("it is in use", || client.get("/new", &[]).status == 200);
    assert_eq!(client.get("/new", &[]).text(), "second");
    assert_eq!(client.get("/old", &[]).status, 404);
    weir.write_config(&old.toml());
    reload(&mut weir, 3);
    wait::until("the old one is back", || client.get("/old", &[]).status == 200);
    assert_eq!(client.get("/old", &[]).text(), "first");
}

fn weirctl_reload_swaps_limits_and_keeps_their_counts(runtime: Runtime) {
    let backend = Backend::text("ok");
    let limited = |count: usize, name: &str| {
        let table =
            format!("[[limit]]\nname = \"{name}\"\nkey = \"address\"\nrate = \"{count}/366d\"\n");
        let route = format!("path = \"/*\"\nlimits = [\"{name}\"]");
        Setup::before(runtime, &backend).tables(&table).route(&route)
    };
    let mut weir = limited(3, "all").start();
    let mut client = Client::connect(weir.address("main"));
    let statuses: Vec<_> = (0..4).map(|_| client.get("/", &[]).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    weir.write_config(&limited(5, "all").toml());
    let done = weir.ctl(&["reload"]);
    assert!(done.status.success(), "{}", done.stderr);
    assert!(done.stdout.contains("configuration 2 is in use"), "{}", done.stdout);
    wait::until("it is in use", || client.get("/", &[]).get("x-ratelimit-limit") == Some("5"));
    let mut admitted = 4;
    while client.get("/", &[]).status == 200 {
        admitted += 1;
    }
    assert!((4..=5).contains(&admitted), "the 3 before still count: {admitted}");
    assert_eq!(backend.requests(), 5);
    // Another name is another limit.
    weir.write_config(&limited(5, "others").toml());
    assert!(weir.ctl(&["--json", "reload"]).stdout.contains("\"done\""));
    wait::until("it is in use", || client.get("/", &[]).status == 200);
}

fn a_bad_file_changes_nothing_and_says_where(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend).route("path = \"/one\"");
    let mut weir = setup.start();
    let text = setup.toml().replace("/one", "/two") + "\nnonsense = 1\n";
    weir.write_config(&text);
    let line = text.lines().count();
    let refused = weir.ctl(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let place = format!("{}:{line}:", weir.config_path().display());
    assert!(
        refused.stderr.contains(&place) && refused.stderr.contains("nonsense"),
        "{}",
        refused.stderr
    );
    weir.hang_up();
    wait::until("it says so, and where", || weir.process().stderr().contains(&place));
    assert!(weir.process().stderr().contains("reload refused, nothing changed"));
    let mut client = Client::connect(weir.address("main"));
    assert_eq!((client.get("/one", &[]).status, client.get("/two", &[]).status), (200, 404));
    std::fs::remove_file(weir.config_path()).expect("removes");
    let refused = weir.ctl(&["reload"]);
    assert!(
        !refused.status.success() && refused.stderr.contains("weir.toml"),
        "{}",
        refused.stderr
    );
    assert_eq!(client.get("/one", &[]).status, 200);
    weir.write_config(&setup.toml());
    reload(&mut weir, 2);
}

fn a_request_in_flight_goes_on_with_what_it_started_with(runtime: Runtime) {
    let gate = Gate::default();
    let held = gate.clone();
    let old_backend = Backend::start(move |exchange| {
        held.pass();
        exchange.reply(200, &[], b"old")
    });
    let new_backend = Backend::text("new");
    let mut weir = Setup::before(runtime, &old_backend).start();
    let mut early = Client::connect(weir.address("main"));
    early.send_get("/", &[]);
    wait::until("it is at the backend", || old_backend.requests() == 1);
    weir.write_config(&Setup::before(runtime, &new_backend).route("path = \"/new\"").toml());
    reload(&mut weir, 2);
    let mut late = Client::connect(weir.address("main"));
    wait::until("the new one is in use", || late.get("/new", &[]).status == 200);
    gate.open();
    assert_eq!(early.response().text(), "old");
    assert_eq!(early.get("/new", &[]).text(), "new");
    assert_eq!(early.get("/", &[]).status, 404);
}

fn changes_that_need_a_restart_are_refused_by_name(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend);
    let other = if runtime == Runtime::Epoll { Runtime::Glommio } else { Runtime::Epoll };
    let mut weir = setup.start();
    let text = setup.toml();
    let changes = [
        (setup.clone().shards("3").toml(), "\"shards\" in [engine]"),
        (Setup::before(other, &backend).toml(), "\"runtime\" in [engine]"),
        (text.replace("@folder@/ledger", "@folder@/other"), "\"ledger\" in [engine]"),
        (setup.clone().engine("slots = 1024").toml(), "\"slots\" in [engine]"),
        (setup.clone().engine("drain_timeout = \"1s\"").toml(), "\"drain_timeout\" in [engine]"),
        (text.replace("@port:main@", "@port:else@"), "the addresses of [[listener]]"),
        (text.replace("@port:control@", "@port:elsewhere@"), "\"address\" in [control]"),
        (text.replace("weir.sock", "other.sock"), "\"socket\" in [control]"),
    ];
    for (changed, name) in changes {
        weir.write_config(&changed);
        let refused = weir.ctl(&["reload"]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        let said = refused.stderr;
        assert!(said.contains(name) && said.contains("needs a restart"), "{name} in {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    assert!(!weir.folder().join("other").exists());
}

fn a_reload_under_load_fails_no_request(runtime: Runtime) {
    let (one, two) = (Backend::text("one"), Backend::text("two"));
    let setups = [Setup::before(runtime, &one), Setup::before(runtime, &two)];
    let setups = setups.map(|setup| setup.shards("2"));
    let mut weir = setups[0].start();
    let address = weir.address("main");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(client.get("/", &[]).status, 200);
                    assert_eq!(client.post("/", &[], b"x").status, 200);
                }
            });
        }
        for generation in 2..12 {
            weir.write_config(&setups[(generation + 1) % 2].toml());
            reload(&mut weir, generation);
            let turn = if generation % 2 == 0 { &two } else { &one };
            let before = turn.requests();
            wait::until("the other backend serves", || turn.requests() > before);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(one.requests() > 0 && two.requests() > 0);
}
