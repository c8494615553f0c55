//! The thread that writes.
//!
//! It polls, because waking it would cost a shard a system call: often while lines come, seldom
//! while none do. A destination that fails is tried again until it works; meanwhile the buffers
//! fill up and shards drop lines, which is the bound on memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::park_timeout;
use std::time::Duration;

use super::sink::{BUFFER_BYTES, Shared, count_lost};

/// Sleep after a round that found something.
const BUSY_POLL: Duration = Duration::from_millis(1);
/// Longest sleep; it doubles up to here while nothing comes.
const IDLE_POLL: Duration = Duration::from_millis(16);
/// Between attempts on a destination that fails.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

type Output = Box<dyn Write + Send>;

/// Where lines go, and how to get there again.
pub(super) struct Destination {
    /// For messages.
    pub(super) name: String,
    pub(super) open: Box<dyn FnMut() -> io::Result<Output> + Send>,
}

impl Destination {
    /// The descriptor itself, without the line buffering of `std::io::stdout`.
    pub(super) fn stdout() -> Self {
        let open = || {
            let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
            Ok(Box::new(File::from(descriptor)) as Output)
        };
        Self { name: "stdout".into(), open: Box::new(open) }
    }

    /// Appends, so that a file truncated by others goes on at its start; 0640, because addresses
    /// and paths are not for everybody.
    pub(super) fn file(path: &Path) -> Self {
        let name = path.display().to_string();
        let path = path.to_owned();
        let open = move || {
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
            Ok(Box::new(file) as Output)
        };
        Self { name, open: Box::new(open) }
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    destination: Destination,
    output: Output,
    /// Whether the current run of failures was reported.
    reported: bool,
}

impl Writer {
    pub(super) fn open(mut destination: Destination, shared: Arc<Shared>) -> io::Result<Self> {
        let output = (destination.open)()?;
        Ok(Self { shared, destination, output, reported: false })
    }

    pub(super) fn run(mut self) {
        let mut pause = BUSY_POLL;
        loop {
            // Read before the queue is emptied: what was queued before the stop gets written.
            let stopping = self.shared.stop.load(Ordering::Acquire);
            let reopen = self.shared.reopen.swap(false, Ordering::Relaxed);
            let wrote = self.drain();
            if stopping {
                return;
            }
            if reopen {
                self.reopen();
            }
            pause = if wrote { BUSY_POLL } else { (pause * 2).min(IDLE_POLL) };
            park_timeout(pause);
        }
    }

    /// Writes all that is queued; returns whether there was any.
    fn drain(&mut self) -> bool {
        let mut any = false;
        while let Some(mut buffer) = self.shared.full.pop() {
            any = true;
            self.write_buffer(&buffer);
            buffer.clear();
            buffer.shrink_to(BUFFER_BYTES);
            // A buffer that a shard left behind at its end finds no place, and goes.
            let _ = self.shared.empty.push(buffer);
        }
        any
    }

    /// Writes `buffer`, however often it takes; gives up when the engine stops meanwhile.
    fn write_buffer(&mut self, buffer: &[u8]) {
        let mut done = 0;
        while done < buffer.len() {
            match self.output.write(&buffer[done..]) {
                Ok(0) => self.failed("write", &io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    done += count;
                    self.reported = false;
                    self.shared.bytes_written.fetch_add(count as u64, Ordering::Relaxed);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.failed("write", &error),
            }
            if self.shared.stop.load(Ordering::Acquire) {
                count_lost(&self.shared, &buffer[done..]);
                return;
            }
            park_timeout(RETRY_PAUSE);
            if self.shared.reopen.swap(false, Ordering::Relaxed) && self.reopen() {
                // The new file begins with a whole line.
                done = memchr::memrchr(b'\n', &buffer[..done]).map_or(0, |end| end + 1);
            }
        }
    }

    /// Opens the destination anew, or keeps the old one; returns whether it is a new one.
    fn reopen(&mut self) -> bool {
        match (self.destination.open)() {
            Ok(output) => self.output = output,
            Err(error) => {
                self.failed("open", &error);
                return false;
            }
        }
        true
    }

    /// Counts a failure, and reports the first one of a run.
    fn failed(&mut self, action: &str, error: &io::Error) {
        self.shared.write_errors.fetch_add(1, Ordering::Relaxed);
        if !self.reported {
            eprintln!("weir: access log: cannot {action} {}: {error}", self.destination.name);
            self.reported = true;
        }
    }
}
