//! What routes ask of requests, and what they do to them: conditions, redirects, rewrites, fields.

use weir_tests::{Backend, Client, Response, Runtime, Setup, client, on_both_runtimes, wait};

on_both_runtimes!(
    methods_and_headers_choose_the_route,
    another_method_is_405_with_those_that_are_allowed,
    redirects_keep_what_they_do_not_change,
    no_path_leads_a_redirect_to_another_host,
    paths_and_hosts_are_rewritten,
    no_spelling_walks_around_a_rewrite,
    no_spelling_walks_around_a_rule,
    paths_are_forwarded_as_written_or_normalised,
    fields_are_edited_both_ways,
    a_route_changes_with_a_reload,
);

/// Answers with what it was asked for.
fn echo() -> Backend {
    Backend::start(|exchange| {
        let text = format!("{} {}", exchange.method(), exchange.target());
        exchange.reply(200, &[("Server", "scripted"), ("X-Inner", "1")], text.as_bytes())
    })
}

#[track_caller]
fn ask(client: &mut Client, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
    client.send(client::request(method, target, fields, b""));
    client.try_response(method).expect("a proper answer")
}

fn methods_and_headers_choose_the_route(runtime: Runtime) {
    let backend = echo();
    let named = |name: &str| format!("rewrite = {{ path = \"/{name}\" }}");
    let weir = Setup::before(runtime, &backend)
        .route(&format!("path = \"/a\"\n{}", named("any")))
        .route(&format!("path = \"/a\"\nmethods = [\"GET\"]\n{}", named("get")))
        .route(&format!("path = \"/a\"\nheaders = {{ X-V = \"2\" }}\n{}", named("two")))
        .start();
    let mut client = Client::connect(weir.address("main"));
    for (method, fields, expected) in [
        ("GET", &[][..], "GET /get"),
        ("PUT", &[], "PUT /any"),
        ("GET", &[("x-v", "2")], "GET /two"),
        ("GET", &[("X-V", "22")], "GET /get"),
        ("DELETE", &[("X-V", "1"), ("X-V", "2")], "DELETE /two"),
    ] {
        assert_eq!(ask(&mut client, method, "/a", fields).text(), expected);
    }
    assert_eq!(ask(&mut client, "HEAD", "/a", &[]).status, 200);
    let seen = backend.seen();
    assert_eq!(seen.last().map(|head| head.start.as_str()), Some("HEAD /get HTTP/1.1"));
}

fn another_method_is_405_with_those_that_are_allowed(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend)
        .route("path = \"/a\"\nmethods = [\"GET\", \"PROPFIND\"]")
        .route("path = \"/*\"\nmethods = [\"PUT\"]\nhost = \"other.test\"")
        .start();
    let mut client = Client::connect(weir.address("main"));
    let refused = ask(&mut client, "POST", "/a", &[]);
    assert_eq!((refused.status, refused.get("allow")), (405, Some("GET, HEAD, PROPFIND")));
    assert_eq!(refused.get("content-type"), Some("application/problem+json"));
    let refused = ask(&mut client, "POST", "/%61", &[("Host", "OTHER.test:80")]);
    assert_eq!((refused.status, refused.get("allow")), (405, Some("GET, HEAD, PROPFIND, PUT")));
    assert_eq!(ask(&mut client, "POST", "/b", &[]).status, 404);
    assert_eq!(ask(&mut client, "PROPFIND", "/a", &[]).status, 200);
    assert_eq!(backend.requests(), 1);
}

fn redirecting(runtime: Runtime) -> Setup {
    Setup::before(runtime, &echo())
        .access_log("@folder@/access.log")
        .tables("[[limit]]\nname = \"few\"\nkey = \"address\"\nrate = \"2/1h\"\n")
        .route("path = \"/*\"\nredirect = { scheme = \"https\" }")
        .route("path = \"/old/*\"\nredirect = { path = \"/new/*\", status = 301 }")
        .route("path = \"/up/*\"\nredirect = { path = \"/*\" }")
        .route("path = \"/away\"\nredirect = { host = \"www.test\", path = \"/x\", status = 302 }")
        .route("path = \"/port\"\nredirect = { port = 8443, scheme = \"https\", status = 307 }")
        .route("path = \"/few\"\nlimits = [\"few\"]\nredirect = { path = \"/more\" }")
}

#[track_caller]
fn location(client: &mut Client, target: &str, host: &str) -> (u16, String) {
    let response = ask(client, "GET", target, &[("Host", host)]);
    assert_eq!(response.text(), "");
    let mut locations = response.head.all("location");
    let location = locations.next().expect("a location").to_owned();
    assert_eq!(locations.next(), None);
    (response.status, location)
}

