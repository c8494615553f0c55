use serde_json::Value;

use super::*;

fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        pid: 42,
        uptime_s: 3_700,
        runtime: "glommio".to_owned(),
        runtime_reason: "io_uring works".to_owned(),
        shards: vec![
            ShardStatus {
                id: 0,
                cpu: Some(3),
                connections: 7,
                requests: 12_345,
                limited: 2,
                errors: 1,
                bytes_in: 1_536,
                bytes_out: 10 << 30,
                panics: 1,
                stalled: false,
                stalls: 2,
            },
            ShardStatus { id: 1, stalled: true, stalls: 1, ..ShardStatus::default() },
        ],
        rings_cooperative: 4,
        rings_plain: 0,
        config_path: "/etc/weir.toml".to_owned(),
        config_generation: 2,
        draining: false,
        listeners: vec!["public 0.0.0.0:8080".to_owned(), "control 127.0.0.1:5000".to_owned()],
        ledger: "/var/lib/weir".to_owned(),
        live_table: "tmpfs".to_owned(),
        slots_used: 3,
        slots_capacity: 65_536,
        panics: 1,
        last_panic: Some("weir-shard-0: panic at a.rs:1: no".to_owned()),
    }
}

#[test]
fn a_status_reads_so() {
    let expected = "\
weir       0.1.0, process 42, serving
up         1 h 1 min
runtime    glommio (io_uring works)
rings      4 cooperative, 0 plain
config     /etc/weir.toml, generation 2
listeners  public 0.0.0.0:8080, control 127.0.0.1:5000
ledger     /var/lib/weir
live table tmpfs
slots      3 of 65536 used
panics     1, the last in weir-shard-0: panic at a.rs:1: no

SHARD  CPU  STATE    CONNECTIONS  REQUESTS  LIMITED  5XX       IN       OUT  PANICS  STALLS
0        3  turns              7     12345        2    1  1.5 KiB  10.0 GiB       1       2
1      any  stalled            0         0        0    0      0 B       0 B       0       1
";
    assert_eq!(text(&Response::Status(status())), expected);
}

#[test]
fn backends_read_so() {
    let backends = vec![
        BackendStatus {
            upstream: "api".to_owned(),
            address: "127.0.0.1:5001".to_owned(),
            healthy: true,
            in_flight: 2,
            requests: 100,
            failures: 0,
            last_check: "200 in 1 ms".to_owned(),
        },
        BackendStatus {
            upstream: "api".to_owned(),
            address: "127.0.0.1:5002".to_owned(),
            ..BackendStatus::default()
        },
    ];
    let expected = "\
UPSTREAM  BACKEND         HEALTH  IN FLIGHT  REQUESTS  FAILURES  LAST CHECK
api       127.0.0.1:5001  up              2       100         0  200 in 1 ms
api       127.0.0.1:5002  down            0         0         0  -
";
    assert_eq!(text(&Response::Backends(backends)), expected);
    assert_eq!(text(&Response::Backends(Vec::new())), "no upstream has backends\n");
}

#[test]
fn json_has_the_fields_by_name() {
    let value: Value = serde_json::from_str(&json(&Response::Status(status()))).expect("JSON");
    assert_eq!(value["shards"][0]["cpu"], 3);
    assert_eq!(value["shards"][1]["cpu"], Value::Null);
    assert_eq!(value["rings_cooperative"], 4);
    assert_eq!(value["draining"], false);
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(18));
    assert_eq!(json(&Response::Done("ok".to_owned())), "{\n  \"done\": \"ok\"\n}\n");
    let backends = json(&Response::Backends(vec![BackendStatus::default()]));
    let value: Value = serde_json::from_str(&backends).expect("JSON");
    assert_eq!(value[0]["healthy"], false);
}

#[test]
fn what_comes_from_elsewhere_cannot_move_the_cursor() {
    let backend = BackendStatus {
        last_check: "503\x1b[2J\nroot  up\u{9b}".to_owned(),
        ..BackendStatus::default()
    };
    let shown = text(&Response::Backends(vec![backend]));
    assert_eq!(shown.lines().count(), 2);
    assert!(shown.chars().all(|letter| letter == '\n' || !letter.is_control()));
    assert_eq!(text(&Response::Done("a\nb\n".to_owned())), "a b\n");
}

#[test]
fn reasons_keep_their_lines_and_nothing_else_that_moves_the_cursor() {
    assert_eq!(lines("f:1:1: a\r\nf:2:1: b\x1b[2J\n"), "f:1:1: a\nf:2:1: b [2J");
}

