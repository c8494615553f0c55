//! WebSocket through the gateway, by a client and a server that people use.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};
use weir_tests::tls::Authority;
use weir_tests::wait::PATIENCE;
use weir_tests::{Runtime, Setup, Weir, on_both_runtimes, wait};

on_both_runtimes!(
    a_websocket_is_served_counted_and_logged,
    large_messages_cross_both_ways_at_once,
    websockets_cross_tls_on_both_sides,
);

/// Sends every message back; ends with its listener's process.
fn websocket_server() -> SocketAddr {
    websocket_server_over(Some)
}

/// The same over what `layer` makes of a connection.
fn websocket_server_over<S: Read + Write>(
    layer: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
) -> SocketAddr {
    let layer = Arc::new(layer);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let layer = Arc::clone(&layer);
            std::thread::spawn(move || {
                let Some(stream) = layer(stream) else { return };
                let Ok(mut socket) = tungstenite::accept(stream) else { return };
                while let Ok(message) = socket.read() {
                    if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn websocket(weir: &Weir) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(weir.address("main")).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let url = format!("ws://{}/chat?room=1", weir.address("main"));
    let (socket, response) = tungstenite::client(url, stream).expect("a handshake");
    assert_eq!(response.status(), 101);
    socket
}

fn a_websocket_is_served_counted_and_logged(runtime: Runtime) {
    let setup = Setup::new(runtime).backend(websocket_server()).access_log("stdout");
    let mut weir = setup.start();
    let mut socket = websocket(&weir);
    assert_eq!(weir.metric("weir_tunnels_open{shard=\"0\"}"), 1);
    for text in ["hello", "", "w\u{f6}rld"] {
        socket.send(Message::text(text)).expect("is sent");
        assert_eq!(socket.read().expect("an echo"), Message::text(text));
    }
    socket.send(Message::Ping(vec![7].into())).expect("is sent");
    assert_eq!(socket.read().expect("an answer"), Message::Pong(vec![7].into()));
    socket.close(None).expect("is sent");
    while socket.read().is_ok() {}
    drop(socket);
    wait::until("the tunnel is over", || weir.metric("weir_tunnels_open{shard=\"0\"}") == 0);
    assert_eq!(weir.metric("weir_tunnels_opened_total"), 1);
    // Five messages, the last of which is empty, in frames of two bytes; and four of mask, one way.
    let (up, down) = (5 + 6 + 1 + 5 * 6, 5 + 6 + 1 + 5 * 2);
    assert_eq!(weir.metric("weir_tunnel_received_bytes_total"), up);
    assert_eq!(weir.metric("weir_tunnel_sent_bytes_total"), down);
    let mut line = serde_json::Value::Null;
    wait::until("it is logged", || {
        let log = weir.process().stdout();
        let found = log.lines().find(|line| line.contains("/chat"));
        line = found.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        !line.is_null()
    });
    assert_eq!(
        (&line["http.response.status_code"], &line["weir.decision"]),
        (&101.into(), &"tunnelled".into())
    );
    assert_eq!(line["url.query"], "room=1");
    let bytes = |name: &str| line[name].as_u64().expect("a number");
    assert!(bytes("http.request.bytes") > up + 100, "with the head: {line}");
    assert!(bytes("http.response.bytes") > down + 60, "with the head: {line}");
}

fn large_messages_cross_both_ways_at_once(runtime: Runtime) {
    const LENGTH: usize = 16 << 20;
    const COUNT: usize = 2;
    let pattern = weir_tests::backend::pattern(0, LENGTH + COUNT);
    let message = |number: usize| Message::binary(pattern[number..][..LENGTH].to_vec());
    let weir = Setup::new(runtime).backend(websocket_server()).start();
    let mut reading = websocket(&weir);
    // A machine that is busy may take long for each byte.
    reading.get_ref().set_read_timeout(Some(PATIENCE * 6)).expect("a timeout");
    let messages: Vec<_> = (0..COUNT).map(message).collect();
    let sent = messages.clone();
    let stream = reading.get_ref().try_clone().expect("another handle");
    let sending = std::thread::spawn(move || {
        let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        for message in sent {
            socket.send(message).expect("is sent");
        }
    });
    for message in messages {
        assert!(reading.read().expect("an echo") == message, "a message differs");
    }
    sending.join().expect("all was sent");
}

fn websockets_cross_tls_on_both_sides(runtime: Runtime) {
    let authority = Authority::default();
    authority.certify("main", &["localhost"]);
    authority.certify("backend", &["backend.test"]);
    let server = authority.server("backend");
    let backend = websocket_server_over(move |stream| server.accept(stream));
    let ca = authority.path("ca.pem");
    let setup = Setup::new(runtime)
        .backend(backend)
        .listener(&format!("tls = {{ {} }}", authority.pair("main")))
        .upstream(&format!("tls = {{ ca = \"{ca}\", server_name = \"backend.test\" }}"));
    let mut weir = setup.start();
    let client = authority.connect(weir.address("main"));
    let (mut socket, response) =
        tungstenite::client("wss://localhost/", client).expect("a handshake");
    assert_eq!(response.status(), 101);
    // More than a record, and more than a tunnel's buffer; then little again.
    for length in [1, 100_000, 1_000_000, 2] {
        let message = Message::binary(weir_tests::backend::pattern(length, length));
        socket.send(message.clone()).expect("is sent");
        assert!(socket.read().expect("an echo") == message, "{length} bytes differ");
    }
    // A reload, also to other terms, and a drain leave it open.
    let strict = format!("tls = {{ {}, min_version = \"1.3\" }}", authority.pair("main"));
    weir.write_config(
        &setup.toml().replace(&format!("tls = {{ {} }}", authority.pair("main")), &strict),
    );
    weir.hang_up();
    wait::until("the reload", || weir.process().stderr().contains("configuration 2 is in use"));
    weir.process().signal(libc::SIGTERM);
    wait::until("it drains", || weir.process().stderr().contains("draining"));
    socket.send(Message::text("still")).expect("is sent");
    assert_eq!(socket.read().expect("an echo"), Message::text("still"));
    socket.close(None).expect("is sent");
    while socket.read().is_ok() {}
    drop(socket);
    assert!(weir.wait().status.success());
}
