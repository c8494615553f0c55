//! The control plane: HTTP pages for people and scrapers, and `weirctl`'s socket.
//!
//! Both listen on Unix sockets. The pages are reached through the gateway like any backend, so
//! its limits and logs apply to them; `weirctl`'s socket is for this host's administrator alone.
//!
//! Invariants:
//! - runs on a thread of its own: nothing here may run on a shard, and no shard waits for it;
//! - sees the engine only through [`Operations`];
//! - on `weirctl`'s socket: file mode 0600, peer credentials checked, clients, frames and waiting
//!   times bounded.

mod answer;
mod pages;
mod sample;
mod socket;

#[cfg(test)]
mod tests;

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;
use weir_protocol::control::{
    BackendStatus, BansRequest, Explanation, LedgerRequest, LimitsRequest, Question, Response,
    Status,
};

pub use socket::{SocketError, SocketFile, Successor, Unplaced, bind, prepare};

/// How long a stop waits for answers under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the control plane may ask of the engine, on threads that may wait. `by` is who asks, for the
/// record that is kept of changes.
pub trait Operations: Send + Sync + 'static {
    fn status(&self) -> Status;

    fn backends(&self) -> Vec<BackendStatus>;

    /// Metrics in the Prometheus text format.
    fn metrics_text(&self) -> String;

    /// What `/stats` shows.
    fn stats(&self) -> serde_json::Value;

    /// Reads the configuration again and puts it to use. One line says what was done, or, as an
    /// error, a line for each reason why everything stays as it was.
    fn reload(&self, by: &str) -> Result<String, String>;

    /// Shows counters, or lets some begin anew.
    fn limits(&self, request: LimitsRequest, by: &str) -> Result<Response, String>;

    /// Shows who is kept out, or changes that: acknowledged changes are on the disk, and shards
    /// obey within moments. After an error nothing has changed.
    fn bans(&self, request: BansRequest, by: &str) -> Result<Response, String>;

    /// Says what would become of a request, and charges nothing.
    fn explain(&self, question: &Question) -> Result<Explanation, String>;

    /// Shows how it stands with the ledger, or does something with its files.
    fn ledger(&self, request: LedgerRequest, by: &str) -> Result<Response, String>;

    /// Begins to stop; returns at once.
    fn drain(&self, by: &str);

    /// Begins to hand over to another process; returns at once. What becomes of it is told to that
    /// process.
    fn hand_over(&self, successor: Successor);
}

/// Serves both sockets until `stop` resolves, then finishes the answers under way.
///
/// `pages` speaks HTTP/1.1 to the shards, `socket` frames to `weirctl`; both as [`bind`] makes
/// them. `sample_api` adds the demo's protected routes. Needs a tokio runtime with I/O and time.
pub async fn serve(
    pages: UnixListener,
    socket: UnixListener,
    operations: Arc<dyn Operations>,
    sample_api: bool,
    stop: impl Future<Output = ()>,
) {
    let (tell, told) = watch::channel(false);
    let app = pages::router(Arc::clone(&operations), sample_api);
    let stopped = stopped(told.clone());
    tokio::join!(
        async {
            stop.await;
            // Fails only when both servers have ended already.
            let _ = tell.send(true);
        },
        async {
            let server = axum::serve(pages, app).with_graceful_shutdown(stopped);
            bounded(server.into_future(), told.clone()).await;
        },
        bounded(
            socket::serve(socket, operations, told.clone(), socket::CLIENT_TIMEOUT),
            told.clone(),
        ),
    );
}

/// Runs `server` to its end, but no longer than [`STOP_TIMEOUT`] after the stop.
async fn bounded(server: impl Future, told: watch::Receiver<bool>) {
    tokio::select! {
        _ = server => {}
        () = async {
            stopped(told).await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        } => {}
    }
}

/// Resolves once the stop is told, or its teller is gone.
async fn stopped(mut told: watch::Receiver<bool>) {
    let _ = told.wait_for(|&stop| stop).await;
}
