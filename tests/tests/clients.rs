//! Clients that people have: curl, and Python's `http.client`.

use std::process::Command;

use weir_tests::{After, Backend, Exchange, Finished, Process, Runtime, Setup, Weir};
use weir_tests::{curl, on_both_runtimes, sandbox};

on_both_runtimes!(
    curl_speaks_http_1_0,
    curl_keeps_its_connection,
    curl_waits_before_it_uploads,
    curl_uploads_in_chunks,
    curl_asks_for_a_range,
    curl_unpacks_what_a_backend_packed,
    curl_asks_for_a_head,
    curl_sends_a_path_with_dots,
    python_keeps_its_connection,
    python_uploads_in_chunks,
    python_waits_before_it_uploads,
    python_reads_pipelined_answers,
    python_speaks_http_1_0,
);

/// `unpacked`, by gzip.
const PACKED: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x2b\xcd\x2b\x48\x4c\xce\x4e\x4d\x01\0\x96\x62\
    \x2f\xca\x08\0\0\0";

/// More than curl sends without asking first.
const UPLOAD_BYTES: usize = 3 << 20;

struct Scene {
    backend: Backend,
    weir: Weir,
}

impl Scene {
    fn new(runtime: Runtime) -> Self {
        let backend = Backend::start(answer);
        let weir = Setup::before(runtime, &backend).start();
        Self { backend, weir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.weir.address("main"))
    }

    /// Runs a script of Python with the gateway's port as its argument; `None` where there is no
    /// Python. The script ends with a failure unless all it asserts is so.
    fn python(&self, script: &str) -> Option<Finished> {
        if !is_here("python3") {
            return None;
        }
        let mut command = Command::new("python3");
        let port = self.weir.address("main").port().to_string();
        command.args(["-c", &format!("{PRELUDE}\n{script}"), &port]);
        let finished = Process::run(command);
        assert!(finished.status.success(), "{finished:#?}");
        Some(finished)
    }
}

/// Whether the program is installed; says so when it is not.
fn is_here(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok();
    if !here {
        sandbox::say_skipped(&format!("there is no {program}"));
    }
    here
}

fn answer(exchange: &mut Exchange<'_>) -> After {
    let target = exchange.target().to_owned();
    match target.as_str() {
        "/echo" => match exchange.body() {
            Ok(body) => exchange.reply(200, &[], &body),
            Err(_) => After::Close,
        },
        "/chunked" => exchange.reply_chunked(&[], &[b"one ", b"and ", b"two"]),
        "/range" if exchange.head.get("range") == Some("bytes=2-4") => {
            exchange.reply(206, &[("Content-Range", "bytes 2-4/10")], b"cde")
        }
        "/packed" if exchange.head.all("accept-encoding").any(|value| value.contains("gzip")) => {
            exchange.reply(200, &[("Content-Encoding", "gzip")], PACKED)
        }
        other => exchange.reply(200, &[], other.as_bytes()),
    }
}

fn curl_speaks_http_1_0(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let fetched = curl::fetch(&["--http1.0", "--include", &scene.url("/chunked")]);
    assert_eq!(fetched.status, 200);
    let (head, body) = fetched.body.split_once("\r\n\r\n").expect("a head and a body");
    assert_eq!(body, "one and two");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    let kept = curl::fetch(&["--http1.0", &scene.url("/a"), "--next", "-s", &scene.url("/b")]);
    assert_eq!(kept.body, "/a/b");
}

fn curl_keeps_its_connection(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let urls = [scene.url("/a"), scene.url("/chunked"), scene.url("/c")];
    let counted = ["--http1.1", "--write-out", " %{num_connects}\n"];
    let finished = curl::run(&[&counted[..], &urls.each_ref().map(String::as_str)].concat());
    assert_eq!(finished.stdout, "/a 1\none and two 0\n/c 0\n", "{}", finished.stderr);
}

/// A file of [`UPLOAD_BYTES`] in the gateway's folder.
fn upload(scene: &Scene) -> String {
    let path = scene.weir.folder().join("upload");
    std::fs::write(&path, "0123456789abcdef".repeat(UPLOAD_BYTES / 16)).expect("writes a file");
    path.to_str().expect("a temporary folder of UTF-8").to_owned()
}

fn curl_waits_before_it_uploads(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let path = upload(&scene);
    // Would wait longer than it may run for a 100 that never comes.
    let arguments = ["--expect100-timeout", "60", "-H", "Expect: 100-continue"];
    let fetched = curl::fetch(&[&arguments[..], &["-T", &path, &scene.url("/echo")]].concat());
    assert_eq!((fetched.status, fetched.body.len()), (200, UPLOAD_BYTES));
    let head = &scene.backend.seen()[0];
    assert_eq!((head.word(0), head.get("expect")), ("PUT", Some("100-continue")));
    assert_eq!(head.get("content-length"), Some(UPLOAD_BYTES.to_string().as_str()));
}

fn curl_uploads_in_chunks(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let path = upload(&scene);
    let arguments = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", &path];
    let fetched = curl::fetch(&[&arguments[..], &[&scene.url("/echo")]].concat());
    assert_eq!((fetched.status, fetched.body.len()), (200, UPLOAD_BYTES));
    let head = &scene.backend.seen()[0];
    assert_eq!(head.get("transfer-encoding"), Some("chunked"));
    assert_eq!(head.get("content-length"), None);
}

fn curl_asks_for_a_range(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let fetched = curl::fetch(&["--range", "2-4", &scene.url("/range")]);
    assert_eq!((fetched.status, fetched.body.as_str()), (206, "cde"));
}

