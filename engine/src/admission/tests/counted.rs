//! What is counted, for whom, and how much of it.

use super::*;

#[test]
fn every_algorithm_admits_what_it_promises_and_names_the_moment_to_come_back() {
    for (rest, admitted) in [
        ("rate = \"5/1m\"", 5),
        ("rate = \"5/1m\"\nalgorithm = \"strict\"", 5),
        ("rate = \"5/1m\"\nalgorithm = \"token_bucket\"\nburst = 7", 7),
        ("rate = \"6/day\"\nalgorithm = \"quota\"", 6),
    ] {
        let limits = limit("l", &format!("key = \"user\"\n{rest}"));
        let desk = Desk::new(&limits, &["limits = [\"l\"]"]);
        assert_eq!(desk.admitted(0, ANN, at(10)), admitted, "{rest}");
        let refused = desk.ask(0, ANN, at(10));
        let Some(Refusal::LimitExceeded { limit: "l", retry_after_ns }) = refused.refusal else {
            panic!("{rest}: {:?}", refused.refusal);
        };
        let then = at(10).as_nanos() + retry_after_ns;
        assert!(!desk.admits(0, ANN, Instant::from_nanos(then - 1)), "{rest}");
        assert!(desk.admits(0, ANN, Instant::from_nanos(then)), "{rest}");
        assert_eq!(desk.admitted(0, BOB, at(10)), admitted, "{rest}: another caller's is whole");
    }
}

#[test]
fn quotas_begin_anew_at_midnight_utc() {
    let limits = limit("l", "key = \"user\"\nalgorithm = \"quota\"\nrate = \"3/day\"");
    let desk = Desk::new(&limits, &["limits = [\"l\"]"]);
    assert_eq!(desk.admitted(0, ANN, at(1)), 3);
    let half_a_day = 12 * 3600;
    assert!(!desk.admits(0, ANN, at(half_a_day - 1)));
    assert_eq!(desk.admitted(0, ANN, at(half_a_day)), 3);
}

#[test]
fn parts_together_name_a_counter() {
    let limits = limit("l", "key = [\"user\", \"route\"]\nrate = \"2/1m\"");
    let desk = Desk::new(&limits, &["limits = [\"l\"]", "limits = [\"l\"]"]);
    for route in [0, 1] {
        assert_eq!(desk.admitted(route, ANN, at(1)), 2);
        assert_eq!(desk.admitted(route, BOB, at(1)), 2);
    }
    // Who has no user is counted by address.
    assert_eq!(desk.admitted(0, "", at(1)), 2);
    assert!(desk.ask_from("192.0.2.2", 0, "", at(1)).refusal.is_none());
}

#[test]
fn a_key_and_its_user_are_told_apart_and_a_token_is_its_user() {
    let limits = limit("u", "key = \"user\"\nrate = \"3/1m\"");
    let desk = Desk::new(&limits, &["limits = [\"u\"]"]);
    assert_eq!(desk.admitted(0, &token("\"sub\":\"ann\""), at(1)), 3);
    assert_eq!(desk.admitted(0, ANN, at(1)), 0, "the same user by key");
    let limits = limit("k", "key = \"key\"\nrate = \"3/1m\"");
    let desk = Desk::new(&limits, &["limits = [\"k\"]"]);
    assert_eq!(desk.admitted(0, &token("\"sub\":\"ann\""), at(1)), 3);
    assert_eq!(desk.admitted(0, ANN, at(1)), 3, "the key's own");
}

