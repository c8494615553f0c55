//! The cure for glommio's plain rings.
//!
//! glommio 0.9 sets up its rings without `IORING_SETUP_COOP_TASKRUN`, so that every completion
//! interrupts the core. Its C part calls `__sys_io_uring_setup`; the `weir` binary is linked with
//! `--wrap` of that symbol (see `build.rs`), which leads the call to the function here. Binaries
//! that only link the library keep liburing's own.
//!
//! The kernel shows a ring's flags nowhere, so what the wrapper did is counted.

use std::ffi::{c_int, c_long, c_uint};
use std::sync::atomic::{AtomicU64, Ordering};

/// Completions wait for the next system call of the thread instead of interrupting it. Linux 5.19.
const IORING_SETUP_COOP_TASKRUN: u32 = 1 << 8;

static COOPERATIVE: AtomicU64 = AtomicU64::new(0);
static PLAIN: AtomicU64 = AtomicU64::new(0);

/// How the rings of this process were set up. Both are zero before the first glommio executor, and
/// in a binary linked without the wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSetup {
    /// Rings with `IORING_SETUP_COOP_TASKRUN`.
    pub cooperative: u64,
    /// Rings for which the kernel did not know the flag.
    pub plain: u64,
}

/// What the wrapper has done so far.
pub fn ring_setup() -> RingSetup {
    // Relaxed: statistics, which order nothing else.
    RingSetup {
        cooperative: COOPERATIVE.load(Ordering::Relaxed),
        plain: PLAIN.load(Ordering::Relaxed),
    }
}

/// The kernel's `struct io_uring_params`: 120 bytes, of which we know the ones we touch.
#[repr(C)]
#[derive(Default)]
pub(super) struct Params {
    pub(super) sq_entries: u32,
    pub(super) cq_entries: u32,
    pub(super) flags: u32,
    pub(super) sq_thread_cpu: u32,
    pub(super) sq_thread_idle: u32,
    pub(super) features: u32,
    rest: [u32; 24],
}

const _: () = assert!(size_of::<Params>() == 120 && std::mem::offset_of!(Params, flags) == 8);

/// `io_uring_setup(2)`: a descriptor, or -1 and `errno`, as liburing's function returns it.
///
/// # Safety
/// `params` points to a valid `struct io_uring_params`.
pub(super) unsafe fn io_uring_setup(entries: c_uint, params: *mut Params) -> c_int {
    // SAFETY: the kernel reads and writes the 120 bytes that the caller vouches for.
    let result: c_long = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params) };
    // A descriptor is a C int, and so is -1.
    c_int::try_from(result).unwrap_or(-1)
}

/// Called in place of liburing's function of that name, in the `weir` binary.
///
/// # Safety
/// `params` points to a valid `struct io_uring_params`, as liburing's callers ensure.
// SAFETY: no other symbol has this name: the linker makes it up for `--wrap`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __wrap___sys_io_uring_setup(
    entries: c_uint,
    params: *mut Params,
) -> c_int {
    // SAFETY: valid by contract, and the kernel has not seen it yet.
    let flags = unsafe { (*params).flags };
    // SAFETY: as above.
    unsafe { (*params).flags = flags | IORING_SETUP_COOP_TASKRUN };
    // SAFETY: as above.
    let ring = unsafe { io_uring_setup(entries, params) };
    if ring >= 0 {
        COOPERATIVE.fetch_add(1, Ordering::Relaxed);
        return ring;
    }
    if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
        return ring;
    }
    // A kernel that does not know the flag, or a ring it does not go with.
    // SAFETY: as above; the kernel writes the parameters only when it succeeds.
    unsafe { (*params).flags = flags };
    // SAFETY: as above.
    let ring = unsafe { io_uring_setup(entries, params) };
    if ring >= 0 {
        PLAIN.fetch_add(1, Ordering::Relaxed);
    }
    ring
}

/// Keeps the wrapper in the link whatever the order of the archives: a linker that reads each
/// archive once would meet liburing's call after this crate's.
pub(super) fn keep_in_link() {
    std::hint::black_box(
        __wrap___sys_io_uring_setup as unsafe extern "C" fn(c_uint, *mut Params) -> c_int,
    );
}

#[cfg(test)]
mod tests {
    use std::os::fd::{FromRawFd, OwnedFd};

    use super::*;

    #[test]
    fn counts_a_ring_and_falls_back_on_refusal() {
        let mut params = Params::default();
        // SAFETY: `params` is a valid, zeroed structure.
        let ring = unsafe { __wrap___sys_io_uring_setup(2, &raw mut params) };
        if ring < 0 {
            println!("skipped: io_uring is not available here");
            return;
        }
        // SAFETY: the kernel has just returned this descriptor.
        drop(unsafe { OwnedFd::from_raw_fd(ring) });
        let before = ring_setup();
        assert_eq!(before.cooperative + before.plain, 1);

        // IORING_SETUP_SQ_AFF without a polling thread is refused with and without our flag.
        let mut refused = Params { flags: 1 << 2, ..Params::default() };
        // SAFETY: as above.
        let ring = unsafe { __wrap___sys_io_uring_setup(2, &raw mut refused) };
        let error = std::io::Error::last_os_error();
        assert_eq!((ring, error.raw_os_error()), (-1, Some(libc::EINVAL)));
        assert_eq!(refused.flags, 1 << 2, "the caller's flags are back");
        assert_eq!(ring_setup(), before);
    }
}
