//! The way from shard to file, with writers that are slow, broken or gone.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::tests::entry;
use super::writer::Destination;
use super::*;
use crate::config::AccessLog;

/// A destination that tests read, hold up and break.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    written: Vec<u8>,
    opened: usize,
    held: bool,
    failures: usize,
    /// Most bytes one write takes; 0 is no bound.
    bytes_per_write: usize,
}

impl Gate {
    fn destination(self: &Arc<Self>) -> Destination {
        let gate = Arc::clone(self);
        let open = move || {
            gate.set(|state| state.opened += 1);
            Ok(Box::new(GateWriter(Arc::clone(&gate))) as Box<dyn Write + Send>)
        };
        Destination { name: "gate".into(), open: Box::new(open) }
    }

    fn set(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.state.lock().expect("not poisoned"));
        self.changed.notify_all();
    }

    /// Waits for a condition; ten seconds are a failure.
    fn wait(&self, condition: impl Fn(&GateState) -> bool) {
        let state = self.state.lock().expect("not poisoned");
        let (_state, result) = self
            .changed
            .wait_timeout_while(state, Duration::from_secs(10), |state| !condition(state))
            .expect("not poisoned");
        assert!(!result.timed_out(), "the condition never held");
    }

    fn written(&self) -> String {
        let state = self.state.lock().expect("not poisoned");
        String::from_utf8(state.written.clone()).expect("UTF-8")
    }
}

struct GateWriter(Arc<Gate>);