#[test]
fn fields_and_claims_count_those_who_have_them() {
    let team = limit("t", "key = \"header:X-Team\"\nrate = \"2/1m\"");
    let org = limit("o", "key = \"claim:org\"\nrate = \"2/1m\"");
    let desk = Desk::new(&(team + &org), &["limits = [\"t\"]", "limits = [\"o\"]"]);
    assert_eq!(desk.admitted(0, "x-team: red\r\n", at(1)), 2);
    assert_eq!(desk.admitted(0, "X-Team: blue\r\n", at(1)), 2);
    assert_eq!(desk.admitted(0, "", at(1)), 50, "whoever has none is not counted");
    for org in ["\"org\":\"acme\"", "\"org\":7", "\"org\":true"] {
        assert_eq!(desk.admitted(1, &token(org), at(1)), 2, "{org}");
    }
    assert_eq!(desk.admitted(1, &token("\"org\":[7]"), at(1)), 50, "no text");
    assert_eq!(desk.admitted(1, ANN, at(1)), 50);
}

#[test]
fn tiers_have_rates_of_their_own_or_none() {
    let own = limit("own", "key = \"key\"\nrate = { premium = \"3/1m\" }");
    let all = limit("all", "key = \"tier\"\nrate = \"tier\"");
    let desk = Desk::new(&(own + &all), &["limits = [\"own\"]", "limits = [\"all\"]"]);
    assert_eq!(desk.admitted(0, BOB, at(1)), 3);
    assert_eq!(desk.admitted(0, ANN, at(1)), 50, "a tier that is not named");
    assert_eq!(desk.admitted(0, "", at(1)), 50, "no tier");
    assert_eq!(desk.admitted(1, ANN, at(1)), 5);
    // Everybody of a tier shares what is counted by it.
    assert_eq!(desk.admitted(1, &token("\"sub\":\"eve\",\"tier\":\"free\""), at(1)), 0);
}

#[test]
fn single_callers_have_allowances_of_their_own() {
    let key =
        "key = \"key\"\nrate = \"2/1m\"\noverrides = { ann-laptop = \"7/1m\", eve = \"4/1m\" }";
    let address = "key = \"address\"\ncallers = \"all\"\nrate = \"2/1m\"\n\
                   overrides = { \"192.0.2.9\" = \"6/1m\", \"2001:db8::\" = \"8/1m\" }";
    let both = "key = [\"user\", \"route\"]\nrate = \"2/1m\"\noverrides = { bob = \"9/1m\" }";
    let limits = limit("k", key) + &limit("a", address) + &limit("b", both);
    let routes = ["limits = [\"k\"]", "limits = [\"a\"]", "limits = [\"b\"]"];
    let desk = Desk::new(&limits, &routes);
    assert_eq!(desk.admitted(0, ANN, at(1)), 7);
    assert_eq!(desk.admitted(0, BOB, at(1)), 2);
    assert_eq!(desk.admitted(0, &token("\"sub\":\"eve\""), at(1)), 4);
    let from = |address: &str| {
        let admitted = |_: &usize| desk.ask_from(address, 1, "", at(1)).refusal.is_none();
        (0..50).filter(admitted).count()
    };
    assert_eq!((from("192.0.2.8"), from("192.0.2.9"), from("2001:db8::7")), (2, 6, 8));
    assert_eq!((desk.admitted(2, BOB, at(1)), desk.admitted(2, ANN, at(1))), (9, 2));
}

#[test]
fn routes_have_costs() {
    let limits = limit("l", "key = \"user\"\nrate = \"10/1m\"");
    let routes = ["limits = [\"l\"]\ncost = 4", "limits = [\"l\"]\ncost = 0", "limits = [\"l\"]"];
    let desk = Desk::new(&limits, &routes);
    assert_eq!(desk.admitted(0, ANN, at(1)), 2);
    assert_eq!(desk.admitted(2, ANN, at(1)), 2);
    assert_eq!(desk.admitted(1, ANN, at(1)), 50, "what costs nothing is never too much");
}

