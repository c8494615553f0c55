//! What the control plane can ask of this engine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::blocking::Blocking;
use super::flight::Recording;
use super::handover::Offer;
use super::shards::ShardHandle;
use crate::access_log::LogSink;
use crate::config::Config;
use crate::control::Successor;
use crate::ledger::Standing;
use crate::ledger::journal::JournalHandle;
use crate::runtime::probe::{Chosen, RuntimeKind};
use crate::runtime::{Instant, os};
use crate::shard::Command;
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;
use crate::upstream::Registry;

mod answers;
mod bans;
mod explain;
mod families;
mod ledger;
mod limits;
mod record;

/// What an [`Engine`] is made of.
pub(super) struct Parts {
    pub(super) config_path: PathBuf,
    pub(super) pages_path: PathBuf,
    pub(super) chosen: Chosen,
    pub(super) addresses: Vec<(String, SocketAddr)>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) registry: Registry,
    pub(super) handles: Vec<ShardHandle>,
    pub(super) blocking: Blocking,
    pub(super) table: Arc<SlotTable>,
    pub(super) ledger_path: PathBuf,
    pub(super) journal: JournalHandle,
    pub(super) standing: Arc<Standing>,
    pub(super) log: Option<LogSink>,
    pub(super) recording: Option<Recording>,
    pub(super) offer: Offer,
}

/// The running engine, as the control plane sees it.
pub(super) struct Engine {
    config_path: PathBuf,
    pages_path: PathBuf,
    chosen: Chosen,
    addresses: Vec<(String, SocketAddr)>,
    handles: Vec<ShardHandle>,
    table: Arc<SlotTable>,
    ledger_path: PathBuf,
    journal: JournalHandle,
    standing: Arc<Standing>,
    started: Instant,
    current: Mutex<Current>,
    blocking: Blocking,
    log: Mutex<Option<LogSink>>,
    draining: AtomicBool,
    /// A successor has everything.
    left: AtomicBool,
    drain: Notify,
    reload: Notify,
    /// What a successor would get; gone with the first step towards the end.
    offer: Mutex<Option<Arc<Offer>>>,
    successor: Mutex<Option<Successor>>,
    succession: Notify,
}

/// What a reload replaces.
struct Current {
    snapshot: Arc<Snapshot>,
    registry: Registry,
    recording: Option<Recording>,
}

