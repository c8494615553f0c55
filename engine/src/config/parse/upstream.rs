//! `[[upstream]]` with its backends and health checks.

use std::time::Duration;

use super::super::document::Table;
use super::super::names::Names;
use super::super::node::{A_DURATION, Node};
use super::super::scalar;
use super::super::{BackendConfig, HealthConfig, ProxyVersion, RetryConfig, UpstreamConfig};
use super::engine::{PLACEHOLDER, TIMEOUT, TIMEOUT_OR_NONE};
use super::{CONTROL, tls};

const STRATEGIES_LATER: [&str; 8] = [
    "weighted_round_robin",
    "least_connections",
    "ip_hash",
    "least_response_time",
    "adaptive",
    "p2c",
    "maglev",
    "ring_hash",
];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_CONNECTIONS: usize = 64;
const KEEPALIVE_CONNECTIONS_MAX: usize = 1 << 16;
/// Checks in a row; more would take minutes to see what one sees.
const CHECKS_MAX: u32 = 100;
/// More than this is hammering.
const ATTEMPTS_MAX: u32 = 10;
const FLOOR_MAX: u32 = 1 << 16;

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            path: "/health".to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            rise: 2,
            fall: 3,
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 2, budget_percent: 20, floor: 3 }
    }
}

pub(super) fn upstreams(tables: Vec<Table<'_>>) -> (Vec<UpstreamConfig>, Names) {
    let mut names = Names::new("upstream");
    let upstreams = tables.into_iter().map(|table| upstream(table, &mut names)).collect();
    (upstreams, names)
}

fn upstream(mut table: Table<'_>, names: &mut Names) -> UpstreamConfig {
    let name = names.add(table.require("name", "name = \"api\"").as_ref(), &[CONTROL]);
    if let Some(node) = table.take("strategy") {
        node.choice(&[("round_robin", ())], &STRATEGIES_LATER);
    }
    let upstream = UpstreamConfig {
        name,
        health: match table.take("health") {
            Some(node) => health(&node),
            None => Some(HealthConfig::default()),
        },
        retry: match table.take("retry") {
            Some(node) => retry(&node),
            None => Some(RetryConfig::default()),
        },
        connect_timeout: table.duration("connect_timeout", TIMEOUT).unwrap_or(CONNECT_TIMEOUT),
        response_timeout: table.duration("response_timeout", TIMEOUT).unwrap_or(RESPONSE_TIMEOUT),
        request_timeout: table.duration("request_timeout", TIMEOUT_OR_NONE).unwrap_or_default(),
        keepalive_timeout: table
            .duration("keepalive_timeout", TIMEOUT)
            .unwrap_or(KEEPALIVE_TIMEOUT),
        keepalive_connections: table
            .integer("keepalive_connections", 0..=KEEPALIVE_CONNECTIONS_MAX)
            .unwrap_or(KEEPALIVE_CONNECTIONS),
        proxy_protocol: table.take("proxy_protocol").and_then(|node| {
            node.choice(&[("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)], &[])
        }),
        tls: table.take("tls").and_then(|node| tls::client(&node)),
        backends: backends(&mut table),
    };
    table.not_yet(&["breaker", "queue", "outlier", "sticky", "slow_start"]);
    table.finish();
    upstream
}

fn backends(table: &mut Table<'_>) -> Vec<BackendConfig> {
    let tables = table.tables("backend");
    if tables.is_empty() {
        let example = "[[upstream.backend]] with address = \"127.0.0.1:5001\"";
        table.fault(format!("[[upstream]] has no backend; add one, such as {example}"));
    }
    let mut backends: Vec<BackendConfig> = Vec::new();
    for mut table in tables {
        let node = table.require("address", "address = \"127.0.0.1:5001\"");
        let address = node.as_ref().and_then(|node| {
            node.scalar("an address such as \"127.0.0.1:5001\"", scalar::backend_address)
        });
        if let (Some(node), Some(address)) = (&node, address)
            && backends.iter().any(|backend| backend.address == address)
        {
            node.fault("this upstream has this backend already; remove one");
        }
        table.not_yet(&["weight", "tls", "slow_start", "backup"]);
        table.finish();
        backends.push(BackendConfig { address: address.unwrap_or(PLACEHOLDER) });
    }
    backends
}

/// `false`, `true` for the defaults, or a table.
fn health(node: &Node<'_>) -> Option<HealthConfig> {
    let default = HealthConfig::default();
    if node.is_boolean() {
        return node.boolean()?.then_some(default);
    }
    let mut table = node.table()?;
    let path = table
        .take("path")
        .and_then(|node| node.scalar("a path such as \"/health\"", scalar::health_path));
    let interval = table.duration("interval", TIMEOUT);
    let given = table.take("timeout");
    let timeout = given
        .as_ref()
        .and_then(|node| node.scalar(A_DURATION, |text| scalar::duration_within(text, &TIMEOUT)));
    let interval = interval.unwrap_or(default.interval);
    if let (Some(node), Some(timeout)) = (&given, timeout)
        && timeout >= interval
    {
        node.fault("must be shorter than \"interval\", so that checks do not overlap");
    }
    let health = HealthConfig {
        path: path.unwrap_or(default.path),
        interval,
        // A short interval alone needs no timeout beside it.
        timeout: timeout.unwrap_or(default.timeout.min(interval / 2)),
        rise: table.integer("rise", 1..=CHECKS_MAX).unwrap_or(default.rise),
        fall: table.integer("fall", 1..=CHECKS_MAX).unwrap_or(default.fall),
    };
    table.not_yet(&["status", "host", "panic"]);
    table.finish();
    Some(health)
}

/// `false`, `true` for the defaults, or a table.
fn retry(node: &Node<'_>) -> Option<RetryConfig> {
    let default = RetryConfig::default();
    if node.is_boolean() {
        return node.boolean()?.then_some(default);
    }
    let mut table = node.table()?;
    let retry = RetryConfig {
        attempts: table.integer("attempts", 1..=ATTEMPTS_MAX).unwrap_or(default.attempts),
        budget_percent: table.integer("budget", 0..=100).unwrap_or(default.budget_percent),
        floor: table.integer("floor", 0..=FLOOR_MAX).unwrap_or(default.floor),
    };
    table.finish();
    Some(retry)
}
