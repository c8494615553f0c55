//! What is written is what the engine gets.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use weir_protocol::http::ChainField;

use super::super::*;
use super::{SAMPLE, parse, right};

#[test]
fn engine_http_and_log() {
    let config = right(
        r#"
[engine]
shards = [3, 1]
runtime = "epoll"
ledger = "l"
slots = 16
live_table = "tmpfs"
sync_interval = "100ms"
flight = "2MiB"
drain_timeout = "0s"
connections_per_shard = 7
watchdog = "1h"
watchdog_action = "abort"
[http]
head_bytes_max = "64KiB"
target_bytes_max = 100
fields_max = 128
body_bytes_max = "2MiB"
head_timeout = "250ms"
body_timeout = "5m"
body_rate_min = "1KiB"
abort_on_close = true
idle_timeout = "1h"
requests_per_connection = 1
connections_per_address = 32768
[access_log]
output = "./access.log"
"#,
    );
    assert_eq!(config.engine.shards, Shards::Cpus(vec![3, 1]));
    assert_eq!(config.engine.runtime, RuntimeChoice::Epoll);
    assert_eq!(config.engine.ledger, PathBuf::from("l"));
    assert_eq!((config.engine.slots, config.engine.connections_per_shard), (16, 7));
    let sync = (config.engine.live_table, config.engine.sync_interval);
    assert_eq!(sync, (LiveTable::Tmpfs, Duration::from_millis(100)));
    assert_eq!(config.engine.flight, 2 << 20);
    assert_eq!(right("[engine]\nflight = 0").engine.flight, 0);
    assert_eq!(config.engine.drain_timeout, Duration::ZERO);
    let watched = (config.engine.watchdog, config.engine.watchdog_action);
    assert_eq!(watched, (Some(Duration::from_secs(3600)), WatchdogAction::Abort));
    assert_eq!(right("[engine]\nwatchdog = false").engine.watchdog, None);
    assert_eq!((config.http.head_bytes_max, config.http.target_bytes_max), (65_536, 100));
    assert_eq!((config.http.fields_max, config.http.body_bytes_max), (128, 2 << 20));
    assert_eq!(config.http.head_timeout, Duration::from_millis(250));
    assert_eq!(config.http.body_timeout, Duration::from_secs(300));
    assert_eq!(config.http.idle_timeout, Duration::from_secs(3600));
    assert_eq!(config.http.requests_per_connection, 1);
    assert_eq!((config.http.body_rate_min, config.http.abort_on_close), (1024, true));
    assert_eq!(right("[http]\nbody_rate_min = 0").http.body_rate_min, 0);
    assert_eq!(config.http.connections_per_address, 32_768);
    assert_eq!(config.access_log, AccessLog::File(PathBuf::from("./access.log")));
    assert_eq!(right("[access_log]\noutput = \"off\"").access_log, AccessLog::Off);
    assert_eq!(right("[engine]\nshards = 4").engine.shards, Shards::Count(4));
    assert_eq!(right("[engine]\nshards = \"auto\"").engine.shards, Shards::Auto);
}

#[test]
fn forwarding_and_whom_to_trust() {
    let text = "[[listener]]\naddress = \"127.0.0.1:1\"\n\
                trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\", \"2001:db8::/32\"]\n\
                [forwarding]\nclient_address = \"forwarded\"\nforwarded = \"both\"\n\
                request_id = \"replace\"\nrequest_id_in_response = true\n\
                trace_context = \"make\"\nvia = \"edge-1\"\nvia_in_response = true\n\
                proxy_status = false\n";
    let config = right(text);
    let trusted: Vec<String> =
        config.listeners[1].trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
    let expected = ForwardingConfig {
        client_address: ChainField::Forwarded,
        forwarded: ForwardedFields::Both,
        request_id: RequestIds::Replace,
        request_id_in_response: true,
        trace_context: TraceContexts::Make,
        via: Some("edge-1".to_owned()),
        via_in_response: true,
        proxy_status: false,
    };
    assert_eq!(config.forwarding, expected);
    let nameless = right("[forwarding]\nvia = false\n").forwarding;
    assert_eq!((nameless.via.as_deref(), nameless.pseudonym()), (None, "weir"));
}

