//! The shards' numbers, summed, as Prometheus text and as JSON.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::limits;
use super::{
    Counter, Family, Histogram, HistogramSnapshot, Kind, STATUS_CLASSES, STATUSES, ShardMetrics,
    Timeout,
};

/// Ends of the exposed latency buckets as powers of two of nanoseconds: 16 µs to 69 s. Our own
/// buckets end there, so these counts are exact.
const EXPOSED_POWERS: std::ops::RangeInclusive<u32> = 14..=36;

/// Picks one counter of a shard.
type Pick = fn(&ShardMetrics) -> &Counter;

/// Counters without labels: name, help, and where it is kept.
const COUNTERS: [(&str, &str, Pick); 30] = [
    ("connections_accepted", "Client connections accepted.", |m| &m.connections_accepted),
    ("connections_refused", "Connections closed because a shard was full.", |m| {
        &m.connections_refused
    }),
    (
        "connections_refused_by_address",
        "Connections closed because an address had too many.",
        |m| &m.connections_refused_by_address,
    ),
    ("connections_uncounted", "Connections not counted for their address for lack of room.", |m| {
        &m.connections_uncounted
    }),
    ("proxy_protocol_untrusted", "Connections closed because the peer is no trusted proxy.", |m| {
        &m.proxy_protocol_untrusted
    }),
    ("proxy_protocol_errors", "Connections closed for a malformed PROXY header.", |m| {
        &m.proxy_protocol_errors
    }),
    ("accept_errors", "Failures to accept a connection.", |m| &m.accept_errors),
    ("received_bytes", "Bytes received from clients.", |m| &m.bytes_in),
    ("sent_bytes", "Bytes sent to clients.", |m| &m.bytes_out),
    ("retries", "Requests sent to a backend again.", |m| &m.retries),
    ("retries_refused_by_budget", "Requests not sent again, because too many were.", |m| {
        &m.retries_refused_by_budget
    }),
    ("backend_connects", "Connections opened to backends.", |m| &m.backend_connects),
    ("backend_connect_errors", "Connections to backends that failed.", |m| {
        &m.backend_connect_errors
    }),
    ("backend_reuses", "Requests sent on a kept connection.", |m| &m.backend_reuses),
    ("backend_tls_errors", "TLS handshakes with backends that failed.", |m| &m.backend_tls_errors),
    ("tls_handshakes", "TLS handshakes of clients, resumptions among them.", |m| &m.tls_handshakes),
    ("tls_resumptions", "TLS handshakes that resumed a session.", |m| &m.tls_resumptions),
    ("tls_errors", "TLS handshakes of clients that failed.", |m| &m.tls_errors),
    ("access_denied", "Requests of addresses that a list denies.", |m| &m.access_denied),
    ("access_blocked", "Requests of whom an operator has blocked.", |m| &m.access_blocked),
    ("auth_failures", "Requests without a valid credential.", |m| &m.auth_failures),
    ("cost_reports_invalid", "Reports of a request's cost that are no number.", |m| {
        &m.cost_reports_invalid
    }),
    ("loops", "Requests that came through this gateway too often.", |m| &m.loops),
    ("log_lines_dropped", "Access log lines dropped because the writer lagged.", |m| {
        &m.log_lines_dropped
    }),
    ("flight_dropped", "Flight records dropped because the recorder lagged.", |m| {
        &m.flight_dropped
    }),
    ("tunnels_opened", "Connections that became tunnels.", |m| &m.tunnels_opened),
    ("tunnels_refused", "Requests for a tunnel too many.", |m| &m.tunnels_refused),
    ("tunnel_received_bytes", "Bytes from clients in tunnels.", |m| &m.tunnel_bytes_in),
    ("tunnel_sent_bytes", "Bytes to clients in tunnels.", |m| &m.tunnel_bytes_out),
    ("panics", "Connections ended by a bug of the gateway.", |m| &m.panics),
];

/// Everything the shards counted, then `extra`, in the Prometheus text format.
pub fn render(shards: &[Arc<ShardMetrics>], extra: &[Family]) -> String {
    let mut families = vec![requests(shards), statuses(shards)];
    families.extend(COUNTERS.map(|(name, help, pick)| {
        Family::new(Kind::Counter, &format!("weir_{name}_total"), help)
            .with(&[], sum(shards, |shard| pick(shard).get()))
    }));
    families.extend(limits::families(shards));
    families.push(timeouts(shards));
    families.extend(per_shard(shards));
    families.push(histogram(
        "weir_request_duration_seconds",
        "From a request's first byte to its answer's last.",
        &latency(shards, |shard| &shard.latency),
    ));
    families.push(histogram(
        "weir_upstream_duration_seconds",
        "From sending a request to a backend to the end of its answer.",
        &latency(shards, |shard| &shard.upstream_latency),
    ));
    let mut text = String::with_capacity(16 * 1024);
    families.iter().chain(extra).for_each(|family| family.write(&mut text));
    text
}

