use super::*;

fn address() -> Policy {
    Policy::new("per-address", 100, Unit::Requests, Some(60))
}

/// 12 left, the whole in a little more than 29 seconds.
fn standing(policy: &Policy) -> Standing<'_> {
    Standing { policy, remaining: 12, reset_ns: 29_000_000_001 }
}

fn used_up(policy: &Policy, reset_ns: u64) -> Standing<'_> {
    Standing { policy, remaining: 0, reset_ns }
}

fn fields(standings: &[Standing<'_>]) -> String {
    let mut out = Vec::new();
    write_fields(&mut out, standings);
    String::from_utf8(out).expect("fields are ASCII")
}

#[test]
fn one_policy() {
    assert_eq!(
        fields(&[standing(&address())]),
        "RateLimit-Policy: \"per-address\";q=100;w=60\r\n\
         RateLimit: \"per-address\";r=12;t=30\r\n\
         X-RateLimit-Limit: 100\r\n\
         X-RateLimit-Remaining: 12\r\n\
         X-RateLimit-Reset: 30\r\n"
    );
}

#[test]
fn several_policies_share_a_field_and_the_tightest_speaks_for_all() {
    let tier = Policy::new("per-tier", 5, Unit::Requests, Some(1));
    let longer = Policy::new("daily", 9, Unit::Requests, Some(86_400));
    assert_eq!(
        fields(&[standing(&address()), used_up(&tier, 0), used_up(&longer, 5)]),
        "RateLimit-Policy: \"per-address\";q=100;w=60, \"per-tier\";q=5;w=1, \"daily\";q=9;w=86400\r\n\
         RateLimit: \"per-address\";r=12;t=30, \"per-tier\";r=0;t=0, \"daily\";r=0;t=1\r\n\
         X-RateLimit-Limit: 9\r\n\
         X-RateLimit-Remaining: 0\r\n\
         X-RateLimit-Reset: 1\r\n"
    );
}

#[test]
fn units_other_than_requests_are_named() {
    let (address, bytes) = (address(), Policy::new("upload", 5 << 30, Unit::ContentBytes, None));
    let permits = Policy::new("at-once", 10, Unit::ConcurrentRequests, None);
    let bytes = Standing { policy: &bytes, remaining: 7, reset_ns: 1 };
    let some = Standing { policy: &permits, remaining: 3, reset_ns: 0 };
    let expected = "RateLimit-Policy: \"per-address\";q=100;w=60, \
                    \"upload\";q=5368709120;qu=\"content-bytes\", \
                    \"at-once\";q=10;qu=\"concurrent-requests\"\r\n\
                    RateLimit: \"per-address\";r=12;t=30, \"upload\";r=7;t=1, \"at-once\";r=3\r\n\
                    X-RateLimit-Limit: 100\r\n\
                    X-RateLimit-Remaining: 12\r\n\
                    X-RateLimit-Reset: 30\r\n";
    assert_eq!(fields(&[standing(&address), bytes, some]), expected);
    // What is used up speaks for all, whatever its unit.
    let used_up = fields(&[standing(&address), used_up(&permits, 0)]);
    assert!(used_up.ends_with(
        "X-RateLimit-Limit: 10\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 0\r\n"
    ));
}

#[test]
fn nothing_to_tell_writes_nothing() {
    assert_eq!(fields(&[]), "");
}

#[test]
fn names_cannot_break_out_of_their_string() {
    let hostile = Policy::new("a\"b\\c\r\nX: é\u{7f}", 100, Unit::Requests, Some(60));
    let text = fields(&[standing(&hostile)]);
    let (first, _) = text.split_once("\r\n").expect("a line");
    assert_eq!(first, r#"RateLimit-Policy: "a\"b\\c??X: ??";q=100;w=60"#);
    assert_eq!(text.matches("\r\n").count(), 5);
}

#[test]
fn integers_stay_within_fifteen_digits() {
    let long = Policy::new("long", u64::MAX, Unit::Requests, Some(u64::MAX));
    let most = "999999999999999";
    let all = Standing { policy: &long, remaining: u64::MAX, reset_ns: u64::MAX };
    // A list of them has room as well.
    let text = fields(&[all; 8]);
    assert!(text.starts_with(&format!("RateLimit-Policy: \"long\";q={most};w={most}, ")), "{text}");
    assert_eq!(text.matches(&format!("\"long\";r={most};t=18446744074")).count(), 8);
    assert!(text.ends_with("X-RateLimit-Reset: 18446744074\r\n"), "{text}");
}

#[test]
fn every_number_of_digits_is_written() {
    let policy = address();
    let mut number = 0_u64;
    for digit in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4] {
        number = number * 10 + digit;
        let text = fields(&[Standing { policy: &policy, remaining: number, reset_ns: 0 }]);
        assert!(text.contains(&format!(";r={number};t=0\r\n")), "{text}");
        assert!(text.contains(&format!("X-RateLimit-Remaining: {number}\r\n")), "{text}");
    }
}

#[test]
fn retry_after_rounds_up_and_is_never_nought() {
    let line = |ns: u64| {
        let mut out = Vec::new();
        write_retry_after(&mut out, ns);
        String::from_utf8(out).expect("fields are ASCII")
    };
    assert_eq!(line(0), "Retry-After: 1\r\n");
    assert_eq!(line(1), "Retry-After: 1\r\n");
    assert_eq!(line(1_000_000_000), "Retry-After: 1\r\n");
    assert_eq!(line(1_000_000_001), "Retry-After: 2\r\n");
    assert_eq!(line(u64::MAX), "Retry-After: 18446744074\r\n");
}
