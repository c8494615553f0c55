use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::contestant::Contestant;
use crate::job::Job;
use crate::load::{ResponseError, Sample};

fn entrants() -> Vec<Entrant> {
    ["nginx", "haproxy"]
        .map(|name| Entrant {
            contestant: Contestant::named(name).unwrap(),
            program: PathBuf::from("/nonexistent"),
        })
        .into()
}

fn plan(job: &str) -> Plan {
    let length = Duration::from_secs(4);
    let job = Job::named(job).unwrap();
    Plan { job, rounds: 2, length, connections: 64, pace: Pace::Closed }
}

/// 1,000 requests in a second that cost `cpu_ms`, all with the latency given.
fn load(cpu_ms: u64, latency_us: u64, failed: u64) -> Outcome {
    let mut latency_ns = latency_histogram();
    latency_ns.record_n(latency_us * 1000, 1000).unwrap();
    let sample = Sample {
        answered: 1000,
        failed,
        first_failure: (failed > 0).then_some(ResponseError::Status(502)),
        unsent: 0,
        elapsed: Duration::from_secs(1),
        latency_ns,
    };
    let cpu = Duration::from_millis(cpu_ms);
    Outcome::Load(LoadOutcome { sample, cpu, backend_connections: 64 })
}

#[test]
fn ratios_are_to_haproxy_of_the_same_round() {
    // The second round is three times slower for both; nginx costs half of HAProxy in each.
    let rounds =
        [vec![load(10, 100, 0), load(20, 200, 0)], vec![load(30, 300, 0), load(60, 400, 0)]];
    let report = Report::new(&plan("plain"), &entrants(), vec!["weir-epoll".into()], &rounds);
    let Figures::Load(nginx) = &report.rows[0].figures else { panic!("a load job") };
    assert_eq!(nginx.cpu_ratio, Some(Spread { median: 0.5, min: 0.5, max: 0.5 }));
    assert_eq!(nginx.cpu_us_per_request, Some(Spread { median: 20.0, min: 10.0, max: 30.0 }));
    assert_eq!((nginx.answered, nginx.failed), (2000, 0));
    assert!((nginx.latency_us.p50 - 100.0).abs() < 1.0, "{:?}", nginx.latency_us);
    assert!((nginx.latency_us.p99 - 300.0).abs() < 1.0, "{:?}", nginx.latency_us);
    let Figures::Load(haproxy) = &report.rows[1].figures else { panic!("a load job") };
    assert_eq!(haproxy.cpu_ratio, Some(Spread { median: 1.0, min: 1.0, max: 1.0 }));
    assert_eq!(report.failures(), 0);
    let text = report.text();
    assert!(text.contains("weir-epoll: skipped, not installed"), "{text}");
    assert!(text.contains("0.50..0.50"), "{text}");
}

#[test]
fn failures_are_shouted() {
    let rounds = [vec![load(10, 100, 3), load(20, 200, 0)]];
    let report = Report::new(&plan("plain"), &entrants(), Vec::new(), &rounds);
    assert_eq!(report.failures(), 3);
    let text = report.text();
    assert!(text.contains("nginx: 3 FAILED, first: status 502 instead of 200"), "{text}");
    assert!(!text.contains("haproxy: 0 FAILED"), "{text}");
    assert!(!text.contains("KEEP-ALIVE LOST"), "{text}");
}

#[test]
fn a_contestant_that_reconnects_is_named() {
    let mut outcome = load(10, 100, 0);
    if let Outcome::Load(load) = &mut outcome {
        load.backend_connections = 1000;
    }
    let report = Report::new(&plan("plain"), &entrants(), Vec::new(), &[vec![outcome]]);
    assert_eq!(report.complaints(), "nginx: KEEP-ALIVE LOST, 1000 backend connections\n");
}

#[test]
fn idle_figures_have_their_own_table_and_json() {
    let idle = |after_bytes| {
        Outcome::Idle(IdleOutcome { connections: 100, before_bytes: 102_400, after_bytes })
    };
    let rounds = [vec![idle(204_800), idle(409_600)]];
    let report = Report::new(&plan("idle"), &entrants(), Vec::new(), &rounds);
    let text = report.text();
    let line = text.lines().find(|line| line.starts_with("nginx  ")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells, ["nginx", "1024", "1024..1024", "100", "200"]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["rows"][1]["bytes_per_connection"]["median"], 3072.0);
}