/// The same numbers for `/stats`; latencies in milliseconds, `null` before the first request.
pub fn summary(shards: &[Arc<ShardMetrics>]) -> Value {
    let mut counters: Map<String, Value> = COUNTERS
        .iter()
        .map(|(name, _, pick)| ((*name).to_owned(), sum(shards, |shard| pick(shard).get()).into()))
        .collect();
    let open = sum(shards, |shard| shard.connections_open.get());
    counters.insert("connections_open".to_owned(), open.into());
    let parked = sum(shards, |shard| shard.connections_parked.get());
    counters.insert("connections_parked".to_owned(), parked.into());
    let tunnels = sum(shards, |shard| shard.tunnels_open.get());
    counters.insert("tunnels_open".to_owned(), tunnels.into());
    counters.extend(limits::sums(shards));
    let classes = STATUS_CLASSES.iter().enumerate().map(|(at, &class)| {
        (class.to_owned(), sum(shards, |shard| shard.requests.class(at)).into())
    });
    let statuses = STATUSES.iter().enumerate().map(|(at, status)| {
        (status.to_string(), sum(shards, |shard| shard.requests.status(at)).into())
    });
    let timeouts = Timeout::ALL
        .iter()
        .map(|&kind| (kind.name().to_owned(), sum(shards, |shard| shard.timeouts(kind)).into()));
    json!({
        "requests": {
            "total": sum(shards, |shard| shard.requests.total()),
            "by_class": classes.collect::<Map<_, Value>>(),
            "by_status": statuses.collect::<Map<_, Value>>(),
        },
        "timeouts": timeouts.collect::<Map<_, Value>>(),
        "counters": counters,
        "latency_ms": quantiles(&latency(shards, |shard| &shard.latency)),
        "upstream_latency_ms": quantiles(&latency(shards, |shard| &shard.upstream_latency)),
    })
}

fn quantiles(snapshot: &HistogramSnapshot) -> Value {
    let at = |quantile| snapshot.quantile_ns(quantile).map(|ns| seconds(ns) * 1e3);
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) })
}

/// Wraps like the counters it adds.
fn sum(shards: &[Arc<ShardMetrics>], pick: impl Fn(&ShardMetrics) -> u64) -> u64 {
    shards.iter().fold(0, |total: u64, shard| total.wrapping_add(pick(shard)))
}

fn latency(
    shards: &[Arc<ShardMetrics>],
    pick: impl Fn(&ShardMetrics) -> &Histogram,
) -> HistogramSnapshot {
    HistogramSnapshot::of(shards.iter().map(|shard| pick(shard)))
}

fn requests(shards: &[Arc<ShardMetrics>]) -> Family {
    let family = Family::new(
        Kind::Counter,
        "weir_requests_total",
        "Requests answered, by the class of their status.",
    );
    STATUS_CLASSES.iter().enumerate().fold(family, |family, (at, class)| {
        family.with(&[("class", class)], sum(shards, |shard| shard.requests.class(at)))
    })
}

/// A family of its own, so that the sum over `weir_requests_total` counts nothing twice.
fn statuses(shards: &[Arc<ShardMetrics>]) -> Family {
    let family = Family::new(
        Kind::Counter,
        "weir_request_errors_total",
        "Requests answered with one of these statuses; 499 is a client that left.",
    );
    STATUSES.iter().enumerate().fold(family, |family, (at, status)| {
        let count = sum(shards, |shard| shard.requests.status(at));
        family.with(&[("status", &status.to_string())], count)
    })
}

fn timeouts(shards: &[Arc<ShardMetrics>]) -> Family {
    let family = Family::new(Kind::Counter, "weir_timeouts_total", "Deadlines that passed.");
    Timeout::ALL.iter().fold(family, |family, &kind| {
        family.with(&[("kind", kind.name())], sum(shards, |shard| shard.timeouts(kind)))
    })
}

/// What shows whether the kernel spreads connections evenly.
fn per_shard(shards: &[Arc<ShardMetrics>]) -> [Family; 4] {
    let mut open = Family::new(Kind::Gauge, "weir_connections_open", "Client connections open.");
    let mut parked = Family::new(
        Kind::Gauge,
        "weir_connections_parked",
        "Client connections that are idle and cost next to nothing.",
    );
    let mut tunnels = Family::new(Kind::Gauge, "weir_tunnels_open", "Tunnels open.");
    let mut requests = Family::new(
        Kind::Counter,
        "weir_shard_requests_total",
        "Requests answered, by the shard that served them.",
    );
    for (id, shard) in shards.iter().enumerate() {
        let id = id.to_string();
        open = open.with(&[("shard", &id)], shard.connections_open.get());
        parked = parked.with(&[("shard", &id)], shard.connections_parked.get());
        tunnels = tunnels.with(&[("shard", &id)], shard.tunnels_open.get());
        requests = requests.with(&[("shard", &id)], shard.requests.total());
    }
    [open, parked, tunnels, requests]
}

fn histogram(name: &str, help: &str, snapshot: &HistogramSnapshot) -> Family {
    let mut family = Family::new(Kind::Histogram, name, help);
    for bits in EXPOSED_POWERS {
        let end = seconds(1 << bits).to_string();
        let count = exact(snapshot.count_up_to_power(bits));
        family = family.with_value("_bucket", &[("le", &end)], count);
    }
    // The count is the last bucket by definition; both come from one snapshot, so they agree.
    let count = exact(snapshot.count());
    family
        .with_value("_bucket", &[("le", "+Inf")], count)
        .with_value("_sum", &[], seconds(snapshot.sum_ns()))
        .with_value("_count", &[], count)
}

fn seconds(ns: u64) -> f64 {
    exact(ns) / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus and JSON readers keep numbers as f64")]
fn exact(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
