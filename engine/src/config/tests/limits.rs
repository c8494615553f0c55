//! `[[limit]]` and what routes say of costs.

use std::time::Duration;

use super::super::{
    Allowance, Callers, Config, LimitConfig, LimitKey, LimitRate, OnFull, Period, Rate, Unit,
};
use super::right;
use crate::runtime::UnixNanos;

const MINUTE: Duration = Duration::from_secs(60);

fn limit(rest: &str) -> LimitConfig {
    right(&format!("[[limit]]\nname = \"a\"\n{rest}")).limits.remove(0)
}

fn fixed(rest: &str) -> Allowance {
    match limit(&format!("key = \"user\"\n{rest}")).rate {
        LimitRate::Fixed(allowance) => allowance,
        LimitRate::Tiers(tiers) => panic!("{tiers:?}"),
    }
}

const fn a_minute(count: u32) -> Rate {
    Rate { count, window: MINUTE }
}

#[test]
fn a_limit_with_all_it_can_say() {
    let limit = limit(
        "key = \"address\"\nrate = \"1048574/1d\"\nalgorithm = \"sliding_window\"\n\
         callers = \"all\"\non_full = \"admit\"\ndry_run = true\n\
         overrides = { \"192.0.2.7\" = \"5/1m\" }\n",
    );
    let rate = Rate { count: 1_048_574, window: Duration::from_secs(86_400) };
    assert_eq!(limit.rate, LimitRate::Fixed(Allowance::SlidingWindow(rate)));
    assert_eq!((limit.callers, limit.on_full, limit.dry_run), (Callers::All, OnFull::Admit, true));
    assert_eq!(limit.overrides[0].name, "192.0.2.7");
    assert_eq!(limit.overrides[0].allowance, Allowance::SlidingWindow(a_minute(5)));
}

#[test]
fn each_algorithm_has_its_allowance() {
    let rate = a_minute(100);
    for (text, expected) in [
        ("rate = \"100/1m\"", Allowance::SlidingWindow(rate)),
        ("rate = \"100/1m\"\nalgorithm = \"strict\"", Allowance::Strict(rate)),
        (
            "rate = \"100/1m\"\nalgorithm = \"token_bucket\"",
            Allowance::TokenBucket { rate, burst: 100 },
        ),
        (
            "rate = \"100/1m\"\nalgorithm = \"token_bucket\"\nburst = 7",
            Allowance::TokenBucket { rate, burst: 7 },
        ),
        ("max = 10\nalgorithm = \"concurrency\"", Allowance::Concurrency { max: 10 }),
        (
            "rate = \"10MB/1m\"\nalgorithm = \"byte_rate\"",
            Allowance::ByteRate { bytes: 10_000_000, window: MINUTE, burst: 166_666 },
        ),
        (
            "rate = \"512KiB/s\"\nalgorithm = \"byte_rate\"\nburst = \"20MB\"",
            Allowance::ByteRate {
                bytes: 524_288,
                window: Duration::from_secs(1),
                burst: 20_000_000,
            },
        ),
        (
            "rate = \"10000/day\"\nalgorithm = \"quota\"",
            Allowance::Quota { count: 10_000, unit: Unit::Requests, period: Period::Day },
        ),
        (
            "rate = \"5GiB/month\"\nalgorithm = \"quota\"",
            Allowance::Quota { count: 5 << 30, unit: Unit::Bytes, period: Period::Month },
        ),
    ] {
        assert_eq!(fixed(text), expected, "{text}");
    }
}

#[test]
fn rates_go_by_tier() {
    let counts = |rest: &str| match limit(&format!("key = \"key\"\n{rest}")).rate {
        LimitRate::Tiers(tiers) => tiers,
        LimitRate::Fixed(allowance) => panic!("{allowance:?}"),
    };
    let window = |count| Some(Allowance::SlidingWindow(a_minute(count)));
    assert_eq!(counts("rate = \"tier\""), [window(5), window(20), window(100), window(1000)]);
    let named = counts("rate = { premium = \"9/1m\", free = \"1/1m\" }");
    assert_eq!(named, [window(1), None, window(9), None]);
    let permits = counts("algorithm = \"concurrency\"\nmax = { free = 2 }");
    assert_eq!(permits, [Some(Allowance::Concurrency { max: 2 }), None, None, None]);
    let bursts = counts("algorithm = \"token_bucket\"\nrate = \"tier\"\nburst = 3");
    let rate = a_minute(5);
    assert_eq!(bursts[0], Some(Allowance::TokenBucket { rate, burst: 3 }));
}

