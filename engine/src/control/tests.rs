use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use weir_protocol::control::codec::{self, HEADER_BYTES};
use weir_protocol::control::handover::{FromSuccessor, ToSuccessor};
use weir_protocol::control::{Request, ShardStatus, TopBy};

use super::*;

mod ends;

/// An engine that answers from memory; `drain` counts.
#[derive(Default)]
struct Engine {
    drains: AtomicUsize,
    reload_fails: bool,
    stalled: bool,
    huge: bool,
}

impl Operations for Engine {
    fn status(&self) -> Status {
        let draining = self.drains.load(Ordering::SeqCst) > 0;
        let shards = vec![ShardStatus { stalled: self.stalled, ..ShardStatus::default() }];
        Status { version: "9.9.9".to_owned(), draining, shards, ..Status::default() }
    }

    fn backends(&self) -> Vec<BackendStatus> {
        let count = if self.huge { 1 << 20 } else { 1 };
        vec![BackendStatus { upstream: "api".to_owned(), ..BackendStatus::default() }; count]
    }

    fn metrics_text(&self) -> String {
        "weir_requests_total 1\n".to_owned()
    }

    fn stats(&self) -> Value {
        json!({ "requests": 1 })
    }

    fn reload(&self, by: &str) -> Result<String, String> {
        assert!(by.starts_with("uid "), "{by}");
        if self.reload_fails { Err("weir.toml:1:1: no".to_owned()) } else { Ok("done".to_owned()) }
    }

    fn limits(&self, _: LimitsRequest, _: &str) -> Result<Response, String> {
        Ok(Response::Counters(Vec::new()))
    }

    fn bans(&self, _: BansRequest, by: &str) -> Result<Response, String> {
        Err(format!("not for {by}"))
    }

    fn explain(&self, question: &Question) -> Result<Explanation, String> {
        Err(format!("no route for {}", question.path))
    }

    fn ledger(&self, _: LedgerRequest, _: &str) -> Result<Response, String> {
        Ok(Response::Done("in order".to_owned()))
    }

    fn drain(&self, _: &str) {
        self.drains.fetch_add(1, Ordering::SeqCst);
    }

    fn hand_over(&self, successor: Successor) {
        assert_eq!((successor.version.as_str(), successor.pid), ("9.9.10", 7));
        self.drain("the successor");
    }
}

/// A control plane on sockets in a folder of its own.
struct Plane {
    folder: tempfile::TempDir,
    _files: [SocketFile; 2],
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
}

