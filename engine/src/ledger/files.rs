//! The ledger's files: folder, lock, and `counters` with its header.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::{MmapOptions, MmapRaw};

use super::disk::reserve;
use super::header::{Header, HeaderFault, PAGE_BYTES};
use super::{BootId, LedgerError, file_bytes};

/// Creates the folder for its owner only, unless it is there.
pub(super) fn make_folder(dir: &Path) -> Result<(), LedgerError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| LedgerError::io("create", dir, source))
}

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

/// Writes this process's id into the lock that it holds.
pub(super) fn name_holder(dir: &Path, mut lock: &File) -> Result<(), LedgerError> {
    let named = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    named.map_err(|source| LedgerError::io("write", &dir.join("lock"), source))
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

pub(super) fn exists(path: &Path) -> Result<bool, LedgerError> {
    path.try_exists().map_err(|source| LedgerError::io("look at", path, source))
}

/// Makes `counters` whole under another name first: what has the final name is never half made.
pub(super) fn create(
    dir: &Path,
    path: &Path,
    bytes: u64,
    header: &Header,
) -> Result<(), LedgerError> {
    let draft = dir.join("counters.new");
    let made = create_draft(&draft, bytes, header).and_then(|()| {
        let renamed = fs::rename(&draft, path).and_then(|()| File::open(dir)?.sync_all());
        renamed.map_err(|source| LedgerError::io("create", path, source))
    });
    if made.is_err() {
        // The first error is the one to tell; a draft that stays is replaced next time.
        let _ = fs::remove_file(&draft);
    }
    made
}

fn create_draft(draft: &Path, bytes: u64, header: &Header) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::io("create", draft, source);
    let file = private().create(true).truncate(true).open(draft).map_err(failed)?;
    // Every block now: a write to a mapped hole on a full disk would be a SIGBUS.
    reserve(&file, bytes).map_err(|source| LedgerError::NoRoom {
        path: draft.to_owned(),
        bytes,
        source,
    })?;
    file.write_all_at(&header.encode(), header.copy_at() as u64)
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// The open `counters` file.
pub(super) struct Counters {
    path: PathBuf,
    file: File,
}

impl Counters {
    pub(super) fn open(path: PathBuf) -> Result<Self, LedgerError> {
        match private().open(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(LedgerError::io("open", &path, source)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read_header(&self) -> Result<Header, LedgerError> {
        let mut page = [0; PAGE_BYTES];
        // From the start, whatever was read before; a file cut short reads as zeros.
        let mut filled = 0;
        while filled < PAGE_BYTES {
            match self.file.read_at(&mut page[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LedgerError::io("read", &self.path, source)),
            }
        }
        let path = || self.path.clone();
        Header::choose(&page).map_err(|fault| match fault {
            HeaderFault::NotALedger => LedgerError::NotALedger { path: path() },
            HeaderFault::OtherVersion(found) => LedgerError::OtherVersion { path: path(), found },
            HeaderFault::OtherLayout => LedgerError::OtherLayout { path: path() },
            HeaderFault::Damaged => LedgerError::Damaged { path: path() },
        })
    }

    /// Refuses a file that is not as long as its header says, or not as large as configured.
    pub(super) fn check(
        &self,
        header: &Header,
        slots: usize,
        bytes: u64,
    ) -> Result<(), LedgerError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|s| LedgerError::io("look at", &self.path, s))?;
        let (found, path) = (metadata.len(), self.path.clone());
        let promised = usize::try_from(header.slots).ok().and_then(file_bytes);
        match promised {
            None => Err(LedgerError::Damaged { path }),
            Some(expected) if found != expected => {
                Err(LedgerError::WrongSize { path, found, expected })
            }
            Some(expected) if expected != bytes => {
                Err(LedgerError::OtherSlots { path, found: header.slots, configured: slots })
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn map(&self) -> Result<MmapRaw, LedgerError> {
        let mapped = MmapOptions::new().map_raw(&self.file);
        mapped.map_err(|source| LedgerError::io("map", &self.path, source))
    }

    /// Writes a copy of the header and waits until the disk has it.
    pub(super) fn write_header(&self, header: &Header) -> Result<(), LedgerError> {
        let written = self.file.write_all_at(&header.encode(), header.copy_at() as u64);
        let written = written.and_then(|()| self.file.sync_data());
        written.map_err(|source| LedgerError::io("write", &self.path, source))
    }
}

/// Zeros where the kernel does not tell: then every opening counts as a new boot.
pub(super) fn boot_id() -> BootId {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map(u128::to_be_bytes).unwrap_or_default()
}