#[test]
fn keys_are_combined() {
    let key = |text: &str| limit(&format!("key = {text}\nrate = \"1/s\"")).key;
    assert_eq!(key("\"route\""), [LimitKey::Route]);
    assert_eq!(
        key("[\"user\", \"route\", \"header:X-Team\", \"claim:org\"]"),
        [
            LimitKey::User,
            LimitKey::Route,
            LimitKey::Header("x-team".to_owned()),
            LimitKey::Claim("org".to_owned())
        ]
    );
    let by_address = |text: &str| limit(&format!("key = {text}\nrate = \"1/s\"")).is_by_address();
    assert!(by_address("\"address\"") && by_address("[\"route\", \"address\"]"));
    assert!(!by_address("[\"address\", \"user\"]") && !by_address("\"route\""));
}

#[test]
fn routes_have_costs() {
    let text = "[[limit]]\nname = \"a\"\nkey = \"user\"\nrate = \"100/1m\"\n\
                [[route]]\npath = \"/a\"\nupstream = \"api\"\nlimits = [\"a\"]\n\
                cost = 100\ncost_header = \"X-Cost\"\n";
    let route = &right(text).routes[1];
    assert_eq!((route.cost, route.cost_header.as_deref()), (100, Some("x-cost")));
    assert_eq!(right(&text.replace("100\nc", "0\nc")).routes[1].cost, 0);
}

#[test]
fn the_share_of_a_strict_limit_is_told() {
    let notes = |rate: &str| {
        let text = format!(
            "[[limit]]\nname = \"a\"\nkey = \"user\"\nrate = \"{rate}\"\nalgorithm = \"strict\"\n"
        );
        Config::notes(&right(&text))
    };
    let told = |share: &str| {
        format!("limit \"a\": strict guarantees {share} of its rate to who always asks")
    };
    assert_eq!(notes("5/1m"), [told("12/13")]);
    assert_eq!(notes("1000/1m"), [told("3/4")]);
    assert_eq!(right("").notes(), Vec::<String>::new());
}

#[test]
fn a_limit_that_one_client_can_fill_the_table_by_is_told_of() {
    let warnings = |limit: &str, other: &str, route: &str| {
        let config = right(&format!(
            "[[key]]\nname = \"ann\"\nkey = \"ann-0123456789abcdef\"\n\
             [[limit]]\nname = \"team\"\nrate = \"9/1m\"\n{limit}\n\
             [[limit]]\nname = \"other\"\nrate = \"9/1m\"\n{other}\n\
             [[upstream]]\nname = \"u\"\n[[upstream.backend]]\naddress = \"127.0.0.1:1\"\n\
             [[route]]\npath = \"/a/*\"\nupstream = \"u\"\n{route}\n"
        ));
        config.warnings(UnixNanos(0))
    };
    let (by_field, both) = ("key = \"header:X-Team\"", "limits = [\"team\", \"other\"]");
    let address = "key = \"address\"\ncallers = \"all\"";
    let told = warnings(by_field, address, "limits = [\"team\"]");
    assert_eq!(told.len(), 1, "{told:?}");
    for words in ["limit \"team\"", "values of x-team", "the route /a/*", "on_full = \"admit\""] {
        assert!(told[0].contains(words), "{words} is not in {}", told[0]);
    }
    let in_part = "key = [\"user\", \"header:x-team\"]";
    for (limit, other, route) in [
        (in_part, address, "limits = [\"team\"]"),
        (by_field, "key = \"key\"", both),
        (by_field, "key = [\"address\", \"header:x\"]\non_full = \"admit\"", both),
        (by_field, "key = \"address\"\ncallers = \"all\"\ndry_run = true", both),
        // Whoever has a key is not counted by his address.
        (by_field, "key = \"address\"", "limits = [\"team\", \"other\"]\nauth = \"any\""),
    ] {
        assert_eq!(warnings(limit, other, route).len(), 1, "{limit} {other} {route}");
    }
    for (limit, other, route) in [
        (by_field, address, both),
        (by_field, address, "limits = [\"other\"]"),
        (by_field, "key = [\"route\", \"address\"]", both),
        ("key = \"header:x-team\"\non_full = \"admit\"", address, "limits = [\"team\"]"),
        ("key = \"claim:team\"", address, "limits = [\"team\"]"),
    ] {
        assert_eq!(warnings(limit, other, route), Vec::<String>::new(), "{limit} {other} {route}");
    }
}
