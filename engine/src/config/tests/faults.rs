//! Every fault with its place and its words. Snippets follow [`super::LEAST`], so that their first
//! line is line 9; `expected` are all the lines of the answer without `weir.toml:`.

use super::{parse, parse_with_least};

#[track_caller]
fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let faults = parse_with_least(text).expect_err(text).to_string();
        let lines: Vec<&str> =
            faults.lines().map(|line| line.strip_prefix("weir.toml:").unwrap()).collect();
        assert_eq!(lines, *expected, "{text}");
    }
}

#[test]
fn nothing_at_all() {
    let faults = parse("").unwrap_err().to_string();
    let expected = "weir.toml:1:1: no listener at all; add one, such as [[listener]] with address = \
                    \"0.0.0.0:8080\"\n\
                    weir.toml:1:1: no route at all; add one, such as [[route]] with path = \"/*\" \
                    and upstream = \"api\"";
    assert_eq!(faults, expected);
}

#[test]
fn syntax() {
    check(&[
        ("[engine", &["9:8: not TOML: unclosed table, expected `]`"]),
        ("[engine]\nslots = 16\nslots = 32", &["11:1: key \"slots\" repeats; remove one"]),
        (
            "[engine]\nslots = 16\nslots = 32\n[http]\nfields_max = 0",
            &[
                "11:1: key \"slots\" repeats; remove one",
                "13:14: \"fields_max\" in [http]: must be between 1 and 128, not 0",
            ],
        ),
    ]);
}

#[test]
fn all_faults_at_once_in_order() {
    let text =
        "[[upstream]]\nname = \"api\"\nstratgy = \"p2c\"\n[engine]\nslots = 3\n[http]\nx = 1";
    check(&[(
        text,
        &[
            "9:1: [[upstream]] has no backend; add one, such as [[upstream.backend]] with address \
             = \"127.0.0.1:5001\"",
            "10:8: \"name\" in [[upstream]]: \"api\" already names the upstream of line 4; names \
             are unique",
            "11:1: unknown key \"stratgy\" in [[upstream]]; did you mean \"strategy\"?",
            "13:9: \"slots\" in [engine]: must be between 16 and 268435456, not 3",
            "15:1: unknown key \"x\" in [http]; remove it",
        ],
    )]);
}

#[test]
fn unknown_keys_in_every_table() {
    let tables = [
        ("[engine]", "[engine]"),
        ("[control]", "[control]"),
        ("[http]", "[http]"),
        ("[access_log]", "[access_log]"),
        ("[jwt]\nsecret_env = \"SECRET\"", "[jwt]"),
        ("[[listener]]\naddress = \"127.0.0.1:1\"", "[[listener]]"),
        ("[[limit]]\nname = \"a\"\nkey = \"user\"\nrate = \"1/s\"", "[[limit]]"),
        ("[[key]]\nname = \"a\"\nkey_env = \"SECRET\"", "[[key]]"),
        ("[[upstream]]\nname = \"b\"\nbackend = [{ address = \"[::1]:1\" }]", "[[upstream]]"),
        ("[[upstream.backend]]\naddress = \"127.0.0.1:1\"", "[[upstream.backend]]"),
        ("[upstream.health]", "[upstream.health]"),
        ("[[route]]\npath = \"/a\"\nupstream = \"api\"", "[[route]]"),
    ];
    for (text, label) in tables {
        // LEAST writes its backend in line, which a header cannot extend: give it another upstream.
        let other = "[[upstream]]\nname = \"b\"\n[[upstream.backend]]\naddress = \"127.0.0.1:2\"\n";
        let text = if text.contains("[upstream.") { format!("{other}{text}") } else { text.into() };
        let text = format!("{text}\n  zzzzzz = 1");
        let line = 8 + text.lines().count();
        let faults = parse_with_least(&text).unwrap_err().to_string();
        let expected = format!("weir.toml:{line}:3: unknown key \"zzzzzz\" in {label}; remove it");
        assert_eq!(faults, expected);
    }
    check(&[("[enigne]", &["9:2: unknown key \"enigne\"; did you mean \"engine\"?"])]);
}