impl Plane {
    fn start(engine: Engine, sample_api: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name| {
            let (listener, file) = bind(&folder.path().join(name)).expect("binds");
            (UnixListener::from_std(listener).expect("a listener"), file)
        };
        let ((pages, one), (socket, two)) = (open("pages"), open("socket"));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(pages, socket, Arc::new(engine), sample_api, async {
            let _ = stopped.await;
        }));
        Self { folder, _files: [one, two], stop, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn connect(&self, name: &str) -> UnixStream {
        UnixStream::connect(self.path(name)).await.expect("connects")
    }

    /// Sends one HTTP request; the answer's head in lower case, and its body.
    async fn http(&self, line: &str, fields: &str) -> (String, String) {
        let mut stream = self.connect("pages").await;
        let text = format!("{line} HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(text.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("receives");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_lowercase(), body.to_owned())
    }

    async fn json(&self, line: &str, fields: &str) -> (String, Value) {
        let (head, body) = self.http(line, fields).await;
        (head, serde_json::from_str(&body).expect("JSON"))
    }

    async fn ask(&self, request: Request) -> Response {
        let mut stream = self.connect("socket").await;
        stream.write_all(&codec::encode(&request).expect("short")).await.expect("sends");
        receive(&mut stream).await
    }
}

async fn receive(stream: &mut UnixStream) -> Response {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await.expect("a header");
    let mut payload = vec![0; codec::payload_bytes(header).expect("a length")];
    stream.read_exact(&mut payload).await.expect("a payload");
    codec::decode(&payload).expect("an answer")
}

#[tokio::test]
async fn pages_answer() {
    let plane = Plane::start(Engine::default(), false);
    let (head, health) = plane.json("GET /health", "").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("cache-control: no-store"));
    assert_eq!(health, json!({ "status": "ok" }));
    assert_eq!(plane.json("GET /stats", "").await.1, json!({ "requests": 1 }));
    let (head, text) = plane.http("GET /metrics", "").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert_eq!(text, "weir_requests_total 1\n");
    let (head, body) = plane.http("HEAD /metrics", "").await;
    assert!(head.contains("content-length: 22") && body.is_empty(), "{head}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let plane = Plane::start(Engine::default(), false);
    for target in ["/nothing", "/data", "/api/v2/premium", "/health/"] {
        let (head, body) = plane.json(&format!("GET {target}"), "").await;
        assert!(head.starts_with("http/1.1 404 "), "{target}: {head}");
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let expected = json!({ "type": "about:blank", "title": "Not Found", "status": 404 });
        assert_eq!(body, expected);
    }
    // RFC 9110 section 15.5.6: a 405 names what is allowed.
    let (head, body) = plane.json("POST /stats", "Content-Length: 0\r\n").await;
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get,head"), "{head}");
    assert_eq!(body["status"], 405);
}

#[tokio::test]
async fn the_page_shows_the_sample_api_only_where_it_is_served() {
    for sample_api in [false, true] {
        let plane = Plane::start(Engine::default(), sample_api);
        let (head, page) = plane.http("GET /", "").await;
        assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
        assert!(page.contains("curl http://h:1/stats") && !page.contains("{host}"));
        assert!(page.ends_with("</html>\n"));
        assert_eq!(page.contains("/api/v2/premium"), sample_api);
    }
}

#[tokio::test]
async fn the_sample_api_tells_callers_who_they_are() {
    let plane = Plane::start(Engine::default(), true);
    let fields = "X-Weir-User: ada\r\nX-Weir-Tier: premium\r\nX-Weir-Key: k1\r\n";
    for target in ["/data", "/api/v2/data", "/api/v2/premium"] {
        let (head, body) = plane.json(&format!("GET {target}"), fields).await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(body["caller"], json!({ "user": "ada", "tier": "premium", "key": "k1" }));
    }
    let nobody = json!({ "user": null, "tier": null, "key": null });
    assert_eq!(plane.json("GET /data", "").await.1["caller"], nobody);
}

#[tokio::test]
async fn weirctl_is_answered() {
    let plane = Plane::start(Engine::default(), false);
    let Response::Status(status) = plane.ask(Request::Status).await else { panic!("a status") };
    assert_eq!((status.version.as_str(), status.draining), ("9.9.9", false));
    let Response::Backends(backends) = plane.ask(Request::Backends).await else {
        panic!("backends")
    };
    assert_eq!(backends[0].upstream, "api");
    assert_eq!(plane.ask(Request::Reload).await, Response::Done("done".to_owned()));
    let top = LimitsRequest::Top { by: TopBy::Used, limit: None, count: 1 };
    assert_eq!(plane.ask(Request::Limits(top)).await, Response::Counters(Vec::new()));
    let Response::Failed(reason) = plane.ask(Request::Bans(BansRequest::List { skip: 0 })).await
    else {
        panic!("bans")
    };
    assert!(reason.starts_with("not for uid "), "{reason}");
    let question = Question { path: "/a".to_owned(), ..Question::default() };
    let failed = Response::Failed("no route for /a".to_owned());
    assert_eq!(plane.ask(Request::Explain(question)).await, failed);
    let verified = plane.ask(Request::Ledger(LedgerRequest::Verify)).await;
    assert_eq!(verified, Response::Done("in order".to_owned()));
    assert!(matches!(plane.ask(Request::Drain).await, Response::Done(_)));
    let (head, health) = plane.json("GET /health", "").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert_eq!(health, json!({ "status": "draining" }));
}

#[tokio::test]
async fn a_shard_that_does_not_turn_is_told_to_balancers() {
    let plane = Plane::start(Engine { stalled: true, ..Engine::default() }, false);
    let (head, health) = plane.json("GET /health", "").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert_eq!(health, json!({ "status": "stalled" }));
}

#[tokio::test]
async fn failures_are_told() {
    let engine = Engine { reload_fails: true, huge: true, ..Engine::default() };
    let plane = Plane::start(engine, false);
    let failed = Response::Failed("weir.toml:1:1: no".to_owned());
    assert_eq!(plane.ask(Request::Reload).await, failed);
    let Response::Failed(reason) = plane.ask(Request::Backends).await else { panic!("too large") };
    assert!(reason.contains("at most 1048576"), "{reason}");
}

#[tokio::test]
async fn requests_follow_each_other_on_a_connection() {
    let plane = Plane::start(Engine::default(), false);
    let mut stream = plane.connect("socket").await;
    let frame = codec::encode(&Request::Reload).expect("short");
    stream.write_all(&[&frame[..], &frame].concat()).await.expect("sends");
    for _ in 0..2 {
        assert_eq!(receive(&mut stream).await, Response::Done("done".to_owned()));
    }
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection_with_a_reason() {
    let plane = Plane::start(Engine::default(), false);
    for (bytes, expected) in [
        (&[2, 0, 0, 0, 9, 0][..], "version 9"),
        (&[0, 0, 0, 0], "empty"),
        (&[1, 0, 16, 0], "at most 1048576"),
        (&[2, 0, 0, 0, 3, 200], "not a message"),
        (b"GET / HTTP/1.1\r\n\r\n", "at most 1048576"),
    ] {
        let mut stream = plane.connect("socket").await;
        stream.write_all(bytes).await.expect("sends");
        let Response::Failed(reason) = receive(&mut stream).await else { panic!("{expected}") };
        assert!(reason.contains(expected), "{reason}");
        // Closed: an end, or a reset where bytes were left unread.
        assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn clients_beyond_the_bound_are_told_to_come_back() {
    let plane = Plane::start(Engine::default(), false);
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(plane.connect("socket").await);
    }
    let mut late = plane.connect("socket").await;
    let Response::Failed(reason) = receive(&mut late).await else { panic!("refused") };
    assert!(reason.contains("try again"), "{reason}");
    held.pop();
    let served = timeout(Duration::from_secs(5), async {
        // The server notices the close on a turn of its own.
        while matches!(plane.ask(Request::Reload).await, Response::Failed(_)) {
            tokio::task::yield_now().await;
        }
    });
    served.await.expect("a place is free again");
}

#[tokio::test]
async fn a_client_that_stalls_is_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let (listener, _file) = bind(&path).expect("binds");
    let listener = UnixListener::from_std(listener).expect("a listener");
    let (_tell, told) = watch::channel(false);
    let patience = Duration::from_millis(20);
    tokio::spawn(socket::serve(listener, Arc::new(Engine::default()), told, patience));
    for bytes in [&[][..], &[2, 0], &[2, 0, 0, 0, 1]] {
        let mut stream = UnixStream::connect(&path).await.expect("connects");
        stream.write_all(bytes).await.expect("sends");
        let end = timeout(Duration::from_secs(5), stream.read(&mut [0])).await;
        assert!(matches!(end, Ok(Ok(0))), "{end:?}");
    }
}
