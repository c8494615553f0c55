//! The shards' threads.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ServerError;
use crate::access_log::LogSink;
use crate::config;
use crate::ledger::Ledger;
use crate::metrics::ShardMetrics;
use crate::runtime::epoll::EpollListener;
use crate::runtime::glommio::GlommioListener;
use crate::runtime::probe::{Chosen, RuntimeKind};
use crate::runtime::{Runtime, epoll, glommio};
use crate::shard::{self, Command, Mailbox, ShardSetup};
use crate::snapshot::Snapshot;

/// How the control plane reaches a shard.
#[derive(Clone)]
pub(super) struct ShardHandle {
    pub(super) cpu: Option<usize>,
    pub(super) mailbox: Arc<Mailbox<Command>>,
    pub(super) metrics: Arc<ShardMetrics>,
}

pub(super) struct Shards {
    running: Vec<Running>,
    ended: UnboundedReceiver<usize>,
}

struct Running {
    handle: ShardHandle,
    thread: JoinHandle<()>,
}

impl Shards {
    /// Starts one thread for each entry of `cpus`, and waits until all of them serve.
    pub(super) fn start(
        chosen: &Chosen,
        cpus: Vec<Option<usize>>,
        sockets: Vec<Vec<TcpListener>>,
        snapshot: &Arc<Snapshot>,
        ledger: &Ledger,
        log: Option<&LogSink>,
    ) -> Result<Self, ServerError> {
        let (started, starts) = mpsc::channel();
        let (end, ended) = unbounded_channel();
        let mut running = Vec::new();
        for (id, (cpu, listeners)) in cpus.into_iter().zip(sockets).enumerate() {
            let handle = ShardHandle {
                cpu,
                mailbox: Arc::new(Mailbox::default()),
                metrics: Arc::new(ShardMetrics::default()),
            };
            let setup = ShardSetup {
                id,
                mailbox: Arc::clone(&handle.mailbox),
                snapshot: Arc::clone(snapshot),
                table: ledger.table(),
                metrics: Arc::clone(&handle.metrics),
                log: log.map(LogSink::new_shard),
            };
            let (kind, started, end) = (chosen.kind, started.clone(), Ended(id, end.clone()));
            let serve = move || {
                let _end = end;
                serve(kind, cpu, setup, listeners, &started);
            };
            let thread = std::thread::Builder::new()
                .name(format!("weir-shard-{id}"))
                .spawn(serve)
                .map_err(|error| ServerError::Shard { shard: id, reason: error.to_string() })?;
            running.push(Running { handle, thread });
        }
        drop(started);
        for (shard, result) in starts.iter().take(running.len()) {
            result.map_err(|reason| ServerError::Shard { shard, reason })?;
        }
        Ok(Self { running, ended })
    }

    pub(super) fn handles(&self) -> Vec<ShardHandle> {
        self.running.iter().map(|shard| shard.handle.clone()).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// The next shard that ends.
    pub(super) async fn next_ended(&mut self) -> Option<usize> {
        self.ended.recv().await
    }

    /// Waits for the threads; they have ended already, or were told to.
    pub(super) fn join(self) {
        for shard in self.running {
            // A panic was printed where it happened, and counted as a lost shard.
            let _ = shard.thread.join();
        }
    }
}

/// Reports the end of a shard's thread, however it comes about.
struct Ended(usize, UnboundedSender<usize>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens any more when the process is about to end.
        let _ = self.1.send(self.0);
    }
}

type Started = mpsc::Sender<(usize, Result<(), String>)>;

fn serve(
    kind: RuntimeKind,
    cpu: Option<usize>,
    setup: ShardSetup,
    listeners: Vec<TcpListener>,
    started: &Started,
) {
    let id = setup.id;
    let tell = |result| drop(started.send((id, result)));
    let outcome = match kind {
        RuntimeKind::Glommio => glommio::run(cpu, |runtime| async {
            let adopted: io::Result<Vec<_>> =
                listeners.into_iter().map(GlommioListener::adopt).collect();
            match adopted.and_then(|listeners| Ok((listeners, runtime.parking()?))) {
                Ok((listeners, parking)) => {
                    tell(Ok(()));
                    shard::run(runtime, setup, listeners, parking).await;
                }
                Err(error) => tell(Err(error.to_string())),
            }
        }),
        RuntimeKind::Epoll => epoll::run(cpu, |runtime| async {
            let adopted: io::Result<Vec<_>> =
                listeners.into_iter().map(EpollListener::adopt).collect();
            match adopted.and_then(|listeners| Ok((listeners, runtime.parking()?))) {
                Ok((listeners, parking)) => {
                    tell(Ok(()));
                    shard::run(runtime, setup, listeners, parking).await;
                }
                Err(error) => tell(Err(error.to_string())),
            }
        }),
    };
    if let Err(error) = outcome {
        tell(Err(error.to_string()));
    }
}

/// The CPU of each shard.
pub(super) fn placement(shards: &config::Shards) -> Result<Vec<Option<usize>>, ServerError> {
    let allowed = allowed_cpus();
    match shards {
        config::Shards::Auto => Ok(allowed.into_iter().map(Some).collect()),
        // More shards than CPUs share them in turn.
        config::Shards::Count(count) => {
            Ok(allowed.into_iter().map(Some).cycle().take(*count).collect())
        }
        config::Shards::Cpus(cpus) => match cpus.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(cpu) => Err(ServerError::Cpu { wanted: format!("{cpus:?}"), cpu: *cpu }),
            None => Ok(cpus.iter().copied().map(Some).collect()),
        },
    }
}

/// The CPUs this process may run on, cgroups' cpusets included.
fn allowed_cpus() -> Vec<usize> {
    // SAFETY: cpu_set_t is a plain bit mask, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid place for the answer, and its true size is passed.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return vec![0];
    }
    let size = libc::CPU_SETSIZE.unsigned_abs() as usize;
    // SAFETY: every index is below the size of the mask.
    (0..size).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        let error = placement(&config::Shards::Cpus(vec![1023])).unwrap_err();
        assert!(error.to_string().contains("CPU 1023"), "{error}");
    }

    #[test]
    fn counts_beyond_the_cpus_go_round() {
        let cpus = allowed_cpus();
        let placed = placement(&config::Shards::Count(cpus.len() + 1)).unwrap();
        assert_eq!(placed.first(), placed.last());
        assert_eq!(placed.len(), cpus.len() + 1);
    }
}
