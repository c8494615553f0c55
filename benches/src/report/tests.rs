use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::contestant::Contestant;
use crate::job::Job;
use crate::load::{ResponseError, Sample, SlowOutcome, latency_histogram};
use crate::run::{IdleOutcome, LoadOutcome, SlowRound};
use crate::stats::Spread;

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
        resumed: 0,
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
fn sessions_that_should_have_been_resumed_are_named() {
    let resumed = |count| {
        let mut outcome = load(10, 100, 0);
        if let Outcome::Load(load) = &mut outcome {
            load.sample.resumed = count;
        }
        outcome
    };
    let rounds = [vec![resumed(800), resumed(995)]];
    let report = Report::new(&plan("resume"), &entrants(), Vec::new(), &rounds);
    assert_eq!(report.complaints(), "nginx: NOT RESUMED, only 800 of 1000 sessions\n");
    let report = Report::new(&plan("handshake"), &entrants(), Vec::new(), &rounds);
    assert_eq!(report.complaints(), "");
}

#[test]
fn slow_clients_have_their_own_table() {
    let round = |cut_off, failed| {
        let (Outcome::Load(alone), Outcome::Load(beside)) =
            (load(10, 100, 0), load(20, 300, failed))
        else {
            panic!("load jobs");
        };
        let (first_after, last_after) = (Duration::from_secs(10), Duration::from_millis(10_200));
        let slow = SlowOutcome { clients: 500, cut_off, told: 7, first_after, last_after };
        Outcome::Slow(Box::new(SlowRound { alone, beside, slow }))
    };
    let rounds = [vec![round(500, 0), round(499, 2)]];
    let report = Report::new(&plan("slow"), &entrants(), Vec::new(), &rounds);
    assert_eq!(report.failures(), 2);
    let text = report.text();
    let line = text.lines().find(|line| line.starts_with("nginx  ")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    let times = ["10.0", "10.2", "0", "10.00", "20.00", "100", "300", "100", "300", "100", "300"];
    assert_eq!(cells[..4], ["nginx", "500", "500", "7"]);
    assert_eq!(cells[4..], times);
    assert!(text.contains("haproxy: 1 slow clients NOT CUT OFF"), "{text}");
    assert!(text.contains("haproxy: 2 FAILED"), "{text}");
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
