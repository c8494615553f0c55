//! The shards' threads.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use weir_protocol::control::ShardStatus;

use super::ServerError;
use super::watchdog::Stalls;
use crate::access_log::LogSink;
use crate::config;
use crate::ledger::flight::Recorder;
use crate::metrics::ShardMetrics;
use crate::runtime::epoll::EpollListener;
use crate::runtime::glommio::GlommioListener;
use crate::runtime::probe::{Chosen, RuntimeKind};
use crate::runtime::{Runtime, epoll, glommio};
use crate::shard::{self, Command, Mailbox, ShardSetup};
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;

/// How the control plane reaches a shard.
#[derive(Clone)]
pub(super) struct ShardHandle {
    pub(super) cpu: Option<usize>,
    pub(super) mailbox: Arc<Mailbox<Command>>,
    pub(super) metrics: Arc<ShardMetrics>,
    pub(super) stalls: Arc<Stalls>,
}

impl ShardHandle {
    /// `id` is its place among the shards.
    pub(super) fn status(&self, id: usize) -> ShardStatus {
        let metrics = &self.metrics;
        ShardStatus {
            id: u32::try_from(id).unwrap_or(u32::MAX),
            cpu: self.cpu.and_then(|cpu| u32::try_from(cpu).ok()),
            connections: metrics.connections_open.get(),
            requests: metrics.requests.total(),
            limited: metrics.limits.sum(|limit| &limit.refused),
            errors: metrics.server_errors(),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            panics: metrics.panics.get(),
            stalled: self.stalls.now.get() != 0,
            stalls: self.stalls.total.get(),
        }
    }
}

pub(super) struct Shards {
    running: Vec<Running>,
    ended: UnboundedReceiver<usize>,
}

struct Running {
    handle: ShardHandle,
    thread: JoinHandle<()>,
    work: mpsc::Sender<Work>,
    answers: mpsc::Receiver<Result<(), String>>,
}

/// What a shard's executor waits for.
struct Work {
    setup: ShardSetup,
    listeners: Vec<(usize, TcpListener)>,
}

/// What all shards share.
pub(super) struct Common<'c> {
    pub(super) snapshot: &'c Arc<Snapshot>,
    pub(super) table: &'c Arc<SlotTable>,
    pub(super) log: Option<&'c LogSink>,
    /// For each shard, where there is a flight recorder.
    pub(super) recorders: Vec<Recorder>,
}

impl Shards {
    /// Starts one thread for each entry of `cpus`, and waits until all have their executor. They
    /// serve nobody yet; dropped, they end.
    pub(super) fn start(chosen: &Chosen, cpus: Vec<Option<usize>>) -> Result<Self, ServerError> {
        let (end, ended) = unbounded_channel();
        let mut running = Vec::new();
        for (id, cpu) in cpus.into_iter().enumerate() {
            let handle = ShardHandle {
                cpu,
                mailbox: Arc::new(Mailbox::default()),
                metrics: Arc::new(ShardMetrics::default()),
                stalls: Arc::default(),
            };
            let (work, works) = mpsc::channel();
            let (answer, answers) = mpsc::channel();
            let (kind, end) = (chosen.kind, Ended(id, end.clone()));
            let live = move || {
                let _end = end;
                live(kind, cpu, &works, &answer);
            };
            let thread =
                std::thread::Builder::new()
                    .name(format!("weir-shard-{id}"))
                    .spawn(live)
                    .map_err(|error| ServerError::Shard { shard: id, reason: error.to_string() })?;
            running.push(Running { handle, thread, work, answers });
        }
        let shards = Self { running, ended };
        shards.wait()?;
        Ok(shards)
    }

    /// Has every shard serve its sockets, and waits until all do.
    pub(super) fn serve(
        &self,
        common: Common<'_>,
        sockets: Vec<Vec<(usize, TcpListener)>>,
    ) -> Result<(), ServerError> {
        let mut recorders = common.recorders.into_iter();
        for (id, (shard, listeners)) in self.running.iter().zip(sockets).enumerate() {
            let setup = ShardSetup {
                id,
                mailbox: Arc::clone(&shard.handle.mailbox),
                snapshot: Arc::clone(common.snapshot),
                table: Arc::clone(common.table),
                metrics: Arc::clone(&shard.handle.metrics),
                log: common.log.map(LogSink::new_shard),
                flight: recorders.next(),
            };
            // A thread that is gone shows in what it does not answer.
            let _ = shard.work.send(Work { setup, listeners });
        }
        self.wait()
    }

    /// Waits for an answer of each.
    fn wait(&self) -> Result<(), ServerError> {
        for (shard, running) in self.running.iter().enumerate() {
            let answer = running.answers.recv();
            let answer = answer.unwrap_or_else(|_| Err("its thread ended".to_owned()));
            answer.map_err(|reason| ServerError::Shard { shard, reason })?;
        }
        Ok(())
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

type Answer = mpsc::Sender<Result<(), String>>;

/// A shard's thread: an executor, then its work. Nobody else is on the executor while it waits for
/// that, so the thread may block.
fn live(kind: RuntimeKind, cpu: Option<usize>, works: &mpsc::Receiver<Work>, answer: &Answer) {
    let outcome = match kind {
        RuntimeKind::Glommio => {
            glommio::run(cpu, |runtime| work(runtime, works, answer, GlommioListener::adopt))
        }
        RuntimeKind::Epoll => {
            epoll::run(cpu, |runtime| work(runtime, works, answer, EpollListener::adopt))
        }
    };
    if let Err(error) = outcome {
        tell(answer, Err(error.to_string()));
    }
}

async fn work<R: Runtime>(
    runtime: R,
    works: &mpsc::Receiver<Work>,
    answer: &Answer,
    adopt: fn(TcpListener) -> io::Result<R::Listener>,
) {
    tell(answer, Ok(()));
    // The start was given up, maybe for another shard's fault.
    let Ok(Work { setup, listeners }) = works.recv() else { return };
    let adopted: io::Result<Vec<_>> =
        listeners.into_iter().map(|(index, listener)| Ok((index, adopt(listener)?))).collect();
    match adopted.and_then(|listeners| Ok((listeners, runtime.parking()?))) {
        Ok((listeners, parking)) => {
            tell(answer, Ok(()));
            shard::run(runtime, setup, listeners, parking).await;
        }
        Err(error) => tell(answer, Err(error.to_string())),
    }
}

/// Nobody listens any more when the start was given up.
fn tell(answer: &Answer, result: Result<(), String>) {
    let _ = answer.send(result);
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
