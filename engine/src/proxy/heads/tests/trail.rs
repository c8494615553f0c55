//! What backends are told of a request's path, whoever sent it.

use super::*;

const PROXY: &str = "10.0.0.1";

/// What the backend gets behind `Host` for a GET with `fields`, but for the caller's fields.
fn told(fields: &str, peer: &str, lines: &str, trace: Trace) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    let sent = sent(&request, peer, &forwarding(lines), trace);
    let rest = sent.strip_prefix("GET / HTTP/1.1\r\nHost: a.test\r\n").unwrap();
    rest.strip_suffix("X-Weir-User: ann\r\nX-Weir-Tier: free\r\n\r\n").unwrap().to_owned()
}

const END: &str = "X-Request-Id: id-1\r\nVia: 1.1 weir\r\n";

#[track_caller]
fn check(fields: &str, peer: &str, lines: &str, expected: &str) {
    let told = told(fields, peer, lines, Trace::None);
    assert_eq!(told, format!("{expected}{END}"), "{fields}{lines}");
}

#[test]
fn nobody_else_is_believed() {
    let forged = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
                  X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n";
    let ours = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
                X-Forwarded-Host: a.test\r\n";
    let forwarded = "Forwarded: for=192.0.2.7;host=a.test;proto=http\r\n";
    for chain in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let lines = format!("client_address = \"{chain}\"\n");
        check(forged, "192.0.2.7", &lines, ours);
        check(forged, "192.0.2.7", &format!("{lines}forwarded = \"rfc7239\""), forwarded);
        let both = format!("{ours}{forwarded}");
        check(forged, "192.0.2.7", &format!("{lines}forwarded = \"both\""), &both);
        check(forged, "192.0.2.7", &format!("{lines}forwarded = \"off\""), "");
    }
}

#[test]
fn what_others_call_forwarded_is_believed_no_more() {
    let fields =
        "X-Forwarded-Prefix: /evil\r\nX_Forwarded-SSL: on\r\nx-forwarded-scheme: https\r\n";
    check(fields, "192.0.2.7", "forwarded = \"off\"", "");
    let proxy = "X-Forwarded-Prefix: /app\r\nX_Forwarded-Ssl: on\r\n";
    check(proxy, PROXY, "forwarded = \"off\"", "X-Forwarded-Prefix: /app\r\n");
    // CGI makes HTTP_PROXY of it, where programs look for a proxy of their own.
    check("Proxy: http://evil.example\r\n", PROXY, "forwarded = \"off\"", "");
}

#[test]
fn a_trusted_proxys_fields_are_kept_and_extended() {
    let fields = "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\nX-Forwarded-For: 10.9.9.9\r\n\
                  Forwarded: for=7.7.7.7\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: b.test:443\r\nX-Forwarded-Port: 443\r\n";
    let kept = "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.9.9.9, 10.0.0.1\r\n\
                X-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test:443\r\n\
                X-Forwarded-Port: 443\r\n";
    check(fields, PROXY, "", kept);
    // The other family says what was found, not what stood there.
    let forwarded = "Forwarded: for=192.0.2.1, for=10.0.0.1;host=a.test;proto=https\r\n";
    check(fields, PROXY, "forwarded = \"rfc7239\"", forwarded);
}

#[test]
fn the_chain_that_is_not_named_is_not_believed() {
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
                  Forwarded: for=7.7.7.7, for=\"[2001:db8::1]\"\r\nX-Real-IP: 192.0.2.3\r\n";
    let lines = "client_address = \"forwarded\"\nforwarded = \"both\"";
    let told = "X-Forwarded-For: 2001:db8::1, 10.0.0.1\r\nX-Forwarded-Proto: http\r\n\
                X-Forwarded-Host: a.test\r\n\
                Forwarded: for=7.7.7.7, for=\"[2001:db8::1]\", \
                for=10.0.0.1;host=a.test;proto=http\r\n";
    check(fields, PROXY, lines, told);
    let told = "X-Forwarded-For: 192.0.2.3, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n";
    check(fields, PROXY, "client_address = \"x-real-ip\"", told);
}

