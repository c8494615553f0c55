//! What an operator sees and asks: weirctl, the pages, health and the access log.

use std::time::Duration;

use serde_json::Value;
use weir_tests::token::{hs256, now_s};
use weir_tests::{Backend, Client, Ending, Runtime, Setup, Weir, client, on_both_runtimes};
use weir_tests::{sandbox, wait};

on_both_runtimes!(
    status_is_told_to_people_and_to_scripts,
    a_dead_backend_is_found_avoided_and_taken_back,
    a_backend_that_answers_badly_is_unhealthy_too,
    the_pages_tell_the_truth,
    the_access_log_is_json_and_keeps_secrets,
    the_access_log_goes_to_a_file_that_can_be_rotated,
    weirctl_says_what_is_wrong,
);

fn json(weir: &Weir, command: &str) -> Value {
    let finished = weir.ctl(&["--json", command]);
    assert!(finished.status.success(), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).expect("JSON")
}

fn status_is_told_to_people_and_to_scripts(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = Setup::before(runtime, &backend).shards("2").start();
    for _ in 0..10 {
        assert_eq!(client::get(weir.address("main"), "/", &[]).status, 200);
    }
    let pid = weir.process().pid();
    let status = json(&weir, "status");
    assert_eq!(status["pid"], pid);
    assert_eq!(
        (&status["runtime"], &status["runtime_reason"]),
        (&runtime.name().into(), &"configured".into())
    );
    assert_eq!((&status["draining"], &status["config_generation"]), (&false.into(), &1.into()));
    assert_eq!(status["config_path"], weir.config_path().to_str().expect("UTF-8"));
    let listeners = [weir.address("main").to_string(), weir.address("control").to_string()];
    assert_eq!(status["listeners"], serde_json::json!(listeners));
    let shards = status["shards"].as_array().expect("a list");
    let requests: u64 = shards.iter().filter_map(|shard| shard["requests"].as_u64()).sum();
    assert_eq!((shards.len(), requests), (2, 10));
    let rings = (status["rings_cooperative"].as_u64(), status["rings_plain"].as_u64());
    match runtime {
        Runtime::Epoll => assert_eq!(rings, (Some(0), Some(0))),
        // IORING_SETUP_COOP_TASKRUN came with Linux 5.19.
        Runtime::Glommio if sandbox::kernel() >= (5, 19) => {
            assert!(rings.0 >= Some(2) && rings.1 == Some(0), "{rings:?}");
        }
        Runtime::Glommio => assert!(rings.1 > Some(0), "{rings:?}"),
    }
    let text = weir.ctl(&["status"]).stdout;
    let process = format!("process {pid}, serving");
    for words in [process.as_str(), runtime.name(), "generation 1", "SHARD", &listeners[0]] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

const CHECKS: &str =
    "{ path = \"/health\", interval = \"50ms\", timeout = \"40ms\", rise = 2, fall = 2 }";

fn is_healthy(weir: &Weir, backend: &Backend) -> bool {
    let address = backend.address().to_string();
    let backends = json(weir, "backends");
    let found = backends.as_array().expect("a list").iter().find(|one| one["address"] == address);
    found.expect("the backend is listed")["healthy"] == true
}

fn a_dead_backend_is_found_avoided_and_taken_back(runtime: Runtime) {
    let (mut mortal, other) = (Backend::text("mortal"), Backend::text("other"));
    let setup = Setup::new(runtime).backend(mortal.address()).backend(other.address());
    let mut weir = setup.health(CHECKS).shards("2").start();
    let both = |weir: &Weir| {
        let mut client = Client::connect(weir.address("main"));
        let texts: Vec<_> = (0..4).map(|_| client.get("/", &[]).text().to_owned()).collect();
        texts.contains(&"mortal".to_owned()) && texts.contains(&"other".to_owned())
    };
    assert!(both(&weir));
    mortal.refuse();
    wait::until("its death is noticed", || !is_healthy(&weir, &mortal));
    let text = weir.ctl(&["backends"]).stdout;
    let line = text.lines().find(|line| line.contains(&mortal.address().to_string()));
    assert!(line.is_some_and(|line| line.contains("down")), "{text}");
    let failures = |weir: &Weir| json(weir, "backends")[0]["failures"].clone();
    let before = failures(&weir);
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..40 {
        assert_eq!(client.get("/", &[]).text(), "other");
        assert_eq!(client.post("/", &[], b"x").text(), "other");
    }
    assert_eq!(failures(&weir), before, "nobody asked the dead one");
    mortal.resume();
    wait::until("it is taken back", || is_healthy(&weir, &mortal));
    wait::until("it serves", || both(&weir));
    let said = weir.process().stderr();
    for word in ["unhealthy", "is healthy"] {
        let found = said.lines().any(|line| line.contains(word) && line.contains("of api"));
        assert!(found, "{word} in {said}");
    }
}

fn a_backend_that_answers_badly_is_unhealthy_too(runtime: Runtime) {
    let broken = Backend::start(|exchange| match exchange.target() {
        "/health" => exchange.reply(500, &[], b""),
        _ => exchange.reply(200, &[], b"broken"),
    });
    let mute = Backend::start(|exchange| match exchange.target() {
        "/health" => weir_tests::After::Hang,
        _ => exchange.reply(200, &[], b"mute"),
    });
    let setup = Setup::new(runtime).backend(broken.address()).backend(mute.address());
    let weir = setup.health(CHECKS).start();
    wait::until("both are found", || !is_healthy(&weir, &broken) && !is_healthy(&weir, &mute));
    let checks: Vec<_> = json(&weir, "backends")
        .as_array()
        .expect("a list")
        .iter()
        .map(|backend| backend["last_check"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(checks, ["status 500", "timed out"]);
    let response = client::get(weir.address("main"), "/", &[]);
    assert_eq!((response.status, response.get("retry-after")), (503, Some("1")));
    assert_eq!(response.get("content-type"), Some("application/problem+json"));
}

fn the_pages_tell_the_truth(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend)
        .route("path = \"/*\"")
        .route("path = \"/stats\"\nupstream = \"control\"");
    let weir = setup.start();
    let mut client = Client::connect(weir.address("main"));
    for _ in 0..7 {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    let control = weir.address("control");
    let health = client::get(control, "/health", &[]);
    assert_eq!((health.status, health.json()["status"].clone()), (200, "ok".into()));
    let stats = client.get("/stats", &[]).json();
    assert_eq!(stats["runtime"], runtime.name());
    assert_eq!(stats["totals"]["requests"]["by_class"]["2xx"], 8, "7 here, 1 there: {stats}");
    assert_eq!(stats["backends"][0]["requests"], 7);
    let metrics = client::get(control, "/metrics", &[]);
    assert!(metrics.get("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let address = backend.address();
    for line in [
        "weir_requests_total{class=\"2xx\"} 9".to_owned(),
        format!("weir_backend_healthy{{upstream=\"api\",backend=\"{address}\"}} 1"),
        "weir_panics_total 0".to_owned(),
    ] {
        let text = metrics.text();
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
    assert_eq!(client::get(control, "/nothing", &[]).status, 404);
    assert_eq!(Client::connect(control).post("/stats", &[], b"").status, 405);
    // The pages themselves stay off the other listeners unless a route says so.
    assert_eq!(client::get(weir.address("main"), "/metrics", &[]).text(), "ok");
}

const SECRET: &str = "a-secret-of-more-than-32-bytes-for-tests";

/// A gateway that logs to `output`; after some requests that carry secrets, those secrets.
fn tell_secrets(setup: Setup, output: &str) -> (Weir, Vec<String>) {
    let callers = format!(
        "[jwt]\nsecret = \"{SECRET}\"\n[[key]]\nname = \"ann\"\nkey = \"ann-0123456789abcdef\"\n"
    );
    let weir = setup.tables(&callers).access_log(output).start();
    let token = hs256(&serde_json::json!({ "sub": "tom", "exp": now_s() + 60 }), SECRET);
    let bearer = format!("Bearer {token}");
    let mut client = Client::connect(weir.address("main"));
    client.get("/key", &[("X-API-Key", "ann-0123456789abcdef")]);
    let odd = "?api_key=KEY&api_key%3dKEY&c=3;api%5fkey=KEY&d=4%26api_key=KEY&amp;api_key=KEY";
    let odd = odd.replace("KEY", "ann-0123456789abcdef");
    let plain = "a=1&api_key=ann-0123456789abcdef&access_token=tok-1234";
    client.get(&format!("/query?{plain}&{odd}&b=2"), &[]);
    client
        .get("/token", &[("Authorization", &bearer), ("User-Agent", "a \"quoted\"\tagent \u{e9}")]);
    client.get("/%22%0a%e2%28?\"=<>", &[("X-Request-Id", "id-7")]);
    let signature = token.rsplit('.').next().expect("a part").to_owned();
    (weir, vec!["ann-0123456789abcdef".into(), "tok-1234".into(), signature, SECRET.into()])
}

#[track_caller]
fn check_log(text: &str, secrets: &[String]) {
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect();
    let paths: Vec<_> =
        lines.iter().map(|line| line["url.path"].as_str().expect("a path")).collect();
    assert_eq!(paths[..3], ["/key", "/query", "/token"]);
    assert!(lines.iter().all(|line| line["client.ip"] == "127.0.0.1"), "{text}");
    assert_eq!((&lines[0]["weir.key"], &lines[0]["user.name"]), (&"ann".into(), &"ann".into()));
    assert_eq!((&lines[2]["weir.key"], &lines[2]["user.name"]), (&Value::Null, &"tom".into()));
    let query = lines[1]["url.query"].as_str().expect("a query");
    assert!(query.contains("a=1") && query.contains("b=2"), "{query}");
    assert_eq!(lines[3]["http.request.id"], "id-7");
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn the_access_log_is_json_and_keeps_secrets(runtime: Runtime) {
    let backend = Backend::text("ok");
    let (mut weir, secrets) = tell_secrets(Setup::before(runtime, &backend), "stdout");
    wait::until("the lines are out", || weir.process().stdout().lines().count() >= 4);
    check_log(&weir.process().stdout(), &secrets);
    let finished = weir.terminate();
    assert_eq!(finished.stdout.lines().count(), 4, "{}", finished.stdout);
    for secret in secrets {
        assert!(!finished.stderr.contains(&secret), "{}", finished.stderr);
    }
}

fn the_access_log_goes_to_a_file_that_can_be_rotated(runtime: Runtime) {
    let backend = Backend::text("ok");
    let (mut weir, secrets) = tell_secrets(Setup::before(runtime, &backend), "@folder@/access.log");
    let (log, old) = (weir.folder().join("access.log"), weir.folder().join("access.log.1"));
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    wait::until("the lines are out", || read(&log).lines().count() >= 4);
    check_log(&read(&log), &secrets);
    std::fs::rename(&log, &old).expect("rotates");
    weir.hang_up();
    wait::until("it is opened anew", || log.exists());
    client::get(weir.address("main"), "/after", &[]);
    wait::until("the line is out", || read(&log).contains("/after"));
    assert!(!read(&old).contains("/after"));
    // What is in flight at the end is written before the end.
    client::get(weir.address("main"), "/last", &[]);
    assert!(weir.terminate().status.success());
    assert!(read(&log).contains("/last"));
}

fn weirctl_says_what_is_wrong(runtime: Runtime) {
    let backend = Backend::text("ok");
    let mut weir = Setup::before(runtime, &backend).start();
    let unknown = weir.ctl(&["explode"]);
    assert_eq!(unknown.status.code(), Some(2));
    // A client that says nothing is no hindrance to others, nor to the end.
    let socket = weir.folder().join("weir.sock");
    let _silent = std::os::unix::net::UnixStream::connect(&socket).expect("connects");
    assert!(weir.ctl(&["status"]).status.success());
    let mut idle = Client::connect(weir.address("control")).patience(Duration::from_secs(10));
    assert_eq!(idle.get("/health", &[]).status, 200);
    assert!(weir.terminate().status.success());
    assert_eq!(idle.ending(), Ending::Closed);
    let gone = weir.ctl(&["--json", "backends"]);
    assert_eq!((gone.status.code(), gone.stdout.as_str()), (Some(1), ""));
    assert!(gone.stderr.contains("does not exist"), "{}", gone.stderr);
    assert_eq!(gone.stderr.lines().count(), 1);
}
