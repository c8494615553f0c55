//! Whatever the text, an answer; and whatever the answer, no secret in it.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::{Position, RouteTarget};
use super::{SAMPLE, parse, parse_with_least};

/// The sample with its commented tables switched on, so that mutations reach their readers.
fn full_sample() -> String {
    let key = format!("sha256 = \"{}\"", "5a".repeat(32));
    let text = SAMPLE
        .replace("sha256 = \"<64 hexadecimal digits>\"", &key)
        .replace("secret_env = \"WEIR_JWT_SECRET\"", "secret_env = \"SECRET\"");
    let switch_on = |line: &str| {
        let content = line
            .strip_prefix("# ")
            .filter(|content| content.starts_with('[') || content.split(' ').nth(1) == Some("="));
        content.unwrap_or(line).to_owned() + "\n"
    };
    text.lines().map(switch_on).collect()
}

#[test]
fn the_full_sample_is_right() {
    let text = full_sample().replace("[\"HS256\"]\n", "[\"HS256\"]\nleeway = \"1s\"\n");
    let faults = parse(&text).unwrap_err().to_string();
    // One fault was planted, which shows that the tables were read.
    assert_eq!(faults.lines().count(), 1, "{faults}");
    assert!(faults.contains("key \"leeway\" repeats"), "{faults}");
    let config = parse(&full_sample()).unwrap();
    assert_eq!((config.keys.len(), config.jwt.is_some()), (1, true));
    let policy = config.routes[0].policy.as_ref().expect("the sample's");
    assert!(policy.cors.is_some() && policy.path.is_some());
    assert!(matches!(config.routes[1].target, RouteTarget::Redirect(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutations_never_panic(
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), 0..4_u8, any::<char>()), 1..8)
    ) {
        let mut text: Vec<char> = full_sample().chars().collect();
        for (from, to, kind, character) in edits {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            match kind {
                0 => text[from] = character,
                1 => text.insert(from, text[to]),
                2 => drop(text.drain(from..(from + 1 + to % 40).min(text.len()))),
                _ => text.swap(from, to),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(faults) = parse(&text) {
            let lines = text.matches('\n').count() + 1;
            for fault in faults.list() {
                let position = fault.position.unwrap();
                prop_assert!((1..=lines).contains(&position.line), "{}", faults);
            }
        }
    }

    #[test]
    fn any_text_never_panics(text in "[a-z\\[\\]=\"{},.#\n 0-9é]{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn values_of_any_type_never_panic(
        key in "(engine|control|http|access|access_log|tiers|jwt|key|limit|upstream|route|listener)",
        inner in "(name|key|rate|path|health|limits|tiers|secret|shards|address|backend|host|auth|\
                  methods|headers|forward_path|redirect|rewrite|request_headers|response_headers|cors|access|deny|allow|default)",
        value in "([0-9]{1,20}|-1|1.5|true|\"[!-~&&[^\"\\\\]]{0,12}\"|\\[\\]|\\[1, \"a\"\\]|\\{\\}|1979-05-27)",
        many in any::<bool>(),
    ) {
        let table = if many { format!("[[{key}]]") } else { format!("[{key}]") };
        let _ = parse(&format!("{table}\n{inner} = {value}\n"));
        let _ = parse(&format!("{key} = {value}\n"));
    }

    #[test]
    fn positions_lie_in_the_text(text in "[aé\n]{0,40}", offset in 0..60_usize) {
        let position = Position::of(&text, offset);
        let line = text.split('\n').nth(position.line - 1).unwrap();
        prop_assert!(position.column <= line.chars().count() + 1);
    }
}

/// `hunter2` stands in every place where a secret may, right or wrong.
#[test]
fn secrets_never_show() {
    let texts = [
        "[jwt]\nsecret = \"hunter2\"",
        "[jwt]\nsecret = hunter2",
        "[jwt]\nsecret = \"hunter2",
        "[jwt]\nsecret = \"\\hunter2\"",
        "[jwt]\nsecret = [\"hunter2\"]",
        "[jwt]\nsecret = { hunter2 = 1 }",
        "[jwt]\nsecret = \"hunter2\"\nsecret_env = \"SHORT\"",
        "[jwt]\nsecret = \"hunter2\"\nsecret = \"hunter2\"",
        "[jwt]\nsecret_env = \"hunter2-hunter2-hunter2-hunter2-\"",
        "[jwt]\nsecret_env = \"SHORT\"",
        "[[key]]\nname = \"a\"\nkey = \"hunter2\"",
        "[[key]]\nname = \"a\"\nkey = \"hunter2 hunter2 hunter2\"",
        "[[key]]\nname = \"a\"\nkey_env = \"SHORT\"",
        "[[key]]\nname = \"a\"\nsha256 = \"hunter2\"",
        "[[route]]\npath = \"/a\"\nupstream = \"api\"\n\
         request_headers = { set = { Authorization = \"hunter2\\n\" } }",
        "[[key]]\nname = \"a\"\nkey = \"hunter2-hunter2-hunter2\"\n\
         [[key]]\nname = \"b\"\nkey = \"hunter2-hunter2-hunter2\"",
    ];
    for text in texts {
        let faults = parse_with_least(text).expect_err(text);
        for shown in [faults.to_string(), format!("{faults:?}")] {
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
    let config = parse_with_least(
        "[jwt]\nsecret = \"hunter2-hunter2-hunter2-hunter2-\"\n\
         [[key]]\nname = \"a\"\nkey = \"hunter2-hunter2-hunter2\"\n\
         [[route]]\npath = \"/a\"\nupstream = \"api\"\n\
         request_headers = { set = { Authorization = \"Basic hunter2\" } }",
    );
    let config = config.unwrap();
    let shown = format!("{config:?} {config:#?} {}", config.summary());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", b"hunter2").trim_matches(['[', ']']).to_owned()));
}
