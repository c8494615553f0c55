//! Two cures for glommio, put between its C part and the kernel when the `weir` binary is linked
//! (`--wrap`, see `build.rs`). Binaries that only link the library keep liburing's own functions.
//!
//! **Plain rings.** glommio 0.9 sets up its rings without `IORING_SETUP_COOP_TASKRUN`, so that every
//! completion interrupts the core. `__sys_io_uring_setup` adds the flag. The kernel shows a ring's
//! flags nowhere, so what the wrapper did is counted.
//!
//! **Lost turns.** Each turn of a glommio executor arms its preemption timer, runs tasks until that
//! fires, and sleeps when no task ran. A thread that loses its core for longer than the timer finds
//! it fired before the first task: none runs, and the executor goes to sleep with tasks that are
//! ready, until some other event comes, which may be never. So when the timer may have fired since
//! it was armed, `__sys_io_uring_enter2` says that a signal interrupted the sleep, before it began;
//! glommio takes another turn then.

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Instant;
use super::glommio::PREEMPT;
use super::os;

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

/// What a thread's executor did since it last slept.
#[derive(Clone, Copy)]
struct Turns {
    /// When it last entered the kernel; `None` right after a sleep.
    entered: Option<Instant>,
    /// Whether the preemption timer, which is armed by entering, may have fired in between.
    cut_short: bool,
}

impl Turns {
    const NONE: Self = Self { entered: None, cut_short: false };

    fn enter(self, now: Instant) -> Self {
        let away = self.entered.is_some_and(|entered| now.since(entered) >= PREEMPT);
        Self { entered: Some(now), cut_short: self.cut_short || away }
    }
}

thread_local! {
    // One executor a thread, and the C functions are given no other place. Not part of what the
    // simulator runs.
    static TURNS: Cell<Turns> = const { Cell::new(Turns::NONE) };
}

/// Notes that the thread enters the kernel; whether it may sleep there.
fn enter(sleeps: bool) -> bool {
    let turns = TURNS.get().enter(os::now());
    TURNS.set(if sleeps { Turns::NONE } else { turns });
    !(sleeps && turns.cut_short)
}

/// Called in place of liburing's function of that name, in the `weir` binary: submissions, among
/// them those that arm the preemption timer.
///
/// # Safety
/// As io_uring_enter(2); liburing's callers ensure it.
// SAFETY: no other symbol has this name: the linker makes it up for `--wrap`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __wrap___sys_io_uring_enter(
    ring: c_int,
    to_submit: c_uint,
    min_complete: c_uint,
    flags: c_uint,
    signals: *mut c_void,
) -> c_int {
    enter(false);
    // SAFETY: passed on as it came.
    unsafe { io_uring_enter(ring, to_submit, min_complete, flags, signals, SIGNALS_BYTES) }
}

/// As [`__wrap___sys_io_uring_enter`], for waits.
///
/// # Safety
/// As io_uring_enter(2); liburing's callers ensure it.
// SAFETY: no other symbol has this name: the linker makes it up for `--wrap`.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __wrap___sys_io_uring_enter2(
    ring: c_int,
    to_submit: c_uint,
    min_complete: c_uint,
    flags: c_uint,
    signals: *mut c_void,
    size: c_int,
) -> c_int {
    // A wait that submits as well has an effect even when it is interrupted.
    if !enter(to_submit == 0 && min_complete > 0) {
        // SAFETY: the address of this thread's own `errno`.
        unsafe { *libc::__errno_location() = libc::EINTR };
        return -1;
    }
    // SAFETY: passed on as it came.
    unsafe { io_uring_enter(ring, to_submit, min_complete, flags, signals, size) }
}

/// `_NSIG / 8`, the kernel's size of a set of signals.
const SIGNALS_BYTES: c_int = 8;

/// `io_uring_enter(2)`: a count, or -1 and `errno`, as liburing's functions return it.
///
/// # Safety
/// As the system call.
unsafe fn io_uring_enter(
    ring: c_int,
    to_submit: c_uint,
    min_complete: c_uint,
    flags: c_uint,
    signals: *mut c_void,
    size: c_int,
) -> c_int {
    let call = libc::SYS_io_uring_enter;
    // SAFETY: the caller vouches for the descriptor and the pointer.
    let result: c_long =
        unsafe { libc::syscall(call, ring, to_submit, min_complete, flags, signals, size) };
    // At most as many as a ring has entries; and -1 fits too.
    c_int::try_from(result).unwrap_or(-1)
}

/// Keeps the wrappers in the link whatever the order of the archives: a linker that reads each
/// archive once would meet liburing's calls after this crate's.
pub(super) fn keep_in_link() {
    type Setup = unsafe extern "C" fn(c_uint, *mut Params) -> c_int;
    type Enter = unsafe extern "C" fn(c_int, c_uint, c_uint, c_uint, *mut c_void) -> c_int;
    type Enter2 = unsafe extern "C" fn(c_int, c_uint, c_uint, c_uint, *mut c_void, c_int) -> c_int;
    std::hint::black_box(__wrap___sys_io_uring_setup as Setup);
    std::hint::black_box(__wrap___sys_io_uring_enter as Enter);
    std::hint::black_box(__wrap___sys_io_uring_enter2 as Enter2);
}

#[cfg(test)]
mod tests {
    use std::os::fd::{FromRawFd, OwnedFd};

    use super::*;

    #[test]
    fn a_turn_that_may_have_been_cut_short_is_not_followed_by_sleep() {
        let at = |us: u64| Instant::from_nanos(us * 1000);
        let preempt_us = u64::try_from(PREEMPT.as_micros()).expect("short");
        let quick = Turns::NONE.enter(at(7)).enter(at(7 + preempt_us - 1));
        assert!(!quick.cut_short);
        let slow = quick.enter(at(7 + 2 * preempt_us));
        assert!(slow.cut_short);
        assert!(slow.enter(at(7 + 2 * preempt_us)).cut_short, "until it has had another turn");
        // What passes in a sleep does not count.
        assert!(!Turns::NONE.enter(at(1 << 40)).cut_short);
    }

    #[test]
    fn the_sleep_after_a_refused_one_is_granted() {
        TURNS.set(Turns { entered: Some(os::now()), cut_short: true });
        assert!(enter(false), "submissions go through");
        assert!(!enter(true));
        assert!(enter(true));
    }

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