#[test]
fn proxies_in_front_and_the_protocol_behind() {
    let config = right(
        r#"
[[listener]]
address = "0.0.0.0:80"
trusted_proxies = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
proxy_protocol = true
[[upstream]]
name = "first"
proxy_protocol = "v1"
[[upstream.backend]]
address = "127.0.0.1:5002"
[[upstream]]
name = "second"
proxy_protocol = "v2"
[[upstream.backend]]
address = "127.0.0.1:5002"
"#,
    );
    let listener = &config.listeners[1];
    let networks: Vec<String> = listener.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"]);
    assert!(listener.proxy_protocol);
    let versions: Vec<_> = config.upstreams.iter().map(|u| u.proxy_protocol).collect();
    assert_eq!(versions, [None, Some(ProxyVersion::V1), Some(ProxyVersion::V2)]);
}

#[test]
fn a_small_head_bounds_the_default_target() {
    assert_eq!(right("[http]\nhead_bytes_max = \"1KiB\"").http.target_bytes_max, 1024);
}

#[test]
fn tiers_override_and_add_in_order() {
    let config = right("[tiers]\nteam = \"7/30s\"\nbasic = \"21/s\"\nanother = \"1/366d\"");
    let names: Vec<&str> = config.tiers.iter().map(|tier| tier.name.as_str()).collect();
    assert_eq!(names, ["free", "basic", "premium", "enterprise", "team", "another"]);
    assert_eq!(config.tiers[1].rate, Rate { count: 21, window: Duration::from_secs(1) });
    assert_eq!(config.tiers[4].rate, Rate { count: 7, window: Duration::from_secs(30) });
    assert_eq!(config.tiers[5].rate.window, Duration::from_secs(366 * 86_400));
}

#[test]
fn keys_are_digests() {
    let config = right(
        r#"
[[key]]
name = "plain"
key = "0123456789abcdef"
user = "alice@example.com"
tier = "premium"
[[key]]
name = "digest"
sha256 = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
"#,
    );
    // FIPS 180-4's example: the digest of "abc".
    assert_eq!(config.keys[1].digest[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert_eq!(config.keys[1].digest[31], 0xad);
    // printf %s 0123456789abcdef | sha256sum
    assert_eq!(config.keys[0].digest[..4], [0x9f, 0x9f, 0x51, 0x11]);
    assert_eq!((config.keys[0].user.as_str(), config.keys[0].tier), ("alice@example.com", 2));
}

#[test]
fn jwt_secret_from_a_file_loses_its_line_end() {
    for end in ["", "\n", "\r\n"] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "0123456789abcdef0123456789abcdef{end}").unwrap();
        let text = format!(
            "[jwt]\nalgorithms = [\"HS256\"]\nsecret_file = {:?}\nissuer = \"i\"\naudience = \"a\"\n\
             leeway = \"5m\"",
            file.path()
        );
        let jwt = right(&text).jwt.unwrap();
        assert_eq!(jwt.secret, b"0123456789abcdef0123456789abcdef");
        assert_eq!((jwt.issuer.as_deref(), jwt.audience.as_deref()), (Some("i"), Some("a")));
        assert_eq!(jwt.leeway, Duration::from_secs(300));
    }
}

#[test]
fn health_can_be_off_default_or_quick() {
    let upstream = |health: &str| {
        let text = format!(
            "[[upstream]]\nname = \"b\"\n{health}\n[[upstream.backend]]\naddress = \"[::1]:1\"\n"
        );
        right(&text).upstreams[1].health.clone()
    };
    assert_eq!(upstream("health = false"), None);
    assert_eq!(upstream("health = true"), Some(HealthConfig::default()));
    let quick = upstream("health = { path = \"/up?full=1\", interval = \"1s\" }").unwrap();
    assert_eq!((quick.path.as_str(), quick.timeout), ("/up?full=1", Duration::from_millis(500)));
}

