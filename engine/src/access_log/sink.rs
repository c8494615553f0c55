//! From the shards to the writer: buffers that go round.
//!
//! ```text
//! shard ── full ──► queue ──► writer ── emptied ──► queue ──► shard
//! ```
//!
//! Each shard brings in a fixed number of buffers. It hands a full one over only when it gets an
//! empty one in return; without one it keeps what it has and drops new lines. So memory is
//! bounded, and the only cause of a drop is a writer that cannot keep up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};
use crossbeam::queue::ArrayQueue;

use super::writer::{Destination, Writer};
use crate::config::AccessLog;

/// Room of a buffer, in bytes; one is handed over when less than [`LINE_ROOM`] is left.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
/// A line longer than this makes its buffer grow, once, until the writer has emptied it.
const LINE_ROOM: usize = 4 * 1024;
/// Buffers of each shard: at 50 MB/s they bridge the longest sleep of the writer twice over.
const BUFFERS_PER_SHARD: usize = 32;
/// How long `stop` waits for a destination that takes nothing (a pipe that nobody reads).
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What shards and writer share.
pub(super) struct Shared {
    pub(super) full: ArrayQueue<Vec<u8>>,
    pub(super) empty: ArrayQueue<Vec<u8>>,
    /// Asks the writer to open its file anew.
    pub(super) reopen: AtomicBool,
    /// Asks the writer to write what there is and end.
    pub(super) stop: AtomicBool,
    // Statistics; nothing is published through them, so `Relaxed` is enough everywhere.
    pub(super) lines_dropped: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) write_errors: AtomicU64,
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Lines that shards dropped because the writer was behind, and lines lost at the stop.
    pub lines_dropped: u64,
    pub bytes_written: u64,
    /// Failed attempts to write or to open the file.
    pub write_errors: u64,
}

/// The running access log; stops when dropped.
pub struct LogSink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Disconnected when the thread has ended; nothing is sent.
    ended: Receiver<()>,
}

impl LogSink {
    /// Opens the destination and starts the writer thread, for `shards` shards; `None` when the
    /// log is off.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn start(log: &AccessLog, shards: usize) -> io::Result<Option<Self>> {
        let destination = match log {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Destination::stdout(),
            AccessLog::File(path) => Destination::file(path),
        };
        Self::start_with(destination, shards, BUFFERS_PER_SHARD).map(Some)
    }

    pub(super) fn start_with(
        destination: Destination,
        shards: usize,
        buffers_per_shard: usize,
    ) -> io::Result<Self> {
        let buffers = (shards * buffers_per_shard).max(1);
        let shared = Arc::new(Shared {
            // A shard brings one more buffer, the one it fills, which it may hand over at its end.
            full: ArrayQueue::new(buffers + shards),
            empty: ArrayQueue::new(buffers),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            lines_dropped: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
        });
        for _ in 0..buffers {
            // As many as the queue has places, so none comes back.
            let _ = shared.empty.push(Vec::with_capacity(BUFFER_BYTES));
        }
        let writer = Writer::open(destination, Arc::clone(&shared))?;
        let (alive, ended) = crossbeam::channel::bounded::<()>(0);
        let thread =
            std::thread::Builder::new().name("weir-access-log".into()).spawn(move || {
                let _alive = alive;
                writer.run();
            })?;
        Ok(Self { shared, thread: Some(thread), ended })
    }

    /// The log of one more shard.
    pub fn new_shard(&self) -> ShardLog {
        ShardLog {
            shared: Arc::clone(&self.shared),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            lines_dropped: 0,
        }
    }

    /// Has the file opened anew at its path, after what was handed over before: for a log that
    /// was moved away (SIGHUP from logrotate). Takes effect within some milliseconds.
    pub fn reopen(&self) {
        // Pairs with the writer's `swap`; it guards no other data.
        self.shared.reopen.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Whether the writer is gone, which only a panic can do.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    pub fn stats(&self) -> LogStats {
        LogStats {
            lines_dropped: self.shared.lines_dropped.load(Ordering::Relaxed),
            bytes_written: self.shared.bytes_written.load(Ordering::Relaxed),
            write_errors: self.shared.write_errors.load(Ordering::Relaxed),
        }
    }

    /// Writes all that shards have handed over and ends the thread. Shards end first: what they
    /// log later is lost. Gives up on a destination that blocks for five seconds.
    pub fn stop(mut self) -> LogStats {
        self.stop_thread();
        self.stats()
    }

    fn stop_thread(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Release, to the writer's acquire: it sees every buffer that was queued before.
        self.shared.stop.store(true, Ordering::Release);
        thread.thread().unpark();
        match self.ended.recv_timeout(STOP_TIMEOUT) {
            // Left behind: it holds nothing but its own file and ends with the process.
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("weir: access log: the destination blocks; its last lines are lost");
            }
            // The writer does not panic, and if it did, its message is on stderr already.
            _ => drop(thread.join()),
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        self.stop_thread();
    }
}

/// One shard's end of the log. What is pending is handed over when it is dropped.
pub struct ShardLog {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    lines_dropped: u64,
}

impl ShardLog {
    /// Lets `write` append one line, newline included; or drops the line, without calling it, and
    /// returns `false`, when all buffers are on their way to the writer.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.buffer.len() + LINE_ROOM > BUFFER_BYTES && !self.flush() {
            self.lines_dropped += 1;
            self.shared.lines_dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        write(&mut self.buffer);
        true
    }

    /// Hands pending lines to the writer; the shard calls it every 100 ms or so. Returns whether
    /// nothing is pending any more; lines that cannot go now are kept.
    pub fn flush(&mut self) -> bool {
        if self.buffer.is_empty() {
            return true;
        }
        let Some(empty) = self.shared.empty.pop() else { return false };
        self.hand_over(empty);
        true
    }

    pub fn has_pending(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Lines this shard has dropped.
    pub fn lines_dropped(&self) -> u64 {
        self.lines_dropped
    }

    fn hand_over(&mut self, next: Vec<u8>) {
        let full = std::mem::replace(&mut self.buffer, next);
        if let Err(refused) = self.shared.full.push(full) {
            // More shards than announced; the queue has room for every buffer otherwise.
            count_lost(&self.shared, &refused);
        }
    }
}

impl Drop for ShardLog {
    fn drop(&mut self) {
        if self.has_pending() {
            self.hand_over(Vec::new());
        }
    }
}

/// Counts the lines in bytes that will not be written.
pub(super) fn count_lost(shared: &Shared, bytes: &[u8]) {
    let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
    shared.lines_dropped.fetch_add(lines, Ordering::Relaxed);
}