#[test]
fn wrong_types() {
    check(&[
        ("[[engine]]", &["9:1: \"engine\" must be a table: write [engine], not an array"]),
        ("[limit]", &["9:1: \"limit\" must be a list of tables: write [[limit]], not a table"]),
        (
            "[engine]\nslots = \"many\"",
            &["10:9: \"slots\" in [engine] must be a whole number, not a string"],
        ),
        (
            "[http]\nhead_timeout = 10",
            &[
                "10:16: \"head_timeout\" in [http] must be a duration such as \"10s\", not an integer",
            ],
        ),
        (
            "[http]\nbody_bytes_max = 1.5",
            &["10:18: \"body_bytes_max\" in [http] must be a size such as \"16KiB\" or a number \
               of bytes, not a float"],
        ),
        (
            "[control]\nsample_api = \"yes\"",
            &["10:14: \"sample_api\" in [control] must be true or false, not a string"],
        ),
        (
            "[tiers]\nfree = 5",
            &["10:8: \"free\" in [tiers] must be a rate such as \"5/1m\", not an integer"],
        ),
    ]);
}

#[test]
fn engine() {
    check(&[
        (
            "[engine]\nshards = \"all\"",
            &["10:10: \"shards\" in [engine]: must be \"auto\", a number of shards, or a list of \
               CPUs such as [0, 2]"],
        ),
        (
            "[engine]\nshards = 0",
            &["10:10: \"shards\" in [engine]: must be between 1 and 1024, not 0"],
        ),
        (
            "[engine]\nshards = []",
            &["10:10: \"shards\" in [engine]: an empty list leaves no shard; name at least one \
               CPU, such as [0]"],
        ),
        (
            "[engine]\nshards = [1, 0, 1]",
            &["10:17: \"shards\" in [engine]: CPU 1 is named twice; a CPU runs one shard"],
        ),
        (
            "[engine]\nshards = [1024]",
            &["10:11: \"shards\" in [engine]: must be between 0 and 1023, not 1024"],
        ),
        (
            "[engine]\nruntime = \"glomio\"",
            &["10:11: \"runtime\" in [engine]: \"glomio\" must be \"auto\" or \"glommio\" or \
               \"epoll\"; did you mean \"glommio\"?"],
        ),
        (
            "[engine]\nslots = 1000",
            &["10:9: \"slots\" in [engine]: must be a power of two, such as 512 or 1024, not 1000"],
        ),
        ("[engine]\nledger = \"\"", &["10:10: \"ledger\" in [engine]: must be a path"]),
        (
            "[engine]\nsync_interval = \"1s\"",
            &[
                "10:1: \"sync_interval\" in [engine] is not available yet in this version; remove it",
            ],
        ),
        (
            "[access_log]\noutput = \"stdot\"",
            &[
                "10:10: \"output\" in [access_log]: \"stdot\" must be \"stdout\", \"off\" or a path \
               with a \"/\"; did you mean \"stdout\"?",
            ],
        ),
    ]);
}

#[test]
fn http() {
    check(&[
        (
            "[http]\nhead_bytes_max = \"65KiB\"",
            &["10:18: \"head_bytes_max\" in [http]: must be between 256 and 65536 bytes, not \
               \"65KiB\""],
        ),
        (
            "[http]\nhead_bytes_max = \"4KB\"",
            &[
                "10:18: \"head_bytes_max\" in [http]: \"4KB\" is not a size; write bytes as a whole \
               number, or with a unit, such as \"16KiB\", \"1MiB\" or \"1GiB\"",
            ],
        ),
        (
            "[http]\nhead_bytes_max = 1024\ntarget_bytes_max = 1025",
            &["11:20: \"target_bytes_max\" in [http]: must be between 16 and 1024, not 1025"],
        ),
        (
            "[http]\nfields_max = 129",
            &["10:14: \"fields_max\" in [http]: must be between 1 and 128, not 129"],
        ),
        (
            "[http]\nidle_timeout = \"10\"",
            &["10:16: \"idle_timeout\" in [http]: \"10\" is not a duration; write a whole number \
               and a unit, such as \"250ms\", \"10s\", \"5m\", \"1h\" or \"7d\""],
        ),
        (
            "[http]\nidle_timeout = \"0s\"",
            &["10:16: \"idle_timeout\" in [http]: must be between 1ms and 366d, not \"0s\""],
        ),
    ]);
}

