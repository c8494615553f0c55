//! Faults in `[[limit]]`, and in what routes say of costs.

use super::super::parse_with_least;

#[track_caller]
fn fault(rest: &str) -> String {
    let text = format!("[[limit]]\nname = \"a\"\n{rest}");
    let faults = parse_with_least(&text).expect_err(rest).to_string();
    faults.replace("weir.toml:", "")
}

#[test]
fn keys() {
    for (key, expected) in [
        (
            "\"adress\"",
            "\"adress\" must be \"address\" or \"key\" or \"user\" or \"certificate\" or \"tier\" or \
             \"route\" or \"header:NAME\" or \"claim:NAME\"; did you mean \"address\"?",
        ),
        ("\"header:a b\"", "\"a b\" is no field's name; write \"header:X-Team\", say"),
        ("\"claim:\"", "\"\" is no claim's name; write \"claim:org\", say"),
        ("[]", "a list of 1 to 4 parts, not 0"),
        ("[\"user\", \"user\"]", "names a part twice; remove one"),
    ] {
        let faults = fault(&format!("key = {key}\nrate = \"1/s\""));
        let (place, message) = faults.split_once(": \"key\" in [[limit]]: ").expect("a place");
        assert!(place.starts_with("11:"), "{faults}");
        assert_eq!(message, expected);
    }
}

#[test]
fn rates() {
    for (rest, expected) in [
        (
            "key = \"user\"",
            "9:1: [[limit]] has no \"rate\"; add one, such as rate = \"100/1m\" or rate = \"tier\"",
        ),
        (
            "key = \"address\"\nrate = \"tier\"",
            "12:8: \"rate\" in [[limit]]: a limit by address is charged before the caller's tier \
             is known; write a rate, such as \"100/1m\"",
        ),
        (
            "key = \"user\"\nrate = { gold = \"1/s\" }",
            "12:17: \"gold\" in [limit.rate]: no tier is named \"gold\"; there are \"free\", \
             \"basic\", \"premium\", \"enterprise\"",
        ),
        (
            "key = \"user\"\nrate = {}",
            "12:8: \"rate\" in [[limit]]: names no tier; write { free = …, premium = … } or one \
             rate for all",
        ),
        (
            "key = \"user\"\nrate = \"1/s\"\nmax = 3",
            "13:7: \"max\" in [[limit]]: only \"concurrency\" has \"max\"; remove it",
        ),
        (
            "key = \"user\"\nrate = \"1/s\"\nburst = 3",
            "13:9: \"burst\" in [[limit]]: only \"token_bucket\" and \"byte_rate\" have a burst; \
             remove it",
        ),
        (
            "key = \"user\"\nmax = 3\nrate = \"1/s\"\nalgorithm = \"concurrency\"",
            "13:8: \"rate\" in [[limit]]: requests at the same time have \"max\", no rate",
        ),
        (
            "key = \"user\"\nrate = \"tier\"\nalgorithm = \"quota\"",
            "12:8: \"rate\" in [[limit]]: the tiers have rates of requests; write what each is \
             allowed here",
        ),
        (
            "key = \"user\"\nrate = \"1/hour\"\nalgorithm = \"quota\"",
            "12:8: \"rate\" in [[limit]]: \"1/hour\" is not a quota; write a count or bytes and \
             \"day\" or \"month\", such as \"10000/day\" or \"5GiB/month\"",
        ),
        (
            "key = \"user\"\nrate = \"10/s\"\nalgorithm = \"byte_rate\"",
            "12:8: \"rate\" in [[limit]]: \"10/s\" is not a byte rate; write bytes and a window, \
             such as \"10MB/1s\" or \"512KiB/s\"",
        ),
        (
            "key = \"user\"\nrate = \"10MB/s\"\nalgorithm = \"byte_rate\"\ndry_run = true",
            "14:11: \"dry_run\" in [[limit]]: \"byte_rate\" refuses nobody, so that it has no dry \
             run; remove it",
        ),
        (
            "key = \"address\"\nrate = \"1/s\"\noverrides = { office = \"9/s\" }",
            "13:24: \"office\" in [limit.overrides]: \"office\" is no IP address, which this limit \
             counts by",
        ),
    ] {
        assert_eq!(fault(rest), expected, "{rest}");
    }
}

#[test]
fn what_no_counter_holds() {
    let quota = fault("key = \"user\"\nrate = \"99TiB/month\"\nalgorithm = \"quota\"");
    assert!(quota.starts_with("12:8: \"rate\" in [[limit]]: a "), "{quota}");
    let bucket = fault(
        "key = \"user\"\nrate = \"1/366d\"\nalgorithm = \"token_bucket\"\nburst = 4000000000",
    );
    assert!(bucket.starts_with("12:8: \"rate\" in [[limit]]: "), "{bucket}");
}

#[test]
fn other_words() {
    for (rest, expected) in [
        (
            "callers = \"all\"",
            "13:11: \"callers\" in [[limit]]: only a limit with key = \"address\" chooses its \
             callers; remove it",
        ),
        (
            "on_full = \"drop\"",
            "13:11: \"on_full\" in [[limit]]: \"drop\" must be \"refuse\" or \"admit\"",
        ),
    ] {
        assert_eq!(fault(&format!("key = \"user\"\nrate = \"1/s\"\n{rest}")), expected);
    }
}

#[test]
fn costs() {
    let route = |rest: &str| {
        fault(&format!(
            "key = \"user\"\nrate = \"5/s\"\n[[route]]\npath = \"/a\"\nupstream = \"api\"\n\
             limits = [\"a\"]\n{rest}"
        ))
    };
    assert_eq!(
        route("cost = 6"),
        "17:8: \"cost\" in [[route]]: the limit \"a\" never admits more than 5 at once; a cost of 6 \
         would be refused for ever"
    );
    assert_eq!(
        route("cost_header = \"Content-Length\""),
        "17:15: \"cost_header\" in [[route]]: \"Content-Length\" has a meaning of its own; choose \
         another field"
    );
    assert_eq!(
        route("cost_header = \"a b\""),
        "17:15: \"cost_header\" in [[route]]: \"a b\" is no field's name; write \"X-Request-Cost\", \
         say"
    );
}

#[test]
fn overrides_that_limits_take_for_one() {
    for (one, other, is_fault) in [
        ("2001:db8::1", "2001:db8::2:0:0:1", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
    ] {
        let text = format!(
            "[[limit]]\nname = \"a\"\nkey = \"address\"\nrate = \"5/1m\"\n\
             overrides = {{ \"{one}\" = \"9/1m\", \"{other}\" = \"10/1m\" }}"
        );
        let faults = parse_with_least(&text).map_err(|faults| faults.to_string());
        let told = faults.err().unwrap_or_default();
        let expected = "is counted together with";
        assert_eq!(told.contains(expected), is_fault, "{one}, {other}: {told}");
    }
}
