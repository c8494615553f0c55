use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn written(problem: &Problem<'_>) -> String {
    let mut out = Vec::new();
    problem.write(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_plain_problem() {
    let problem = Problem {
        status: 404,
        kind: "about:blank",
        title: reason_phrase(404),
        detail: "",
        extra: &[],
    };
    assert_eq!(written(&problem), r#"{"type":"about:blank","title":"Not Found","status":404}"#);
}

#[test]
fn a_problem_with_members() {
    let problem = Problem {
        status: 429,
        kind: "https://iana.org/assignments/http-problem-types#quota-exceeded",
        title: "Too Many Requests",
        detail: "wait",
        extra: &[
            ("violated-policies", Member::Texts(&["per-address", "tier"])),
            ("retry_after", Member::Number(u64::MAX)),
            ("dry_run", Member::Bool(false)),
            ("limit", Member::Text("tier")),
        ],
    };
    let document: Value = serde_json::from_str(&written(&problem)).expect("JSON");
    let expected = json!({
        "type": problem.kind,
        "title": problem.title,
        "status": 429,
        "detail": "wait",
        "violated-policies": ["per-address", "tier"],
        "retry_after": u64::MAX,
        "dry_run": false,
        "limit": "tier",
    });
    assert_eq!(document, expected);
}

#[test]
fn no_markup_is_echoed() {
    let problem =
        Problem { status: 400, kind: "about:blank", title: "x", detail: "<b>\u{7f}", extra: &[] };
    assert!(written(&problem).ends_with(r#""detail":"\u003cb>\u007f"}"#));
}

#[test]
fn phrases() {
    for (status, phrase) in [(200, "OK"), (429, "Too Many Requests"), (504, "Gateway Timeout")] {
        assert_eq!(reason_phrase(status), phrase);
    }
    for status in [0, 99, 299, 306, 418, 599, 999] {
        assert_eq!(reason_phrase(status), "");
    }
}

proptest! {
    #[test]
    fn any_text_survives(detail in "\\PC*|[\0-\u{ff}]{0,20}", member in any::<String>()) {
        let extra = [("m", Member::Texts(&[&member, &detail]))];
        let problem =
            Problem { status: 400, kind: "about:blank", title: "t", detail: &detail, extra: &extra };
        let document: Value = serde_json::from_str(&written(&problem)).expect("JSON");
        prop_assert_eq!(document["detail"].as_str().unwrap_or(""), detail.as_str());
        prop_assert_eq!(&document["m"], &json!([member, detail]));
    }
}
