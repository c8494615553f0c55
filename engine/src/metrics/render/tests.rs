use super::*;

fn two_shards() -> Vec<Arc<ShardMetrics>> {
    let shards = vec![Arc::new(ShardMetrics::default()), Arc::new(ShardMetrics::default())];
    for (shard, statuses) in shards.iter().zip([&[200, 200, 429][..], &[200, 502]]) {
        shard.connections_open.increment();
        for &status in statuses {
            shard.requests.record(status);
            shard.latency.record_ns(u64::from(status) * 1_000);
        }
        shard.bytes_in.add(1_000);
    }
    shards[1].record_timeout(Timeout::Connect);
    shards
}

/// The lines of one family, comments apart.
fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(name)).collect()
}

#[test]
fn shards_are_summed() {
    let text = render(&two_shards(), &[]);
    assert_eq!(
        lines(&text, "weir_requests_total"),
        [
            "weir_requests_total{class=\"1xx\"} 0",
            "weir_requests_total{class=\"2xx\"} 3",
            "weir_requests_total{class=\"3xx\"} 0",
            "weir_requests_total{class=\"4xx\"} 1",
            "weir_requests_total{class=\"5xx\"} 1",
            "weir_requests_total{class=\"other\"} 0",
        ]
    );
    assert!(text.contains("\nweir_request_errors_total{status=\"429\"} 1\n"));
    assert!(text.contains("\nweir_received_bytes_total 2000\n"));
    assert!(text.contains("\nweir_timeouts_total{kind=\"connect\"} 1\n"));
    assert!(text.contains("\nweir_connections_open{shard=\"1\"} 1\n"));
    assert!(text.contains("\nweir_shard_requests_total{shard=\"0\"} 3\n"));
}

#[test]
fn buckets_are_cumulative_and_end_in_the_count() {
    let text = render(&two_shards(), &[]);
    let buckets = lines(&text, "weir_request_duration_seconds_bucket");
    let counts: Vec<u64> = buckets
        .iter()
        .map(|line| line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a count"))
        .collect();
    assert!(counts.is_sorted());
    assert_eq!(buckets.len(), 24);
    assert_eq!(buckets[0], "weir_request_duration_seconds_bucket{le=\"0.000016384\"} 0");
    // 200 µs is within 2^18 ns, 429 and 502 µs within 2^19.
    assert_eq!(buckets[4], "weir_request_duration_seconds_bucket{le=\"0.000262144\"} 3");
    assert_eq!(buckets[5], "weir_request_duration_seconds_bucket{le=\"0.000524288\"} 5");
    assert_eq!(buckets[23], "weir_request_duration_seconds_bucket{le=\"+Inf\"} 5");
    assert!(text.contains("\nweir_request_duration_seconds_sum 0.001531\n"));
    assert!(text.contains("\nweir_request_duration_seconds_count 5\n"));
}

#[test]
fn every_family_is_declared_once_and_before_its_samples() {
    let extra = [Family::new(Kind::Gauge, "weir_backend_up", "Health.").with(&[("b", "x")], 1)];
    let text = render(&two_shards(), &extra);
    let mut declared: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().expect("a name");
            assert!(!declared.contains(&name), "{name} twice");
            declared.push(name);
        } else if !line.starts_with('#') {
            let current = declared.last().expect("declared before");
            assert!(line.starts_with(current), "{line} under {current}");
        }
    }
    assert_eq!(declared.last(), Some(&"weir_backend_up"));
    assert!(text.ends_with("weir_backend_up{b=\"x\"} 1\n"));
}

#[test]
fn a_summary_has_quantiles_in_milliseconds() {
    let stats = summary(&two_shards());
    assert_eq!(stats["requests"]["total"], 5);
    assert_eq!(stats["requests"]["by_class"]["2xx"], 3);
    assert_eq!(stats["requests"]["by_status"]["502"], 1);
    assert_eq!(stats["counters"]["connections_open"], 2);
    assert_eq!(stats["counters"]["received_bytes"], 2_000);
    assert_eq!(stats["timeouts"]["connect"], 1);
    let median = stats["latency_ms"]["p50"].as_f64().expect("a number");
    assert!((0.2..=0.207).contains(&median), "{median}");
    let slowest = stats["latency_ms"]["max"].as_f64().expect("a number");
    assert!((0.502..=0.518).contains(&slowest), "{slowest}");
    assert_eq!(stats["upstream_latency_ms"]["p99"], Value::Null);
}