impl Write for GateWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock().expect("not poisoned");
        while state.held {
            state = self.0.changed.wait(state).expect("not poisoned");
        }
        if state.failures > 0 {
            state.failures -= 1;
            self.0.changed.notify_all();
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = match state.bytes_per_write {
            0 => bytes.len(),
            most => bytes.len().min(most),
        };
        state.written.extend_from_slice(&bytes[..count]);
        self.0.changed.notify_all();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn numbered(number: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |out| writeln!(out, "{number:0>1023}").expect("a Vec takes every write")
}

#[test]
fn lines_arrive_in_order_and_whole() {
    let gate = Arc::new(Gate::default());
    gate.set(|state| state.bytes_per_write = 1000);
    let sink = LogSink::start_with(gate.destination(), 1, 32).expect("starts");
    let mut shard = sink.new_shard();
    assert!(!shard.has_pending());
    for number in 0..1000 {
        assert!(shard.push(numbered(number)));
    }
    assert!(shard.has_pending());
    drop(shard);
    let stats = sink.stop();
    let expected: Vec<usize> = (0..1000).collect();
    let got: Vec<usize> =
        gate.written().lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(got, expected);
    assert_eq!(stats, LogStats { lines_dropped: 0, bytes_written: 1_024_000, write_errors: 0 });
}

#[test]
fn a_slow_writer_costs_counted_lines_and_nothing_else() {
    let gate = Arc::new(Gate::default());
    gate.set(|state| state.held = true);
    let sink = LogSink::start_with(gate.destination(), 1, 2).expect("starts");
    let mut shard = sink.new_shard();
    // Three buffers (two and the shard's own) of 61 lines of a kibibyte: 60 fill one to where
    // less than 4 KiB are left, and the line that finds exactly 4 KiB still fits.
    let kept = (0..500).filter(|&number| shard.push(numbered(number))).count();
    assert_eq!(kept, 3 * 61);
    assert_eq!(shard.lines_dropped(), 500 - 183);
    assert!(!shard.flush(), "nowhere to put them");
    assert!(shard.has_pending());

    gate.set(|state| state.held = false);
    gate.wait(|state| state.written.len() == 2 * 61 * 1024);
    // The buffers are back, or come back in a moment: the next lines use them.
    flush(&mut shard);
    assert!(shard.push(numbered(500)));
    drop(shard);
    let stats = sink.stop();
    assert_eq!(stats.lines_dropped, 500 - 183);
    let got: Vec<usize> =
        gate.written().lines().map(|line| line.parse().expect("a number")).collect();
    let expected: Vec<usize> = (0..183).chain([500]).collect();
    assert_eq!(got, expected);
}

#[test]
fn buffers_go_round() {
    let gate = Arc::new(Gate::default());
    let sink = LogSink::start_with(gate.destination(), 1, 1).expect("starts");
    let mut shard = sink.new_shard();
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..=20 {
        let mut place = None;
        assert!(shard.push(|out| {
            numbered(number)(out);
            place = Some(out.as_ptr().addr());
        }));
        seen.extend(place);
        flush(&mut shard);
        gate.wait(|state| state.written.len() == number * 1024);
    }
    assert_eq!(seen.len(), 2, "the shard's first buffer and the one that was queued");
    // A line far longer than a buffer passes, and does not keep its memory.
    assert!(shard.push(|out| out.resize(500_000, b'x')));
    flush(&mut shard);
    gate.wait(|state| state.written.len() == 20 * 1024 + 500_000);
    assert!(shard.push(|out| out.push(b'\n')));
    flush(&mut shard);
    assert!(shard.push(|out| assert!(out.capacity() < 200_000)));
}

#[test]
fn a_full_disk_is_counted_and_retried() {
    let gate = Arc::new(Gate::default());
    gate.set(|state| {
        state.failures = 2;
        state.bytes_per_write = 700;
    });
    let sink = LogSink::start_with(gate.destination(), 1, 4).expect("starts");
    let mut shard = sink.new_shard();
    assert!(shard.push(numbered(1)));
    assert!(shard.push(numbered(2)));
    assert!(shard.flush());
    gate.wait(|state| state.written.len() == 2048);
    drop(shard);
    let stats = sink.stop();
    assert_eq!(stats, LogStats { lines_dropped: 0, bytes_written: 2048, write_errors: 2 });
}

#[test]
fn a_disk_that_stays_full_does_not_hold_up_the_stop() {
    let gate = Arc::new(Gate::default());
    gate.set(|state| state.failures = usize::MAX);
    let sink = LogSink::start_with(gate.destination(), 1, 4).expect("starts");
    let mut shard = sink.new_shard();
    for number in 0..3 {
        assert!(shard.push(numbered(number)));
    }
    drop(shard);
    gate.wait(|state| state.failures < usize::MAX);
    let stats = sink.stop();
    assert_eq!(stats.lines_dropped, 3);
    assert!(stats.write_errors >= 1);
    assert_eq!(gate.written(), "");
}

#[test]
fn off_is_no_sink() {
    assert!(LogSink::start(&AccessLog::Off, 1).expect("nothing to open").is_none());
}

#[test]
fn a_file_is_private_appended_and_reopened() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = AccessLog::File(path.clone());
    let sink = LogSink::start(&log, 1).expect("opens").expect("is on");
    let mode = std::fs::metadata(&path).expect("exists").permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "never more than 0640: {mode:o}");
    let mut shard = sink.new_shard();
    assert!(shard.push(|out| write_line(&entry(), out)));
    assert!(shard.flush());
    until(|| sink.stats().bytes_written > 0);

    std::fs::rename(&path, &moved).expect("moves");
    sink.reopen();
    until(|| path.exists());
    assert!(shard.push(|out| out.extend_from_slice(b"second\n")));
    drop(shard);
    assert_eq!(sink.stop().write_errors, 0);
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "second\n");
    let first = std::fs::read_to_string(&moved).expect("reads");
    let value: Value = serde_json::from_str(&first).expect("one line of JSON");
    assert_eq!(value["url.path"], "/data");

    // A second run appends.
    let sink = LogSink::start(&log, 1).expect("opens").expect("is on");
    assert!(sink.new_shard().push(|out| out.extend_from_slice(b"third\n")));
    drop(sink);
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "second\nthird\n");
}

#[test]
fn a_folder_that_is_not_there_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = AccessLog::File(folder.path().join("no").join("access.log"));
    assert_eq!(LogSink::start(&log, 1).err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
}

/// Hands over as soon as a buffer has come back.
#[track_caller]
fn flush(shard: &mut ShardLog) {
    until(|| shard.flush());
}

/// Polls for at most ten seconds.
#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("the condition never held");
}