#[test]
fn times_and_sizes_read_so() {
    let times = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 90_061];
    let expected = [
        "0 s",
        "59 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
        "23 h 59 min",
        "1 d 0 h",
        "1 d 1 h",
    ];
    assert_eq!(times.map(duration), expected);
    let sizes = [0, 1_023, 1_024, 1_048_575, 1_048_576, u64::MAX];
    let expected = ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "1.0 MiB", "15.9 EiB"];
    assert_eq!(sizes.map(bytes), expected);
}

#[test]
fn counters_read_so() {
    use weir_protocol::control::CounterStatus;
    let counters = vec![
        CounterStatus {
            limit: "per-address".to_owned(),
            subject: "address 203.0.113.7".to_owned(),
            algorithm: "sliding_window".to_owned(),
            quota: 100,
            used: 99,
            reset_ms: 61_500,
            admitted: 1_000,
            refused: 7,
            banned_s: 300,
        },
        CounterStatus {
            subject: "user \u{1b}[2J".to_owned(),
            used: 1,
            reset_ms: 250,
            ..CounterStatus::default()
        },
    ];
    let expected = "\
LIMIT        SUBJECT              USED   OF      BACK IN  ADMITTED  REFUSED   BANNED FOR
per-address  address 203.0.113.7    99  100  1 min 1 s      1000        7  5 min 0 s
-            user  [2J               1    -        0.2 s         0        0            -
";
    let shown = text(&Response::Counters(counters));
    assert_eq!(
        shown.split_whitespace().collect::<Vec<_>>(),
        expected.split_whitespace().collect::<Vec<_>>()
    );
    assert!(!shown.contains('\u{1b}'));
    assert_eq!(text(&Response::Counters(Vec::new())), "nothing is counted\n");
}

#[test]
fn bans_read_so() {
    use weir_protocol::control::BanStatus;
    let bans = vec![
        BanStatus {
            subject: "address 203.0.113.7".to_owned(),
            limit: Some("per-address".to_owned()),
            left_s: Some(299),
            step: 2,
            ..BanStatus::default()
        },
        BanStatus {
            subject: "key batch".to_owned(),
            by: "uid 0".to_owned(),
            reason: "asked to".to_owned(),
            ..BanStatus::default()
        },
    ];
    let expected = "\
SUBJECT                   ENDS IN  BY                 REASON
address 203.0.113.7  4 min 59 s  limit per-address  step 2
key batch                   never  uid 0              asked to
";
    let shown = text(&Response::Bans(bans));
    assert_eq!(
        shown.split_whitespace().collect::<Vec<_>>(),
        expected.split_whitespace().collect::<Vec<_>>()
    );
}

#[test]
fn an_explanation_reads_so() {
    use weir_protocol::control::{AppliedLimit, CounterStatus, Explanation, Step, Verdict};
    let explanation = Explanation {
        steps: vec![Step {
            name: "route".to_owned(),
            verdict: Verdict::Passes,
            detail: "/api/* to upstream api".to_owned(),
        }],
        limits: vec![AppliedLimit {
            name: "per-key".to_owned(),
            verdict: Verdict::Refuses,
            detail: "key demo, tier free".to_owned(),
            dry_run: true,
            counter: Some(CounterStatus { quota: 5, used: 5, ..CounterStatus::default() }),
            cost: 1,
            retry_after_ms: 12_000,
        }],
        status: None,
    };
    let shown = text(&Response::Explanation(explanation));
    for part in [
        "route        passes   /api/* to upstream api",
        "refuses (dry run)",
        "12 s",
        "go on to its upstream",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn the_ledger_reads_so() {
    use weir_protocol::control::LedgerStatus;
    let status = LedgerStatus {
        folder: "/var/lib/weir".to_owned(),
        live_table: "tmpfs".to_owned(),
        slots_used: 3,
        slots_capacity: 64,
        slots_live: 2,
        slots_oldest_s: Some(3_660),
        synced_ms_ago: 400,
        sync_failures: 1,
        failing: true,
        journal_segments: 2,
        journal_bytes: 2_048,
        journal_records: 9,
        journal_failures: 0,
    };
    let expected = "\
ledger     /var/lib/weir
live table tmpfs
slots      3 of 64 used, 2 live, the oldest for 1 h 1 min
on disk    as of 400 ms ago, 1 failures, which fails now
journal    2 segments; 9 records, 2.0 KiB since the start
";
    assert_eq!(text(&Response::Ledger(status)), expected);
}
