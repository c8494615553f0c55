//! The system calls that the standard library has no name for; all of the bench's unsafe code.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a registered descriptor is watched for.
pub const READABLE: u32 = libc::EPOLLIN.cast_unsigned();
/// Set beside [`READABLE`] while output is blocked.
pub const WRITABLE: u32 = libc::EPOLLOUT.cast_unsigned();

/// Most events one wait returns.
const EVENTS_PER_WAIT: usize = 256;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A level-triggered epoll set. Descriptors leave it when they are closed.
pub struct Epoll {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer; the result is checked.
        let raw = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `raw` is a fresh descriptor that nobody else owns.
        let set = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { set, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT] })
    }

    pub fn add(&self, target: &impl AsFd, token: usize, interest: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, target, token, interest)
    }

    pub fn modify(&self, target: &impl AsFd, token: usize, interest: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, target, token, interest)
    }

    fn control(
        &self,
        operation: i32,
        target: &impl AsFd,
        token: usize,
        interest: u32,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest, u64: token as u64 };
        let (set, target) = (self.set.as_raw_fd(), target.as_fd().as_raw_fd());
        // SAFETY: `event` outlives the call, which copies it.
        check(unsafe { libc::epoll_ctl(set, operation, target, &raw mut event) }).map(drop)
    }

    /// Puts the tokens that are ready into `ready`; none after `timeout` or a signal.
    pub fn wait(&mut self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        ready.clear();
        let limit = libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let capacity = i32::try_from(self.events.len()).unwrap_or(i32::MAX);
        let events = self.events.as_mut_ptr();
        // SAFETY: `events` points to `capacity` initialised entries; the timeout outlives the
        // call; a null mask changes no signals.
        let count = unsafe {
            let set = self.set.as_raw_fd();
            libc::epoll_pwait2(set, events, capacity, &raw const limit, ptr::null())
        };
        match check(count) {
            Ok(count) => {
                let count = usize::try_from(count).unwrap_or(0);
                let tokens = self.events[..count].iter().map(|event| event.u64);
                ready.extend(tokens.filter_map(|token| usize::try_from(token).ok()));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Binds the calling thread, and those it starts from now on, to one CPU.
pub fn pin_thread(cpu: usize) -> io::Result<()> {
    // SAFETY: all-zero bytes are an empty `cpu_set_t`.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= size_of::<libc::cpu_set_t>() * 8 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: `cpu` was checked to lie within the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` outlives the call and its size is given; 0 means this thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) }).map(drop)
}

/// What the calling thread has had of a CPU so far, in nanoseconds: a busy machine does not show.
pub fn thread_cpu_ns() -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call and is of the type that the call fills.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
    let part = |value: i64| u64::try_from(value).map_err(io::Error::other);
    Ok(part(time.tv_sec)? * 1_000_000_000 + part(time.tv_nsec)?)
}

/// Makes timeouts of this thread as exact as the kernel can; open-loop sending depends on it.
pub fn sharpen_timers() -> io::Result<()> {
    // SAFETY: PR_SET_TIMERSLACK takes one number and no pointer.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) }).map(drop)
}

/// The child will run on `cpu` and get SIGTERM when the thread that spawns it ends, however it
/// ends. SIGTERM and not SIGKILL, or nginx's master would die without taking its worker along.
pub fn bind_child(command: &mut Command, cpu: usize) {
    let parent = std::process::id();
    let prepare = move || {
        pin_thread(cpu)?;
        // SAFETY: PR_SET_PDEATHSIG takes one number and no pointer.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        // The parent may have died before the call above took effect.
        if std::os::unix::process::parent_id() == parent {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }
    };
    // SAFETY: between fork and exec the closure only makes async-signal-safe system calls and
    // allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// Sends `signal` to one process; one that is already gone is no error.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: `kill` takes no pointer; a positive pid names one process only.
    match check(unsafe { libc::kill(pid, signal) }) {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        _ => Ok(()),
    }
}

/// Raises the descriptor limit to what the system allows and returns it. Children inherit it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call, which fills it.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` outlives the call, which reads it.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// From now on SIGINT and SIGTERM only raise the flag that [`interrupted`] reads, so that
/// children are stopped and folders removed on the way out.
pub fn catch_interrupts() {
    extern "C" fn note(_: i32) {
        // Relaxed: a lone flag, polled; nothing else is published through it.
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    for number in [libc::SIGINT, libc::SIGTERM] {
        let handler: extern "C" fn(i32) = note;
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe { libc::signal(number, handler as libc::sighandler_t) };
    }
}

pub fn interrupted() -> bool {
    // Relaxed: see `note`.
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Clock ticks in a second, the unit of CPU time in `/proc/PID/stat`.
pub fn ticks_per_second() -> u64 {
    // SAFETY: takes no pointer.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
