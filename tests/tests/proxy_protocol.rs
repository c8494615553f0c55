//! The PROXY protocol: what trusted peers say of a client, and what backends are told.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;

use weir_tests::client::{self, Client, Ending};
use weir_tests::{Backend, Process, Runtime, Setup, Weir, on_both_runtimes, ports, wait};

on_both_runtimes!(
    headers_of_both_versions_name_the_client,
    a_header_tells_of_the_clients_tls,
    a_header_may_come_in_pieces_and_with_its_request,
    a_peer_that_speaks_for_itself_counts_as_itself,
    nobody_is_believed_where_a_header_names_nobody,
    a_named_address_is_trusted_for_its_own_sake,
    bad_headers_end_the_connection_without_a_word,
    a_slow_header_is_cut_off,
    only_trusted_peers_are_heard,
    haproxy_names_the_client,
    backends_are_told_the_client,
    health_checks_speak_for_themselves,
);

/// The signature of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A listener besides the main one, whose connections begin with a header.
const ANNOUNCED: &str = "[[listener]]\naddress = \"127.0.0.1:@port:announced@\"\n\
    trusted_proxies = [\"127.0.0.0/8\"]\nproxy_protocol = true\n";

/// A version 2 header for a client at `address` who reached 198.51.100.1:443, with `tlvs`.
fn v2(address: Ipv4Addr, port: u16, tlvs: &[u8]) -> Vec<u8> {
    let length = u16::try_from(12 + tlvs.len()).expect("short").to_be_bytes();
    let addresses = [address.octets(), [198, 51, 100, 1]].concat();
    let ports = [port.to_be_bytes(), 443_u16.to_be_bytes()].concat();
    [V2, &[0x21, 0x11], &length, &addresses, &ports, tlvs].concat()
}

/// The client that the backend was told of, by a request behind `header`.
#[track_caller]
fn told(weir: &Weir, header: impl AsRef<[u8]>) -> String {
    let mut client = Client::connect(weir.address("announced"));
    client.send(header);
    client.get("/", &[]).text().to_owned()
}

/// A backend that answers with the client it was told of.
fn telling() -> Backend {
    Backend::start(|exchange| {
        let told = exchange.head.get("x-forwarded-for").unwrap_or("nobody").to_owned();
        exchange.reply(200, &[], told.as_bytes())
    })
}

