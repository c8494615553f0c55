//! Whether the shards turn.
//!
//! Each shard lets a number grow every second; the control plane looks as often. A shard whose
//! number stands still is stalled: something blocks its thread, and everybody it serves waits.
//!
//! Time counts only while the watchdog itself looks: a host that was suspended, or so busy that
//! nobody got the processor, is no shard's fault.

use std::time::Duration;

use super::shards::ShardHandle;
use crate::config::WatchdogAction;
use crate::metrics::Counter;
use crate::runtime::Instant;

/// How often the control plane looks.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// The most that passes between two looks, as far as a shard is concerned.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What a look found, to be told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// It has not turned for so long.
    Stalled(Duration),
    /// It turns again, after so long.
    Turns(Duration),
}

/// One shard, watched.
///
/// ```text
///           no beat for `patience`
/// turning ─────────────────────────► stalled
///    ▲              beat                │
///    └──────────────────────────────────┘
/// ```
#[derive(Debug, Default)]
pub(super) struct Watch {
    beats: u64,
    silent: Duration,
    stalled: bool,
}

impl Watch {
    /// The shard has beaten `beats` times, and the last look was `elapsed` ago.
    pub(super) fn look(
        &mut self,
        beats: u64,
        elapsed: Duration,
        patience: Duration,
    ) -> Option<Finding> {
        if beats != self.beats {
            let silent = std::mem::take(&mut self.silent);
            self.beats = beats;
            return std::mem::take(&mut self.stalled).then_some(Finding::Turns(silent));
        }
        self.silent += elapsed.min(LOOK_MAX);
        if self.stalled || self.silent < patience {
            return None;
        }
        self.stalled = true;
        Some(Finding::Stalled(self.silent))
    }
}

/// Looks at all shards.
pub(super) struct Watchdog {
    watches: Vec<Watch>,
    looked: Instant,
}

impl Watchdog {
    pub(super) fn new(shards: usize, now: Instant) -> Self {
        let watches = std::iter::repeat_with(Watch::default).take(shards).collect();
        Self { watches, looked: now }
    }

    /// One look, which records and returns what it found, by shard.
    pub(super) fn look(
        &mut self,
        shards: &[ShardHandle],
        patience: Option<Duration>,
        now: Instant,
    ) -> Vec<(usize, Finding)> {
        let elapsed = now.since(self.looked);
        self.looked = now;
        // Switched off, it still notices the end of a stall.
        let patience = patience.unwrap_or(Duration::MAX);
        let mut found = Vec::new();
        for (id, (watch, shard)) in self.watches.iter_mut().zip(shards).enumerate() {
            if let Some(finding) = watch.look(shard.metrics.beats.get(), elapsed, patience) {
                shard.stalls.record(finding);
                found.push((id, finding));
            }
        }
        found
    }
}

/// Tells what was found, and ends the process where that is asked for.
pub(super) fn act(found: &[(usize, Finding)], action: WatchdogAction) {
    for (id, finding) in found {
        match finding {
            Finding::Turns(silent) => {
                eprintln!("weir: shard {id} turns again, after {} s", silent.as_secs());
            }
            Finding::Stalled(silent) => {
                eprintln!("weir: shard {id} has not turned for {} s", silent.as_secs());
                if action == WatchdogAction::Abort {
                    eprintln!("weir: watchdog_action = \"abort\": this process ends now");
                    std::process::abort();
                }
            }
        }
    }
}

/// What the watchdog has found of one shard. The control plane's thread is the only writer.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// 1 while it is stalled.
    pub(super) now: Counter,
    pub(super) total: Counter,
}

