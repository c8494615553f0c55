//! Replays of records that tests have written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use tempfile::tempdir;

use super::*;
use crate::config::LimitKey;
use crate::ledger::flight::{
    Decision, Flight, IDENTIFIED, Moment, Names, Numbers, Place, REPORTED, Record, mapped,
};
use crate::metrics::Counter;
use crate::runtime::{Instant, UnixNanos};
use crate::slots::SlotTable;

const SECOND: u64 = 1_000_000_000;
const BASE: UnixNanos = UnixNanos(1_780_000_020 * SECOND);

/// A configuration with these limits (name, key, rest) and one route that has them all.
fn config(limits: &[(&str, &str, &str)]) -> Config {
    let mut text = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\n\
        backend = [{ address = \"127.0.0.1:2\" }]\n"
        .to_owned();
    for key in ["k-1", "k-2"] {
        let value = format!("{key}-0123456789abcdef");
        let _ = write!(
            text,
            "[[key]]\nname = \"{key}\"\nuser = \"u\"\ntier = \"free\"\nkey = \"{value}\"\n"
        );
    }
    for (name, key, rest) in limits {
        let _ = write!(text, "[[limit]]\nname = \"{name}\"\nkey = \"{key}\"\n{rest}\n");
    }
    let names: Vec<_> = limits.iter().map(|(name, ..)| format!("{name:?}")).collect();
    let names = names.join(", ");
    let _ = write!(text, "[[route]]\npath = \"/*\"\nupstream = \"u\"\nlimits = [{names}]\n");
    Config::parse(&text, "weir.toml").unwrap_or_else(|faults| panic!("{text}\n{faults}"))
}

/// Records in a folder; `what` makes them with the numbers of `config`.
fn recorded(
    config: &Config,
    dir: &Path,
    shards: usize,
    what: impl Fn(&Numbers, &mut dyn FnMut(usize, Record)),
) {
    let place = Place { ledger: dir, tmpfs: dir, identity: 1, epoch_base: BASE };
    let at = Moment { now: Instant::from_nanos(0), wall: BASE, clock_offset_ns: 0 };
    let flight = Flight::open(&place, shards, 1 << 20, false, at).expect("a recorder");
    let Flight { recorders, mut drain, mut names, .. } = flight;
    let numbers = number(&mut names, config);
    let mut pending = 0;
    what(&numbers, &mut |shard, record| {
        let dropped = Counter::new();
        recorders[shard].record(&record, &dropped);
        assert_eq!(dropped.get(), 0);
        pending += 1;
        if pending % 10_000 == 0 {
            drain.run();
        }
    });
    drain.close();
}

fn number(names: &mut Names, config: &Config) -> Numbers {
    let (numbers, written) = names.number(config, &SlotTable::in_memory(8, [0; 16]));
    written.expect("there is room");
    numbers
}

/// Of the `host`-th address, `at_ns` after the beginning.
fn request(numbers: &Numbers, host: u8, at_ns: u64) -> Record {
    Record {
        time: UnixNanos(BASE.0 + at_ns),
        address: mapped(std::net::Ipv4Addr::new(192, 0, 2, host).into()),
        key: 0,
        user: 0,
        cost: 1,
        latency_us: 10,
        status: 200,
        route: numbers.routes[0],
        tier: 0,
        decision: Decision::Forwarded,
        limit: 0,
        flags: IDENTIFIED,
    }
}

fn replay(dir: &Path, config: &Config) -> Value {
    let report = run(&dir.join("flight"), config, |_, _| {}).expect("a report");
    assert!(!report.text(3).is_empty());
    report.json(1_000)
}

fn by_key(report: &Value, limit: usize) -> BTreeMap<String, u64> {
    let keys = report["limits"][limit]["keys"].as_array().expect("a list");
    let line = |line: &Value| {
        let key = line["key"].as_str().expect("text").to_owned();
        (key, line["would_refuse"].as_u64().expect("a number"))
    };
    keys.iter().map(line).collect()
}

/// Windows that do not end while the test's requests come: the oracle is a count for each key.
#[test]
fn another_limit_refuses_what_an_oracle_says() {
    let folder = tempdir().expect("a temporary folder");
    let address = |rate: &str| config(&[("per-address", "address", rate)]);
    recorded(&address("rate = \"100/1h\""), folder.path(), 2, |numbers, write| {
        for n in 0..300_u32 {
            let host = u8::try_from(n % 10 * (n % 3)).expect("small");
            let record = request(numbers, host, u64::from(n) * 1_000_000);
            write(usize::from(host) % 2, record);
        }
    });
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for n in 0..300_u32 {
        *counts.entry(format!("192.0.2.{}", n % 10 * (n % 3))).or_default() += 1;
    }
    for limit in [1, 7, 20, 100] {
        let report = replay(folder.path(), &address(&format!("rate = \"{limit}/1h\"")));
        let expected: BTreeMap<_, _> = counts
            .iter()
            .filter(|(_, count)| **count > limit)
            .map(|(key, count)| (key.clone(), count - limit))
            .collect();
        let refused: u64 = expected.values().sum();
        assert_eq!(by_key(&report, 0), expected, "{limit}");
        assert_eq!(report["requests"]["would_refuse"], refused);
        assert_eq!(report["newly_refused"], refused);
        assert_eq!(report["requests"]["would_admit"], 300 - refused);
        assert_eq!(report["records"], 300);
    }
}

#[test]
fn keys_are_named_and_minutes_told() {
    let folder = tempdir().expect("a temporary folder");
    let config = config(&[("per-key", "key", "rate = \"tier\"")]);
    recorded(&config, folder.path(), 1, |numbers, write| {
        for n in 0..12_u64 {
            let (key, user) = numbers.keys[usize::from(n % 4 == 0)];
            let known = Record {
                key,
                user,
                tier: numbers.tiers[0],
                ..request(numbers, 1, n * 10 * SECOND)
            };
            let refused = Record {
                decision: Decision::Limited,
                status: 429,
                limit: numbers.limits[0],
                ..known
            };
            write(0, if n == 11 { refused } else { known });
        }
    });
    let report = replay(folder.path(), &config);
    // Of k-1 nine in 110 s, five a minute: the sixth in the first minute, and what fades.
    let refused = by_key(&report, 0);
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["k-1"], "{report}");
    let minutes = report["minutes"].as_array().expect("a list");
    assert_eq!(minutes.len(), 2);
    assert_eq!(minutes[0]["start_s"], BASE.as_secs() / 60 * 60);
    assert_eq!(report["requests"]["refused"], 1);
    assert_eq!(report["limits"][0]["refused"], 1);
}

#[test]
fn several_limits_are_charged_all_or_none() {
    let folder = tempdir().expect("a temporary folder");
    let limits = [("wide", "user", "rate = \"3/1h\""), ("tight", "key", "rate = \"1/1h\"")];
    let config = config(&limits);
    recorded(&config, folder.path(), 1, |numbers, write| {
        // The second of k-1 is refused by `tight`, which gives `wide` back what it was charged.
        for (n, key) in (0..).zip([0, 0, 1]) {
            let (key, user) = numbers.keys[key];
            let record = request(numbers, 1, n * SECOND);
            write(0, Record { key, user, tier: numbers.tiers[0], ..record });
        }
        // The user by a token: his third request that counts.
        let (_, user) = numbers.keys[0];
        write(0, Record { user, tier: numbers.tiers[0], ..request(numbers, 1, 9 * SECOND) });
    });
    let report = replay(folder.path(), &config);
    assert_eq!(report["limits"][0]["would_refuse"], 0, "{report}");
    assert_eq!(report["limits"][1]["would_refuse"], 1);
    assert_eq!(report["requests"]["would_admit"], 3);
}

#[test]
fn what_cannot_be_decided_is_named() {
    let folder = tempdir().expect("a temporary folder");
    let old = config(&[("one", "address", "rate = \"1/1h\"\ncallers = \"all\"")]);
    recorded(&old, folder.path(), 1, |numbers, write| {
        let record = request(numbers, 1, 0);
        write(0, record);
        write(0, Record { flags: 0, decision: Decision::Limited, limit: 1, ..record });
        write(0, Record { route: 77, ..record });
        write(0, Record { route: 0, decision: Decision::NoRoute, ..record });
        write(0, Record { decision: Decision::Blocked, ..record });
    });
    let new = config(&[("cert", "certificate", "rate = \"1/1h\"")]);
    let report = replay(folder.path(), &new);
    let reason = report["limits"][0]["undecidable"].as_str().expect("a reason");
    assert!(reason.contains("certificates"), "{reason}");
    assert_eq!((&report["caller_unknown"], &report["without_route"]), (&1.into(), &2.into()));
    assert_eq!(report["refused_otherwise"], 1);
    assert_eq!(report["missing_routes"][0]["requests"], 1);
}

#[test]
fn dry_runs_refuse_nobody_and_are_counted() {
    let folder = tempdir().expect("a temporary folder");
    let config = config(&[("dry", "address", "rate = \"2/1h\"\ndry_run = true")]);
    recorded(&config, folder.path(), 1, |numbers, write| {
        (0..5).for_each(|n| write(0, request(numbers, 1, n)));
    });
    let report = replay(folder.path(), &config);
    assert_eq!(report["limits"][0]["would_refuse"], 3);
    assert_eq!(report["requests"]["would_refuse"], 0);
}

#[test]
fn rings_are_merged_by_the_time_at_which_requests_began() {
    let folder = tempdir().expect("a temporary folder");
    let config = config(&[("one", "address", "rate = \"1/1h\"")]);
    recorded(&config, folder.path(), 2, |numbers, write| {
        // Recorded when they end: the first to begin ends last.
        write(1, Record { status: 201, ..request(numbers, 1, 500) });
        write(0, request(numbers, 1, 900));
        write(0, Record { status: 202, ..request(numbers, 1, 100) });
    });
    let rings = rings(&folder.path().join("flight")).expect("rings");
    let mut merge = Merge::new(rings).expect("readable");
    let mut statuses = Vec::new();
    while let Some(record) = merge.next_record().expect("readable") {
        statuses.push(record.status);
    }
    assert_eq!((statuses, merge.late), (vec![202, 201, 200], 0));
}

#[test]
fn a_folder_without_rings_is_told() {
    let folder = tempdir().expect("a temporary folder");
    let config = config(&[]);
    let error = run(folder.path(), &config, |_, _| {}).map(drop).expect_err("no rings");
    assert!(error.to_string().contains("has no ring of a flight recorder"), "{error}");
}

#[test]
fn combinations_overrides_and_costs_hold() {
    let folder = tempdir().expect("a temporary folder");
    let limits = "rate = \"6/1h\"\noverrides = { k-2 = \"2/1h\", bob = \"9/1h\" }";
    let mut config = config(&[("both", "key", limits)]);
    config.limits[0].key = vec![LimitKey::Key, LimitKey::Tier];
    config.routes[0].cost = 2;
    recorded(&config, folder.path(), 1, |numbers, write| {
        for n in 0..8_u64 {
            let (key, user) = numbers.keys[usize::from(n % 2 == 1)];
            let record = request(numbers, 1, n * SECOND);
            write(0, Record { key, user, tier: numbers.tiers[0], ..record });
        }
        // Without a tier the limit does not count it.
        write(0, request(numbers, 1, 9 * SECOND));
    });
    let report = replay(folder.path(), &config);
    let expected = BTreeMap::from([("k-1 free".to_owned(), 1), ("k-2 free".to_owned(), 3)]);
    assert_eq!(by_key(&report, 0), expected, "{report}");
    assert_eq!(report["limits"][0]["unknown_overrides"], serde_json::json!(["bob"]));
}

#[test]
fn reported_costs_are_settled() {
    let folder = tempdir().expect("a temporary folder");
    let mut config = config(&[("one", "address", "rate = \"10/1h\"")]);
    config.routes[0].cost_header = Some("x-cost".to_owned());
    recorded(&config, folder.path(), 1, |numbers, write| {
        for n in 0..5 {
            let flags = IDENTIFIED | REPORTED;
            write(0, Record { cost: 4, flags, ..request(numbers, 1, n * SECOND) });
        }
    });
    // 4, 8, 12: the third is let in, and the fourth is not.
    assert_eq!(replay(folder.path(), &config)["requests"]["would_refuse"], 2);
    config.routes[0].cost_header = None;
    assert_eq!(replay(folder.path(), &config)["requests"]["would_refuse"], 0);
}

#[test]
fn who_does_not_wait_would_be_banned() {
    let folder = tempdir().expect("a temporary folder");
    let ban = "rate = \"1/1m\"\nban = { after = 2, within = \"1m\", for = \"1h\" }";
    let config = config(&[("one", "address", ban)]);
    recorded(&config, folder.path(), 1, |numbers, write| {
        (0..6).for_each(|n| write(0, request(numbers, 1, n * SECOND)));
        // Long after the limit would let it in again.
        write(0, request(numbers, 1, 600 * SECOND));
        write(0, request(numbers, 2, 601 * SECOND));
    });
    assert_eq!(replay(folder.path(), &config)["requests"]["would_refuse"], 6);
}
