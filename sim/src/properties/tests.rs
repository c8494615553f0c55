use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::scenario::Does;
use crate::trace::{Outcome, Record, Step};
use crate::world::{HealthBounds, Left};

mod admission;

const SCENARIO: &str = r#"
name = "judged"
duration = "10s"
[gateway]
config = ""
[[host]]
name = "a"
[[host]]
name = "b"
[[client]]
name = "c"
rate = 1.0
[[event]]
at = "4s"
kind = "crash"
host = "a"
for = "3s"
"#;

const BOUNDS: HealthBounds =
    HealthBounds { detection: Duration::from_secs(1), recovery: Duration::from_secs(1) };

/// A run put together by hand; times in milliseconds.
#[derive(Default)]
struct Story {
    records: Vec<Record>,
    count: usize,
    stopped: Option<String>,
    left: Option<Left>,
}

impl Story {
    fn at(&mut self, at_ms: u64, step: Step) {
        self.records.push(Record { at_ns: at_ms * 1_000_000, step });
    }

    /// A request of client `c-1` that arrives at `backends` and ends with `outcome`.
    fn request(&mut self, method: &str, sent: u64, done: u64, backends: &[&str], outcome: Outcome) {
        self.count += 1;
        let id: Rc<str> = format!("c-1.{}", self.count).into();
        let (method, path) = (method.into(), "/".into());
        self.at(sent, Step::Sent { id: Rc::clone(&id), client: "c-1".into(), method, path });
        for backend in backends {
            self.at(sent, Step::Arrived { id: Rc::clone(&id), backend: (*backend).into() });
        }
        self.at(done, Step::Done { id, outcome });
    }

    fn ok(&mut self, at: u64, backend: &str) {
        let outcome = Outcome::Answered { status: 200, backend: Some(backend.to_owned()) };
        self.request("GET", at, at + 10, &[backend], outcome);
    }

    fn answered_here(&mut self, at: u64, status: u16) {
        self.request("GET", at, at + 10, &[], Outcome::Answered { status, backend: None });
    }

    /// The one property that `expect` asks for.
    fn judge(self, expect: &str) -> Result<String, String> {
        let text = format!("{SCENARIO}{expect}");
        let scenario = Scenario::parse(&text, "test", Path::new("")).expect("a scenario");
        let mut records = self.records;
        records.sort_by_key(|record| record.at_ns);
        let run = Run {
            seed: 1,
            trace_hash: 0,
            records,
            elapsed: Duration::from_secs(10),
            stopped: self.stopped,
            health: Some(BOUNDS),
            left: self.left,
        };
        let mut verdicts = judge(&scenario, &run);
        let verdict = verdicts.pop().expect("a verdict");
        if verdict.passed { Ok(verdict.detail) } else { Err(verdict.detail) }
    }
}

#[test]
fn a_run_that_stopped_has_failed() {
    let story = Story { stopped: Some("a panic: ouch".into()), ..Story::default() };
    assert!(story.judge("").expect_err("fails").contains("ouch"));
    assert!(Story::default().judge("").is_ok());
}

#[test]
fn answered_once_finds_what_hangs_lags_or_is_mixed_up() {
    let expect = "[expect]\nanswered_once = { within = \"1s\" }";
    let cases: [(u64, Outcome, Option<&str>); 5] = [
        (900, Outcome::Broken("reset".into()), None),
        (900, Outcome::Answered { status: 502, backend: None }, None),
        (1200, Outcome::Answered { status: 200, backend: None }, Some("took 1.200 s")),
        (500, Outcome::Hung, Some("hung")),
        (10, Outcome::Wrong("the answer to c-1.7".into()), Some("the answer to c-1.7")),
    ];
    for (done, outcome, expected) in cases {
        let mut story = Story::default();
        story.request("GET", 0, done, &["a"], outcome);
        match (story.judge(expect), expected) {
            (Ok(_), None) => {}
            (Err(detail), Some(words)) => assert!(detail.contains(words), "{detail}"),
            (result, expected) => panic!("{result:?}, not {expected:?}"),
        }
    }
    let mut story = Story::default();
    let (id, client): (Rc<str>, Rc<str>) = ("c-1.1".into(), "c-1".into());
    story.at(0, Step::Sent { id, client, method: "GET".into(), path: "/".into() });
    assert!(story.judge(expect).expect_err("fails").contains("was not over"));
    assert!(Story::default().judge(expect).is_err(), "no request at all");
}

