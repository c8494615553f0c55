//! Every default that the types and the sample promise.

use std::path::PathBuf;
use std::time::Duration;

use weir_protocol::http::ChainField;

use super::super::*;
use super::{SAMPLE, parse, right};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_least_file_has_every_default() {
    let config = right("");
    assert_eq!(
        config.engine,
        EngineConfig {
            shards: Shards::Auto,
            runtime: RuntimeChoice::Auto,
            ledger: PathBuf::from("/var/lib/weir"),
            slots: 65_536,
            live_table: LiveTable::Auto,
            sync_interval: seconds(1),
            flight: 16 << 20,
            drain_timeout: seconds(30),
            connections_per_shard: 32_768,
            watchdog: Some(seconds(5)),
            watchdog_action: WatchdogAction::Report,
        }
    );
    assert_eq!(
        config.control,
        ControlConfig {
            address: None,
            socket: PathBuf::from("/run/weir/weir.sock"),
            sample_api: false
        }
    );
    assert_eq!(
        config.http,
        HttpConfig {
            head_bytes_max: 16_384,
            target_bytes_max: 8_192,
            fields_max: 100,
            body_bytes_max: 1_073_741_824,
            head_timeout: seconds(10),
            body_timeout: seconds(30),
            body_rate_min: 100,
            abort_on_close: false,
            idle_timeout: seconds(75),
            requests_per_connection: 10_000,
            connections_per_address: 0,
            forward_path: ForwardPath::AsWritten,
            tunnel_idle_timeout: seconds(3600),
            tunnels_per_shard: 16_384,
            trace: false,
            rate_limit_fields: true,
        }
    );
    assert_eq!(
        config.forwarding,
        ForwardingConfig {
            client_address: ChainField::XForwardedFor,
            forwarded: ForwardedFields::XForwarded,
            request_id: RequestIds::Keep,
            request_id_in_response: false,
            trace_context: TraceContexts::Pass,
            via: Some("weir".to_owned()),
            via_in_response: false,
            proxy_status: true,
        }
    );
    assert_eq!((config.access, config.access_log), (None, AccessLog::Stdout));
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].name, "127.0.0.1:8080");
    assert_eq!(config.listeners[0].trusted_proxies, []);
    assert!(!config.listeners[0].proxy_protocol);
    assert_eq!((config.keys.len(), &config.jwt, config.limits.len()), (0, &None, 0));
}

#[test]
fn default_tiers() {
    let tiers: Vec<(String, u32, Duration)> = right("")
        .tiers
        .into_iter()
        .map(|tier| (tier.name, tier.rate.count, tier.rate.window))
        .collect();
    let minute = seconds(60);
    let expected = [("free", 5), ("basic", 20), ("premium", 100), ("enterprise", 1000)];
    let expected: Vec<_> =
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count, minute)).collect();
    assert_eq!(tiers, expected);
}

#[test]
fn default_upstream_and_route() {
    let config = right("");
    assert_eq!(
        config.upstreams,
        [UpstreamConfig {
            name: "api".to_owned(),
            backends: vec![BackendConfig { address: "127.0.0.1:5001".parse().unwrap() }],
            health: Some(HealthConfig {
                path: "/health".to_owned(),
                interval: seconds(10),
                timeout: seconds(3),
                rise: 2,
                fall: 3,
            }),
            retry: Some(RetryConfig { attempts: 2, budget_percent: 20, floor: 3 }),
            connect_timeout: seconds(2),
            response_timeout: seconds(30),
            request_timeout: Duration::ZERO,
            keepalive_timeout: seconds(30),
            keepalive_connections: 64,
            proxy_protocol: None,
            tls: None,
        }]
    );
    assert_eq!(
        config.routes,
        [RouteConfig {
            listener: None,
            host: None,
            path: PathPattern::Prefix("/".to_owned()),
            conditions: None,
            target: RouteTarget::Upstream(0),
            auth: Auth::None,
            limits: Vec::new(),
            cost: 1,
            cost_header: None,
            tiers: Vec::new(),
            forward_path: ForwardPath::AsWritten,
            policy: None,
            upgrade: Upgrades::Only(vec!["websocket".to_owned()]),
            connect: false,
            access: None,
        }]
    );
}

#[test]
fn default_limit_key_and_jwt() {
    let config = right(
        "[[limit]]\nname = \"a\"\nkey = \"address\"\nrate = \"2/10s\"\n\
         [[key]]\nname = \"alice\"\nkey_env = \"SECRET\"\n\
         [jwt]\nsecret_env = \"SECRET\"\n",
    );
    let rate = Rate { count: 2, window: seconds(10) };
    assert_eq!(
        config.limits,
        [LimitConfig {
            name: "a".to_owned(),
            key: vec![LimitKey::Address],
            rate: LimitRate::Fixed(Allowance::SlidingWindow(rate)),
            overrides: Vec::new(),
            dry_run: false,
            ban: None,
            on_full: OnFull::Refuse,
            callers: Callers::Anonymous,
        }]
    );
    assert_eq!((config.keys[0].user.as_str(), config.keys[0].tier), ("alice", 0));
    let jwt = config.jwt.unwrap();
    assert_eq!((jwt.issuer, jwt.audience, jwt.leeway), (None, None, seconds(30)));
}

#[test]
fn empty_tables_have_every_default() {
    assert_eq!(
        right("[engine]\n[control]\n[http]\n[forwarding]\n[access]\n[access_log]\n[tiers]\n"),
        right("")
    );
}

/// Each commented key of the sample is set to its default: switching it on changes nothing.
#[test]
fn the_sample_shows_the_defaults() {
    let sample = parse(SAMPLE).unwrap();
    let not_defaults = [
        "proxy_protocol = \"v2\"",
        "host = ",
        "listener = ",
        "tiers = [",
        "name = ",
        "tier = ",
        "user = ",
        "cost_header = ",
    ];
    let blocks = ["sha256", "algorithms", "secret_env", "issuer", "audience", "leeway"];
    let policies = [
        "methods",
        "headers",
        "rewrite",
        "request_headers",
        "response_headers",
        "cors",
        "access",
        "ban",
    ];
    let redirect = ["path = ", "redirect = "];
    let mut switched = 0;
    for line in SAMPLE.lines() {
        let Some(key) = line.strip_prefix("# ") else { continue };
        let is_key = key
            .split_once(" = ")
            .is_some_and(|(k, _)| k.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        let mut skipped = not_defaults.iter().chain(&blocks).chain(&policies).chain(&redirect);
        if !is_key || skipped.any(|skip| key.starts_with(skip)) {
            continue;
        }
        let text = SAMPLE.replacen(line, key, 1);
        let config = parse(&text).unwrap_or_else(|faults| panic!("{key}\n{faults}"));
        assert_eq!(config, sample, "{key}");
        switched += 1;
    }
    assert_eq!(switched, 57, "keys shown with their defaults");
}

#[test]
fn the_sample_is_what_it_says() {
    let sample = parse(SAMPLE).unwrap();
    assert_eq!(
        sample.summary(),
        "2 listeners, 2 routes, 1 upstream, 3 backends, 2 limits, 4 tiers, 0 keys"
    );
    let ports: Vec<u16> = sample.upstreams[0].backends.iter().map(|b| b.address.port()).collect();
    assert_eq!(ports, [5001, 5002, 5003]);
    assert_eq!(sample.routes[0].limits, [0, 1]);
}
