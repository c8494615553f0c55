use std::path::Path;

use super::*;

const BASE: &str = r#"name = "base"
duration = "2s"
[gateway]
config = "text"
[[host]]
name = "b"
[[client]]
name = "c"
rate = 1.0
"#;

fn parse(more: &str) -> Result<Scenario, String> {
    let text = format!("{BASE}{more}");
    Scenario::parse(&text, "s.toml", Path::new("")).map_err(|error| error.to_string())
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn what_is_left_out_has_defaults() {
    let scenario = parse("").expect("a scenario");
    assert_eq!((scenario.seed, scenario.gateway.shards), (1, 2));
    assert_eq!(scenario.backends[0].port, 80);
    assert_eq!(scenario.clients[0].hosts().collect::<Vec<_>>(), ["c-1"]);
    assert!(scenario.events.is_empty() && scenario.expect.answered_once.is_none());
}

#[test]
fn an_event_with_an_end_becomes_two_in_order() {
    let events = r#"
[[event]]
at = "1s"
kind = "partition"
between = ["gateway", "b"]
for = "3s"
[[event]]
at = "2s"
kind = "slow"
host = "b"
latency = "50ms"
"#;
    let pair = || ("gateway".to_owned(), "b".to_owned());
    let (a, b) = (pair(), pair());
    let expected = [
        Event { at: secs(1), action: Action::Partition(a.0, a.1) },
        Event { at: secs(2), action: Action::Slow("b".into(), Duration::from_millis(50)) },
        Event { at: secs(4), action: Action::Repair(b.0, b.1) },
    ];
    assert_eq!(parse(events).expect("a scenario").events, expected);
}

#[test]
fn faults_are_one_line_with_their_place() {
    let cases = [
        ("surprise = 1", "s.toml:10: unknown field `surprise`"),
        (
            "[[event]]\nat = \"1\"\nkind = \"crash\"\nhost = \"b\"",
            "s.toml:11: \"1\" is not a duration",
        ),
        ("[[event]]\nat = \"1s\"\nkind = \"explode\"", "s.toml:12: unknown variant `explode`"),
        ("[[event]]\nat = \"1s\"\nkind = \"crash\"", "s.toml:10: this kind needs host"),
        ("[[event]]\nat = \"1s\"\nkind = \"crash\"\nhost = \"c-1\"", "\"c-1\" is not a host that"),
        ("[[event]]\nat = \"1s\"\nkind = \"hold\"\nbetween = [\"b\", \"z\"]", "called \"z\""),
        ("[[event]]\nat = \"1s\"\nkind = \"hold\"\nbetween = [\"b\", \"b\"]", "is one host"),
        (
            "[[event]]\nat = \"1s\"\nkind = \"restart\"\nhost = \"b\"\nfor = \"1s\"",
            "an event that ends another has no \"for\"",
        ),
        (
            "[[event]]\nat = \"1s\"\nkind = \"crash\"\nhost = \"b\"\nstatus = 500",
            "\"status\" has no meaning for this kind",
        ),
        ("[[host]]\nname = \"b\"", "s.toml:11: a second host \"b\""),
        ("[[host]]\nname = \"gateway\"", "a second host \"gateway\""),
        ("[[host]]\nname = \"10.0.0.1\"", "begin with a letter"),
        (
            "[[host]]\nname = \"d\"\ntrouble = { at = [\"trailers\"], does = [\"slow\"] }",
            "s.toml:11: trouble at trailers needs chunked",
        ),
        (
            "[[client]]\nname = \"d\"\nrate = 1.0\ntrouble = { at = [\"body\"], does = [\"slow\"] }",
            "s.toml:11: trouble at a body needs body_bytes",
        ),
        (
            "[[client]]\nname = \"d\"\nrate = 1.0\ntrouble = { at = [], does = [\"slow\"] }",
            "s.toml:11: a trouble needs at",
        ),
        ("[[client]]\nname = \"d\"", "s.toml:11: a [[client]] needs one of rate and think"),
        ("[[client]]\nname = \"d\"\nrate = 0.0", "rate must be more than 0"),
        ("[[client]]\nname = \"d\"\nrate = 1.0\nuntil = \"3s\"", "until lies behind"),
        ("[[client]]\nname = \"d\"\nrate = 1.0\npath = \"a b\"", "is not a path"),
        (
            "[[client]]\nname = \"d\"\nrate = 1.0\nheaders = { X = \"a\\r\\nY: b\" }",
            "\"X\" is not a header",
        ),
        (
            "[[expect.no_over_admission]]\nclients = [\"d\"]\nrate = \"1/1s\"",
            "s.toml:11: no [[client]] is called \"d\"",
        ),
        (
            "[[expect.no_over_admission]]\nclients = []\nrate = \"1/1s\"\nburst = 2",
            "only a token_bucket has a burst",
        ),
        (
            "[[expect.no_over_admission]]\nclients = []\nalgorithm = \"concurrency\"",
            "concurrency has a max",
        ),
    ];
    for (more, expected) in cases {
        let error = parse(more).expect_err(more);
        assert!(error.contains(expected), "{more}\n{error}");
        assert!(error.starts_with("s.toml:") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_gateway_needs_one_configuration() {
    let two = "config = \"text\"\nconfig_file = \"f\"";
    for text in [BASE.replace("config = \"text\"", ""), BASE.replace("config = \"text\"", two)] {
        let error = Scenario::parse(&text, "s.toml", Path::new("")).expect_err("refused");
        assert!(error.to_string().contains("one of config and config_file"), "{error}");
    }
}
