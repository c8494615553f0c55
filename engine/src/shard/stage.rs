//! How far a shard has gone towards its end, or towards its successor.

use tokio::sync::oneshot;

use super::Shard;
use crate::runtime::Runtime;

/// ```text
///    ┌──────────◄── the successor failed ───────┐
///    ▼                                          │
/// serving ──► winding ──► paused ──► closed ────┴──► left
///    │
///    └──► draining
/// ```
///
/// The upper way hands over to another process, the lower one stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Serving,
    /// Every answer is its connection's last.
    Winding,
    /// And whoever comes waits in the kernel; idle connections are closed.
    Paused,
    /// And nobody is admitted: the counters are about to be another's.
    Closed,
    /// The listening sockets and the counters are another's; what is in flight is finished.
    Left,
    /// What the kernel has accepted is served, and what is in flight finished.
    Draining,
}

impl Stage {
    pub(super) fn closes_idle(self) -> bool {
        !matches!(self, Self::Serving | Self::Winding)
    }

    pub(super) fn admits(self) -> bool {
        !matches!(self, Self::Closed | Self::Left)
    }

    /// Whether the shard ends with its last connection.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Left | Self::Draining)
    }
}

impl<R: Runtime> Shard<R> {
    /// Whether every answer is its connection's last.
    pub fn is_draining(&self) -> bool {
        self.stage.get() != Stage::Serving
    }

    /// Whether requests are admitted: not while the counters are another process's.
    pub fn admits(&self) -> bool {
        self.stage.get().admits()
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        self.settled.replace(None);
        self.timers.wake_all();
    }

    /// Counts a connection, until the guard is dropped, as one that asks for no decision any more.
    pub fn engage(&self) -> Engaged<'_, R> {
        self.engaged.set(self.engaged.get() + 1);
        if self.is_draining() {
            self.tell_if_settled();
        }
        Engaged(self)
    }

    pub(super) fn tell_if_settled(&self) {
        if self.open.get() == self.engaged.get()
            && let Some(settled) = self.settled.borrow_mut().take()
        {
            let _ = settled.send(());
        }
    }

    /// Has `settled` told when every connection that is open has its decision.
    pub(super) fn await_settled(&self, settled: oneshot::Sender<()>) {
        *self.settled.borrow_mut() = Some(settled);
        self.tell_if_settled();
    }
}

/// See [`Shard::engage`].
pub struct Engaged<'s, R: Runtime>(&'s Shard<R>);

impl<R: Runtime> Drop for Engaged<'_, R> {
    fn drop(&mut self) {
        self.0.engaged.set(self.0.engaged.get() - 1);
    }
}
