//! Limits that count bytes, on connections that no longer carry HTTP.

use std::cell::Cell;
use std::time::Duration;

use weir_tests::{After, Backend, Client, Runtime, Setup, Weir, client, on_both_runtimes, wait};

on_both_runtimes!(
    a_quota_of_bytes_counts_what_a_tunnel_carries,
    a_tunnel_is_held_back_and_carries_everything,
);

const KEYS: &str = r#"
[[key]]
name = "ann"
key = "ann-0123456789abcdef"
[[key]]
name = "bob"
key = "bob-0123456789abcdef"
"#;
const ANN: (&str, &str) = ("X-API-Key", "ann-0123456789abcdef");
const BOB: (&str, &str) = ("X-API-Key", "bob-0123456789abcdef");
const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A backend whose tunnels send back what they get.
fn echo() -> Backend {
    Backend::start(|exchange| {
        if exchange.target() != "/tunnel" {
            return exchange.reply(200, &[], b"ok");
        }
        exchange.send(SWITCH).expect("the gateway reads");
        while let Ok(piece) = exchange.read() {
            if piece.is_empty() || exchange.send(&piece).is_err() {
                break;
            }
        }
        After::Close
    })
}

fn start(runtime: Runtime, backend: &Backend, limit: &str) -> Weir {
    Setup::before(runtime, backend)
        .tables(KEYS)
        .tables(&format!("[[limit]]\nname = \"bytes\"\nkey = \"key\"\n{limit}"))
        .route("path = \"/*\"\nauth = \"api_key\"\nlimits = [\"bytes\"]")
        .start()
}

fn tunnel(weir: &Weir) -> Client {
    let mut tunnel = Client::connect(weir.address("main"));
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ANN];
    tunnel.send(client::request("GET", "/tunnel", &fields, b""));
    assert_eq!(tunnel.try_head("GET").expect("a head").0, 101);
    tunnel
}

/// Sends so many bytes through, and reads them back.
fn carry(tunnel: &mut Client, bytes: usize) {
    let sent = vec![b'x'; bytes];
    let mut writer = tunnel.try_clone().expect("a second handle");
    let echoed = std::thread::scope(|scope| {
        scope.spawn(|| writer.send(&sent));
        tunnel.read_exactly(bytes).expect("all of it")
    });
    assert!(echoed == sent, "the bytes are those that were sent");
}

fn a_quota_of_bytes_counts_what_a_tunnel_carries(runtime: Runtime) {
    const MIB: usize = 1 << 20;
    let backend = echo();
    let quota = "algorithm = \"quota\"\nrate = \"4MiB/month\"";
    let weir = start(runtime, &backend, quota);
    let get = |who| client::get(weir.address("main"), "/", &[who]);
    let asked = Cell::new(0);
    let left = || {
        asked.set(asked.get() + 1);
        let answer = get(ANN);
        let left = answer.get("x-ratelimit-remaining").and_then(|text| text.parse::<usize>().ok());
        (answer.status, left.expect("a number"))
    };
    let mut through = tunnel(&weir);
    let (status, before) = left();
    assert_eq!(status, 200);
    carry(&mut through, MIB);
    // While it is open: 2 MiB went through, of which all but the last one or less is counted.
    wait::until("a tunnel is counted as it goes", || left().1 <= before - MIB);
    let after = left().1;
    // Its own head, and what it takes to ask, is all that comes on top.
    let most = 2 * MIB + 1_000 * (asked.get() + 1);
    assert!(before - after <= most, "{before} before, {after} after");
    through.finish();
    drop(through);
    wait::until("the rest is counted once it ends", || left().1 < before - 2 * MIB);
    assert_eq!(get(ANN).status, 200);
    let mut through = tunnel(&weir);
    carry(&mut through, MIB + MIB / 2);
    drop(through);
    wait::until("the quota is used up", || get(ANN).status == 429);
    assert_eq!(get(BOB).status, 200);
}

fn a_tunnel_is_held_back_and_carries_everything(runtime: Runtime) {
    const BYTES: usize = 40_000;
    let backend = echo();
    let rate = "algorithm = \"byte_rate\"\nrate = \"40kB/s\"\nburst = \"10kB\"";
    let weir = start(runtime, &backend, rate);
    let mut through = tunnel(&weir);
    // Both ways are counted: 80 kB, of which the burst passes at once.
    let ((), took) = wait::timed(|| carry(&mut through, BYTES));
    // What is on its way in a buffer when the last byte is due may pass early.
    let least = Duration::from_millis(1_000);
    assert!(took >= least, "{BYTES} bytes there and back took {took:?}");
    let page = client::get(weir.address("control"), "/metrics", &[]);
    let line = "weir_limit_delayed_seconds_total{limit=\"bytes\"} ";
    let delayed = page.text().lines().find_map(|have| have.strip_prefix(line)).expect("the metric");
    assert!(delayed.parse::<f64>().expect("seconds") > 0.0, "held back for {delayed} s");
}
