//! What is given back, and what is only known at the end.

use super::*;

/// Limits of every kind that a request is charged for before it goes on.
fn every_kind() -> (String, [&'static str; 6]) {
    let names = ["window", "strict", "bucket", "quota", "permits", "bytes"];
    let rests = [
        "rate = \"9/1m\"",
        "rate = \"9/1m\"\nalgorithm = \"strict\"",
        "rate = \"9/1m\"\nalgorithm = \"token_bucket\"",
        "rate = \"9/day\"\nalgorithm = \"quota\"",
        "max = 9\nalgorithm = \"concurrency\"",
        "rate = \"900B/day\"\nalgorithm = \"quota\"",
    ];
    let tables = names.iter().zip(rests);
    let tables = tables.map(|(name, rest)| limit(name, &format!("key = \"user\"\n{rest}")));
    (tables.collect(), names)
}

#[test]
fn a_refusal_gives_back_what_others_were_charged() {
    let (tables, names) = every_kind();
    let last = limit("last", "key = \"user\"\nrate = \"1/1m\"");
    let list = names.map(|name| format!("\"{name}\"")).join(", ");
    let both = format!("limits = [{list}, \"last\"]");
    let others = format!("limits = [{list}]");
    let desk = Desk::new(&(tables + &last), &[&both, &others]);
    assert!(desk.admits(0, ANN, at(1)));
    for _ in 0..20 {
        assert!(!desk.admits(0, ANN, at(1)));
    }
    let decision = desk.ask(1, ANN, at(1));
    let expected = [7, 7, 7, 7, 8, 898];
    let left: Vec<u64> = decision.standings.iter().map(|standing| standing.remaining).collect();
    assert_eq!(left, expected, "the one before and this one");
}

#[test]
fn charges_by_address_stay() {
    let address = limit("address", "key = \"address\"\nrate = \"3/1m\"");
    let desk = Desk::new(&address, &["limits = [\"address\"]\nauth = \"any\""]);
    let forged = "X-API-Key: nobody-0123456789\r\n";
    for _ in 0..3 {
        let refused = desk.ask(0, forged, at(1)).refusal;
        assert!(matches!(refused, Some(Refusal::Unauthenticated { .. })), "{refused:?}");
    }
    let refused = desk.ask(0, forged, at(1)).refusal;
    assert!(matches!(refused, Some(Refusal::LimitExceeded { .. })), "{refused:?}");
}

#[test]
fn permits_come_back_with_the_end_whatever_it_is() {
    let permits = limit("p", "key = \"address\"\nalgorithm = \"concurrency\"\nmax = 2");
    let desk = Desk::new(&permits, &["limits = [\"p\"]", "limits = [\"p\"]\nauth = \"any\""]);
    let first = desk.ask(0, "", at(1));
    let second = desk.ask(0, "", at(1));
    let refused = desk.ask(0, "", at(1));
    let expected = Refusal::LimitExceeded { limit: "p", retry_after_ns: 1_000_000_000 };
    assert_eq!(refused.refusal, Some(expected));
    drop((second, refused));
    assert!(desk.admits(0, "", at(1)), "one that was refused held nothing");
    // Refused for another reason after it got its permit.
    assert!(!desk.admits(1, "", at(1)));
    let second = desk.ask(0, "", at(1));
    assert_eq!(Desk::remaining(&second), [("p".to_owned(), 0)]);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _held = second;
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    drop(first);
    assert_eq!(Desk::remaining(&desk.ask(0, "", at(1))), [("p".to_owned(), 1)]);
}

#[test]
fn who_does_not_wait_is_banned_on_every_route() {
    let ban = "ban = { after = 3, within = \"1m\", for = \"300s\" }";
    let address = limit("a", &format!("key = \"address\"\nrate = \"2/1m\"\n{ban}"));
    let user = limit("u", &format!("key = \"user\"\nrate = \"2/1m\"\n{ban}"));
    let access = "[access]\nallow = [\"192.0.2.9\"]\n";
    let routes = ["limits = [\"a\"]", "limits = [\"u\"]", ""];
    let desk = Desk::new(&format!("{access}{address}{user}"), &routes);
    let banned = |route, fields, address| {
        matches!(
            desk.ask_from(address, route, fields, at(2)).refusal,
            Some(Refusal::Banned { retry_after_ns, .. }) if retry_after_ns > 290_000_000_000
        )
    };
    for address in ["192.0.2.1", "192.0.2.9"] {
        (0..20).for_each(|_| drop(desk.ask_from(address, 0, "", at(1))));
    }
    assert!(banned(0, "", "192.0.2.1") && banned(2, "", "192.0.2.1"));
    assert!(!banned(2, "", "192.0.2.2"));
    assert!(!banned(0, "", "192.0.2.9"), "one that a list allows");
    (0..20).for_each(|_| drop(desk.ask_from("192.0.2.3", 1, ANN, at(1))));
    assert!(banned(2, ANN, "192.0.2.3") && banned(2, ANN, "192.0.2.4"));
    assert!(!banned(2, "", "192.0.2.3") && !banned(2, BOB, "192.0.2.3"));
    assert!(desk.admits(2, ANN, at(400)), "for a while only");
}

#[test]
fn a_tunnel_holds_its_permit_and_counts_its_bytes() {
    let permits = limit("p", "key = \"user\"\nalgorithm = \"concurrency\"\nmax = 1");
    let bytes = limit("b", "key = \"user\"\nalgorithm = \"quota\"\nrate = \"1kB/day\"");
    let desk = Desk::new(&(permits + &bytes), &["limits = [\"p\", \"b\"]"]);
    let mut decision = desk.ask(0, ANN, at(1));
    decision.tab.settle_bytes(100, at(2));
    let lease = decision.tab.lease(&desk.table).expect("something to hold");
    drop(decision);
    assert!(!desk.admits(0, ANN, at(2)), "the tunnel has it");
    lease.settle_bytes(500, at(3));
    drop(lease);
    let next = desk.ask(0, ANN, at(3));
    assert_eq!(Desk::remaining(&next), [("p".to_owned(), 0), ("b".to_owned(), 399)]);
    assert!(desk.ask(0, BOB, at(3)).tab.lease(&desk.table).is_some());
    let none = Desk::new("", &[""]);
    assert!(none.ask(0, ANN, at(3)).tab.lease(&none.table).is_none());
}

#[test]
fn a_quota_of_bytes_refuses_once_it_is_used_up() {
    let bytes = limit("b", "key = \"user\"\nalgorithm = \"quota\"\nrate = \"1kB/day\"");
    let desk = Desk::new(&bytes, &["limits = [\"b\"]"]);
    let decision = desk.ask(0, ANN, at(1));
    assert_eq!(Desk::remaining(&decision), [("b".to_owned(), 999)]);
    decision.tab.settle_bytes(999, at(2));
    assert!(desk.admits(0, ANN, at(2)), "a byte is left");
    let refused = desk.ask(0, ANN, at(2));
    let Some(Refusal::LimitExceeded { retry_after_ns, .. }) = refused.refusal else {
        panic!("{:?}", refused.refusal);
    };
    assert_eq!(retry_after_ns, (12 * 3600 - 2) * 1_000_000_000, "midnight");
    refused.tab.settle_bytes(5000, at(2));
    let tomorrow = desk.ask(0, ANN, at(12 * 3600));
    assert_eq!(Desk::remaining(&tomorrow), [("b".to_owned(), 999)], "refused ones count nothing");
}

#[test]
fn what_a_backend_reports_takes_the_place_of_the_cost() {
    let limits = limit("l", "key = \"user\"\nrate = \"20/1m\"");
    let desk = Desk::new(&limits, &["limits = [\"l\"]\ncost = 5"]);
    let left = |reported: Option<u64>| {
        let decision = desk.ask(0, ANN, at(1));
        let before = decision.standings[0].remaining;
        if let Some(reported) = reported {
            decision.tab.settle_cost(reported, at(1));
        }
        before
    };
    assert_eq!(left(Some(2)), 15);
    assert_eq!(left(None), 13);
    assert_eq!(left(Some(5)), 8);
    assert_eq!(left(Some(0)), 3);
    // More than is left: counted all the same.
    assert_eq!(left(Some(50)), 3);
    assert!(!desk.admits(0, ANN, at(1)));
}

/// Bytes that passed by any time are the burst and what the rate allows until then, at most.
#[test]
fn bytes_are_paced_by_key_over_all_directions() {
    let paced =
        limit("b", "key = \"user\"\nalgorithm = \"byte_rate\"\nrate = \"1kB/s\"\nburst = \"3kB\"");
    let desk = Desk::new(&paced, &["limits = [\"b\"]"]);
    let pacers: Vec<Pacer> = (0..2)
        .map(|_| Pacer::new(&desk.ask(0, ANN, at(1)).tab, &desk.table, &desk.counts))
        .collect();
    assert!(desk.ask(0, ANN, at(1)).tab.is_paced());
    let mut clocks = [at(1), at(1)];
    let mut passed = Vec::new();
    for turn in 0..400_u64 {
        let which = usize::from(turn % 3 == 0);
        let bytes = 1 + turn * 37 % 900;
        let now = clocks[which];
        let then = pacers[which].charge(bytes, now).unwrap_or(now);
        clocks[which] = then;
        passed.push((then, bytes));
    }
    passed.sort_unstable();
    let mut sum = 0;
    for (when, bytes) in &passed {
        sum += bytes;
        let elapsed = when.since(at(1));
        let allowed = 3000.0 + elapsed.as_secs_f64() * 1000.0;
        assert!(sum as f64 <= allowed + 1.0, "{sum} bytes after {elapsed:?}");
    }
    let (last, total) = (passed[passed.len() - 1].0.since(at(1)), sum);
    let least = Duration::from_millis(total - 3000 - 900);
    assert!(last >= least, "{total} bytes took {last:?}");
    assert!(desk.counts[0].delayed_ns.get() > 0);
}
