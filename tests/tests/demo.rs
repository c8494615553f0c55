//! `weir demo`, tried as it tells people to.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use weir_tests::{Client, Ending, Process, Response, binaries, client, ports, wait};

/// A running demo on ports of its own.
struct Demo {
    process: Process,
    gateway: SocketAddr,
    control: SocketAddr,
    backends: [SocketAddr; 3],
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn command(gateway: u16, control: u16, first: u16) -> Command {
    let mut command = Command::new(binaries::weir());
    let options = [("--port", gateway), ("--control-port", control), ("--backend-port", first)];
    command.arg("demo");
    for (option, port) in options {
        command.args([option, &port.to_string()]);
    }
    command
}

impl Demo {
    fn start() -> Self {
        let (gateway, control, first) = (ports::free(), ports::free(), ports::free_in_a_row(3));
        let process = Process::spawn(command(gateway, control, first));
        wait::until("the guide is shown whole", || process.stdout().ends_with(" status\n"));
        let (gateway, control) = (local(gateway), local(control));
        Self { process, gateway, control, backends: [first, first + 1, first + 2].map(local) }
    }

    /// The value behind `marker` on the guide's line that has it.
    fn shown(&self, marker: &str, end: char) -> String {
        let guide = self.process.stdout();
        let (_, rest) = guide.split_once(marker).unwrap_or_else(|| panic!("{marker} in {guide}"));
        rest.split(end).next().expect("a value").trim().to_owned()
    }
}

fn ask(address: SocketAddr, target: &str, key: &str) -> Response {
    client::get(address, target, &[("X-API-Key", key)])
}

#[test]
fn what_the_guide_says_is_true() {
    let demo = Demo::start();
    let guide = demo.process.stdout();
    for address in [demo.gateway, demo.control] {
        assert!(guide.contains(&format!("http://{address}")), "{address} in {guide}");
    }
    let key = |tier: &str| demo.shown(&format!("\n    {tier}"), '\n');
    let (free, premium) = (key("free"), key("premium"));
    wait::until("all backends take their turns", || {
        let texts = (0..3).map(|_| ask(demo.gateway, "/data", &key("enterprise")).json());
        let mut names: Vec<_> = texts.map(|json| json["backend"].to_string()).collect();
        names.sort();
        names.dedup();
        names.len() == demo.backends.len()
    });
    let statuses: Vec<_> = (0..6).map(|_| ask(demo.gateway, "/data", &free).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    assert_eq!(ask(demo.gateway, "/data", &premium).get("x-ratelimit-limit"), Some("100"));
    assert_eq!(ask(demo.control, "/api/v2/data", &premium).json()["caller"]["tier"], "premium");
    assert_eq!(ask(demo.control, "/api/v2/premium", &key("basic")).status, 403);
    assert_eq!(client::get(demo.control, "/data", &[]).status, 401);
    let bearer = format!("Bearer {}", demo.shown("TOKEN='", '\''));
    let response = client::get(demo.control, "/api/v2/premium", &[("Authorization", &bearer)]);
    assert_eq!(
        (response.status, response.json()["caller"]["tier"].clone()),
        (200, "premium".into())
    );
    assert_eq!(ask(demo.gateway, "/slow?ms=1", &premium).json()["slept_ms"], 1);
    assert_eq!(client::get(demo.gateway, "/stats", &[]).json()["draining"], false);
    let metrics = client::get(demo.control, "/metrics", &[]);
    assert!(metrics.text().contains("weir_limit_refused_total"));
    let mut weirctl = Command::new(binaries::weirctl());
    weirctl.args(["--socket", &demo.shown("--socket ", ' '), "status"]);
    let told = Process::run(weirctl);
    assert!(told.status.success() && told.stdout.contains("serving"), "{told:?}");
}

#[test]
fn it_ends_at_ctrl_c_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let socket = demo.shown("--socket ", ' ');
    let folder = std::path::Path::new(&socket).parent().expect("a folder").to_owned();
    assert!(folder.exists());
    let mut client = Client::connect(demo.gateway);
    assert_eq!(client.get("/data", &[]).status, 200);
    demo.process.signal(libc::SIGINT);
    assert_eq!(client.ending(), Ending::Closed);
    let finished = demo.process.wait();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(!folder.exists(), "{} is still there", folder.display());
    for address in [demo.gateway, demo.control].into_iter().chain(demo.backends) {
        wait::until("nobody listens", || Client::try_connect(address).is_err());
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind(local(ports::free())).expect("it is free");
    let port = taken.local_addr().expect("is bound").port();
    let first = ports::free_in_a_row(3);
    for command in [command(port, ports::free(), first), command(ports::free(), port, first)] {
        let finished = Process::run(command);
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(&port.to_string()), "{}", finished.stderr);
    }
    let finished = Process::run(command(ports::free(), ports::free(), port));
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains(&port.to_string()), "{}", finished.stderr);
}