#[test]
fn listeners() {
    check(&[
        (
            "[[listener]]\naddress = \"localhost:80\"",
            &[
                "10:11: \"address\" in [[listener]]: \"localhost:80\" is not an address; write an IP \
               address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\" (host names are \
               not available yet in this version)",
            ],
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:8080\"",
            &["10:11: \"address\" in [[listener]]: another [[listener]] has this address; change \
               one of their ports"],
        ),
        (
            "[control]\naddress = \"127.0.0.1:8080\"",
            &[
                "2:11: \"address\" in [[listener]]: [control] has this address; change one of their \
               ports",
            ],
        ),
        (
            "[[listener]]\nname = \"control\"\naddress = \"127.0.0.1:1\"",
            &[
                "10:8: \"name\" in [[listener]]: \"control\" is the engine's own; choose another name",
            ],
        ),
        (
            "[[listener]]",
            &["9:1: [[listener]] has no \"address\"; add one, such as address = \"0.0.0.0:8080\""],
        ),
        (
            "[[listener]]\naddress = \"127.0.0.1:1\"\ntls = { certificate = \"c\", key = \"k\" }",
            &["11:1: \"tls\" in [[listener]] is not available yet in this version; remove it"],
        ),
    ]);
}

#[test]
fn tiers() {
    let rate = |text: &str| {
        format!(
            "10:8: \"free\" in [tiers]: \"{text}\" is not a rate; write a count and a window, such \
             as \"5/1m\", \"100/s\" or \"20/30s\""
        )
    };
    for text in ["", "5", "5/", "/1m", "5/1", "5/1x", "-5/1m", "5 / 1m", "1.5/1m", "5/1m/1m"] {
        let faults = parse_with_least(&format!("[tiers]\nfree = \"{text}\"")).unwrap_err();
        assert_eq!(faults.to_string(), format!("weir.toml:{}", rate(text)));
    }
    let count = "must be between 1 and 1048574";
    let window = "must be between 1s and 366d";
    check(&[
        (
            "[tiers]\nfree = \"0/1m\"",
            &[&format!("10:8: \"free\" in [tiers]: the count of \"0/1m\" {count}")],
        ),
        (
            "[tiers]\nfree = \"1048575/1m\"",
            &[&format!("10:8: \"free\" in [tiers]: the count of \"1048575/1m\" {count}")],
        ),
        (
            "[tiers]\nfree = \"5/999ms\"",
            &[&format!("10:8: \"free\" in [tiers]: the window of \"5/999ms\" {window}")],
        ),
        (
            "[tiers]\nfree = \"5/367d\"",
            &[&format!("10:8: \"free\" in [tiers]: the window of \"5/367d\" {window}")],
        ),
        (
            "[tiers]\n\"my tier\" = \"5/1m\"",
            &["10:13: \"my tier\" in [tiers]: \"my tier\" is not a name; use 1 to 64 letters, \
               digits, \"-\", \"_\" or \".\""],
        ),
    ]);
}

#[test]
fn limits() {
    let limit = |rest: &str| format!("[[limit]]\nname = \"a\"\n{rest}");
    let fault = |rest: &str| {
        let faults = parse_with_least(&limit(rest)).expect_err(rest).to_string();
        faults.replace("weir.toml:", "")
    };
    let cases = [
        (
            "key = \"header:x-team\"\nrate = \"1/s\"",
            "11:7: \"key\" in [[limit]]: \"header:...\" is not available yet in this version; use \
             \"address\" or \"key\" or \"user\"",
        ),
        (
            "key = \"route\"\nrate = \"1/s\"",
            "11:7: \"key\" in [[limit]]: \"route\" is not available yet in this version; use \
             \"address\" or \"key\" or \"user\"",
        ),
        (
            "key = [\"key\", \"address\"]\nrate = \"1/s\"",
            "11:7: \"key\" in [[limit]]: a list of keys is not available yet in this version; use \
             one of them",
        ),
        (
            "key = \"adress\"\nrate = \"1/s\"",
            "11:7: \"key\" in [[limit]]: \"adress\" must be \"address\" or \"key\" or \"user\"; \
             did you mean \"address\"?",
        ),
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
            "key = \"user\"\nrate = \"1/s\"\nalgorithm = \"token_bucket\"",
            "13:13: \"algorithm\" in [[limit]]: \"token_bucket\" is not available yet in this \
             version; use \"sliding_window\"",
        ),
        (
            "key = \"user\"\nrate = \"1/s\"\ncallers = \"all\"",
            "13:11: \"callers\" in [[limit]]: only a limit with key = \"address\" chooses its \
             callers; remove it",
        ),
        (
            "key = \"user\"\nrate = \"1/s\"\non_full = \"drop\"",
            "13:11: \"on_full\" in [[limit]]: \"drop\" must be \"refuse\" or \"admit\"",
        ),
        (
            "key = \"user\"\nrate = \"1/s\"\nban = { after = 10 }",
            "13:1: \"ban\" in [[limit]] is not available yet in this version; remove it",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(fault(rest), expected);
    }
}