#[test]
fn at_most_once_counts_only_what_is_not_idempotent() {
    let expect = "[expect]\nat_most_once = true";
    let answer = || Outcome::Answered { status: 200, backend: Some("b".into()) };
    let mut story = Story::default();
    story.request("POST", 0, 10, &["a"], answer());
    story.request("PUT", 20, 30, &["a", "b"], answer());
    assert!(story.judge(expect).is_ok());
    let mut story = Story::default();
    story.request("POST", 0, 10, &["a", "b"], answer());
    let detail = story.judge(expect).expect_err("fails");
    assert!(detail.contains("c-1.1 (POST") && detail.contains("arrives at b"), "{detail}");
}

#[test]
fn failures_are_excused_until_a_fault_must_have_been_noticed() {
    let expect = "[expect]\nfailover = {}";
    // The crash is at 4 s, the bound 1 s.
    for (at, excused) in [(3900, false), (3995, true), (4900, true), (5200, false), (8000, false)] {
        let mut story = Story::default();
        story.at(4000, Step::Event { text: "crash a".into() });
        story.answered_here(at, 502);
        match story.judge(expect) {
            Ok(_) => assert!(excused, "{at}"),
            Err(detail) => {
                assert!(!excused && detail.contains("c-1.1"), "{at} {detail}");
                assert_eq!(detail.contains("crash a"), at > 4000, "{detail}");
            }
        }
    }
    let unheard_of =
        "[expect]\nfailover = {}\n[[event]]\nat = \"5500ms\"\nkind = \"fail\"\nhost = \"b\"";
    let mut story = Story::default();
    story.answered_here(7500, 503);
    assert!(story.judge(unheard_of).is_ok(), "nobody was well at 7.5 s");
    let mut story = Story::default();
    story.answered_here(8500, 503);
    assert!(story.judge(unheard_of).is_err(), "a was found well at 8 s");
}

#[test]
fn recovery_wants_everything_served_and_traffic_back() {
    let expect = "[expect]\nrecovery = {}";
    let mut story = Story::default();
    story.answered_here(6000, 503);
    story.ok(8500, "b");
    assert!(story.judge(expect).expect_err("fails").contains("a got no request"));
    let mut story = Story::default();
    story.ok(8500, "a");
    story.answered_here(9000, 503);
    assert!(story.judge(expect).expect_err("fails").contains("c-1.2"));
    let mut story = Story::default();
    story.ok(8500, "a");
    assert!(story.judge(expect).is_ok());
    let mut story = Story::default();
    story.ok(7500, "a");
    assert!(story.judge(expect).expect_err("fails").contains("nothing to judge"));
}

#[test]
fn spread_judges_the_time_before_the_first_fault() {
    let expect = "[expect]\nspread = { share_min = 0.5 }";
    let tell = |to_a: u64, to_b: u64| {
        let mut story = Story::default();
        (0..to_a).for_each(|n| story.ok(n * 10, "a"));
        (0..to_b).for_each(|n| story.ok(n * 10, "b"));
        (0..100).for_each(|n| story.ok(8000 + n, "a"));
        story.judge(expect)
    };
    assert!(tell(30, 12).is_ok());
    assert!(tell(30, 8).expect_err("fails").contains("b got 0.42"));
    assert!(tell(5, 5).expect_err("fails").contains("too few"));
}

