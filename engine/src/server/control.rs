//! The control plane's thread: pages, `weirctl`'s socket, health checks and signals, until the
//! shards have drained.

use std::cell::RefCell;
use std::io;
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::ServerError;
use super::handover::{self, HandoverError};
use super::operations::Engine;
use super::shards::Shards;
use super::sync::LedgerSync;
use super::watchdog::{self, Watchdog};
use crate::control::{Operations, Successor, serve};
use crate::runtime::epoll::{self, EpollRuntime};
use crate::runtime::os;
use crate::upstream::check::{self, OnChange};
use crate::upstream::health::Change;
use crate::upstream::{Backend, Upstream};

/// How long shards that were cut off may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Sockets {
    pub(super) pages: UnixListener,
    pub(super) socket: UnixListener,
}

/// `ready` is called when signals are obeyed: whoever is told that the engine serves may stop it.
pub(super) fn run(
    engine: &Arc<Engine>,
    sync: &LedgerSync,
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
        let steering = Steering {
            engine: &engine,
            sync,
            served: &served,
            watchdog: Watchdog::new(shards.count(), os::now()),
            shards,
            signals,
        };
        let outcome = steering.run(runtime, drain_timeout).await;
        drop(stop);
        if !served.is_finished() {
            let _ = served.await;
        }
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

/// A successor that is shown what there is, and becomes ready.
type Offered = Pin<Box<dyn Future<Output = Result<Successor, HandoverError>>>>;

/// Resolves with `pending`; never, when there is none.
async fn ready(pending: &mut Option<Offered>) -> Result<Successor, HandoverError> {
    match pending {
        Some(offered) => offered.await,
        None => std::future::pending().await,
    }
}

fn tell_change(upstream: &Upstream, backend: &Backend, change: Change) {
    let verdict = if change == Change::WentUp { "healthy" } else { "unhealthy" };
    let (label, reason) = (&backend.label, backend.last_check());
    eprintln!("weir: backend {label} of {} is {verdict}: {reason}", upstream.name);
}

/// What steers the engine from its start to its end.
struct Steering<'e> {
    engine: &'e Arc<Engine>,
    sync: &'e LedgerSync,
    served: &'e JoinHandle<()>,
    watchdog: Watchdog,
    shards: Shards,
    signals: Signals,
}

impl Steering<'_> {
    /// Obeys signals and reloads until the engine drains, then waits for the shards.
    async fn run(
        mut self,
        runtime: EpollRuntime,
        drain_timeout: Duration,
    ) -> Result<(), ServerError> {
        let engine = self.engine;
        let changed: OnChange = Rc::new(tell_change);
        let begin = || check::start(&runtime, &engine.snapshot().upstreams, &changed);
        let checks = RefCell::new(begin());
        let mut looks = tokio::time::interval(watchdog::LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lost = Ok(());
        let (mut pending, mut heir): (Option<Offered>, _) = (None, None);
        // A shard without connections ends as soon as it is told to drain, maybe before we hear of
        // it.
        let ended_early = loop {
            tokio::select! {
                successor = engine.successor() => match (engine.offer(), &pending) {
                    (Some(offer), None) => {
                        eprintln!("weir: process {} asks to take over", successor.pid);
                        pending = Some(Box::pin(async move {
                            handover::offer(successor, &offer).await
                        }));
                    }
                    (None, _) => handover::refuse(successor, "it drains").await,
                    (_, Some(_)) => {
                        handover::refuse(successor, "another upgrade is under way").await;
                    }
                },
                offered = ready(&mut pending) => {
                    pending = None;
                    match self.hand_over(offered).await {
                        Ok(successor) => {
                            heir = Some(successor);
                            break 0;
                        }
                        Err(error) => eprintln!("weir: not handed over, and serves on: {error}"),
                    }
                }
                () = engine.reloaded() => { checks.replace(begin()); }
                () = engine.drained() => break 0,
                _ = self.signals.terminate.recv() => drain_by_signal(engine),
                _ = self.signals.interrupt.recv() => drain_by_signal(engine),
                _ = self.signals.hang_up.recv() => reload_by_signal(engine),
                _ = looks.tick() => if let Err(error) = self.look() {
                    lost = Err(error);
                    engine.begin_drain();
                },
                Some(shard) = self.shards.next_ended() => {
                    if engine.is_draining() { break 1 }
                    return Err(ServerError::ShardLost(shard));
                }
            }
        };
        drop(pending);
        eprintln!("weir: draining");
        let left = self.shards.count() - ended_early;
        let drained = drain(engine, &mut self.shards, left, &mut self.signals, drain_timeout).await;
        self.shards.join();
        if let Some(successor) = heir {
            handover::see_off(successor).await;
        }
        lost.and(drained)
    }

    /// Lets a successor that is ready have everything.
    async fn hand_over(
        &self,
        offered: Result<Successor, HandoverError>,
    ) -> Result<Successor, HandoverError> {
        let mut successor = offered?;
        handover::yield_to(&mut successor, self.engine.handles(), self.sync).await?;
        self.engine.leave();
        eprintln!("weir: process {} has taken over", successor.pid);
        Ok(successor)
    }

    /// What is due each second: blocks that are over are lifted, and it is looked at whether all that
    /// the engine is made of still runs. What is lost cannot be had back:
    /// the engine ends, in order, for a supervisor to start another.
    fn look(&mut self) -> Result<(), ServerError> {
        self.engine.expire_blocks();
        let config = &self.engine.snapshot().config.engine;
        let found = self.watchdog.look(self.engine.handles(), config.watchdog, os::now());
        watchdog::act(&found, config.watchdog_action);
        let parts = [
            (self.engine.has_lost_log(), "the access log's thread"),
            (self.sync.has_ended(), "the ledger's thread"),
            (self.served.is_finished(), "the control plane"),
        ];
        match parts.into_iter().find(|(lost, _)| *lost) {
            Some((_, part)) => Err(ServerError::Lost(part)),
            None => Ok(()),
        }
    }
}

fn drain_by_signal(engine: &Engine) {
    engine.begin_drain();
    engine.note_later("a signal", "drain");
}

fn reload_by_signal(engine: &Engine) {
    match engine.reload_now() {
        Ok(done) => {
            eprintln!("weir: {done}");
            engine.note_later("a signal", "reload");
        }
        Err(fault) => eprintln!("weir: reload refused, nothing changed:\n{fault}"),
    }
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
        eprintln!("weir: {cut}; shards that did not even end: {left}");
        std::process::exit(1);
    }
    Err(cut)
}