fn headers_of_both_versions_name_the_client(runtime: Runtime) {
    let backend = telling();
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    assert_eq!(told(&weir, "PROXY TCP4 192.0.2.1 198.51.100.1 4000 443\r\n"), "192.0.2.1");
    assert_eq!(told(&weir, "PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\n"), "2001:db8::1");
    assert_eq!(told(&weir, v2(Ipv4Addr::new(192, 0, 2, 9), 1, b"")), "192.0.2.9");
    // A value of an unknown type, and one that pads.
    let tlvs = b"\xe0\x00\x02hi\x04\x00\x03\0\0\0";
    assert_eq!(told(&weir, v2(Ipv4Addr::new(203, 0, 113, 5), 1, tlvs)), "203.0.113.5");
    // The main listener takes no header, but for a bad request.
    let mut client = Client::connect(weir.address("main"));
    client.send("PROXY TCP4 192.0.2.1 198.51.100.1 4000 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 400);
}

/// What a trusted proxy says of the client's TLS counts like a connection's own.
fn a_header_tells_of_the_clients_tls(runtime: Runtime) {
    let backend = Backend::start(|exchange| {
        let scheme = exchange.head.get("x-forwarded-proto").unwrap_or("none").to_owned();
        exchange.reply(200, &[], scheme.as_bytes())
    });
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    let client = Ipv4Addr::new(192, 0, 2, 9);
    // Of type 0x20, five bytes: what is true of the client, and whether its certificate was bad.
    for (flags, scheme) in [(1, "https"), (0, "http")] {
        let tlv = [0x20, 0, 5, flags, 0, 0, 0, 0];
        assert_eq!(told(&weir, v2(client, 1, &tlv)), scheme);
    }
    assert_eq!(told(&weir, v2(client, 1, b"")), "http");
}

fn a_header_may_come_in_pieces_and_with_its_request(runtime: Runtime) {
    let backend = telling();
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    let request = client::request("GET", "/", &[], b"");
    let header = v2(Ipv4Addr::new(192, 0, 2, 9), 1, b"");
    for whole in [
        [b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 443\r\n", request.as_slice()].concat(),
        [header.as_slice(), &request].concat(),
    ] {
        let mut at_once = Client::connect(weir.address("announced"));
        at_once.send(&whole);
        let address = at_once.response().text().to_owned();
        assert!(address.starts_with("192.0.2."), "{address}");
        // The connection lives on, for the same client.
        assert_eq!(at_once.get("/", &[]).text(), address);
        let mut by_bytes = Client::connect(weir.address("announced"));
        whole.chunks(1).for_each(|byte| by_bytes.send(byte));
        assert_eq!(by_bytes.response().text(), address);
    }
}

fn a_peer_that_speaks_for_itself_counts_as_itself(runtime: Runtime) {
    let backend = telling();
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    assert_eq!(told(&weir, "PROXY UNKNOWN\r\n"), "127.0.0.1");
    assert_eq!(told(&weir, "PROXY UNKNOWN ffff:: ffff:: 1 2\r\n"), "127.0.0.1");
    assert_eq!(told(&weir, [V2, &[0x20, 0, 0, 0]].concat()), "127.0.0.1");
    // A probe that only connects is no fault.
    drop(Client::connect(weir.address("announced")));
    assert_eq!(weir.metric("weir_proxy_protocol_errors_total"), 0);
}

/// What the backend heard of the client when a request behind `header` claims to pass another's on.
#[track_caller]
fn claimed(weir: &Weir, backend: &Backend, header: impl AsRef<[u8]>) -> [Option<String>; 4] {
    let mut client = Client::connect(weir.address("announced"));
    client.send(header);
    let fields = [
        ("X-Forwarded-For", "203.0.113.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/p"),
        ("Forwarded", "for=203.0.113.1;proto=https"),
    ];
    assert_eq!(client.get("/", &fields).status, 200);
    let head = backend.seen().pop().expect("a request");
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-prefix", "forwarded"]
        .map(|name| head.get(name).map(str::to_owned))
}

/// Nothing says that the trusted peer wrote the fields: whom it passes on may have.
fn nobody_is_believed_where_a_header_names_nobody(runtime: Runtime) {
    let backend = Backend::text("ok");
    let setup = Setup::before(runtime, &backend).tables(ANNOUNCED);
    let direct = [Some("127.0.0.1"), Some("http"), None, None].map(|v| v.map(str::to_owned));
    let by_chain = setup.clone().start();
    let local = [V2, &[0x20, 0, 0, 0]].concat();
    let unspecified = [V2, &[0x21, 0, 0, 0]].concat();
    let unix = [V2, &[0x21, 0x31, 0, 216], &[b'x'; 216]].concat();
    for header in [b"PROXY UNKNOWN\r\n", local.as_slice(), &unspecified, &unix] {
        assert_eq!(claimed(&by_chain, &backend, header), direct, "{header:?}");
    }
    let tables = "[forwarding]\nclient_address = \"forwarded\"\nforwarded = \"rfc7239\"";
    let by_element = setup.tables(tables).start();
    let own = "for=127.0.0.1;host=weir.test;proto=http".to_owned();
    let seen = claimed(&by_element, &backend, "PROXY UNKNOWN\r\n");
    assert_eq!(seen, [None, None, None, Some(own)]);
}

/// The address of a header decides, not the one of who sent it.
fn a_named_address_is_trusted_for_its_own_sake(runtime: Runtime) {
    let backend = Backend::text("ok");
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    let heard = |header| claimed(&weir, &backend, header).map(Option::unwrap_or_default);
    assert_eq!(
        heard("PROXY TCP4 192.0.2.1 198.51.100.1 4000 443\r\n"),
        ["192.0.2.1", "http", "", ""]
    );
    assert_eq!(
        heard("PROXY TCP4 127.0.0.9 198.51.100.1 4000 443\r\n"),
        ["203.0.113.1, 127.0.0.9", "https", "/p", ""]
    );
}

fn bad_headers_end_the_connection_without_a_word(runtime: Runtime) {
    let backend = telling();
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    let checksum = v2(Ipv4Addr::new(192, 0, 2, 1), 1, b"\x03\x00\x04abcd");
    let oversized = [V2, &[0x21, 0x11, 0xff, 0xff]].concat();
    let cases: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 99999\r\n",
        b"PROXY TCP4 192.0.2.1 2001:db8::1 4000 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 443 and then a line that never comes to its end ......................",
        &checksum,
        &oversized,
        &[V2, &[0x31, 0x11, 0, 0]].concat(),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let mut client = Client::connect(weir.address("announced"));
        client.send(case);
        // Bytes that nobody has read turn the end into a reset.
        assert!(matches!(client.ending(), Ending::Closed | Ending::Reset), "{number}");
        let wanted = u64::try_from(number).expect("few") + 1;
        wait::until("it is counted", || weir.metric("weir_proxy_protocol_errors_total") == wanted);
    }
    assert_eq!(backend.requests(), 0);
}

fn a_slow_header_is_cut_off(runtime: Runtime) {
    let backend = telling();
    let setup = Setup::before(runtime, &backend).tables(ANNOUNCED);
    let weir = setup.http("head_timeout = \"300ms\"").start();
    for start in ["", "PROXY TCP4 192.0", "\r\n\r\n"] {
        let mut client = Client::connect(weir.address("announced"));
        client.send(start);
        assert_eq!(client.ending(), Ending::Closed, "{start:?}");
    }
    assert_eq!(weir.metric("weir_timeouts_total"), 3);
}

fn only_trusted_peers_are_heard(runtime: Runtime) {
    let backend = telling();
    let listener = ANNOUNCED.replace("127.0.0.0/8", "10.0.0.0/8");
    let weir = Setup::before(runtime, &backend).tables(&listener).start();
    let mut client = Client::connect(weir.address("announced"));
    let _ = client.try_send("PROXY TCP4 192.0.2.1 198.51.100.1 4000 443\r\n");
    assert!(matches!(client.ending(), Ending::Closed | Ending::Reset));
    assert_eq!(weir.metric("weir_proxy_protocol_untrusted_total"), 1);
    assert_eq!(backend.requests(), 0);
}

fn haproxy_names_the_client(runtime: Runtime) {
    let installed = Command::new("haproxy").arg("-v").output().is_ok();
    if !installed {
        return weir_tests::sandbox::say_skipped("HAProxy is not installed");
    }
    let backend = telling();
    let weir = Setup::before(runtime, &backend).tables(ANNOUNCED).start();
    let (plain, checked) = (ports::free(), ports::free());
    let announced = weir.address("announced");
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n\
         listen one\n bind 127.0.0.1:{plain}\n server weir {announced} send-proxy\n\
         listen two\n bind 127.0.0.1:{checked}\n \
         server weir {announced} send-proxy-v2 proxy-v2-options crc32c,unique-id\n"
    );
    let path = weir.folder().join("haproxy.cfg");
    std::fs::write(&path, config).expect("writes the configuration");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&path);
    let _haproxy = Process::spawn(command);
    for port in [plain, checked] {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait::until("HAProxy listens", || Client::try_connect(address).is_ok());
        assert_eq!(client::get(address, "/", &[]).text(), "127.0.0.1");
    }
    assert_eq!(weir.metric("weir_proxy_protocol_errors_total"), 0);
}