#[test]
fn admission_is_bounded_in_every_interval_and_exact_after_silence() {
    let expect = "[[expect.no_over_admission]]\nclients = [\"c\"]\nrate = \"3/1s\"";
    let tell = |admitted: &[u64], refused: &[u64]| {
        let mut story = Story::default();
        admitted.iter().for_each(|at| story.ok(*at, "a"));
        refused.iter().for_each(|at| story.answered_here(*at, 429));
        story.judge(expect)
    };
    assert!(tell(&[2000, 2100, 2200], &[2300]).expect("passes").contains("exact in 1"));
    let one_too_many = tell(&[2000, 2100, 2200, 2300], &[2400]).expect_err("fails");
    assert!(one_too_many.contains("c-1.4 (GET") && one_too_many.contains("more than 3"));
    let too_few = tell(&[2000, 2100], &[2300]).expect_err("fails");
    assert!(too_few.contains("not 3"), "{too_few}");
    // Something came in the window before: fewer may be admitted, so only the bounds are judged.
    assert!(tell(&[1500, 2000, 2100], &[2300]).is_ok());
    assert!(tell(&[2000, 2100], &[]).expect_err("fails").contains("not tried"));
}

#[test]
fn the_worst_interval_is_at_most_twice_the_limit() {
    let expect = "[[expect.no_over_admission]]\nclients = [\"c\"]\nrate = \"2/1s\"";
    let mut story = Story::default();
    // Slow answers leave the epochs in doubt; the interval from 1.9 s on is not.
    for at in [1900, 1950, 1980, 2000, 2050] {
        let outcome = Outcome::Answered { status: 200, backend: Some("a".into()) };
        story.request("GET", at, at + 700, &["a"], outcome);
    }
    story.answered_here(2100, 429);
    let detail = story.judge(expect).expect_err("fails");
    assert!(detail.contains("5 requests admitted in the window from 1.900 s"), "{detail}");
}

/// `b` breaks the answer to `id` off with a half-close.
fn broken_off(id: &str) -> Step {
    Step::Trouble {
        host: "b".into(),
        id: Some(id.into()),
        at: "body",
        does: Does::HalfClose,
        broken_off: true,
    }
}

#[test]
fn at_most_once_forbids_another_attempt_once_an_answer_had_begun() {
    let broken = || Outcome::Broken("cut".into());
    let mut story = Story::default();
    story.request("GET", 0, 100, &["b"], broken());
    story.at(50, broken_off("c-1.1"));
    assert!(story.judge("[expect]\nat_most_once = true").expect("passes").contains("1 requests"));
    let mut story = Story::default();
    story.request("GET", 0, 100, &["b"], broken());
    story.at(50, broken_off("c-1.1"));
    story.at(60, Step::Arrived { id: "c-1.1".into(), backend: "a".into() });
    let failure = story.judge("[expect]\nat_most_once = true").expect_err("fails");
    assert!(failure.contains("sent again after part of an answer"), "{failure}");
}

#[test]
fn no_reuse_finds_a_request_behind_an_end() {
    let expect = "[expect]\nno_reuse = true";
    assert!(Story::default().judge(expect).expect_err("nothing").contains("nothing to judge"));
    let mut story = Story::default();
    story.at(10, broken_off("c-1.1"));
    assert!(story.judge(expect).is_ok());
    let mut story = Story::default();
    story.at(10, broken_off("c-1.1"));
    story.at(20, Step::Reused { backend: "b".into() });
    assert!(story.judge(expect).expect_err("fails").contains("b got a request at 0.020 s"));
}

#[test]
fn drained_wants_nothing_left() {
    let judge = |left| {
        let story = Story { left, ..Story::default() };
        story.judge("[expect]\ndrained = { within = \"1s\" }")
    };
    assert!(judge(Some(Left::default())).is_ok());
    assert!(judge(None).is_err());
    for left in [
        Left { client_connections: 1, ..Left::default() },
        Left { in_flight: 1, ..Left::default() },
        Left { retrying: 1, ..Left::default() },
        Left { backend_connections: 1, ..Left::default() },
    ] {
        assert!(judge(Some(left)).expect_err("fails").contains(": 1"));
    }
}
