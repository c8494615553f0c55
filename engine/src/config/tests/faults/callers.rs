//! Faults in `[tiers]`, `[jwt]` and `[[key]]`.

use super::super::parse_with_least;
use super::check;

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
