//! The dictionary.

use std::fs::OpenOptions;
use std::io::Write as _;

use super::super::names::NAMES;
use super::*;
use crate::config::Config;
use crate::slots::SlotTable;

fn config(routes: &[&str], limits: &[&str]) -> Config {
    let mut text = "[[listener]]\naddress = \"127.0.0.1:8080\"\n[[upstream]]\nname = \"api\"\n\
        backend = [{ address = \"127.0.0.1:5001\" }]\n\
        [[key]]\nname = \"k-1\"\nuser = \"u-1\"\ntier = \"basic\"\nkey = \"0123456789abcdef\"\n"
        .to_owned();
    for limit in limits {
        text += &format!("[[limit]]\nname = \"{limit}\"\nkey = \"address\"\nrate = \"5/1m\"\n");
    }
    for route in routes {
        text += &format!("[[route]]\nupstream = \"api\"\npath = \"{route}\"\n");
    }
    Config::parse(&text, "weir.toml").unwrap_or_else(|faults| panic!("{faults}"))
}

fn number(names: &mut Names, config: &Config) -> Numbers {
    let (numbers, written) = names.number(config, &SlotTable::in_memory(8, [7; 16]));
    written.expect("there is room");
    numbers
}

#[test]
fn numbers_stay_what_they_are() {
    let folder = tempdir().expect("a temporary folder");
    let dir = folder.path();
    let mut names = Names::open(dir).expect("a dictionary");
    let first = number(&mut names, &config(&["/a", "/b/*"], &["one"]));
    assert_eq!(
        (&*first.routes, &*first.tiers, &*first.limits),
        (&[1, 2][..], &[1, 2, 3, 4][..], &[1][..])
    );
    let next = number(&mut names, &config(&["/b/*", "/c"], &["two", "one"]));
    assert_eq!((&*next.routes, &*next.limits), (&[2, 3][..], &[2, 1][..]));
    assert_eq!(next.keys, first.keys);
    let bytes = std::fs::metadata(dir.join(NAMES)).expect("it is there").len();
    let mut again = Names::open(dir).expect("a dictionary");
    assert_eq!(number(&mut again, &config(&["/c", "/a"], &["two"])).routes[..], [3, 1]);
    assert_eq!(std::fs::metadata(dir.join(NAMES)).expect("it is there").len(), bytes);
    let dictionary = Dictionary::read(dir).expect("a dictionary");
    assert_eq!(dictionary.get(Kind::Route, 2), Some("*/b/*"));
    assert_eq!(dictionary.get(Kind::Key, first.keys[0].0), Some("k-1"));
    assert_eq!(dictionary.get(Kind::User, first.keys[0].1), Some("u-1"));
    let limits: Vec<_> = dictionary.all(Kind::Limit).collect();
    assert_eq!(limits, [(1, "one"), (2, "two")]);
}

#[test]
fn a_number_of_a_damaged_line_is_given_to_nothing_else() {
    let folder = tempdir().expect("a temporary folder");
    let dir = folder.path();
    number(&mut Names::open(dir).expect("a dictionary"), &config(&["/a", "/b"], &[]));
    let text = std::fs::read_to_string(dir.join(NAMES)).expect("text");
    std::fs::write(dir.join(NAMES), text.replace("*/b", "*/x")).expect("written");
    let mut names = Names::open(dir).expect("a dictionary");
    assert_eq!(names.damaged(), 1);
    let numbers = number(&mut names, &config(&["/a", "/x", "/b"], &[]));
    assert_eq!(numbers.routes[..], [1, 3, 4]);
}

#[test]
fn a_line_that_was_cut_off_spoils_no_other() {
    let folder = tempdir().expect("a temporary folder");
    let dir = folder.path();
    number(&mut Names::open(dir).expect("a dictionary"), &config(&["/a"], &[]));
    let mut file = OpenOptions::new().append(true).open(dir.join(NAMES)).expect("it is there");
    file.write_all(b"0123abcd route 2 \"*/cu").expect("written");
    let numbers = number(&mut Names::open(dir).expect("a dictionary"), &config(&["/b"], &[]));
    assert_eq!(numbers.routes[..], [3]);
    let dictionary = Dictionary::read(dir).expect("a dictionary");
    assert_eq!((dictionary.damaged, dictionary.get(Kind::Route, 3)), (1, Some("*/b")));
}

#[test]
fn what_another_process_named_meanwhile_is_seen() {
    let folder = tempdir().expect("a temporary folder");
    let mut one = Names::open(folder.path()).expect("a dictionary");
    number(&mut one, &config(&["/a"], &[]));
    let mut other = Names::open(folder.path()).expect("a dictionary");
    number(&mut other, &config(&["/b"], &[]));
    assert_eq!(number(&mut one, &config(&["/c", "/b"], &[])).routes[..], [3, 2]);
}

#[test]
fn more_than_there_are_numbers_for_have_none() {
    let folder = tempdir().expect("a temporary folder");
    let limits: Vec<String> = (0..256).map(|n| format!("limit-{n}")).collect();
    let limits: Vec<&str> = limits.iter().map(String::as_str).collect();
    let mut names = Names::open(folder.path()).expect("a dictionary");
    let numbers = number(&mut names, &config(&["/a"], &limits));
    assert_eq!(numbers.limits[252..], [253, 254, 255, 255]);
    let dictionary = Dictionary::read(folder.path()).expect("a dictionary");
    assert_eq!(dictionary.all(Kind::Limit).count(), 254);
}

#[test]
fn a_route_is_told_by_all_that_decides_it_and_by_no_secret() {
    let mut config = config(&["/a"], &[]);
    let text = "[[listener]]\nname = \"public\"\naddress = \"127.0.0.1:1\"\n[[upstream]]\n\
        name = \"u\"\nbackend = [{ address = \"127.0.0.1:2\" }]\n[[route]]\nlistener = \"public\"\n\
        host = \"example.com\"\npath = \"/api/*\"\nmethods = [\"GET\"]\nupstream = \"u\"\n\
        headers = { \"X-Shared\" = \"hunter2\" }\n";
    config = Config::parse(text, "weir.toml").unwrap_or(config);
    let text = route_text(&config, &config.routes[0]);
    let start = "public example.com/api/* GET,HEAD x-shared~";
    assert!(text.starts_with(start) && !text.contains("hunter2"), "{text}");
}
