//! The control plane's thread: pages, `weirctl`'s socket, health checks and signals, until the
//! shards have drained.

use std::cell::RefCell;
use std::io;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::ServerError;
use super::operations::Engine;
use super::shards::Shards;
use crate::control::{Operations, serve};
use crate::runtime::epoll::{self, EpollRuntime};
use crate::upstream::check::{self, OnChange};
use crate::upstream::health::Change;

/// How long shards that were cut off may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Sockets {
    pub(super) pages: UnixListener,
    pub(super) socket: UnixListener,
}

/// `ready` is called when signals are obeyed: whoever is told that the engine serves may stop it.
pub(super) fn run(
    engine: &Arc<Engine>,
    shards: Shards,
    sockets: Sockets,
    sample_api: bool,
    drain_timeout: Duration,
    ready: impl FnOnce(),
) -> Result<(), ServerError> {
    let engine = Arc::clone(engine);
    epoll::run(None, |runtime| async move {
        let pages =
            tokio::net::UnixListener::from_std(sockets.pages).map_err(ServerError::Control)?;
        let socket =
            tokio::net::UnixListener::from_std(sockets.socket).map_err(ServerError::Control)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let operations: Arc<dyn Operations> = Arc::clone(&engine) as Arc<dyn Operations>;
        let served =
            tokio::task::spawn_local(serve(pages, socket, operations, sample_api, async {
                // Dropping the sender stops as well.
                let _ = stopped.await;
            }));
        let signals = Signals::new().map_err(ServerError::Control)?;
        ready();
        let outcome = steer(&engine, runtime, shards, signals, drain_timeout).await;
        drop(stop);
        let _ = served.await;
        outcome
    })
    .map_err(ServerError::Control)?
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Obeys signals and reloads until the engine drains, then waits for the shards.
async fn steer(
    engine: &Arc<Engine>,
    runtime: EpollRuntime,
    mut shards: Shards,
    mut signals: Signals,
    drain_timeout: Duration,
) -> Result<(), ServerError> {
    let changed: OnChange = Rc::new(|upstream, backend, change| {
        let verdict = if change == Change::WentUp { "healthy" } else { "unhealthy" };
        let reason = backend.last_check();
        eprintln!("weir: backend {} of {} is {verdict}: {reason}", backend.label, upstream.name);
    });
    let begin = || check::start(&runtime, &engine.snapshot().upstreams, &changed);
    let checks = RefCell::new(begin());
    // A shard without connections ends as soon as it is told to drain, maybe before we hear of it.
    let ended_early = loop {
        tokio::select! {
            () = engine.reloaded() => { checks.replace(begin()); }
            () = engine.drained() => break 0,
            _ = signals.terminate.recv() => engine.drain(),
            _ = signals.interrupt.recv() => engine.drain(),
            _ = signals.hang_up.recv() => match engine.reload() {
                Ok(done) => eprintln!("weir: {done}"),
                Err(fault) => eprintln!("weir: reload refused, nothing changed:\n{fault}"),
            },
            Some(shard) = shards.next_ended() => {
                if engine.is_draining() { break 1 }
                return Err(ServerError::ShardLost(shard));
            }
        }
    };
    eprintln!("weir: draining");
    let left = shards.count() - ended_early;
    let outcome = drain(engine, &mut shards, left, &mut signals, drain_timeout).await;
    shards.join();
    outcome
}

/// Waits for the `left` shards to finish what is in flight; a second signal cuts it short.
async fn drain(
    engine: &Engine,
    shards: &mut Shards,
    mut left: usize,
    signals: &mut Signals,
    drain_timeout: Duration,
) -> Result<(), ServerError> {
    let patience = tokio::time::sleep(drain_timeout);
    tokio::pin!(patience);
    let cut = loop {
        if left == 0 {
            return Ok(());
        }
        tokio::select! {
            Some(_) = shards.next_ended() => left -= 1,
            () = &mut patience => break ServerError::DrainTimeout,
            _ = signals.terminate.recv() => break ServerError::DrainCut,
            _ = signals.interrupt.recv() => break ServerError::DrainCut,
        }
    };
    engine.stop_shards();
    let ended = async {
        while left > 0 && shards.next_ended().await.is_some() {
            left -= 1;
        }
    };
    // A shard that does not even end now is left behind; the process ends without it.
    if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
        std::process::exit(1);
    }
    Err(cut)
}
