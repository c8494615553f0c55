//! How other threads have records written: they hand them over and wait for their group.

use std::fmt;
use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;
use weir_protocol::journal::Record;

use super::{AppendError, Journal, JournalMetrics, Shared, State, encode};

/// What the ledger's thread is asked to do. Dropped, it was not done.
pub enum Task {
    Append(Append),
    /// Anything else that only that thread can do, between two groups.
    Run(Box<dyn FnOnce(&mut Journal) + Send>),
}

/// Records that somebody waits for.
pub struct Append {
    records: Vec<Record>,
    done: oneshot::Sender<Result<u64, AppendError>>,
}

/// Brings a task to the ledger's thread; a thread that is gone drops it.
type Submit = dyn Fn(Task) + Send + Sync;

/// A journal as other threads have it. Copies are the same journal.
#[derive(Clone)]
pub struct JournalHandle {
    submit: Arc<Submit>,
    shared: Arc<Shared>,
}

impl fmt::Debug for JournalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalHandle").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl JournalHandle {
    /// Has records written together. Returns when the disk has them, with the number of the first:
    /// then they are in the state, too.
    ///
    /// # Errors
    /// Any [`AppendError`]: they are not acknowledged.
    pub async fn append(&self, records: Vec<Record>) -> Result<u64, AppendError> {
        let (done, written) = oneshot::channel();
        (self.submit)(Task::Append(Append { records, done }));
        written.await.unwrap_or(Err(AppendError::Closed))
    }

    /// As [`JournalHandle::append`], for threads that may wait.
    ///
    /// # Errors
    /// Any [`AppendError`]: they are not acknowledged.
    pub fn append_and_wait(&self, records: Vec<Record>) -> Result<u64, AppendError> {
        let (done, written) = oneshot::channel();
        (self.submit)(Task::Append(Append { records, done }));
        written.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Has the ledger's thread do something with the journal, such as [`Journal::compact`] or
    /// [`Journal::backup`], and waits for what it returns; `None` when the thread is gone.
    pub fn run_and_wait<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Journal) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, ran) = oneshot::channel();
        (self.submit)(Task::Run(Box::new(move |journal| {
            // Whoever asked may have given up waiting.
            let _ = done.send(run(journal));
        })));
        ran.blocking_recv().ok()
    }

    /// Looks at what the acknowledged records add up to. Not for shards.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[must_use]
    pub fn metrics(&self) -> &JournalMetrics {
        &self.shared.metrics
    }
}

impl Journal {
    /// A handle whose tasks `submit` brings to [`Journal::serve`].
    #[must_use]
    pub fn handle(&self, submit: impl Fn(Task) + Send + Sync + 'static) -> JournalHandle {
        JournalHandle { submit: Arc::new(submit), shared: Arc::clone(&self.shared) }
    }

    /// Does tasks in order. Records that come one after the other are synced together.
    pub fn serve(&mut self, tasks: impl IntoIterator<Item = Task>) {
        let (mut group, mut group_bytes) = (Vec::new(), 0);
        for task in tasks {
            match task {
                Task::Append(append) => {
                    let bytes = self.bytes_of(&append);
                    if group_bytes + bytes > self.options.group_bytes_max() {
                        self.write(&mut group);
                        group_bytes = 0;
                    }
                    group_bytes += bytes;
                    group.push(append);
                }
                Task::Run(run) => {
                    self.write(&mut group);
                    group_bytes = 0;
                    run(self);
                }
            }
        }
        self.write(&mut group);
    }

    /// As much as nothing fits beside, when they cannot be written: they fail alone.
    fn bytes_of(&self, append: &Append) -> u64 {
        let encoded = encode(&append.records.iter().collect::<Vec<_>>(), self.next);
        let max = self.options.group_bytes_max();
        encoded.map_or(max, |(bytes, _)| (bytes.len() as u64).min(max))
    }

    fn write(&mut self, group: &mut Vec<Append>) {
        if group.is_empty() {
            return;
        }
        let records: Vec<&Record> = group.iter().flat_map(|append| &append.records).collect();
        let written = self.append(&records);
        let mut before = 0;
        for Append { records, done } in group.drain(..) {
            // Whoever asked may have given up waiting.
            let _ = done.send(written.clone().map(|first| first + before));
            before += records.len() as u64;
        }
    }
}