impl Engine {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            config_path: parts.config_path,
            pages_path: parts.pages_path,
            chosen: parts.chosen,
            addresses: parts.addresses,
            handles: parts.handles,
            table: parts.table,
            ledger_path: parts.ledger_path,
            journal: parts.journal,
            standing: parts.standing,
            started: os::now(),
            current: Mutex::new(Current {
                snapshot: parts.snapshot,
                registry: parts.registry,
                recording: parts.recording,
            }),
            blocking: parts.blocking,
            log: Mutex::new(parts.log),
            draining: AtomicBool::new(false),
            left: AtomicBool::new(false),
            drain: Notify::new(),
            reload: Notify::new(),
            offer: Mutex::new(Some(Arc::new(parts.offer))),
            successor: Mutex::new(None),
            succession: Notify::new(),
        }
    }

    /// What the operator sees when the engine is up.
    pub(super) fn banner(&self) -> String {
        let (shards, runtime) = (self.handles.len(), self.runtime());
        let mut text = format!(
            "weir {} serves with {shards} shard{} on {runtime} ({})\n",
            env!("CARGO_PKG_VERSION"),
            if shards == 1 { "" } else { "s" },
            self.chosen.reason,
        );
        for (name, address) in &self.addresses {
            text += &format!("listening on {address}");
            text +=
                &if *name == address.to_string() { "\n".into() } else { format!(" ({name})\n") };
        }
        text
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.current).snapshot)
    }

    /// Resolves after each reload.
    pub(super) async fn reloaded(&self) {
        self.reload.notified().await;
    }

    /// Whether the shards were told to drain, or are about to be.
    pub(super) fn is_draining(&self) -> bool {
        // Pairs with the swap in `drain`, which stands before the commands that make shards end.
        self.draining.load(Ordering::Acquire)
    }

    /// Resolves when the engine was told to drain.
    pub(super) async fn drained(&self) {
        self.drain.notified().await;
    }

    /// Resolves when a successor asks for what this engine has.
    pub(super) async fn successor(&self) -> Successor {
        loop {
            self.succession.notified().await;
            if let Some(successor) = lock(&self.successor).take() {
                return successor;
            }
        }
    }

    /// What a successor gets; nothing once the engine drains.
    pub(super) fn offer(&self) -> Option<Arc<Offer>> {
        lock(&self.offer).clone()
    }

    /// The successor has taken over: this engine drains, and keeps nothing that is the other's.
    pub(super) fn leave(&self) {
        lock(&self.offer).take();
        self.left.store(true, Ordering::Release);
        self.draining.store(true, Ordering::Release);
    }

    /// Whether a successor has taken over.
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub(super) fn stop_shards(&self) {
        self.handles.iter().for_each(|shard| shard.mailbox.send(Command::Stop));
    }

    /// After the shards: what they handed over is written.
    pub(super) fn stop_log(&self) {
        if let Some(log) = lock(&self.log).take() {
            log.stop();
        }
    }

    /// Lets those go whose block is over.
    pub(super) fn expire_blocks(&self) {
        self.blocking.expire(os::wall().as_millis());
    }

    /// Whether the log's thread has ended while it was needed.
    pub(super) fn has_lost_log(&self) -> bool {
        lock(&self.log).as_ref().is_some_and(LogSink::has_ended)
    }

    pub(super) fn handles(&self) -> &[ShardHandle] {
        &self.handles
    }

    fn runtime(&self) -> &'static str {
        match self.chosen.kind {
            RuntimeKind::Glommio => "glommio",
            RuntimeKind::Epoll => "epoll",
        }
    }

    fn apply(&self, next: Config) -> Result<Arc<Snapshot>, String> {
        let mut current = lock(&self.current);
        current.snapshot.config.reloadable(&next).map_err(|faults| faults.to_string())?;
        let generation = current.snapshot.generation + 1;
        let pages = Some(self.pages_path.as_path());
        let mut snapshot = Snapshot::build(next, generation, &mut current.registry, pages)
            .map_err(|error| error.to_string())?;
        // Before a shard has to.
        snapshot.subjects(&self.table);
        self.standing.set_interval(snapshot.config.engine.sync_interval);
        if let Some(recording) = &mut current.recording {
            recording.number(&mut snapshot, &self.table);
        }
        current.snapshot = Arc::new(snapshot);
        Ok(Arc::clone(&current.snapshot))
    }

    /// See [`Operations::reload`](crate::control::Operations::reload).
    pub(super) fn reload_now(&self) -> Result<String, String> {
        let next = Config::load(&self.config_path).map_err(|faults| faults.to_string())?;
        let warnings = next.warnings(os::wall());
        let snapshot = self.apply(next)?;
        warnings.iter().for_each(|warning| eprintln!("weir: {warning}"));
        for shard in &self.handles {
            shard.mailbox.send(Command::Snapshot(Arc::clone(&snapshot)));
        }
        if let Some(log) = &*lock(&self.log) {
            log.reopen();
        }
        self.reload.notify_one();
        let (generation, summary) = (snapshot.generation, snapshot.config.summary());
        Ok(format!("configuration {generation} is in use: {summary}"))
    }

    /// Begins to stop, if it has not begun.
    pub(super) fn begin_drain(&self) {
        if !self.draining.swap(true, Ordering::Release) {
            // Before the shards close theirs: nobody is let in by a copy.
            lock(&self.offer).take();
            self.handles.iter().for_each(|shard| shard.mailbox.send(Command::Drain));
            self.drain.notify_one();
        }
    }
}

/// Control plane only: no shard takes these locks. What they guard stays whole if a holder
/// panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
