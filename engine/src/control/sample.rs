//! A small API behind the gateway's own authentication, for the demo and for trying limits.
//!
//! It trusts the caller's description in the `X-Weir-*` fields: only shards reach this socket,
//! and they remove whatever a client put there. Which tiers may call what is the routes' matter.

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Json;
use axum::routing::any;
use serde_json::{Value, json};

pub(super) fn router() -> Router {
    Router::new()
        .route("/data", any(data))
        .route("/api/v2/data", any(data))
        .route("/api/v2/premium", any(premium))
}

async fn data(headers: HeaderMap) -> Json<Value> {
    Json(json!({
        "message": "You may read this.",
        "caller": caller(&headers),
        "data": [{ "id": 1, "name": "alder" }, { "id": 2, "name": "birch" }],
    }))
}

async fn premium(headers: HeaderMap) -> Json<Value> {
    Json(json!({
        "message": "You may read this because of your tier.",
        "caller": caller(&headers),
        "data": [{ "id": 3, "name": "cedar", "height_m": 40 }],
    }))
}

/// Who is calling, by the gateway's word; `null` for what it does not know.
fn caller(headers: &HeaderMap) -> Value {
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok());
    json!({
        "user": field("x-weir-user"),
        "tier": field("x-weir-tier"),
        "key": field("x-weir-key"),
    })
}
