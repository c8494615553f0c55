//! Which changes a running engine cannot take.

use super::super::Config;
use super::right;

fn changed(text: &str) -> Vec<String> {
    changed_from(&right("[control]\naddress = \"127.0.0.1:5000\""), text)
}

fn changed_from(old: &Config, text: &str) -> Vec<String> {
    match old.reloadable(&right(text)) {
        Ok(()) => Vec::new(),
        Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn what_lives_on_changes_freely() {
    let text = r#"
[control]
address = "127.0.0.1:5000"
[http]
fields_max = 5
[tiers]
free = "6/1m"
[[limit]]
name = "a"
key = "address"
rate = "1/s"
[[upstream]]
name = "other"
backend = [{ address = "127.0.0.1:5009" }]
[[route]]
path = "/other"
upstream = "other"
"#;
    assert_eq!(changed(text), [""; 0]);
}

#[test]
fn each_key_that_needs_a_restart_is_named() {
    let control = "[control]\naddress = \"127.0.0.1:5000\"\n";
    let cases = [
        (
            "[engine]\nshards = 2",
            "shards in [engine] needs a restart to change from Auto to Count(2)",
        ),
        ("[engine]\nruntime = \"epoll\"", "runtime in [engine]"),
        ("[engine]\nledger = \"x\"", "ledger in [engine]"),
        ("[engine]\nslots = 16", "slots in [engine] needs a restart to change from 65536 to 16"),
        ("[engine]\ndrain_timeout = \"1s\"", "drain_timeout in [engine]"),
        ("[engine]\nconnections_per_shard = 1", "connections_per_shard in [engine]"),
        ("[[listener]]\naddress = \"127.0.0.1:9\"", "addresses in [[listener]]"),
    ];
    for (text, expected) in cases {
        let lines = changed(&format!("{control}{text}"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(expected), "{lines:?}");
    }
}

#[test]
fn several_are_named_at_once() {
    let lines = changed("[control]\nsocket = \"s\"\nsample_api = true\n[engine]\nslots = 32");
    let starts = ["slots in", "address in [control]", "socket in [control]", "sample_api in"];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn the_order_and_names_of_listeners_do_not_matter() {
    let old =
        right("[[listener]]\naddress = \"127.0.0.1:81\"\n[[listener]]\naddress = \"127.0.0.1:82\"");
    let new = "[[listener]]\naddress = \"127.0.0.1:82\"\nname = \"b\"\n\
               [[listener]]\naddress = \"127.0.0.1:81\"";
    assert_eq!(changed_from(&old, new), [""; 0]);
}