fn redirects_keep_what_they_do_not_change(runtime: Runtime) {
    let weir = redirecting(runtime).start();
    let address = weir.address("main");
    let mut client = Client::connect(address);
    for (target, host, status, expected) in [
        ("/a/%62?q=%2F?r", "A.test:8080", 308, "https://A.test/a/%62?q=%2F?r"),
        ("/a/../b", "a.test", 308, "https://a.test/b"),
        ("/", "[::1]:80", 308, "https://[::1]/"),
        ("/old/a?q", "a.test:8080", 301, "http://a.test:8080/new/a?q"),
        ("/old", "a.test:80", 301, "http://a.test/new"),
        ("/away?q=1", "a.test:8080", 302, "http://www.test/x?q=1"),
        ("/port", "a.test:1", 307, "https://a.test:8443/port"),
        ("http://b.test:81/old/", "a.test", 301, "http://b.test:81/new/"),
    ] {
        assert_eq!(location(&mut client, target, host), (status, expected.to_owned()), "{target}");
    }
    // A body that is here is skipped; the method does not matter.
    let response = client.post("/old/form", &[], b"x=y");
    assert_eq!(
        (response.status, response.get("location")),
        (301, Some("http://weir.test/new/form"))
    );
    assert_eq!(ask(&mut client, "HEAD", "/old", &[]).status, 301);
    let statuses = [308, 308, 429].map(|_| ask(&mut client, "GET", "/few", &[]).status);
    assert_eq!(statuses, [308, 308, 429]);
    // HTTP/1.0 without a host: one that the configuration names will do.
    let old = |target: &str| {
        let mut client = Client::connect(address);
        client.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        client.response()
    };
    assert_eq!(old("/away").get("location"), Some("http://www.test/x"));
    assert_eq!(old("/old").status, 400);
    let log = weir.folder().join("access.log");
    wait::until("the log tells of redirects", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.matches("\"weir.decision\":\"redirected\"").count() >= 12
    });
}

fn no_path_leads_a_redirect_to_another_host(runtime: Runtime) {
    let weir = redirecting(runtime).start();
    let mut client = Client::connect(weir.address("main"));
    for (target, expected) in [
        ("//evil.example/%2e%2e", "https://weir.test//"),
        ("//evil.example", "https://weir.test//evil.example"),
        ("/\\evil.example", "https://weir.test/%5Cevil.example"),
        ("/%0d%0aSet-Cookie:a=b", "https://weir.test/%0d%0aSet-Cookie:a=b"),
        ("/@evil.example", "https://weir.test/@evil.example"),
        ("/up//evil.example/x", "http://weir.test/evil.example/x"),
        ("/up%2F%2Fevil.example", "http://weir.test/evil.example"),
        ("/up/\\\\evil.example?\\\"<", "http://weir.test/%5C%5Cevil.example?%5C%22%3C"),
    ] {
        assert_eq!(location(&mut client, target, "weir.test").1, expected, "{target}");
    }
    assert_eq!(ask(&mut client, "GET", "/up%2F../x", &[]).status, 400);
}

fn rewriting(runtime: Runtime, backend: &Backend) -> Setup {
    Setup::before(runtime, backend)
        .route("path = \"/api/*\"\nrewrite = { path = \"/v2/*\" }")
        .route("path = \"/top/*\"\nrewrite = { path = \"/*\", host = \"backend\" }")
        .route("path = \"/fixed\"\nrewrite = { path = \"/a/b%20c\", host = \"inner.test:81\" }")
}

