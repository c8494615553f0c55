//! A disk in memory that keeps of unsynced work what a seed says, and fails when told to.
//!
//! Every change counts as one operation, every change that may want room as one of those too, every
//! sync of a file or folder as one sync; faults are set by these numbers, counted from 1 since the
//! disk was made. The same calls with the same seeds have the same outcome.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DiskFile, Folder};

mod catalogue;
mod draws;
mod image;
mod platter;

use platter::{FileId, FolderId, Platter};

/// A disk of its own. Copies are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<Platter>>);

impl SimDisk {
    /// An empty disk without faults. The seed decides how much of a write is done that finds the
    /// disk full.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Platter::new(seed))))
    }

    /// Its outermost folder. Of no use any more after [`SimDisk::crash`], as all that came from it.
    #[must_use]
    pub fn root(&self) -> Arc<dyn Folder> {
        let epoch = self.lock().epoch();
        Arc::new(SimFolder { disk: self.clone(), id: Platter::ROOT, epoch, path: "/".into() })
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().faults.operations
    }

    /// How many syncs were tried, of files and folders.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().faults.syncs
    }

    /// How many operations that may want room there were.
    #[must_use]
    pub fn claims(&self) -> u64 {
        self.lock().faults.claims
    }

    /// The power fails during this operation: it and all later ones fail, until
    /// [`SimDisk::crash`].
    pub fn cut_power_at(&self, operation: u64) {
        self.lock().faults.cut_at = Some(operation);
    }

    /// This sync fails, and what it should have synced is in doubt for ever.
    pub fn fail_sync(&self, sync: u64) {
        self.lock().faults.failing_syncs.insert(sync);
    }

    /// The disk is full (`ENOSPC`) from this claim of room on: for making, growing and writing
    /// files, as copy-on-write filesystems need room for writing over what is there.
    pub fn fill_at(&self, claim: u64) {
        self.lock().faults.full_at = Some(claim);
    }

    /// It is not full any more.
    pub fn make_room(&self) {
        self.lock().faults.full_at = None;
    }

    /// Takes the power away and gives it back: of everything that was not synced, the seed decides
    /// what is there. Whatever was open is of no use any more; faults set for later are forgotten.
    pub fn crash(&self, seed: u64) {
        self.lock().crash(seed);
    }

    /// What a file holds, from its first byte; the path as [`Folder::path`] with the name.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut platter = self.lock();
        Ok(platter.find(path)?.cached().to_vec())
    }

    /// Puts bytes in the place of a file's, behind everybody's back and as if they had always been
    /// there. What lies beyond its end is left out.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    pub fn forge(&self, path: &Path, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.lock().find(path)?.forge(at, bytes);
        Ok(())
    }

    /// Turns one bit of a file over, as [`SimDisk::forge`].
    ///
    /// # Errors
    /// `NotFound` when there is no such file or bit.
    pub fn flip_bit(&self, path: &Path, bit: usize) -> io::Result<()> {
        let byte = self.contents(path)?.get(bit / 8).copied().ok_or(io::ErrorKind::NotFound)?;
        self.forge(path, bit / 8, &[byte ^ 1 << (bit % 8)])
    }

    /// Cuts a file short, as [`SimDisk::forge`].
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    pub fn truncate(&self, path: &Path, bytes: usize) -> io::Result<()> {
        self.lock().find(path)?.truncate(bytes);
        Ok(())
    }

    /// What it guards stays whole if a holder panicked.
    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, id: FileId, epoch: u64) -> Box<dyn DiskFile> {
        Box::new(SimFile { disk: self.clone(), id, epoch })
    }
}

struct SimFolder {
    disk: SimDisk,
    id: FolderId,
    epoch: u64,
    path: PathBuf,
}

impl SimFolder {
    /// The disk, unless this folder is from before a crash.
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.lock();
        platter.check(self.epoch)?;
        Ok(platter)
    }
}

impl Folder for SimFolder {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let id = self.platter()?.create(self.id, name)?;
        Ok(self.disk.file(id, self.epoch))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let id = self.platter()?.open(self.id, name)?;
        Ok(self.disk.file(id, self.epoch))
    }

    fn folder(&self, name: &str) -> io::Result<Arc<dyn Folder>> {
        let id = self.platter()?.folder(self.id, name)?;
        let (disk, path) = (self.disk.clone(), self.path.join(name));
        Ok(Arc::new(Self { disk, id, epoch: self.epoch, path }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.platter()?.list(self.id))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.platter()?.rename(self.id, from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.platter()?.remove(self.id, name)
    }

    fn sync(&self) -> io::Result<()> {
        self.platter()?.sync_folder(self.id)
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

struct SimFile {
    disk: SimDisk,
    id: FileId,
    epoch: u64,
}

impl SimFile {
    /// The disk, unless this file was opened before a crash.
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.lock();
        platter.check(self.epoch)?;
        Ok(platter)
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.platter()?.image(self.id).cached().len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut platter = self.platter()?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let found = platter.image(self.id).cached().get(at..).unwrap_or_default();
        let count = found.len().min(bytes.len());
        bytes[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.platter()?.write(self.id, bytes, in_memory(at)?)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.platter()?.allocate(self.id, in_memory(bytes)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.platter()?.sync_file(self.id)
    }
}

/// Files are no larger than memory here.
fn in_memory(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
