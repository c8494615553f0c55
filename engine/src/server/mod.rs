//! The engine as a process: takes what it needs in an order that damages nothing, starts the
//! shards, and runs the control plane on the thread that called it.
//!
//! What is not generic over the runtime is here and nowhere else: threads, signals, sockets bound
//! for several shards, the ledger's disk.

mod blocking;
mod control;
mod flight;
mod handover;
mod journal;
mod operations;
mod panics;
mod prepare;
mod shards;
mod sockets;
mod sync;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Config, EngineConfig};
use crate::control::SocketError;
use crate::ledger::{Ledger, LedgerError, LivePlace, LiveTable, Settings};
use crate::runtime::os;
use crate::runtime::probe::{IoUringUnavailable, choose};
use crate::snapshot::SnapshotError;
pub use handover::HandoverError;
use handover::Predecessor;
use prepare::Prepared;

/// Why the engine did not start, or did not end in order. One line each.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("runtime = \"glommio\" cannot be had: {0}; use runtime = \"auto\" or \"epoll\"")]
    Runtime(#[from] IoUringUnavailable),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot listen on {address}: {source}{}", hint(.source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot open the access log: {0}")]
    AccessLog(io::Error),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("shards = {wanted}, but CPU {cpu} is not among those this process may use")]
    Cpu { wanted: String, cpu: usize },
    #[error("shard {shard} did not start: {reason}")]
    Shard { shard: usize, reason: String },
    #[error("shard {0} ended before its time")]
    ShardLost(usize),
    #[error("cannot take over: {0}")]
    Handover(#[from] HandoverError),
    #[error("{0} ended by a panic, and this engine with it")]
    Lost(&'static str),
    #[error("the control plane did not start: {0}")]
    Control(io::Error),
    #[error("requests were still in flight when drain_timeout passed, and were cut off")]
    DrainTimeout,
    #[error("requests were still in flight at the second signal, and were cut off")]
    DrainCut,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another process, or another weir, has it)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}

/// What is to be run.
pub struct Launch {
    pub config: Config,
    /// Read again on reload.
    pub config_path: PathBuf,
    /// The control socket of a running engine to take over from.
    pub predecessor: Option<PathBuf>,
}

/// Runs until told to stop, by a signal or by `weirctl drain`, or until a successor takes over.
/// `ready` is called once, when every listener serves, with the lines that say how.
pub fn run(launch: Launch, ready: impl FnOnce(&str)) -> Result<(), ServerError> {
    panics::install();
    raise_descriptor_limit();
    let engine = EngineConfig::clone(&launch.config.engine);
    let (ledger, slots) = (engine.ledger.as_path(), engine.slots);
    let settings = Settings::new(slots, engine.live_table);
    let Some(socket) = launch.predecessor.clone() else {
        let chosen = choose(engine.runtime)?;
        let cpus = shards::placement(&engine.shards)?;
        let ledger = Ledger::open(ledger, &settings, os::wall(), os::now())?;
        tell(&ledger, engine.live_table);
        let prepared = Prepared::new(launch, chosen, cpus, Vec::new());
        return Prepared::serve(prepared, ledger, ready);
    };
    let (mut predecessor, sockets) = Predecessor::greet(&socket)?;
    Ledger::check_successor(ledger, slots, &predecessor.lock)?;
    let chosen = choose(engine.runtime)?;
    let cpus = shards::placement(&engine.shards)?;
    let prepared = Prepared::new(launch, chosen, cpus, sockets)?;
    predecessor.await_ledger()?;
    let lock = predecessor.lock.try_clone().map_err(HandoverError::from)?;
    let ledger = Ledger::take_over(ledger, &settings, os::wall(), os::now(), lock)?;
    predecessor.await_turn()?;
    tell(&ledger, engine.live_table);
    eprintln!("weir: takes over from process {}", predecessor.pid);
    Prepared::serve(Ok(prepared), ledger, |banner| {
        // It answers for this engine's sockets until they are in their places.
        drop(predecessor);
        ready(banner);
    })
}

/// Says what is not as it should be with a ledger that was opened.
fn tell(ledger: &Ledger, wanted: LiveTable) {
    let opening = ledger.opening();
    let mut remarks = opening.remarks();
    if let (LivePlace::File { reason }, LiveTable::Auto) = (&opening.live, wanted) {
        remarks.push(format!(
            "limits are counted in a file of the ledger, not in shared memory, which can delay \
             requests when the disk is busy ({reason})"
        ));
    }
    remarks.iter().for_each(|remark| eprintln!("weir: {remark}"));
}

/// A gateway needs two descriptors for each request in flight; the soft default of 1,024 is meant
/// for programs that use `select`.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer and outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is initialised and outlives the call. A refusal leaves the old limit, which
    // shows as accept errors in the metrics.
    let _ = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}
