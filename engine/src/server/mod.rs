//! The engine as a process: takes what it needs in an order that damages nothing, starts the
//! shards, and runs the control plane on the thread that called it.
//!
//! What is not generic over the runtime is here and nowhere else: threads, signals, sockets bound
//! for several shards, the ledger's disk.

mod control;
mod operations;
mod shards;
mod sync;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::LogSink;
use crate::config::Config;
use crate::control::{SocketError, SocketFile, bind};
use crate::ledger::{Ledger, LedgerError};
use crate::runtime::os;
use crate::runtime::probe::{IoUringUnavailable, choose};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::upstream::Registry;
use operations::Engine;
use shards::Shards;
use sync::LedgerSync;

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

/// Runs until told to stop, by a signal or by `weirctl drain`. `config_path` is read again on
/// reload; `ready` is called once, when every listener serves, with the lines that say how.
pub fn run(
    config: Config,
    config_path: PathBuf,
    ready: impl FnOnce(&str),
) -> Result<(), ServerError> {
    let chosen = choose(config.engine.runtime)?;
    raise_descriptor_limit();
    let cpus = shards::placement(&config.engine.shards)?;
    let ledger = Ledger::open(&config.engine.ledger, config.engine.slots, os::wall(), os::now())?;
    let sockets = listen(&config, cpus.len())?;
    let (socket, socket_file) = bind(&config.control.socket)?;
    let pages_path = pages_path(&config.engine.ledger);
    let (pages, pages_file) = bind(&pages_path)?;
    let log = LogSink::start(&config.access_log, cpus.len()).map_err(ServerError::AccessLog)?;

    let mut registry = Registry::default();
    let sample_api = config.control.sample_api;
    let drain_timeout = config.engine.drain_timeout;
    let snapshot = Arc::new(Snapshot::build(config, 1, &mut registry, Some(&pages_path))?);
    let addresses = sockets.addresses;
    let shards = Shards::start(&chosen, cpus, sockets.by_shard, &snapshot, &ledger, log.as_ref())?;
    let engine = Arc::new(Engine::new(operations::Parts {
        config_path,
        pages_path,
        chosen,
        addresses,
        snapshot,
        registry,
        handles: shards.handles(),
        table: ledger.table(),
        ledger_path: ledger.path().to_owned(),
        log,
    }));
    let ledger_sync = LedgerSync::start(ledger);
    let sockets = control::Sockets { pages, socket };
    let ready = || ready(&engine.banner());
    let outcome = control::run(&engine, shards, sockets, sample_api, drain_timeout, ready);
    drop::<[SocketFile; 2]>([socket_file, pages_file]);
    engine.stop_log();
    ledger_sync.stop()?;
    outcome
}

/// The pages' socket lives in the ledger's folder, which is this engine's alone.
fn pages_path(ledger: &Path) -> PathBuf {
    ledger.join("pages.sock")
}

/// The listening sockets, bound once for each shard.
struct Sockets {
    /// In the order of the configuration's listeners.
    addresses: Vec<(String, SocketAddr)>,
    by_shard: Vec<Vec<TcpListener>>,
}

fn listen(config: &Config, shards: usize) -> Result<Sockets, ServerError> {
    let mut sockets = Sockets { addresses: Vec::new(), by_shard: Vec::new() };
    sockets.by_shard.resize_with(shards, Vec::new);
    for listener in &config.listeners {
        let mut address = listener.address;
        let failed = |source| ServerError::Listen { address, source };
        wait_until_unshared(address).map_err(failed)?;
        for shard in &mut sockets.by_shard {
            let failed = |source| ServerError::Listen { address, source };
            let socket = os::listen(address).map_err(failed)?;
            // With port 0 the first shard's port is everybody's.
            address = socket.local_addr().map_err(failed)?;
            shard.push(socket);
        }
        sockets.addresses.push((listener.name.clone(), address));
    }
    Ok(sockets)
}

/// How long a predecessor may take to let go of its addresses.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(1);
const PREDECESSOR_PAUSE: Duration = Duration::from_millis(5);

/// Refuses an address that somebody listens on, after some patience: the kernel takes down what an
/// io_uring held, listeners included, only after the killed process is gone, and a supervisor
/// starts the next one at once.
fn wait_until_unshared(address: SocketAddr) -> io::Result<()> {
    let deadline = os::now() + PREDECESSOR_TIMEOUT;
    loop {
        match os::ensure_unshared(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && os::now() < deadline => {
                std::thread::park_timeout(PREDECESSOR_PAUSE);
            }
            settled => return settled,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_waited_for_but_not_for_ever() {
        let held = os::listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = held.local_addr().expect("is bound");
        let error = wait_until_unshared(address).expect_err("somebody listens");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let predecessor = std::thread::spawn(move || {
            std::thread::park_timeout(PREDECESSOR_PAUSE * 20);
            drop(held);
        });
        wait_until_unshared(address).expect("it is let go");
        predecessor.join().expect("ends");
    }
}
