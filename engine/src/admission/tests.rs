//! Decisions over whole configurations, without a network: which limits apply, what they count,
//! and what is given back.

use std::sync::Arc;
use std::time::Duration;

use weir_protocol::http::{FieldStore, parse_request};
use weir_protocol::jwt;

use super::*;
use crate::config::Config;
use crate::upstream::Registry;

mod counted;
mod held;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Callers for all tests; limits and routes of a test follow.
const CALLERS: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "api"
backend = [{ address = "127.0.0.1:5001" }]
[jwt]
secret = "0123456789abcdef0123456789abcdef"
[[key]]
name = "ann-laptop"
key = "ann-0123456789abcdef"
user = "ann"
tier = "free"
[[key]]
name = "bob"
key = "bob-0123456789abcdef"
tier = "premium"
"#;
const ANN: &str = "X-API-Key: ann-0123456789abcdef\r\n";
const BOB: &str = "X-API-Key: bob-0123456789abcdef\r\n";

/// A Tuesday, 2026-11-24 at noon UTC.
const NOON: UnixNanos = UnixNanos(1_795_521_600_000_000_000);

/// What a shard has to decide with.
struct Desk {
    snapshot: Snapshot,
    table: Arc<SlotTable>,
    subjects: Arc<Subjects>,
    metrics: ShardMetrics,
    counts: Vec<Arc<LimitCounts>>,
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

impl Desk {
    /// `limits` are tables; each of `routes` is the rest of a route, whose path is its place.
    fn new(limits: &str, routes: &[&str]) -> Self {
        Self::with_slots(limits, routes, 4096)
    }

    fn with_slots(limits: &str, routes: &[&str], slots: usize) -> Self {
        let mut text = format!("{CALLERS}{limits}");
        for (index, route) in routes.iter().enumerate() {
            text += &format!("[[route]]\npath = \"/{index}\"\nupstream = \"api\"\n{route}\n");
        }
        let config = Config::parse(&text, "weir.toml").unwrap_or_else(|f| panic!("{text}\n{f}"));
        let snapshot = Snapshot::build(config, 1, &mut Registry::default(), None).expect("builds");
        let table = Arc::new(SlotTable::in_memory(slots, [7; 16]));
        table.set_wall(at(0), NOON);
        let metrics = ShardMetrics::default();
        let counts = snapshot.limits.iter().map(|limit| metrics.limits.of(&limit.name)).collect();
        let subjects = Arc::clone(snapshot.subjects(&table));
        Self { snapshot, table, subjects, metrics, counts }
    }

    /// Decides a request for a route, with these field lines.
    fn ask_from(&self, address: &str, route: usize, fields: &str, now: Instant) -> Decision<'_> {
        let text = format!("GET /{route} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut store = FieldStore::new();
        let limits = &self.snapshot.head_limits;
        let head = parse_request(text.as_bytes(), &mut store, limits).expect("a request");
        let request = Request {
            head: &head,
            route,
            address: address.parse().expect("an address"),
            addresses: &AddressMemo::default(),
            blocks: None,
            certificate: None,
            now,
            wall: &|| NOON,
        };
        let mut decision = Decision::new(&self.table);
        let admission = self.admission();
        match admission.check_banned_address(request.address, request.addresses, now) {
            Ok(()) => admission.decide(&request, &mut decision),
            Err(banned) => decision.refusal = Some(banned),
        }
        decision
    }

    fn ask(&self, route: usize, fields: &str, now: Instant) -> Decision<'_> {
        self.ask_from("192.0.2.1", route, fields, now)
    }

    /// Whether such a request is admitted, and over at once.
    fn admits(&self, route: usize, fields: &str, now: Instant) -> bool {
        self.ask(route, fields, now).refusal.is_none()
    }

    /// How many of several such requests at once are admitted, each over before the next.
    fn admitted(&self, route: usize, fields: &str, now: Instant) -> usize {
        (0..50).filter(|_| self.admits(route, fields, now)).count()
    }

    fn admission(&self) -> Admission<'_> {
        Admission {
            snapshot: &self.snapshot,
            subjects: &self.subjects,
            counts: &self.counts,
            table: &self.table,
            metrics: &self.metrics,
        }
    }

    fn counts(&self, limit: usize) -> (u64, u64, u64) {
        let counts = &self.counts[limit];
        (counts.admitted.get(), counts.refused.get(), counts.would_refuse.get())
    }

    fn remaining(decision: &Decision<'_>) -> Vec<(String, u64)> {
        let name = |item: &[u8]| {
            let item = std::str::from_utf8(item).expect("ASCII");
            item.split('"').nth(1).expect("a quoted name").to_owned()
        };
        decision.standings.iter().map(|s| (name(s.policy.item()), s.remaining)).collect()
    }
}

fn limit(name: &str, rest: &str) -> String {
    format!("[[limit]]\nname = \"{name}\"\n{rest}\n")
}

fn token(claims: &str) -> String {
    let key = jwt::Key::hs256(SECRET.as_bytes()).expect("long enough");
    let text = format!("{{\"exp\":9999999999,{claims}}}");
    format!("Authorization: Bearer {}\r\n", jwt::sign_hs256(&text, &key))
}