#[test]
fn jwt() {
    check(&[
        (
            "[jwt]",
            &[
                "9:1: [jwt] has no secret; add one of \"secret_env\", \"secret_file\" or \"secret\", \
               such as secret_env = \"WEIR_JWT_SECRET\"",
            ],
        ),
        (
            "[jwt]\nsecret = \"0123456789abcdef0123456789abcde\"",
            &["10:10: \"secret\" in [jwt]: the secret has 31 bytes; HS256 needs at least 32 (RFC \
               7518 section 3.2)"],
        ),
        (
            "[jwt]\nsecret_env = \"SHORT\"",
            &["10:14: \"secret_env\" in [jwt]: the secret has 7 bytes; HS256 needs at least 32 \
               (RFC 7518 section 3.2)"],
        ),
        (
            "[jwt]\nsecret_env = \"ABSENT\"",
            &[
                "10:14: \"secret_env\" in [jwt]: the environment variable ABSENT is not set; set it \
               before starting weir",
            ],
        ),
        (
            "[jwt]\nsecret_env = \"EMPTY\"",
            &[
                "10:14: \"secret_env\" in [jwt]: the environment variable EMPTY is empty; give it a \
               value",
            ],
        ),
        (
            "[jwt]\nsecret_file = \"/nowhere/jwt\"",
            &["10:15: \"secret_file\" in [jwt]: \"/nowhere/jwt\" cannot be read: No such file or \
               directory (os error 2)"],
        ),
        (
            "[jwt]\nsecret = \"0123456789abcdef0123456789abcdef\"\nsecret_env = \"SECRET\"",
            &["11:14: \"secret_env\" in [jwt]: \"secret\" is given too; keep one"],
        ),
        (
            "[jwt]\nsecret_env = \"SECRET\"\nalgorithms = [\"RS256\", \"none\", \"HS25\"]",
            &[
                "11:15: \"algorithms\" in [jwt]: \"RS256\" is not available yet in this version; \
                 use \"HS256\"",
                "11:24: \"algorithms\" in [jwt]: \"none\" is never accepted: anybody could make \
                 such a token",
                "11:32: \"algorithms\" in [jwt]: \"HS25\" must be \"HS256\"; did you mean \
                 \"HS256\"?",
            ],
        ),
        (
            "[jwt]\nsecret_env = \"SECRET\"\nleeway = \"301s\"",
            &["11:10: \"leeway\" in [jwt]: must be between 0s and 5m, not \"301s\""],
        ),
    ]);
}

#[test]
fn keys() {
    check(&[
        (
            "[[key]]\nname = \"a\"",
            &["9:1: [[key]] has no key; add one of \"key_env\", \"sha256\" or \"key\", such as \
               key_env = \"WEIR_KEY_ALICE\""],
        ),
        (
            "[[key]]\nname = \"a\"\nkey = \"0123456789abcde\"",
            &["11:7: \"key\" in [[key]]: the key has 15 characters; use at least 16"],
        ),
        (
            "[[key]]\nname = \"a\"\nkey = \"0123456789 abcdef\"",
            &[
                "11:7: \"key\" in [[key]]: a key is made of visible ASCII characters, without spaces",
            ],
        ),
        (
            "[[key]]\nname = \"a\"\nsha256 = \"abcd\"",
            &["11:10: \"sha256\" in [[key]]: must be a SHA-256 digest: 64 hexadecimal digits, as \
               sha256sum prints them"],
        ),
        (
            "[[key]]\nname = \"a\"\nkey_env = \"SECRET\"\ntier = \"premum\"\nuser = \"a b\"",
            &[
                "12:8: \"tier\" in [[key]]: no tier is named \"premum\"; did you mean \"premium\"?",
                "13:8: \"user\" in [[key]]: \"a b\" is not a user; use 1 to 64 visible ASCII \
                 characters, no spaces",
            ],
        ),
        (
            "[[key]]\nname = \"a\"\nkey_env = \"SECRET\"\n[[key]]\nname = \"a\"\nkey_env = \"SECRET\"",
            &[
                "13:8: \"name\" in [[key]]: \"a\" already names the key of line 10; names are unique",
                "14:11: \"key_env\" in [[key]]: the [[key]] \"a\" is the same key; give each its own",
            ],
        ),
    ]);
}

