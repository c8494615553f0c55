//! What lets a connection become a tunnel, and TRACE be served.

use std::time::Duration;

use super::super::*;
use super::{LEAST, parse, right};

/// The file with `lines` added to its route, which is for all paths.
fn with_route(lines: &str) -> Result<Config, Faults> {
    parse(&format!("{LEAST}{lines}\n"))
}

#[test]
fn routes_choose_protocols_and_connect() {
    let only = |names: &[&str]| Upgrades::Only(names.iter().map(|n| (*n).to_owned()).collect());
    let cases = [
        ("upgrade = [\"WebSocket\", \"irc\"]", only(&["websocket", "irc"])),
        ("upgrade = []", only(&[])),
        ("upgrade = false", only(&[])),
        ("upgrade = \"any\"", Upgrades::Any),
    ];
    for (line, expected) in cases {
        assert_eq!(with_route(line).expect(line).routes[0].upgrade, expected, "{line}");
    }
    assert!(with_route("connect = true").unwrap().routes[0].connect);
}

#[test]
fn names_of_protocols_are_compared_in_any_case() {
    assert!(Upgrades::default().allow("WebSocket") && !Upgrades::default().allow("websockets"));
    assert!(Upgrades::Any.allow("x") && !Upgrades::Only(Vec::new()).allow("websocket"));
}

#[test]
fn bounds_of_tunnels() {
    let http =
        right("[http]\ntunnel_idle_timeout = \"90s\"\ntunnels_per_shard = 0\ntrace = true\n").http;
    assert_eq!(http.tunnel_idle_timeout, Duration::from_secs(90));
    assert_eq!((http.tunnels_per_shard, http.trace), (0, true));
}

#[test]
fn faults_of_tunnels() {
    let right = "must be false, \"any\" or a list such as [\"websocket\"]";
    let cases = [
        ("upgrade = true", format!("9:11: \"upgrade\" in [[route]]: {right}")),
        ("upgrade = \"websocket\"", format!("9:11: \"upgrade\" in [[route]]: {right}")),
        ("upgrade = 1", format!("9:11: \"upgrade\" in [[route]]: {right}")),
        (
            "upgrade = [\"websocket/13\"]",
            "9:12: \"upgrade\" in [[route]]: \"websocket/13\" must be a protocol without its \
             version, such as \"websocket\""
                .to_owned(),
        ),
        (
            "upgrade = [\"H2C\"]",
            "9:12: \"upgrade\" in [[route]]: \"h2c\" would carry requests past every rule; remove \
             it"
            .to_owned(),
        ),
        (
            "connect = \"yes\"",
            "9:11: \"connect\" in [[route]] must be true or false, not a string".to_owned(),
        ),
        (
            "[[route]]\npath = \"/a/*\"\nupstream = \"api\"\nconnect = true",
            "12:11: \"connect\" in [[route]]: CONNECT has no path; only a route with path = \"/*\" \
             can allow it"
                .to_owned(),
        ),
        (
            "[http]\ntunnel_idle_timeout = \"0s\"",
            "10:23: \"tunnel_idle_timeout\" in [http]: must be between 1ms and 366d, not \"0s\""
                .to_owned(),
        ),
        (
            "[http]\ntunnels_per_shard = -1",
            "10:21: \"tunnels_per_shard\" in [http]: must be between 0 and 1048576, not -1"
                .to_owned(),
        ),
    ];
    for (lines, expected) in cases {
        let faults = with_route(lines).expect_err(lines).to_string().replace("weir.toml:", "");
        assert_eq!(faults, expected);
    }
}
