use super::*;

const ADDRESS: Standing<'static> = Standing {
    name: "per-address",
    quota: 100,
    window_s: Some(60),
    unit: Unit::Requests,
    remaining: 12,
    reset_ns: 29_000_000_001,
};

fn fields(standings: &[Standing<'_>]) -> String {
    let mut out = Vec::new();
    write_fields(&mut out, standings);
    String::from_utf8(out).expect("fields are ASCII")
}

#[test]
fn one_policy() {
    assert_eq!(
        fields(&[ADDRESS]),
        "RateLimit-Policy: \"per-address\";q=100;w=60\r\n\
         RateLimit: \"per-address\";r=12;t=30\r\n\
         X-RateLimit-Limit: 100\r\n\
         X-RateLimit-Remaining: 12\r\n\
         X-RateLimit-Reset: 30\r\n"
    );
}

#[test]
fn several_policies_share_a_field_and_the_tightest_speaks_for_all() {
    let tier = Standing { name: "per-tier", quota: 5, window_s: Some(1), ..Standing::default() };
    let longer = Standing { name: "daily", quota: 9, window_s: Some(86_400), reset_ns: 5, ..tier };
    assert_eq!(
        fields(&[ADDRESS, tier, longer]),
        "RateLimit-Policy: \"per-address\";q=100;w=60, \"per-tier\";q=5;w=1, \"daily\";q=9;w=86400\r\n\
         RateLimit: \"per-address\";r=12;t=30, \"per-tier\";r=0;t=0, \"daily\";r=0;t=1\r\n\
         X-RateLimit-Limit: 9\r\n\
         X-RateLimit-Remaining: 0\r\n\
         X-RateLimit-Reset: 1\r\n"
    );
}

#[test]
fn units_other_than_requests_are_named() {
    let bytes = Standing {
        name: "upload",
        quota: 5 << 30,
        unit: Unit::ContentBytes,
        window_s: None,
        remaining: 7,
        reset_ns: 1,
    };
    let permits = Standing {
        name: "at-once",
        quota: 10,
        unit: Unit::ConcurrentRequests,
        remaining: 3,
        ..Standing::default()
    };
    let expected = "RateLimit-Policy: \"per-address\";q=100;w=60, \
                    \"upload\";q=5368709120;qu=\"content-bytes\", \
                    \"at-once\";q=10;qu=\"concurrent-requests\"\r\n\
                    RateLimit: \"per-address\";r=12;t=30, \"upload\";r=7;t=1, \"at-once\";r=3\r\n\
                    X-RateLimit-Limit: 100\r\n\
                    X-RateLimit-Remaining: 12\r\n\
                    X-RateLimit-Reset: 30\r\n";
    assert_eq!(fields(&[ADDRESS, bytes, permits]), expected);
    // What is used up speaks for all, whatever its unit.
    let used_up = fields(&[ADDRESS, Standing { remaining: 0, ..permits }]);
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
    let hostile = Standing { name: "a\"b\\c\r\nX: é\u{7f}", ..ADDRESS };
    let text = fields(&[hostile]);
    let (first, _) = text.split_once("\r\n").expect("a line");
    assert_eq!(first, r#"RateLimit-Policy: "a\"b\\c??X: ??";q=100;w=60"#);
    assert_eq!(text.matches("\r\n").count(), 5);
}

#[test]
fn integers_stay_within_fifteen_digits() {
    let long = Standing { window_s: Some(u64::MAX), ..ADDRESS };
    assert!(
        fields(&[long])
            .starts_with("RateLimit-Policy: \"per-address\";q=100;w=999999999999999\r\n")
    );
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