#[test]
fn upstreams() {
    let upstream = |rest: &str| {
        let text =
            format!("[[upstream]]\nname = \"b\"\nbackend = [{{ address = \"[::1]:1\" }}]\n{rest}");
        parse_with_least(&text).expect_err(rest).to_string().replace("weir.toml:", "")
    };
    let cases = [
        (
            "strategy = \"least_connections\"",
            "12:12: \"strategy\" in [[upstream]]: \"least_connections\" is not available yet in \
             this version; use \"round_robin\"",
        ),
        (
            "strategy = \"roundrobin\"",
            "12:12: \"strategy\" in [[upstream]]: \"roundrobin\" must be \"round_robin\"; did you \
             mean \"round_robin\"?",
        ),
        (
            "breaker = { failures = 5 }",
            "12:1: \"breaker\" in [[upstream]] is not available yet in this version; remove it",
        ),
        (
            "queue = { depth = 5 }",
            "12:1: \"queue\" in [[upstream]] is not available yet in this version; remove it",
        ),
        (
            "health = { interval = \"2s\", timeout = \"2s\" }",
            "12:39: \"timeout\" in [upstream.health]: must be shorter than \"interval\", so that \
             checks do not overlap",
        ),
        (
            "health = { path = \"health\" }",
            "12:19: \"path\" in [upstream.health]: \"health\" must start with \"/\", such as \
             \"/api/*\" or \"/health\"",
        ),
        (
            "health = { rise = 0 }",
            "12:19: \"rise\" in [upstream.health]: must be between 1 and 100, not 0",
        ),
        (
            "health = 3",
            "12:10: \"health\" in [[upstream]] must be a table: write [upstream.health], not an \
             integer",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(upstream(rest), expected);
    }
    check(&[
        (
            "[[upstream]]\nname = \"control\"\nbackend = [{ address = \"[::1]:1\" }]",
            &[
                "10:8: \"name\" in [[upstream]]: \"control\" is the engine's own; choose another name",
            ],
        ),
        (
            "[[upstream]]\nname = \"b\"\nbackend = [{ address = \"[::1]:0\" }, {}]",
            &[
                "11:24: \"address\" in [[upstream.backend]]: \"[::1]:0\" needs a port from 1 to 65535",
                "11:37: [[upstream.backend]] has no \"address\"; add one, such as address = \
                 \"127.0.0.1:5001\"",
            ],
        ),
        (
            "[[upstream]]\nname = \"b\"\n[[upstream.backend]]\naddress = \"[::1]:1\"\nweight = 2\n\
             [[upstream.backend]]\naddress = \"[::1]:1\"",
            &[
                "13:1: \"weight\" in [[upstream.backend]] is not available yet in this version; \
                 remove it",
                "15:11: \"address\" in [[upstream.backend]]: this upstream has this backend \
                 already; remove one",
            ],
        ),
    ]);
}

#[test]
fn routes() {
    let route = |rest: &str| {
        let faults = parse_with_least(&format!("[[route]]\n{rest}")).expect_err(rest);
        faults.to_string().replace("weir.toml:", "")
    };
    let to_api = "path = \"/a\"\nupstream = \"api\"\n";
    let cases = [
        (
            "path = \"/a\"\nupstream = \"apii\"",
            "11:12: \"upstream\" in [[route]]: no upstream is named \"apii\"; did you mean \"api\"?",
        ),
        (
            "path = \"/a\"\nupstream = \"backends\"",
            "11:12: \"upstream\" in [[route]]: no upstream is named \"backends\"; there are \"api\"",
        ),
        (
            "path = \"/*\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: an earlier [[route]] has this listener, host and path; \
             remove one",
        ),
        (
            "path = \"a\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"a\" must start with \"/\", such as \"/api/*\" or \
             \"/health\"",
        ),
        (
            "path = \"/a*\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"/a*\" may hold \"*\" only as its end, \"/*\", such as \
             \"/api/*\"",
        ),
        (
            "path = \"/*/b\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"/*/b\" may hold \"*\" only as its end, \"/*\", such as \
             \"/api/*\"",
        ),
        (
            "path = \"/a?b\"\nupstream = \"api\"",
            "10:8: \"path\" in [[route]]: \"/a?b\" holds '?', which no request's path does; \
             percent-encode it or leave it out",
        ),
        ("upstream = \"api\"", "9:1: [[route]] has no \"path\"; add one, such as path = \"/*\""),
        (
            "path = \"/a\"",
            "9:1: [[route]] has no \"upstream\"; add one, such as upstream = \"api\"",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(route(rest), expected);
    }
    let cases = [
        (
            "host = \"a.example:80\"",
            "12:8: \"host\" in [[route]]: \"a.example:80\" must be without a port; routes choose \
             the port by \"listener\"",
        ),
        (
            "host = \"*.example.com\"",
            "12:8: \"host\" in [[route]]: \"*.example.com\": wildcard hosts are not available yet \
             in this version; write one route for each host",
        ),
        (
            "host = \"a..b\"",
            "12:8: \"host\" in [[route]]: \"a..b\" is not a host; write a name such as \
             \"api.example.com\"",
        ),
        (
            "listener = \"control\"",
            "12:12: \"listener\" in [[route]]: no listener is named \"control\"; there are \
             \"127.0.0.1:8080\"",
        ),
        (
            "limits = [\"per-address\"]",
            "12:11: \"limits\" in [[route]]: no limit is named \"per-address\"; the file defines none",
        ),
        (
            "tiers = [\"free\", \"free\"]",
            "12:18: \"tiers\" in [[route]]: \"free\" is named twice; remove one",
        ),
        ("tiers = \"free\"", "12:9: \"tiers\" in [[route]] must be a list, not a string"),
        (
            "auth = \"jwt\"",
            "12:8: \"auth\" in [[route]]: \"jwt\" needs a [jwt] table; add it or use \"none\"",
        ),
        (
            "auth = \"api_key\"",
            "12:8: \"auth\" in [[route]]: \"api_key\" needs at least one [[key]]; add it or use \
             \"none\"",
        ),
        (
            "auth = \"any\"",
            "12:8: \"auth\" in [[route]]: \"any\" needs a [jwt] table or a [[key]]; add it or use \
             \"none\"",
        ),
        (
            "auth = \"basic\"",
            "12:8: \"auth\" in [[route]]: \"basic\" must be \"none\" or \"api_key\" or \"jwt\" or \
             \"any\"",
        ),
        (
            "cache = { ttl = \"30s\" }",
            "12:1: \"cache\" in [[route]] is not available yet in this version; remove it",
        ),
    ];
    for (rest, expected) in cases {
        assert_eq!(route(&format!("{to_api}{rest}")), expected);
    }
}

#[test]
fn too_many_limits_on_a_route() {
    let limit = |n| format!("[[limit]]\nname = \"l{n}\"\nkey = \"user\"\nrate = \"1/s\"\n");
    let limits: String = (0..9).map(limit).collect();
    let names: Vec<String> = (0..9).map(|n| format!("\"l{n}\"")).collect();
    let names = names.join(", ");
    let text = format!("{limits}[[route]]\npath = \"/a\"\nupstream = \"api\"\nlimits = [{names}]");
    let faults = parse_with_least(&text).unwrap_err().to_string();
    let expected =
        "weir.toml:48:10: \"limits\" in [[route]]: 9 limits; a request is charged 8 at most";
    assert_eq!(faults, expected);
}

#[test]
fn long_values_are_cut_and_controls_escaped() {
    let long = "x".repeat(100);
    let text = format!("[tiers]\nfree = \"{long}\"\nbasic = \"\\u001b[31m\"");
    let faults = parse_with_least(&text).unwrap_err().to_string();
    assert!(faults.contains(&format!("\"{}\"... is not a rate", "x".repeat(60))), "{faults}");
    assert!(faults.contains("\"\\u{1b}[31m\" is not a rate"), "{faults}");
}
