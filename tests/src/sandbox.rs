//! What the machine offers, and how to take it away from a child.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Size of `struct io_uring_params` (io_uring_setup(2)).
const IO_URING_PARAMS_BYTES: usize = 120;
/// What glommio wants to lock.
const MEMLOCK_BYTES: u64 = 512 << 10;

/// Why io_uring cannot be used here; `None` when it can.
pub fn io_uring_lack() -> Option<String> {
    let mut params = [0_u8; IO_URING_PARAMS_BYTES];
    // SAFETY: the kernel fills the structure of that size, and makes nothing but a descriptor.
    let descriptor = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    if descriptor < 0 {
        return Some(format!("io_uring cannot be used: {}", io::Error::last_os_error()));
    }
    let descriptor = i32::try_from(descriptor).expect("a descriptor");
    // SAFETY: the kernel has just returned this descriptor and nobody else knows it.
    unsafe { libc::close(descriptor) };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    let enough = limit.rlim_max >= MEMLOCK_BYTES;
    (!enough).then(|| format!("only {} bytes may be locked", limit.rlim_max))
}

/// The kernel's major and minor version.
///
/// # Panics
/// When it does not say.
pub fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux tells");
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => panic!("what version is {release}?"),
    }
}

/// Says on standard error, past the capture of the test runner, that a test looked at nothing.
pub fn say_skipped(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{test}: skipped: {reason}");
}

/// Lets this process open as many descriptors as it may.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` was filled above. A refusal shows when descriptors run out.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    // Opcodes are 16 bits wide; libc's constants are wider for historical reasons.
    let code = u16::try_from(code).expect("an opcode");
    libc::sock_filter { code, jt: 0, jf: 0, k }
}

/// Answers io_uring_setup with EPERM, as the seccomp profile of Docker does, and lets everything
/// else through. The call's number is the first word of `struct seccomp_data`.
fn filter() -> [libc::sock_filter; 4] {
    let number = u32::try_from(libc::SYS_io_uring_setup).expect("a small number");
    let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let is_setup = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number);
    [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..is_setup },
        statement(libc::BPF_RET | libc::BPF_K, refusal),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ]
}

/// Has `command` run without io_uring.
pub fn forbid_io_uring(command: &mut Command) {
    let mut filter = filter();
    // SAFETY: between fork and exec the closure makes two system calls, both async-signal-safe,
    // and touches no memory but its own copy of the filter.
    unsafe {
        command.pre_exec(move || {
            let length = u16::try_from(filter.len()).unwrap_or(0);
            let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
            // Without it, only root may install a filter.
            let humble = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
            let mode = libc::SECCOMP_MODE_FILTER;
            if humble && libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) == 0 {
                return Ok(());
            }
            Err(io::Error::last_os_error())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Process;

    /// What the kernel tells of a child's filters: `Seccomp: 2` is a filter.
    #[test]
    fn the_filter_is_in_force_in_the_child_only() {
        let mut command = Command::new("grep");
        command.args(["Seccomp:", "/proc/self/status"]);
        forbid_io_uring(&mut command);
        assert_eq!(Process::run(command).stdout.trim(), "Seccomp:\t2");
        let own = std::fs::read_to_string("/proc/self/status").expect("it is there");
        let own = own.lines().find(|line| line.starts_with("Seccomp:")).map(str::to_owned);
        let mut plain = Command::new("grep");
        plain.args(["Seccomp:", "/proc/self/status"]);
        assert_eq!(Some(Process::run(plain).stdout.trim().to_owned()), own);
    }
}
