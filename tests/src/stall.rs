//! One thread of a child held still, as a disk in trouble or a fault of ours would hold it. It is
//! done by ptrace, since signals stop processes and not threads.

use std::io;
use std::marker::PhantomData;
use std::ptr::null_mut;

use libc::{c_long, c_uint, c_void, pid_t};

use crate::wait::{self, PATIENCE};
use crate::{Process, sandbox};

/// Where a thread waits that has nothing to do. Anywhere else it may have a lock that others want.
const AT_REST: &[c_long] = &[
    libc::SYS_io_uring_enter,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_clock_nanosleep,
    // One of these after it was held before.
    libc::SYS_restart_syscall,
];

/// A thread that stands still until this is dropped.
///
/// Drop it before the child is waited for: a thread that ends while it is held must be waited for
/// here, and the child counts as running until then.
pub struct Stall {
    thread: pid_t,
    ended: bool,
    /// The kernel takes orders only from the thread that gave the first.
    _stays: PhantomData<*const ()>,
}

impl Stall {
    /// Holds the thread of `process` that is called `name`, as soon as it is at rest. `None`, which
    /// is said on the test's output, where this machine forbids it.
    ///
    /// # Panics
    /// When there is no such thread, or it never rests.
    #[track_caller]
    pub fn begin(process: &Process, name: &str) -> Option<Self> {
        let thread = find(process.pid(), name).unwrap_or_else(|| panic!("no thread {name}"));
        let held = wait::poll(PATIENCE, || match Self::hold(thread) {
            Ok(stall) => stall.is_at_rest().then_some(Some(stall)),
            Err(error) => {
                sandbox::say_skipped(&format!("no thread can be held still: {error}"));
                Some(None)
            }
        });
        held.unwrap_or_else(|| panic!("{name} never rests"))
    }

    /// Holds a thread wherever it is.
    fn hold(thread: pid_t) -> io::Result<Self> {
        ptrace(libc::PTRACE_SEIZE, thread)?;
        let stall = Self { thread, ended: false, _stays: PhantomData };
        ptrace(libc::PTRACE_INTERRUPT, thread)?;
        let status = wait(thread, 0).expect("it stops, or ends");
        assert!(libc::WIFSTOPPED(status), "it has ended: {status:#x}");
        Ok(stall)
    }

    fn is_at_rest(&self) -> bool {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.thread));
        let call = call.expect("its tracer may read it");
        let number = call.split(' ').next().and_then(|number| number.parse().ok());
        number.is_some_and(|number| AT_REST.contains(&number))
    }

    /// Whether the thread has ended, as it does when all of its process does.
    pub fn has_ended(&mut self) -> bool {
        self.ended = self.ended || wait(self.thread, libc::WNOHANG).is_some_and(is_end);
        self.ended
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // One that cannot be let go is about to end.
        if !self.ended && ptrace(libc::PTRACE_DETACH, self.thread).is_err() {
            while wait(self.thread, 0).is_some_and(|status| !is_end(status)) {}
        }
    }
}

fn is_end(status: i32) -> bool {
    libc::WIFEXITED(status) || libc::WIFSIGNALED(status)
}

/// The first thread of that name; those it has started may have inherited it.
fn find(pid: u32, name: &str) -> Option<pid_t> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let threads = threads.filter_map(|entry| {
        let path = entry.ok()?.path();
        let called = std::fs::read_to_string(path.join("comm")).ok()?;
        let number = path.file_name()?.to_str()?.parse().ok()?;
        (called.trim_end() == name).then_some(number)
    });
    threads.min()
}

/// One of the requests that take no data.
fn ptrace(request: c_uint, thread: pid_t) -> io::Result<()> {
    let nothing = null_mut::<c_void>();
    // SAFETY: with these requests the kernel reads and writes no memory of ours.
    let result = unsafe { libc::ptrace(request, thread, nothing, nothing) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a held thread has come to; `None` when there is nothing to wait for, or nothing yet.
fn wait(thread: pid_t, options: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the answer. The number is that of a thread that was
    // not waited for yet, so that no other has it.
    let waited = unsafe { libc::waitpid(thread, &raw mut status, options | libc::__WALL) };
    (waited == thread).then_some(status)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// As the kernel sees it: `t` is held by a tracer.
    fn state(process: &Process) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    #[test]
    fn a_thread_is_held_until_it_is_let_go_or_ends() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut process = Process::spawn(command);
        let Some(stall) = Stall::begin(&process, "sleep") else { return };
        assert_eq!(state(&process), Some('t'));
        drop(stall);
        wait::until("it goes on", || state(&process) == Some('S'));
        let mut stall = Stall::begin(&process, "sleep").expect("as before");
        assert!(!stall.has_ended());
        process.signal(libc::SIGKILL);
        wait::until("it is gone", || stall.has_ended());
        drop(stall);
    }
}