#[test]
fn a_dry_run_counts_and_tells_and_refuses_nobody() {
    let dry = limit("dry", "key = \"user\"\nrate = \"2/1m\"\ndry_run = true");
    let wet = limit("wet", "key = \"user\"\nrate = \"5/1m\"");
    let desk = Desk::new(&(dry + &wet), &["limits = [\"dry\", \"wet\"]"]);
    let told: Vec<_> = (0..4).map(|_| desk.ask(0, ANN, at(1)).would_refuse).collect();
    assert_eq!(told, [None, None, Some("dry"), Some("dry")]);
    let decision = desk.ask(0, ANN, at(1));
    assert_eq!(Desk::remaining(&decision), [("wet".to_owned(), 0)], "only what can refuse");
    assert_eq!((desk.counts(0), desk.counts(1)), ((2, 0, 3), (5, 0, 0)));
}

#[test]
fn answers_need_not_tell_of_limits() {
    let limits = limit("l", "key = \"user\"\nrate = \"2/1m\"");
    let quiet = format!("[http]\nrate_limit_fields = false\n{limits}");
    let desk = Desk::new(&quiet, &["limits = [\"l\"]"]);
    assert!(desk.ask(0, ANN, at(1)).standings.is_empty());
    assert_eq!(desk.admitted(0, ANN, at(1)), 1, "it counts all the same");
}

#[test]
fn a_full_table_is_answered_as_the_limit_says() {
    let refuse = limit("r", "key = \"header:x\"\nrate = \"2/1m\"");
    let admit = limit("a", "key = \"header:x\"\nrate = \"2/1m\"\non_full = \"admit\"");
    let dry = limit("d", "key = \"header:x\"\nrate = \"2/1m\"\ndry_run = true");
    let routes = ["limits = [\"r\"]", "limits = [\"a\"]", "limits = [\"d\"]"];
    let desk = Desk::with_slots(&(refuse + &admit + &dry), &routes, 16);
    for caller in 0..64 {
        desk.admits(0, &format!("X: {caller}\r\n"), at(1));
    }
    let full = desk.ask(0, "X: new\r\n", at(1));
    assert_eq!(full.refusal, Some(Refusal::TableFull { limit: "r" }));
    assert!(desk.admits(1, "X: new\r\n", at(1)) && desk.admits(2, "X: new\r\n", at(1)));
    let told: Vec<u64> = desk.counts.iter().map(|counts| counts.table_full.get()).collect();
    assert!(told[0] > 0 && told[1..] == [1, 1], "{told:?}");
}

#[test]
fn what_applies_is_told_with_the_reasons() {
    let address = limit("address", "key = \"address\"\nrate = \"2/1m\"");
    let tier = limit("tier", "key = \"user\"\nrate = { premium = \"3/1m\" }");
    let team = limit("team", "key = [\"user\", \"header:x-team\"]\nrate = \"2/1m\"");
    let desk =
        Desk::new(&(address + &tier + &team), &["limits = [\"team\", \"address\", \"tier\"]"]);
    struct Nothing;
    impl Fields for Nothing {
        fn first(&self, _: &str) -> Option<&[u8]> {
            None
        }
    }
    let facts = Facts {
        route: 0,
        address: "192.0.2.1".parse().unwrap(),
        caller: &Caller::Key(0),
        tier: Some(0),
        certificate: None,
        fields: &Nothing,
    };
    let memo = AddressMemo::default();
    let hasher = Hasher::new(&desk.table, &desk.subjects, &memo);
    let told = |phase| {
        let all = applies(&desk.snapshot, &hasher, &facts, phase);
        all.map(|(index, applied)| (index, applied.err())).collect::<Vec<_>>()
    };
    assert_eq!(told(Phase::Everybody), []);
    assert_eq!(told(Phase::Anonymous), [(0, None)]);
    let team = &desk.snapshot.limits[2].key;
    assert_eq!(
        told(Phase::Others),
        [(2, Some(Exempt::Missing(&team[1]))), (1, Some(Exempt::Tier))]
    );
    let name = |key| SubjectName { key, facts: &facts, snapshot: &desk.snapshot, hasher: &hasher };
    let parts = [crate::config::LimitKey::User, crate::config::LimitKey::Route];
    assert_eq!(name(&parts).to_string(), "ann /0");
}
