//! `ban` of a limit.

use weir_protocol::limit::ban::{Ladder, LadderRules};

use super::{parse_with_least, right};

fn limit(rest: &str) -> String {
    format!("[[limit]]\nname = \"a\"\nrate = \"1/s\"\n{rest}")
}

fn ladder(rest: &str) -> Option<Ladder> {
    right(&limit(rest)).limits[0].ban
}

#[test]
fn a_table_has_defaults_and_takes_what_is_written() {
    let default = LadderRules {
        after: 10,
        within_s: 60,
        for_s: 300,
        factor: 2,
        ceiling_s: 86_400,
        decay_s: 3_600,
    };
    assert_eq!(ladder("key = \"address\""), None);
    assert_eq!(ladder("key = \"address\"\nban = {}"), Ladder::new(default).ok());
    let written = LadderRules {
        after: 1,
        within_s: 86_400,
        for_s: 1,
        factor: 1,
        ceiling_s: 31_622_400,
        decay_s: 1,
    };
    let text = "key = \"user\"\nban = { after = 1, within = \"24h\", for = \"1s\", factor = 1, \
                ceiling = \"366d\", decay = \"1s\" }";
    assert_eq!(ladder(text), Ladder::new(written).ok());
}

#[test]
fn faults() {
    for (rest, expected) in [
        (
            "key = \"certificate\"\nban = {}",
            "13:7: \"ban\" in [[limit]]: who is banned is refused everything; only a limit whose \
             key is \"address\", \"key\" or \"user\" alone can do that",
        ),
        (
            "key = \"key\"\nban = true",
            "13:7: \"ban\" in [[limit]] must be a table: write [limit.ban], not a boolean",
        ),
        (
            "key = \"key\"\nban = { after = 0 }",
            "13:17: \"after\" in [limit.ban]: must be between 1 and 4094, not 0",
        ),
        (
            "key = \"key\"\nban = { within = \"2d\" }",
            "13:18: \"within\" in [limit.ban]: must be between 1s and 1d, not \"2d\"",
        ),
        (
            "key = \"key\"\nban = { for = \"1500ms\" }",
            "13:15: \"for\" in [limit.ban]: bans are counted in whole seconds",
        ),
        (
            "key = \"key\"\nban = { for = \"2h\", ceiling = \"1h\" }",
            "13:15: \"for\" in [limit.ban]: a ban of 7200 s does not fit: it must be at least 1 \
             and at most the ceiling",
        ),
        (
            "key = \"key\"\nban = { ceiling = \"1m\" }",
            "13:7: \"ban\" in [[limit]]: a ban of 300 s does not fit: it must be at least 1 and at \
             most the ceiling",
        ),
        (
            "key = \"key\"\nban = { factor = 1001 }",
            "13:18: \"factor\" in [limit.ban]: must be between 1 and 1000, not 1001",
        ),
        (
            "key = \"key\"\nban = { until = \"1h\" }",
            "13:9: unknown key \"until\" in [limit.ban]; remove it",
        ),
    ] {
        let faults = parse_with_least(&limit(rest)).expect_err(rest).to_string();
        assert_eq!(faults.replace("weir.toml:", ""), expected, "{rest}");
    }
}