impl Stalls {
    pub(super) fn record(&self, finding: Finding) {
        match finding {
            Finding::Stalled(_) => {
                self.now.set(1);
                self.total.increment();
            }
            Finding::Turns(_) => self.now.set(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::config::Config;
    use crate::runtime::{Runtime, epoll};
    use crate::shard::{self, Command, ShardSetup};
    use crate::slots::SlotTable;
    use crate::snapshot::Snapshot;
    use crate::upstream::Registry;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_stall_is_found_once_and_so_is_its_end() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(1, LOOK, PATIENCE), None);
        for _ in 0..4 {
            assert_eq!(watch.look(1, LOOK, PATIENCE), None);
        }
        assert_eq!(watch.look(1, LOOK, PATIENCE), Some(Finding::Stalled(seconds(5))));
        assert_eq!(watch.look(1, LOOK, PATIENCE), None);
        assert_eq!(watch.look(2, LOOK, PATIENCE), Some(Finding::Turns(seconds(6))));
        assert_eq!(watch.look(2, LOOK, PATIENCE), None);
        assert_eq!(watch.look(3, LOOK, PATIENCE), None);
    }

    #[test]
    fn a_shard_that_never_began_is_stalled_too() {
        let mut watch = Watch::default();
        let found: Vec<_> = (0..5).filter_map(|_| watch.look(0, LOOK, PATIENCE)).collect();
        assert_eq!(found, [Finding::Stalled(seconds(5))]);
    }

    #[test]
    fn a_host_that_was_suspended_stalls_nobody() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(1, LOOK, PATIENCE), None);
        assert_eq!(watch.look(1, seconds(36_000), PATIENCE), None);
        assert_eq!(watch.look(2, LOOK, PATIENCE), None);
    }

    const CONFIG: &str = r#"
[[listener]]
address = "127.0.0.1:0"
[[upstream]]
name = "a"
backend = [{ address = "127.0.0.1:1" }]
[[route]]
path = "/*"
upstream = "a"
"#;

    /// A shard without listeners, and beside it a task that blocks its thread between a word on
    /// the first channel and one on the last; the second says that it has begun to.
    fn serve(
        handle: &ShardHandle,
        block: tokio::sync::oneshot::Receiver<()>,
        blocked: mpsc::Sender<()>,
        release: mpsc::Receiver<()>,
    ) {
        let config = Config::parse(CONFIG, "test").expect("right");
        let snapshot = Snapshot::build(config, 1, &mut Registry::default(), None);
        let setup = ShardSetup {
            id: 0,
            mailbox: Arc::clone(&handle.mailbox),
            snapshot: Arc::new(snapshot.expect("builds")),
            table: Arc::new(SlotTable::in_memory(8, [0; 16])),
            metrics: Arc::clone(&handle.metrics),
            log: None,
            flight: None,
        };
        let served = epoll::run(None, |runtime| async move {
            runtime.spawn(async move {
                block.await.expect("the test goes on");
                blocked.send(()).expect("the test listens");
                release.recv().expect("the test goes on");
            });
            let parking = runtime.parking().expect("a place to park");
            shard::run(runtime, setup, Vec::new(), parking).await;
        });
        served.expect("an executor");
    }

    #[test]
    fn a_shard_whose_thread_is_blocked_is_found_until_it_is_released() {
        let handle = ShardHandle {
            cpu: None,
            mailbox: Arc::default(),
            metrics: Arc::default(),
            stalls: Arc::default(),
        };
        let (block, told) = tokio::sync::oneshot::channel();
        let (begun, blocked) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let shard = handle.clone();
        let thread = std::thread::spawn(move || serve(&shard, told, begun, released));
        let handles = [handle];
        // Time as the test tells it; only the shard's beats are real.
        let mut now = Instant::from_nanos(0);
        let mut watchdog = Watchdog::new(1, now);
        let mut look = |elapsed| {
            now = now + elapsed;
            watchdog.look(&handles, Some(PATIENCE), now)
        };
        block.send(()).expect("the shard waits");
        blocked.recv().expect("it is blocked");
        assert_eq!(look(Duration::ZERO), []);
        let found: Vec<_> = (0..20).flat_map(|_| look(LOOK)).collect();
        assert_eq!(found, [(0, Finding::Stalled(PATIENCE))]);
        let stalls = &handles[0].stalls;
        assert_eq!((stalls.now.get(), stalls.total.get()), (1, 1));
        release.send(()).expect("it waits");
        let again = loop {
            let found = look(Duration::ZERO);
            if !found.is_empty() {
                break found;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        };
        assert_eq!(again, [(0, Finding::Turns(seconds(20)))]);
        assert_eq!((stalls.now.get(), stalls.total.get()), (0, 1));
        handles[0].mailbox.send(Command::Stop);
        thread.join().expect("ends");
    }
}