fn paths_and_hosts_are_rewritten(runtime: Runtime) {
    let backend = echo();
    let weir = rewriting(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for (target, expected) in [
        ("/api/a%20b;c?d=/api/", "GET /v2/a%20b;c?d=/api/"),
        ("/api", "GET /v2"),
        ("/api/", "GET /v2/"),
        ("/top", "GET /"),
        ("/top/x/y", "GET /x/y"),
        ("/fixed?q", "GET /a/b%20c?q"),
    ] {
        assert_eq!(client.get(target, &[]).text(), expected);
    }
    let hosts: Vec<_> = backend
        .seen()
        .iter()
        .map(|head| (head.get("host").map(str::to_owned), head.all("x-forwarded-host").count()))
        .collect();
    let own = backend.address().to_string();
    let expected = ["weir.test", "weir.test", "weir.test", &own, &own, "inner.test:81"];
    assert_eq!(hosts, expected.map(|host| (Some(host.to_owned()), 1)));
}

fn no_spelling_walks_around_a_rewrite(runtime: Runtime) {
    let backend = echo();
    let weir = rewriting(runtime, &backend).start();
    let mut client = Client::connect(weir.address("main"));
    for (target, expected) in [
        ("//api//x", "GET /v2/x"),
        ("/%61pi/x%2Fy", "GET /v2/x%2Fy"),
        ("/api%2Fx", "GET /v2/x"),
        ("/x/../api/./y", "GET /v2/y"),
        ("/top//evil.test/x", "GET /evil.test/x"),
        ("/top%2F%2Fevil.test/x", "GET /evil.test/x"),
        ("/top/\\x", "GET /%5Cx"),
    ] {
        assert_eq!(client.get(target, &[]).text(), expected, "{target}");
    }
    let served = backend.requests();
    for target in ["/api/%2e%2e%2fadmin", "/api/..%2fadmin", "/api%2f../admin"] {
        let status = client::get(weir.address("main"), target, &[]).status;
        assert!(status == 400 || status == 404, "{target}: {status}");
    }
    assert_eq!(client::get(weir.address("main"), "/api/../admin", &[]).status, 404);
    assert_eq!(backend.requests(), served);
}

fn no_spelling_walks_around_a_rule(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend)
        .route("path = \"/admin/*\"\nauth = \"api_key\"")
        .route("path = \"/*\"\nhost = \"admin.test\"\nauth = \"api_key\"")
        .route("path = \"/*\"\nhost = \"[::1]\"\nauth = \"api_key\"")
        .route("path = \"/*\"")
        .tables("[[key]]\nname = \"a\"\nkey = \"0123456789abcdef0123456789abcdef\"")
        .start();
    let status = |host: &str, target: &str| {
        client::get(weir.address("main"), target, &[("Host", host)]).status
    };
    for (target, expected) in [
        ("//admin/x", 401),
        ("/x/%2e./%61dmin", 401),
        ("http://a.test//admin", 401),
        ("/x%2f..%2Fadmin", 401),
        ("/x/..;/admin", 400),
        ("/x/%2e.;y=1/admin", 400),
        ("/x\\..\\admin", 400),
        ("/x/..%5cadmin", 400),
    ] {
        assert_eq!(status("a.test", target), expected, "{target}");
    }
    for host in ["admin.test", "Admin.Test.", "admin.test.:80", "[0:0::1]", "[::0001]:443"] {
        assert_eq!(status(host, "/"), 401, "{host}");
    }
    assert_eq!(status("a.test", "http://admin.test./"), 401);
    assert_eq!(backend.requests(), 0);
    assert_eq!(status("[::2]", "/"), 200);
}

fn paths_are_forwarded_as_written_or_normalised(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend)
        .http("forward_path = \"normalised\"")
        .route("path = \"/*\"")
        .route("path = \"/raw/*\"\nforward_path = \"as-written\"")
        .route("path = \"/both/*\"\nrewrite = { path = \"/v2/*\" }")
        .start();
    let mut client = Client::connect(weir.address("main"));
    for (target, expected) in [
        ("//a/%7e%2fb//%c3|\\?%7e", "GET /a/~%2Fb/%C3%7C%5C?%7e"),
        ("/raw//%7e%2f|", "GET /raw//%7e%2f|"),
        ("//both//%7e//x%2f", "GET /v2/~/x%2F"),
    ] {
        assert_eq!(client.get(target, &[]).text(), expected);
    }
    // Dot segments beside encoded slashes are refused, not guessed at.
    assert_eq!(client::get(weir.address("main"), "/a%2f../b", &[]).status, 400);
}

fn fields_are_edited_both_ways(runtime: Runtime) {
    let backend = echo();
    let weir = Setup::before(runtime, &backend)
        .route(
            "path = \"/*\"\n\
             request_headers = { set = { X-Role = \"guest\" }, add = { X-Tag = \"ours\" }, \
             remove = [\"Authorization\"] }\n\
             response_headers = { set = { Strict-Transport-Security = \"max-age=9\" }, \
             remove = [\"Server\", \"X-Inner\"] }",
        )
        .start();
    let mut client = Client::connect(weir.address("main"));
    let fields =
        [("x_role", "root"), ("X-Role", "root"), ("X-Tag", "theirs"), ("authorization", "Basic x")];
    let response = client.get("/", &fields);
    assert_eq!(response.get("strict-transport-security"), Some("max-age=9"));
    assert_eq!((response.get("server"), response.get("x-inner")), (None, None));
    assert_eq!(response.text(), "GET /");
    let seen = &backend.seen()[0];
    assert_eq!(seen.all("x-role").collect::<Vec<_>>(), ["guest"]);
    assert_eq!(seen.all("x-tag").collect::<Vec<_>>(), ["theirs", "ours"]);
    assert_eq!((seen.get("x_role"), seen.get("authorization")), (None, None));
}

fn a_route_changes_with_a_reload(runtime: Runtime) {
    let backend = echo();
    let mut weir = Setup::before(runtime, &backend).start();
    assert_eq!(client::get(weir.address("main"), "/a", &[]).text(), "GET /a");
    let next =
        Setup::before(runtime, &backend).route("path = \"/a\"\nredirect = { path = \"/b\" }");
    weir.write_config(&next.toml());
    weir.hang_up();
    wait::until("the new routes are there", || {
        client::get(weir.address("main"), "/a", &[]).status == 308
    });
    assert_eq!(client::get(weir.address("main"), "/b", &[]).status, 404);
}
