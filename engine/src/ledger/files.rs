//! The ledger's folder and its lock, and which boot this is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::{BootId, LedgerError};

/// Takes the folder's lock and leaves this process's id in it, for the error of whoever comes next.
/// The lock ends with the returned file, and with the process however it ends.
pub(super) fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join("lock");
    let failed = |action| move |source| LedgerError::io(action, &dir.join("lock"), source);
    let mut file = private().create(true).open(&path).map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only to make the message better: its reader copes with an empty one.
            let _ = file.read_to_string(&mut pid);
            return Err(LedgerError::InUse { dir: dir.to_owned(), pid: pid.trim().to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
    }
    name_holder(dir, &file)?;
    Ok(file)
}

/// Writes this process's id into the lock that it holds, in the place of the last one's: that needs
/// no room. Without any, nobody is named, which only makes a message shorter.
pub(super) fn name_holder(dir: &Path, mut lock: &File) -> Result<(), LedgerError> {
    let name = format!("{}\n", std::process::id());
    let named = lock
        .rewind()
        .and_then(|()| lock.write_all(name.as_bytes()))
        .and_then(|()| lock.set_len(name.len() as u64));
    match named {
        Err(error) if is_no_room(&error) => Ok(()),
        named => named.map_err(|source| LedgerError::io("write", &dir.join("lock"), source)),
    }
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Refuses a lock that is another folder's.
pub(super) fn check_same_lock(dir: &Path, lock: &File) -> Result<(), LedgerError> {
    let path = dir.join("lock");
    let failed = |source| LedgerError::io("look at", &path, source);
    let other = || LedgerError::OtherLedger { dir: dir.to_owned() };
    let held = lock.metadata().map_err(failed)?;
    match fs::metadata(&path) {
        Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => Ok(()),
        Ok(_) => Err(other()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(other()),
        Err(error) => Err(failed(error)),
    }
}

/// Zeros where the kernel does not tell: then every opening counts as a new boot.
pub(super) fn boot_id() -> BootId {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map(u128::to_be_bytes).unwrap_or_default()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}