#[test]
fn a_malformed_chain_is_replaced_by_what_was_found_in_it() {
    let fields = "Forwarded: for=\"6.6.6.6, for=192.0.2.1;proto=https\r\n";
    let lines = "client_address = \"forwarded\"\nforwarded = \"rfc7239\"";
    let told = "Forwarded: for=192.0.2.1, for=10.0.0.1;host=a.test;proto=https\r\n";
    check(fields, PROXY, lines, told);
    let told = "Forwarded: for=10.0.0.1;host=a.test;proto=http\r\n";
    check("Forwarded: for=192.0.2.1, nonsense\r\n", PROXY, lines, told);
    check("", PROXY, lines, told);
}

#[test]
fn what_a_trusted_proxy_says_badly_is_said_anew() {
    let ours = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n\
                X-Forwarded-Host: a.test\r\n";
    let badly = "X-Forwarded-Proto: https, http\r\nX-Forwarded-Host: b.test, c.test\r\n\
                 X-Forwarded-Port: 70000\r\n";
    check(badly, PROXY, "", ours);
    let twice = "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Host: b.test\r\nX-Forwarded-Host: b.test\r\n";
    check(twice, PROXY, "", ours);
}

#[test]
fn via_is_appended_to_what_earlier_proxies_wrote() {
    let told =
        told("Via: 1.0 fred\r\nVia: 1.1 weir\r\n", PROXY, "forwarded = \"off\"", Trace::None);
    assert_eq!(told, format!("Via: 1.0 fred\r\nVia: 1.1 weir\r\n{END}"));
    let old = sent("GET / HTTP/1.0\r\n\r\n", PROXY, &forwarding("via = \"edge\""), Trace::None);
    assert!(old.contains("\r\nVia: 1.0 edge\r\n"), "{old}");
    let silent = sent("GET / HTTP/1.0\r\n\r\n", PROXY, &forwarding("via = false"), Trace::None);
    assert!(!silent.contains("Via"), "{silent}");
}

#[test]
fn of_a_trace_only_what_is_valid_is_passed_on() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let fields = format!("Traceparent: {parent}\r\nTracestate: a=1\r\nTRACESTATE: b=2\r\n");
    let told = |trace| told(&fields, PROXY, "forwarded = \"off\"", trace);
    let id = "X-Request-Id: id-1\r\n";
    let via = "Via: 1.1 weir\r\n";
    let whole = format!("{id}traceparent: {parent}\r\ntracestate: a=1,b=2\r\n{via}");
    assert_eq!(told(Trace::Passed { with_state: true }), whole);
    let alone = format!("{id}traceparent: {parent}\r\n{via}");
    assert_eq!(told(Trace::Passed { with_state: false }), alone);
    assert_eq!(told(Trace::None), format!("{id}{via}"));
    let made = told(Trace::Made([7; 24]));
    let parent = format!("00-{}-{}-00", "07".repeat(16), "07".repeat(8));
    assert_eq!(made, format!("{id}traceparent: {parent}\r\n{via}"));
}

#[test]
fn answers_get_an_id_and_via_by_choice() {
    let response = "HTTP/1.0 204 No Content\r\nVia: 1.1 b\r\nX-Request-Id: theirs\r\n\
                    Proxy-Status: b; error=dns_timeout\r\n\r\n";
    let mut store = FieldStore::new();
    let head = parse_response(response.as_bytes(), &mut store, &LIMITS, &Method::Get).unwrap();
    let plan = ResponsePlan::new(head.body, Version::Http11, true);
    let written = |request_id, lines| {
        let forwarding = &forwarding(lines);
        let additions =
            Additions { standings: &[], request_id, forwarding, cost_header: None, policy: None };
        let mut out = Vec::new();
        write_response(&mut out, &head, plan, &additions, || "now");
        String::from_utf8(out).unwrap()
    };
    let passed = written(None, "");
    assert!(
        passed.contains("\r\nX-Request-Id: theirs\r\n") && !passed.contains("weir"),
        "{passed}"
    );
    assert!(passed.contains("\r\nProxy-Status: b; error=dns_timeout\r\n"), "{passed}");
    let added = written(Some(&b"ours"[..]), "via_in_response = true");
    assert!(!added.contains("theirs") && added.contains("\r\nX-Request-Id: ours\r\n"), "{added}");
    assert!(added.contains("\r\nVia: 1.1 b\r\n") && added.contains("\r\nVia: 1.0 weir\r\n"));
}
