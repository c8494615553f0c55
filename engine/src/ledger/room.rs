//! What kind of filesystem a folder is on, and how much room it has (statfs(2)).

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Filesystems that write elsewhere what is written again, with the numbers that statfs(2) knows
/// them by: there, a file that is fully allocated may meet a full disk all the same.
const COPY_ON_WRITE: [(i64, &str); 3] =
    [(0x9123_683E, "btrfs"), (0x2FC1_2FC1, "zfs"), (0xCA45_1A4E, "bcachefs")];

/// The filesystem's number, and the bytes that an ordinary user may still take.
pub(super) fn of(folder: &Path) -> io::Result<(i64, u64)> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut answer = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: `path` ends with a zero, `answer` is a valid place for the answer, and both outlive
    // the call.
    let code = unsafe { libc::statfs(path.as_ptr(), answer.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every bit pattern is a value of this struct of numbers, and it was zeroed.
    let answer = unsafe { answer.assume_init() };
    let block = u64::try_from(answer.f_bsize).unwrap_or(0);
    Ok((answer.f_type, answer.f_bavail.saturating_mul(block)))
}

/// The name of the filesystem that `folder` is on, or will be, if it copies on write. xfs is not
/// among them: it does so for files that share blocks only, which the ledger's do not. Nor is
/// overlayfs, where a file that was made is the upper filesystem's.
pub fn copies_on_write(folder: &Path) -> Option<&'static str> {
    // A relative path's last ancestor is empty.
    let folders = folder
        .ancestors()
        .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let (kind, _) = folders.map(of).find_map(Result::ok)?;
    COPY_ON_WRITE.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_are_told_apart_also_of_folders_that_are_not_there_yet() {
        let (kind, _) = of(Path::new("/proc")).expect("it is there");
        assert_eq!(kind, 0x9FA0);
        assert_eq!(copies_on_write(Path::new("/proc/missing/folder")), None);
        assert!(of(Path::new("/proc/missing")).is_err());
        let here = of(Path::new(".")).expect("it is there").0;
        let known = COPY_ON_WRITE.iter().find(|(number, _)| *number == here);
        assert_eq!(copies_on_write(Path::new("missing")), known.map(|(_, name)| *name));
    }
}
