//! A word before the end: memory that is a file's ends the process by SIGBUS when the file was cut
//! short or its disk fails, and the kernel does not say which file it was.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// How many maps can be named at once.
const MAPS_MAX: usize = 32;

/// One map, and what is said when reading it fails. Ends are set last.
struct Guarded {
    first: AtomicUsize,
    end: AtomicUsize,
    line: AtomicPtr<u8>,
    line_bytes: AtomicUsize,
}

static GUARDED: [Guarded; MAPS_MAX] = [const {
    Guarded {
        first: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        line: AtomicPtr::new(std::ptr::null_mut()),
        line_bytes: AtomicUsize::new(0),
    }
}; MAPS_MAX];
/// Serialises those who register; the handler takes no lock.
static REGISTERING: Mutex<usize> = Mutex::new(0);
static INSTALL: Once = Once::new();

/// Has the handler name the file at `path` for faults in `bytes` bytes of memory from `first` on.
/// Beyond [`MAPS_MAX`] maps the oldest is forgotten.
pub(super) fn guard(first: usize, bytes: usize, path: &Path) {
    let mut line = b"weir: cannot reach the memory of ".to_vec();
    line.extend_from_slice(path.as_os_str().as_bytes());
    line.extend_from_slice(b": the file was cut short, or its disk failed or is full\n");
    // Never freed: the handler may read it at any time.
    let line: &'static mut [u8] = line.leak();
    let mut turn = REGISTERING.lock().unwrap_or_else(PoisonError::into_inner);
    let place = &GUARDED[*turn % MAPS_MAX];
    *turn += 1;
    // Sequentially consistent throughout: this is rare, and the handler must not see a new end with
    // an old line.
    place.end.store(0, Ordering::SeqCst);
    place.line_bytes.store(0, Ordering::SeqCst);
    place.line.store(line.as_mut_ptr(), Ordering::SeqCst);
    place.line_bytes.store(line.len(), Ordering::SeqCst);
    place.first.store(first, Ordering::SeqCst);
    place.end.store(first.saturating_add(bytes), Ordering::SeqCst);
    drop(turn);
    INSTALL.call_once(install);
}

fn install() {
    // SAFETY: all zeros are a value of this struct; the fields that matter are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
    action.sa_sigaction = handler as usize;
    // Once: when the instruction is tried again, the default action ends the process.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
    // SAFETY: `action` is initialised and outlives the call, and the handler calls nothing but
    // write(2). A refusal leaves the default action, which ends the process without a word.
    let _ = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
}

/// Only what signal-safety(7) allows: loads of atomics, and write(2).
extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with `SA_SIGINFO` the kernel passes a valid pointer, and SIGBUS has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    for place in &GUARDED {
        let within = place.first.load(Ordering::SeqCst) <= address
            && address < place.end.load(Ordering::SeqCst);
        if within {
            let line = place.line.load(Ordering::SeqCst);
            let bytes = place.line_bytes.load(Ordering::SeqCst);
            // SAFETY: `line` has that many bytes, which are never freed. What cannot be written is
            // not said.
            let _ = unsafe { libc::write(libc::STDERR_FILENO, line.cast(), bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use memmap2::MmapOptions;

    use super::*;

    /// The child of the test runs that same test with this set.
    const CHILD: &str = "WEIR_SIGBUS_TEST_CHILD";

    #[test]
    fn the_file_is_named_before_the_end() {
        if let Some(path) = std::env::var_os(CHILD) {
            return touch_what_is_gone(Path::new(&path));
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("live");
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "ledger::sigbus::tests::the_file_is_named_before_the_end"])
            .arg("--nocapture")
            .env(CHILD, &path)
            .output()
            .expect("the test can run itself");
        assert_eq!(output.status.signal(), Some(libc::SIGBUS));
        let told = String::from_utf8_lossy(&output.stderr);
        let expected = format!("weir: cannot reach the memory of {}: the file", path.display());
        assert_eq!(told.matches(&expected).count(), 1, "{told}");
    }

    fn touch_what_is_gone(path: &Path) {
        let file = std::fs::File::create_new(path).expect("a new file");
        file.set_len(8_192).expect("there is room");
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("is there");
        let map = MmapOptions::new().map_raw(&file).expect("it maps");
        guard(map.as_ptr() as usize, map.len(), path);
        file.set_len(0).expect("it gets shorter");
        // SAFETY: the address is within the map. That the page is gone is the point.
        let byte = unsafe { map.as_ptr().add(4_096).read_volatile() };
        panic!("read {byte}");
    }
}
