//! The control plane's pages.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Router, middleware};
use serde_json::json;

use super::{Operations, sample};

const PAGE: &str = include_str!("page.html");

/// The part of [`PAGE`] about the sample API lies between these.
const SAMPLE_START: &str = "<!-- sample -->";
const SAMPLE_END: &str = "<!-- /sample -->";

type Engine = Arc<dyn Operations>;

/// All pages; whatever else is asked for is a problem document.
pub(super) fn router(operations: Engine, sample_api: bool) -> Router {
    let mut router = Router::new()
        .route("/", get(move |headers: HeaderMap| async move { page(&headers, sample_api) }))
        .route("/health", get(health))
        .route("/stats", get(stats))
        .route("/metrics", get(metrics))
        .with_state(operations);
    if sample_api {
        router = router.merge(sample::router());
    }
    router
        .fallback(async || problem(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED))
        .layer(middleware::map_response(guarded))
}

/// An RFC 9457 document. With `about:blank` the title is the status's own phrase (section 4.2.1).
fn problem(status: StatusCode) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16() });
    (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

/// Every answer is as of now, and what it says it is.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn page(headers: &HeaderMap, sample_api: bool) -> Response {
    let mut text = PAGE.replace("{host}", host(headers));
    if !sample_api
        && let (Some(start), Some(end)) = (text.find(SAMPLE_START), text.find(SAMPLE_END))
    {
        text.replace_range(start..end, "");
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    ([(CONTENT_SECURITY_POLICY, policy)], Html(text)).into_response()
}

/// The address to show in examples: what the client called this host, if that is harmless in
/// HTML and in a shell.
fn host(headers: &HeaderMap) -> &str {
    let harmless = |letter: u8| letter.is_ascii_alphanumeric() || b".-:[]".contains(&letter);
    headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| !host.is_empty() && host.len() <= 255 && host.bytes().all(harmless))
        .unwrap_or("127.0.0.1:5000")
}

/// 503 while draining, so that a balancer in front sends no more requests here; and while a shard
/// does not turn, for the kernel hands it its share of the connections.
async fn health(State(engine): State<Engine>) -> Response {
    let found = engine.status();
    let (status, word) = if found.draining {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if found.shards.iter().any(|shard| shard.stalled) {
        (StatusCode::SERVICE_UNAVAILABLE, "stalled")
    } else {
        (StatusCode::OK, "ok")
    };
    (status, Json(json!({ "status": word }))).into_response()
}

async fn stats(State(engine): State<Engine>) -> Response {
    Json(engine.stats()).into_response()
}

async fn metrics(State(engine): State<Engine>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], engine.metrics_text()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_harmless_host_is_shown() {
        let shown = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a value");
            host(&HeaderMap::from_iter([(HOST, value)])).to_owned()
        };
        assert_eq!(shown("weir.example:5000"), "weir.example:5000");
        assert_eq!(shown("[::1]:5000"), "[::1]:5000");
        for hostile in ["", "<b>", "a\"b", "a;b", "$(a)", "a b", &"a".repeat(256)] {
            assert_eq!(shown(hostile), "127.0.0.1:5000", "{hostile}");
        }
        assert_eq!(host(&HeaderMap::new()), "127.0.0.1:5000");
    }
}
