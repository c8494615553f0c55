//! A backend to put behind the gateway, which tells who it is in every answer.
//!
//! | path | answer |
//! | --- | --- |
//! | `/health` | 200 |
//! | `/data` | a few records |
//! | `/api/*` | what was asked: method, path, query, body bytes |
//! | `/slow?ms=` | as late as asked, a second by default, a minute at most |
//! | `/stats` | how many requests it answered, health checks apart |

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{any, get};
use futures_util::StreamExt;
use serde_json::{Value, json};

const SLOW_MS_DEFAULT: u64 = 1_000;
const SLOW_MS_MAX: u64 = 60_000;

/// One backend.
struct Mock {
    name: String,
    answered: AtomicU64,
}

impl Mock {
    /// `fields` with the backend's name, counted as one request.
    fn answer(&self, fields: Value) -> Response {
        // Relaxed: a count that orders nothing.
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.named(fields)
    }

    fn named(&self, mut fields: Value) -> Response {
        fields["backend"] = self.name.as_str().into();
        Json(fields).into_response()
    }
}

/// Serves on a thread of its own, for as long as the process lives; returns at once. `name` stands in every answer.
///
/// # Errors
/// When the thread, its runtime or the listener cannot be set up.
pub fn serve(listener: TcpListener, name: String) -> io::Result<thread::JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    thread::Builder::new().name(format!("mock-{name}")).spawn(move || {
        // Never returns an error: axum goes on after failed accepts.
        let _ = runtime.block_on(async { axum::serve(listener, router(name)).await });
    })
}

fn router(name: String) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/data", any(data))
        .route("/api/{*rest}", any(echo))
        .route("/slow", any(slow))
        .route("/stats", get(stats))
        .fallback(not_found)
        .with_state(Arc::new(Mock { name, answered: AtomicU64::new(0) }))
}

async fn health(State(mock): State<Arc<Mock>>) -> Response {
    mock.named(json!({ "status": "ok" }))
}

async fn data(State(mock): State<Arc<Mock>>) -> Response {
    mock.answer(json!({
        "data": [{ "id": 1, "name": "alder" }, { "id": 2, "name": "birch" }],
    }))
}

async fn echo(State(mock): State<Arc<Mock>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(body_bytes) = count(body).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    mock.answer(json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "body_bytes": body_bytes,
    }))
}

/// The length of a body, read piece by piece; `None` when it breaks off.
async fn count(body: Body) -> Option<usize> {
    let mut pieces = body.into_data_stream();
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        bytes += piece.ok()?.len();
    }
    Some(bytes)
}

async fn slow(State(mock): State<Arc<Mock>>, RawQuery(query): RawQuery) -> Response {
    let Some(ms) = slow_ms(query.as_deref().unwrap_or_default()) else {
        let wrong = "ms must be a whole number of milliseconds, at most 60000";
        return (StatusCode::BAD_REQUEST, mock.answer(json!({ "error": wrong }))).into_response();
    };
    tokio::time::sleep(Duration::from_millis(ms)).await;
    mock.answer(json!({ "slept_ms": ms }))
}

fn slow_ms(query: &str) -> Option<u64> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("ms="));
    value.map_or(Some(SLOW_MS_DEFAULT), |ms| ms.parse().ok()).filter(|&ms| ms <= SLOW_MS_MAX)
}

async fn stats(State(mock): State<Arc<Mock>>) -> Response {
    // Relaxed: see `answer`.
    mock.named(json!({ "requests": mock.answered.load(Ordering::Relaxed) }))
}

async fn not_found(State(mock): State<Arc<Mock>>) -> Response {
    (StatusCode::NOT_FOUND, mock.answer(json!({ "error": "not found" }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    fn mock() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("is bound");
        serve(listener, "5001".to_owned()).expect("starts");
        address
    }

    /// Status and body of one request.
    fn ask(address: SocketAddr, line: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("sets");
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receives");
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    #[test]
    fn every_answer_names_the_backend() {
        let address = mock();
        for (line, status) in [
            ("GET /health", 200),
            ("GET /data", 200),
            ("DELETE /api/a/b", 200),
            ("GET /slow?ms=0", 200),
            ("GET /slow?ms=x", 400),
            ("GET /stats", 200),
            ("GET /nothing", 404),
        ] {
            let (found, body) = ask(address, line, "");
            assert_eq!((found, &body["backend"]), (status, &json!("5001")), "{line}");
        }
    }

    #[test]
    fn api_tells_what_was_asked() {
        let body = "x".repeat(100_000);
        let (_, answer) = ask(mock(), "PUT /api/v1/things?a=b%20c", &body);
        let expected = json!({
            "backend": "5001", "method": "PUT", "path": "/api/v1/things", "query": "a=b%20c",
            "body_bytes": 100_000,
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn health_checks_are_not_counted() {
        let address = mock();
        ask(address, "GET /health", "");
        ask(address, "GET /data", "");
        ask(address, "GET /nothing", "");
        assert_eq!(ask(address, "GET /stats", "").1["requests"], 2);
        assert_eq!(ask(address, "GET /stats", "").1["requests"], 2);
    }

    #[test]
    fn slowness_is_bounded() {
        assert_eq!(slow_ms(""), Some(1_000));
        assert_eq!(slow_ms("a=b&ms=60000"), Some(60_000));
        assert_eq!(slow_ms("ms=60001"), None);
        assert_eq!(slow_ms("ms="), None);
        assert_eq!(slow_ms("ms=-1"), None);
    }
}
