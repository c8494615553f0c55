//! Heads on routes that change fields.

use super::*;

/// The head that a backend is sent of `request` by a route with `edits`.
fn edited(request: &str, edits: &FieldEdits) -> String {
    sent_with(request, "192.0.2.7", &forwarding(""), Trace::None, Some(edits))
}

#[test]
fn a_route_edits_the_fields_of_requests() {
    let edits = FieldEdits {
        dropped: vec!["x-role".to_owned(), "x-api-key".to_owned()],
        lines: "X-Role: guest\r\nX-Tag: a\r\n".to_owned(),
    };
    let sent = edited(
        "GET /a HTTP/1.1\r\nHost: h\r\nx-role: root\r\nX_Role: root\r\nX-API-Key: k\r\n\
         X-Tag: b\r\nX-Roles: c\r\nConnection: x-tag\r\n\r\n",
        &edits,
    );
    assert_eq!(
        sent,
        "GET /a HTTP/1.1\r\nHost: h\r\nX-Roles: c\r\nX-Role: guest\r\nX-Tag: a\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n\
         X-Request-Id: id-1\r\nVia: 1.1 weir\r\nX-Weir-User: ann\r\nX-Weir-Tier: free\r\n\r\n"
    );
}

/// The fields of the answer to a page of another origin, without `Date`.
fn shared(fields: &str, policy: ResponsePolicy<'_>) -> String {
    let response = format!("HTTP/1.1 204 No Content\r\nDate: d\r\n{fields}\r\n");
    let mut store = FieldStore::new();
    let head = parse_response(response.as_bytes(), &mut store, &LIMITS, &Method::Get).unwrap();
    let plan = ResponsePlan::new(head.body, Version::Http11, true);
    let mut out = Vec::new();
    let policy = Some(policy);
    let forwarding = &forwarding("");
    let additions =
        Additions { standings: &[], request_id: None, forwarding, cost_header: None, policy };
    write_response(&mut out, &head, plan, &additions, || "now");
    let text = String::from_utf8(out).unwrap();
    text.split_once("Date: d\r\n").unwrap().1.replace("\r\n", "|")
}

#[test]
fn a_route_edits_the_fields_of_answers() {
    let edits = FieldEdits { dropped: vec!["server".to_owned()], lines: "X-A: b\r\n".to_owned() };
    let policy = ResponsePolicy { edits: &edits, cors: None, vary_origin: false };
    let written = shared("Server: s\r\nVary: Accept\r\nAccess-Control-Max-Age: 1\r\n", policy);
    assert_eq!(written, "Vary: Accept|Access-Control-Max-Age: 1|X-A: b||");
}

#[test]
fn permissions_to_read_are_the_routes_and_vary_is_merged() {
    let edits = FieldEdits::default();
    let cors = Some(&b"Access-Control-Allow-Origin: https://a\r\n"[..]);
    let policy = ResponsePolicy { edits: &edits, cors, vary_origin: true };
    let ours = "Access-Control-Allow-Origin: https://a|";
    let theirs = "access-control-allow-origin: *\r\nAccess-Control-Allow-Credentials: true\r\n";
    assert_eq!(shared(theirs, policy), format!("{ours}Vary: Origin||"));
    for (theirs, merged) in [
        ("Accept", "Accept, Origin"),
        ("accept , ORIGIN", "accept , ORIGIN"),
        ("*", "*"),
        ("Origin-X", "Origin-X, Origin"),
        ("", "Origin"),
    ] {
        let written = shared(&format!("Vary: {theirs}\r\n"), policy);
        assert_eq!(written, format!("Vary: {merged}|{ours}|"), "{theirs}");
    }
    // Nobody is allowed: nothing is said, not even by the backend.
    let nobody = ResponsePolicy { cors: Some(b""), ..policy };
    assert_eq!(shared("Access-Control-Allow-Origin: *\r\n", nobody), "Vary: Origin||");
}
