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
[engine]
watchdog = "10s"
watchdog_action = "abort"
[http]
fields_max = 5
[forwarding]
via = "edge"
request_id = "off"
[access]
deny = ["192.0.2.0/24"]
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
        ("[engine]\nshards = 2", "\"shards\" in [engine]", "\"auto\"", "2"),
        ("[engine]\nshards = [0, 3]", "\"shards\" in [engine]", "\"auto\"", "[0, 3]"),
        ("[engine]\nruntime = \"epoll\"", "\"runtime\" in [engine]", "\"auto\"", "\"epoll\""),
        ("[engine]\nledger = \"x\"", "\"ledger\" in [engine]", "\"/var/lib/weir\"", "\"x\""),
        ("[engine]\nlive_table = \"file\"", "\"live_table\" in [engine]", "\"auto\"", "\"file\""),
        ("[engine]\nslots = 16", "\"slots\" in [engine]", "65536", "16"),
        ("[engine]\nflight = 0", "\"flight\" in [engine]", "16777216", "0"),
        ("[engine]\ndrain_timeout = \"5m\"", "\"drain_timeout\" in [engine]", "\"30s\"", "\"5m\""),
        (
            "[engine]\nconnections_per_shard = 1",
            "\"connections_per_shard\" in [engine]",
            "32768",
            "1",
        ),
        (
            "[access_log]\noutput = \"logs/a\"",
            "\"output\" in [access_log]",
            "\"stdout\"",
            "\"logs/a\"",
        ),
        (
            "[[listener]]\naddress = \"[::1]:9\"",
            "the addresses of [[listener]]",
            "[127.0.0.1:8080]",
            "[127.0.0.1:8080, [::1]:9]",
        ),
    ];
    for (text, key, from, to) in cases {
        let expected = format!("{key} needs a restart to change from {from} to {to}");
        assert_eq!(changed(&format!("{control}{text}")), [expected]);
    }
}

#[test]
fn several_are_named_at_once() {
    let lines = changed("[control]\nsocket = \"s\"\nsample_api = true\n[engine]\nslots = 32");
    let starts = ["\"slots\"", "\"address\" in [control]", "\"socket\"", "\"sample_api\""];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn listeners_may_be_renamed_but_not_reordered() {
    let two = |first: &str, second: &str| {
        format!(
            "[[listener]]\naddress = \"{first}\"\n[[listener]]\naddress = \"{second}\"\nname = \"b\""
        )
    };
    let old = right(&two("127.0.0.1:81", "127.0.0.1:82").replace("\"b\"", "\"a\""));
    assert_eq!(changed_from(&old, &two("127.0.0.1:81", "127.0.0.1:82")), [""; 0]);
    let reordered = changed_from(&old, &two("127.0.0.1:82", "127.0.0.1:81"));
    assert_eq!(reordered.len(), 1, "{reordered:?}");
    assert!(reordered[0].starts_with("the addresses of [[listener]] needs a restart"));
}
