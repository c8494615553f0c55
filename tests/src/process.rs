//! Child processes that are watched, and that never outlive their test.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::{self, PATIENCE};

/// A running child. Dropping it kills it; if the test is failing, what it printed is shown.
///
/// The kernel kills the child too when the thread that started it ends, even by SIGKILL: start it
/// from the thread that runs the test.
pub struct Process {
    name: String,
    child: Child,
    stdout: Capture,
    stderr: Capture,
}

/// What a child left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    /// Starts `command` with its output captured and nothing to read.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let parent = std::process::id();
        // SAFETY: between fork and exec the closure makes two system calls, both async-signal-safe,
        // and touches no memory but its own copy of `parent`.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // The parent may have ended before the line above.
                if u32::try_from(libc::getppid()) != Ok(parent) {
                    return Err(std::io::ErrorKind::NotFound.into());
                }
                Ok(())
            });
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = Capture::start(child.stdout.take().expect("is piped"));
        let stderr = Capture::start(child.stderr.take().expect("is piped"));
        Self { name, child, stdout, stderr }
    }

    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[track_caller]
    pub fn run(command: Command) -> Finished {
        Self::spawn(command).wait()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, `libc::SIGTERM` for one.
    ///
    /// # Panics
    /// When the child has been waited for already: its number may be somebody else's now.
    #[track_caller]
    pub fn signal(&mut self, signal: i32) {
        assert!(self.status().is_none(), "{} has ended already", self.name);
        let pid = libc::pid_t::try_from(self.child.id()).expect("a pid");
        // SAFETY: sends a signal to a child that was not reaped yet, so the number is still its.
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(result, 0, "kill: {}", std::io::Error::last_os_error());
    }

    /// Its status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only when it is gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end, for at most [`PATIENCE`] three times over.
    ///
    /// # Panics
    /// When it goes on.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let limit = PATIENCE * 3;
        let Some(status) = wait::poll(limit, || self.status()) else {
            panic!("{} goes on after {limit:?}", self.name);
        };
        // A grandchild may hold the pipes open, so their end is not waited for without bound.
        self.stdout.finish();
        self.stderr.finish();
        Finished { status, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Everything it wrote to standard output up to now.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            self.stdout.finish();
            self.stderr.finish();
            eprintln!("--- {}\n{}{}---", self.name, self.stdout(), self.stderr());
        }
    }
}

/// A thread that reads a pipe to its end, so that the child never blocks on it.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Capture {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                shared.lock().expect("not poisoned").extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, thread }
    }

    fn finish(&self) {
        wait::poll(Duration::from_secs(1), || self.thread.is_finished().then_some(()));
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("not poisoned")).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_are_kept() {
        let finished = Process::run(shell("echo out; echo err >&2; exit 3"));
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(finished.stdout, "out\n");
        assert_eq!(finished.stderr, "err\n");
    }

    #[test]
    fn signals_arrive() {
        let script = "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
        let mut process = Process::spawn(shell(script));
        wait::until("the trap is set", || process.stdout() == "ready\n");
        process.signal(libc::SIGTERM);
        let finished = process.wait();
        assert_eq!(finished.status.code(), Some(7));
        assert_eq!(finished.stdout, "ready\ngot it\n");
    }

    #[test]
    fn nothing_survives_a_drop() {
        let process = Process::spawn(shell("exec sleep 1000"));
        let path = format!("/proc/{}", process.pid());
        assert!(std::path::Path::new(&path).exists());
        drop(process);
        assert!(!std::path::Path::new(&path).exists());
    }

    #[test]
    fn nothing_survives_the_thread_that_started_it() {
        let pid = std::thread::spawn(|| {
            let process = Process::spawn(shell("exec sleep 1000"));
            let pid = process.pid();
            // Not dropped: as if the test had been killed.
            std::mem::forget(process);
            pid
        })
        .join()
        .expect("no panic");
        wait::until("the kernel has killed it", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Gone, or a zombie that nobody reaps.
            stat.is_empty() || stat.contains(") Z ")
        });
        let raw = libc::pid_t::try_from(pid).expect("a pid");
        let mut status = 0;
        // SAFETY: reaps our own child, whose number nothing else has taken while it was a zombie.
        let reaped = unsafe { libc::waitpid(raw, &raw mut status, 0) };
        assert_eq!(reaped, raw);
        assert_eq!(ExitStatus::from_raw(status).signal(), Some(libc::SIGKILL));
    }
}
