//! Which production runtime this host allows.
//!
//! glommio panics, with a message about something else, where io_uring is forbidden or too little
//! memory may be locked. So both are looked at first.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::ring;
use crate::config::RuntimeChoice;

/// What glommio asks of `RLIMIT_MEMLOCK` for an executor, in bytes.
const MEMLOCK_BYTES: u64 = 512 * 1024;
/// `IORING_FEAT_FAST_POLL`, Linux 5.7: what tells a usable io_uring from the first ones.
const IORING_FEAT_FAST_POLL: u32 = 1 << 5;

/// A production runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    Glommio,
    Epoll,
}

/// The runtime to use, and why, in words for the log and `weirctl status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub kind: RuntimeKind,
    pub reason: String,
}

/// Why glommio cannot run here.
#[derive(Debug, thiserror::Error)]
pub enum IoUringUnavailable {
    #[error("io_uring is forbidden here (seccomp or kernel.io_uring_disabled): {0}")]
    Forbidden(io::Error),
    #[error("the kernel's io_uring is too old: Linux 5.8 or later is needed")]
    KernelTooOld,
    #[error("io_uring cannot be set up: {0}")]
    Setup(io::Error),
    #[error(
        "only {limit_kib} KiB of memory may be locked (RLIMIT_MEMLOCK), and {needed_kib} KiB are \
         needed"
    )]
    Memlock { limit_kib: u64, needed_kib: u64 },
}

/// Tries whether glommio can run: sets up a small ring and closes it, and raises the soft limit of
/// locked memory to the hard one if it must.
///
/// # Errors
/// The first thing that is missing.
pub fn probe() -> Result<(), IoUringUnavailable> {
    probe_ring()?;
    probe_memlock()
}

/// Settles the configured choice. `auto` never fails: epoll runs everywhere.
///
/// # Errors
/// When glommio is asked for by name and cannot run.
pub fn choose(choice: RuntimeChoice) -> Result<Chosen, IoUringUnavailable> {
    choose_with(choice, probe)
}

fn choose_with(
    choice: RuntimeChoice,
    probe: impl FnOnce() -> Result<(), IoUringUnavailable>,
) -> Result<Chosen, IoUringUnavailable> {
    let chosen = |kind, reason: &str| Ok(Chosen { kind, reason: reason.to_owned() });
    match choice {
        RuntimeChoice::Epoll => chosen(RuntimeKind::Epoll, "configured"),
        RuntimeChoice::Glommio => {
            probe()?;
            chosen(RuntimeKind::Glommio, "configured")
        }
        RuntimeChoice::Auto => match probe() {
            Ok(()) => chosen(RuntimeKind::Glommio, "io_uring is available"),
            Err(lack) => chosen(RuntimeKind::Epoll, &lack.to_string()),
        },
    }
}

fn probe_ring() -> Result<(), IoUringUnavailable> {
    let mut params = ring::Params::default();
    // SAFETY: `params` is a valid, zeroed structure.
    let descriptor = unsafe { ring::io_uring_setup(4, &raw mut params) };
    if descriptor < 0 {
        return Err(refused(io::Error::last_os_error()));
    }
    // SAFETY: the kernel has just returned this descriptor; dropping it closes the ring.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    if params.features & IORING_FEAT_FAST_POLL == 0 {
        return Err(IoUringUnavailable::KernelTooOld);
    }
    Ok(())
}

fn refused(error: io::Error) -> IoUringUnavailable {
    match error.raw_os_error() {
        // seccomp profiles answer EPERM (Docker) or ENOSYS; the sysctl EPERM; SELinux EACCES.
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => IoUringUnavailable::Forbidden(error),
        _ => IoUringUnavailable::Setup(error),
    }
}

fn probe_memlock() -> Result<(), IoUringUnavailable> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for the kernel to fill.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Err(IoUringUnavailable::Setup(io::Error::last_os_error()));
    }
    if limit.rlim_cur >= MEMLOCK_BYTES {
        return Ok(());
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: `raised` is a valid limit, which the kernel only reads.
    let allowed = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const raised) } == 0;
    memlock_verdict(if allowed { raised.rlim_cur } else { limit.rlim_cur })
}

fn memlock_verdict(limit_bytes: u64) -> Result<(), IoUringUnavailable> {
    if limit_bytes >= MEMLOCK_BYTES {
        return Ok(());
    }
    Err(IoUringUnavailable::Memlock {
        limit_kib: limit_bytes / 1024,
        needed_kib: MEMLOCK_BYTES / 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden() -> Result<(), IoUringUnavailable> {
        Err(refused(io::Error::from_raw_os_error(libc::EPERM)))
    }

    #[test]
    fn auto_takes_what_the_host_allows_and_says_why() {
        let chosen = choose_with(RuntimeChoice::Auto, || Ok(())).expect("auto never fails");
        assert_eq!(chosen.kind, RuntimeKind::Glommio);
        let chosen = choose_with(RuntimeChoice::Auto, forbidden).expect("auto never fails");
        assert_eq!(chosen.kind, RuntimeKind::Epoll);
        assert!(chosen.reason.contains("kernel.io_uring_disabled"), "{}", chosen.reason);
    }

    #[test]
    fn a_named_runtime_is_not_replaced() {
        let lack = choose_with(RuntimeChoice::Glommio, forbidden).expect_err("it is forbidden");
        assert!(matches!(lack, IoUringUnavailable::Forbidden(_)));
        let chosen = choose_with(RuntimeChoice::Epoll, || panic!("not probed")).expect("epoll");
        assert_eq!(chosen.kind, RuntimeKind::Epoll);
    }

    #[test]
    fn too_little_locked_memory_is_said_in_numbers() {
        assert!(memlock_verdict(MEMLOCK_BYTES).is_ok());
        assert!(memlock_verdict(u64::MAX).is_ok());
        let lack = memlock_verdict(65_536).expect_err("64 KiB are too few");
        let text = lack.to_string();
        assert!(text.contains("64 KiB") && text.contains("512 KiB"), "{text}");
    }

    #[test]
    fn other_refusals_are_not_called_forbidden() {
        let lack = refused(io::Error::from_raw_os_error(libc::EMFILE));
        assert!(matches!(lack, IoUringUnavailable::Setup(_)));
    }
}