/// The next connection to `listener`: what came first on it, up to the request, which is answered.
fn accept_announced(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().expect("accept");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") || !bytes.windows(5).any(|five| five == b"GET /") {
        let mut byte = [0];
        let count = std::io::Read::read(&mut stream, &mut byte).expect("reads");
        assert_eq!(count, 1, "the end after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&byte);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("answers");
    let request = bytes.windows(5).position(|five| five == b"GET /").expect("found");
    bytes.truncate(request);
    bytes
}

fn backends_are_told_the_client(runtime: Runtime) {
    for version in ["v1", "v2"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let setup = Setup::new(runtime).backend(listener.local_addr().expect("bound"));
        let weir = setup.upstream(&format!("proxy_protocol = \"{version}\"")).start();
        let mut client = Client::connect(weir.address("main"));
        let (from, to) = (client.local_addr(), weir.address("main"));
        // The second request has a connection of its own, with a header of its own.
        for _ in 0..2 {
            client.send_get("/", &[]);
            let header = accept_announced(&listener);
            assert_eq!(client.response().text(), "ok");
            if version == "v1" {
                let line =
                    format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
                assert_eq!(String::from_utf8(header).expect("text"), line);
                continue;
            }
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            let start = [V2, &[0x21, 0x11, 0, 19, 127, 0, 0, 1, 127, 0, 0, 1], &ports].concat();
            assert_eq!(header[..28], start);
            assert_eq!(header[28..31], [3, 0, 4], "a checksum");
            assert_eq!(header.len(), 35);
        }
        assert_eq!(weir.metric("weir_backend_reuses_total"), 0);
    }
}

fn health_checks_speak_for_themselves(runtime: Runtime) {
    for version in ["v1", "v2"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let setup = Setup::new(runtime).backend(listener.local_addr().expect("bound"));
        let check = "{ interval = \"100ms\", timeout = \"90ms\" }";
        let setup = setup.upstream(&format!("proxy_protocol = \"{version}\"")).health(check);
        let _weir = setup.start();
        let header = accept_announced(&listener);
        if version == "v1" {
            assert_eq!(header, b"PROXY UNKNOWN\r\n");
        } else {
            assert_eq!(header[..19], [V2, &[0x20, 0, 0, 7, 3, 0, 4]].concat());
            assert_eq!(header.len(), 23);
        }
    }
}
