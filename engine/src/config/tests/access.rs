//! `[access]` and `access` of a route: what they say, and every fault in them and their files.

use std::net::IpAddr;
use std::path::Path;

use tempfile::TempDir;

use super::{parse_with_least, right};
use crate::access::Listing;
use Listing::{Allowed, Denied, Unlisted};

fn file(content: impl AsRef<[u8]>) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("list.txt");
    std::fs::write(&path, content).expect("writes");
    let path = path.to_str().expect("a temporary folder of UTF-8").to_owned();
    (folder, path)
}

/// The faults of `text`, with `list.txt` for the file's path.
fn faults(text: &str, path: &str) -> Vec<String> {
    let faults = parse_with_least(text).expect_err(text).to_string();
    let plain = |line: &str| line.replace("weir.toml:", "").replace(path, "list.txt");
    faults.lines().map(plain).collect()
}

#[track_caller]
fn check(text: &str, cases: &[(&str, Listing)]) {
    let access = right(text).access.expect("a list");
    for (address, expected) in cases {
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(access.find(address), *expected, "{address}");
    }
}

#[test]
fn lists_and_files_are_one() {
    let (_folder, path) =
        file("# bad neighbours\r\n198.51.100.0/24 # all of it\n\n  2001:db8::/32\t\n203.0.113.9");
    check(
        &format!(
            "[access]\ndeny = [\"192.0.2.0/24\"]\nallow = [\"192.0.2.7\", \"2001:db8:1::/48\"]\n\
             deny_file = \"{path}\"\ndefault = \"allow\""
        ),
        &[
            ("192.0.2.1", Denied),
            ("192.0.2.7", Allowed),
            ("198.51.100.255", Denied),
            ("203.0.113.9", Denied),
            ("203.0.113.8", Unlisted),
            ("2001:db8::1", Denied),
            ("2001:db8:1::1", Allowed),
        ],
    );
    let (_folder, path) = file("10.0.0.0/8\n");
    check(
        &format!("[access]\nallow_file = \"{path}\"\ndefault = \"deny\""),
        &[("10.1.1.1", Allowed), ("11.1.1.1", Denied)],
    );
}

#[test]
fn routes_have_lists_of_their_own() {
    let config = right(
        "[[route]]\npath = \"/admin/*\"\nupstream = \"api\"\n\
         access = { allow = [\"10.0.0.0/8\"], default = \"deny\" }",
    );
    assert_eq!((config.access, config.routes[0].access.clone()), (None, None));
    let list = config.routes[1].access.clone().expect("a list");
    assert_eq!(list.find("10.0.0.1".parse().expect("an address")), Allowed);
    assert_eq!(list.find("192.0.2.1".parse().expect("an address")), Denied);
}

#[test]
fn what_says_nothing_is_nothing() {
    let (_folder, path) = file("# nothing yet\n");
    assert_eq!(right("[access]").access, None);
    assert_eq!(right("[access]\ndeny = []\nallow = []\ndefault = \"allow\"").access, None);
    assert_eq!(right(&format!("[access]\ndeny_file = \"{path}\"")).access, None);
}

#[test]
fn faults_of_the_table() {
    for (text, expected) in [
        (
            "[access]\ndeny = \"10.0.0.0/8\"",
            "10:8: \"deny\" in [access] must be a list, not a string",
        ),
        (
            "[access]\nallow = [\"10.0.0.1/8\"]",
            "10:10: \"allow\" in [access]: \"10.0.0.1/8\" has bits behind its prefix; write \
             \"10.0.0.0/8\"",
        ),
        (
            "[access]\ndefault = \"deny\"",
            "10:11: \"default\" in [access]: \"deny\" serves only those that are allowed; name \
             them with \"allow\" or \"allow_file\"",
        ),
        (
            "[access]\ndefault = \"refuse\"",
            "10:11: \"default\" in [access]: \"refuse\" must be \"allow\" or \"deny\"",
        ),
        ("[access]\nden = []", "10:1: unknown key \"den\" in [access]; did you mean \"deny\"?"),
        (
            "[[route]]\npath = \"/a\"\nupstream = \"api\"\naccess = [\"10.0.0.0/8\"]",
            "12:10: \"access\" in [[route]] must be a table: write [route.access], not an array",
        ),
        (
            "[[route]]\npath = \"/a\"\nupstream = \"api\"\naccess = { deny = [7] }",
            "12:20: \"deny\" in [route.access] must be a string, not an integer",
        ),
    ] {
        assert_eq!(faults(text, "-"), [expected], "{text}");
    }
}

#[test]
fn faults_of_a_file_have_its_name_and_line() {
    let (_folder, path) = file(b"10.0.0.0/8\n\nlocalhost # no name\n192.0.2.1/24\n\xff\n");
    let text = format!("[access]\ndeny_file = \"{path}\"");
    let place = "10:13: \"deny_file\" in [access]: \"list.txt\"";
    let example = "is not a network; write one such as \"10.0.0.0/8\", or an address";
    assert_eq!(
        faults(&text, &path),
        [
            format!("{place} line 3: \"localhost\" {example}"),
            format!(
                "{place} line 4: \"192.0.2.1/24\" has bits behind its prefix; write \
                     \"192.0.2.0/24\""
            ),
            format!("{place} line 5: \"\u{fffd}\" {example}"),
        ]
    );
}

#[test]
fn a_file_of_another_sort_is_told_in_few_lines() {
    let (_folder, path) = file("<html>\n".repeat(1000));
    let lines = faults(&format!("[access]\nallow_file = \"{path}\""), &path);
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert!(lines[10].ends_with("\"list.txt\" has 990 more such lines"), "{lines:?}");
}

#[test]
fn files_that_cannot_be_used() {
    let missing = "/nonexistent/deny.txt";
    let lines = faults(&format!("[access]\ndeny_file = \"{missing}\""), missing);
    assert!(lines[0].contains("\"deny_file\" in [access]: \"list.txt\" cannot be read: No such"));
    if Path::new("/dev/zero").exists() {
        let lines = faults("[access]\ndeny_file = \"/dev/zero\"", "/dev/zero");
        assert_eq!(lines, ["10:13: \"deny_file\" in [access]: \"list.txt\" is larger than 64MiB"]);
    }
}

#[test]
fn there_is_an_end_to_how_many_networks_there_can_be() {
    let line = |i: u32| format!("{}\n", std::net::Ipv4Addr::from_bits(i * 2));
    let (_folder, path) = file((0..1_000_000).map(line).collect::<String>());
    assert!(right(&format!("[access]\ndeny_file = \"{path}\"")).access.is_some());
    let text = format!("[access]\ndeny_file = \"{path}\"\nallow = [\"10.0.0.0/8\"]");
    assert_eq!(faults(&text, &path), ["9:1: the lists of one table hold 1000000 networks at most"]);
}
