use super::*;
use crate::config::{Auth, Config, PathPattern, RouteConfig, RouteTarget};

const SECRET: &str = "a secret with \"quotes\", a \\ and\na line";

fn parsed(ledger: &str, socket: &str) -> Config {
    let (ledger, socket) = (Path::new(ledger), Path::new(socket));
    let text = configuration(&DemoPorts::default(), ledger, socket, SECRET);
    match Config::parse_with(&text, "demo", &|_| None) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}\n{text}"),
    }
}

#[test]
fn it_is_a_right_configuration_of_the_promised_addresses() {
    let config = parsed("/tmp/ledger", "/tmp/weir.sock");
    let listeners: Vec<String> =
        config.listeners.iter().map(|l| format!("{} {}", l.name, l.address)).collect();
    assert_eq!(listeners, ["public 127.0.0.1:8080", "control 127.0.0.1:5000"]);
    let backends: Vec<String> =
        config.upstreams[0].backends.iter().map(|b| b.address.to_string()).collect();
    assert_eq!(backends, ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003"]);
    let health = config.upstreams[0].health.as_ref().expect("is checked");
    assert_eq!(health.interval.as_secs(), 1);
    assert!(config.control.sample_api);
}

#[test]
fn every_tier_has_a_key_of_its_own() {
    let config = parsed("/l", "/s");
    assert_eq!(config.keys.len(), 4);
    for (tier, key) in config.keys.iter().zip(KEYS) {
        assert_eq!(config.tiers[tier.tier].name, key.tier);
        assert_eq!(tier.user, key.tier);
        let digest = ring::digest::digest(&ring::digest::SHA256, key.key.as_bytes());
        assert_eq!(tier.digest, digest.as_ref());
    }
}

#[test]
fn hostile_paths_and_secrets_stay_what_they_are() {
    let config = parsed("/tmp/a \"b\"\\c", "/tmp/\u{1}é'");
    assert_eq!(config.engine.ledger, Path::new("/tmp/a \"b\"\\c"));
    assert_eq!(config.control.socket, Path::new("/tmp/\u{1}é'"));
    assert_eq!(config.jwt.expect("is there").secret, SECRET.as_bytes());
}

#[test]
fn premium_asks_for_a_tier_and_the_gateway_for_nobody() {
    let config = parsed("/l", "/s");
    let find = |listener: &str, path: PathPattern| -> &RouteConfig {
        let is = |r: &&RouteConfig| {
            r.listener.is_some_and(|at| config.listeners[at].name == listener) && r.path == path
        };
        config.routes.iter().find(is).expect("is there")
    };
    let premium = find("control", PathPattern::Exact("/api/v2/premium".to_owned()));
    let tiers: Vec<&str> =
        premium.tiers.iter().map(|&tier| config.tiers[tier].name.as_str()).collect();
    assert_eq!((tiers, premium.auth), (vec!["premium", "enterprise"], Auth::Any));
    let data = find("control", PathPattern::Prefix("/api/v2/".to_owned()));
    assert_eq!((data.auth, &data.target), (Auth::Any, &RouteTarget::Control));
    assert!(data.tiers.is_empty() && data.limits.len() == 2);
    let open = find("public", PathPattern::Prefix("/".to_owned()));
    assert_eq!((open.auth, &open.target), (Auth::None, &RouteTarget::Upstream(0)));
    assert_eq!(open.limits.len(), 2);
    let stats = find("public", PathPattern::Exact("/stats".to_owned()));
    assert_eq!(stats.target, RouteTarget::Control);
    // The control address keeps its pages for everybody.
    let pages = find("control", PathPattern::Prefix("/".to_owned()));
    assert_eq!((pages.auth, &pages.target), (Auth::None, &RouteTarget::Control));
}