fn curl_unpacks_what_a_backend_packed(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let fetched = curl::fetch(&["--compressed", &scene.url("/packed")]);
    assert_eq!((fetched.status, fetched.body.as_str()), (200, "unpacked"));
    assert_eq!(curl::fetch(&[&scene.url("/packed")]).body, "/packed", "it did not ask for it");
}

fn curl_asks_for_a_head(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let fetched = curl::fetch(&["--head", &scene.url("/seven77")]);
    assert_eq!(fetched.status, 200);
    assert!(fetched.body.to_ascii_lowercase().contains("\r\ncontent-length: 8\r\n"), "{fetched:?}");
    assert_eq!(scene.backend.seen()[0].word(0), "HEAD");
}

fn curl_sends_a_path_with_dots(runtime: Runtime) {
    let scene = Scene::new(runtime);
    if !is_here("curl") {
        return;
    }
    let fetched = curl::fetch(&["--path-as-is", &scene.url("/a/../b?c=/../d")]);
    assert_eq!(fetched.body, "/b?c=/../d");
}

const PRELUDE: &str = r#"
import http.client, io, socket, sys
port = int(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

def read(answer, status=200):
    body = answer.read()
    assert answer.status == status, (answer.status, body)
    return body
"#;

fn python_keeps_its_connection(runtime: Runtime) {
    let scene = Scene::new(runtime);
    let script = r#"
connection.connect()
first = connection.sock
for method, path, expected in [
    ("GET", "/a", b"/a"), ("HEAD", "/b", b""), ("GET", "/chunked", b"one and two"),
    ("OPTIONS", "/c", b"/c"), ("DELETE", "/d", b"/d"), ("GET", "/e", b"/e"),
]:
    connection.request(method, path)
    answer = connection.getresponse()
    if method == "HEAD":
        assert answer.getheader("Content-Length") == "2", answer.getheaders()
    assert read(answer) == expected, path
    assert connection.sock is first, path
"#;
    if scene.python(script).is_some() {
        assert_eq!((scene.backend.requests(), scene.backend.connections()), (6, 1));
    }
}

fn python_uploads_in_chunks(runtime: Runtime) {
    let scene = Scene::new(runtime);
    let script = r#"
pieces = [b"abc", b"d" * 100_000, b"\r\n0\r\n\r\n", b"e"]
for body in [iter(pieces), (piece for piece in pieces)]:
    connection.request("POST", "/echo", body=body)
    assert read(connection.getresponse()) == b"".join(pieces)
connection.request("PUT", "/echo", body=io.BytesIO(b"f" * 70_000), headers={"Content-Length": "70000"})
assert read(connection.getresponse()) == b"f" * 70_000
"#;
    if scene.python(script).is_some() {
        let seen = scene.backend.seen();
        let codings: Vec<_> = seen.iter().map(|head| head.get("transfer-encoding")).collect();
        assert_eq!(codings, [Some("chunked"), Some("chunked"), None]);
    }
}

fn python_waits_before_it_uploads(runtime: Runtime) {
    let scene = Scene::new(runtime);
    let script = r#"
for _ in range(2):
    connection.putrequest("POST", "/echo")
    connection.putheader("Content-Length", "5")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    interim = b""
    while not interim.endswith(b"\r\n\r\n"):
        interim += connection.sock.recv(1)
    assert interim.startswith(b"HTTP/1.1 100 "), interim
    connection.send(b"hello")
    assert read(connection.getresponse()) == b"hello"
"#;
    if scene.python(script).is_some() {
        assert_eq!(scene.backend.connections(), 1);
    }
}

fn python_reads_pipelined_answers(runtime: Runtime) {
    let scene = Scene::new(runtime);
    let script = r#"
class Kept(io.BufferedReader):
    def close(self): pass

class Same:
    def makefile(self, mode): return stream

sock = socket.create_connection(("127.0.0.1", port), timeout=20)
stream = Kept(socket.SocketIO(sock, "r"))
head = " HTTP/1.1\r\nHost: a\r\n"
sock.sendall("".join([
    "GET /a", head, "\r\n", "HEAD /b", head, "\r\n",
    "POST /echo", head, "Content-Length: 5\r\n\r\nhello", "GET /chunked", head, "\r\n",
    "GET /e", head, "Connection: close\r\n\r\n", "GET /never", head, "\r\n",
]).encode())
for method, expected in [
    ("GET", b"/a"), ("HEAD", b""), ("POST", b"hello"), ("GET", b"one and two"), ("GET", b"/e"),
]:
    answer = http.client.HTTPResponse(Same(), method=method)
    answer.begin()
    assert read(answer) == expected, expected
assert stream.read() == b""
"#;
    if scene.python(script).is_some() {
        assert_eq!(scene.backend.requests(), 5, "none behind the one that closes");
    }
}

fn python_speaks_http_1_0(runtime: Runtime) {
    let scene = Scene::new(runtime);
    let script = r#"
connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
for path, expected in [("/a", b"/a"), ("/chunked", b"one and two"), ("/b", b"/b")]:
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.getheader("Transfer-Encoding") is None, answer.getheaders()
    assert read(answer) == expected, path
connection.request("GET", "/c", headers={"Connection": "keep-alive"})
answer = connection.getresponse()
assert answer.getheader("Connection").lower() == "keep-alive", answer.getheaders()
first = connection.sock
assert read(answer) == b"/c"
connection.request("GET", "/d")
assert connection.sock is first
assert read(connection.getresponse()) == b"/d"
"#;
    if scene.python(script).is_some() {
        assert_eq!(scene.backend.requests(), 5);
    }
}