#[test]
fn retries_can_be_off_default_or_chosen() {
    let upstream = |lines: &str| {
        let backend = "[[upstream.backend]]\naddress = \"[::1]:1\"\n";
        right(&format!("[[upstream]]\nname = \"b\"\n{lines}\n{backend}")).upstreams[1].clone()
    };
    assert_eq!(upstream("retry = false").retry, None);
    assert_eq!(upstream("retry = true").retry, Some(RetryConfig::default()));
    let chosen = RetryConfig { attempts: 1, budget_percent: 100, floor: 0 };
    assert_eq!(upstream("retry = { attempts = 1, budget = 100, floor = 0 }").retry, Some(chosen));
    let default = RetryConfig::default();
    assert_eq!(upstream("retry = { floor = 9 }").retry, Some(RetryConfig { floor: 9, ..default }));
    let timeout = upstream("request_timeout = \"1500ms\"").request_timeout;
    assert_eq!(timeout, Duration::from_millis(1500));
}

#[test]
fn routes_resolve_names() {
    let config = right(
        r#"
[control]
address = "127.0.0.1:5000"
[[listener]]
name = "inner"
address = "[::1]:8081"
[[limit]]
name = "k"
key = "key"
rate = "tier"
[[limit]]
name = "a"
key = "address"
rate = "9/s"
[[key]]
name = "n"
key_env = "SECRET"
[[route]]
listener = "inner"
host = "API.Example.com"
path = "/health"
upstream = "control"
auth = "any"
limits = ["a", "k"]
tiers = ["enterprise", "free"]
[[route]]
listener = "control"
path = "/data"
upstream = "api"
"#,
    );
    let named = RouteConfig {
        listener: Some(1),
        host: Some("api.example.com".to_owned()),
        auth: Auth::Any,
        limits: vec![1, 0],
        tiers: vec![3, 0],
        ..control_route(PathPattern::Exact("/health".to_owned()))
    };
    assert_eq!(config.routes[1], named);
    let control = &config.listeners[2];
    assert_eq!((control.name.as_str(), control.address.port()), ("control", 5000));
    assert_eq!(config.routes[2].listener, Some(2));
    // The preset route: last, charged by every limit by address and no other.
    let preset = RouteConfig {
        listener: Some(2),
        limits: vec![1],
        ..control_route(PathPattern::Prefix("/".to_owned()))
    };
    assert_eq!(config.routes[3], preset);
}

/// A route to the control plane that says nothing else.
fn control_route(path: PathPattern) -> RouteConfig {
    RouteConfig {
        listener: None,
        host: None,
        path,
        conditions: None,
        target: RouteTarget::Control,
        auth: Auth::None,
        limits: Vec::new(),
        cost: 1,
        cost_header: None,
        tiers: Vec::new(),
        forward_path: ForwardPath::AsWritten,
        policy: None,
        upgrade: Upgrades::default(),
        connect: false,
        access: None,
    }
}

#[test]
fn a_catch_all_of_the_file_replaces_the_preset_route() {
    let config = right(
        "[control]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nlistener = \"control\"\npath = \"/*\"\nupstream = \"api\"\n",
    );
    assert_eq!(config.routes.len(), 2);
    assert_eq!(config.routes[1].target, RouteTarget::Upstream(0));
}

#[test]
fn the_control_listener_alone_is_enough() {
    let config = parse(
        "[control]\naddress = \"127.0.0.1:5000\"\n\
         [[route]]\nlistener = \"control\"\npath = \"/stats\"\nupstream = \"control\"\n",
    )
    .unwrap();
    assert_eq!((config.listeners.len(), config.routes.len()), (1, 2));
}

#[test]
fn load_reads_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SAMPLE.as_bytes()).unwrap();
    assert_eq!(Config::load(file.path()).unwrap(), parse(SAMPLE).unwrap());
}

#[test]
fn load_says_why_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let faults = Config::load(&path).unwrap_err().to_string();
    assert!(faults.starts_with(&format!("{}: cannot be read: ", path.display())), "{faults}");

    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"# ok\n# caf\xe9\n").unwrap();
    let faults = Config::load(&path).unwrap_err().to_string();
    assert_eq!(faults, format!("{}:2:6: not UTF-8; save the file as UTF-8", path.display()));
}
