//! All files and folders of a simulated disk, and when what fails.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path};

use super::catalogue::{Catalogue, Entry};
use super::draws::Draws;
use super::image::Image;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderId(usize);

#[derive(Debug)]
pub(super) struct Platter {
    files: Vec<Image>,
    folders: Vec<Catalogue>,
    pub(super) faults: Faults,
    draws: Draws,
    /// How many crashes there were.
    epoch: u64,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) operations: u64,
    pub(super) syncs: u64,
    pub(super) claims: u64,
    pub(super) cut_at: Option<u64>,
    pub(super) full_at: Option<u64>,
    pub(super) failing_syncs: BTreeSet<u64>,
    off: bool,
}

impl Faults {
    /// Counts an operation. That in which the power fails still reaches the cache, from which the
    /// crash takes what it likes; [`Faults::end`] makes it fail.
    fn begin(&mut self) -> io::Result<()> {
        self.end()?;
        self.operations += 1;
        self.off = self.cut_at.is_some_and(|at| self.operations >= at);
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts an operation that may want room.
    fn claim(&mut self) -> io::Result<()> {
        self.claims += 1;
        match self.full_at.is_some_and(|at| self.claims >= at) {
            true => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            false => Ok(()),
        }
    }

    /// Counts a sync; whether it fails.
    fn sync_fails(&mut self) -> bool {
        self.syncs += 1;
        self.failing_syncs.contains(&self.syncs)
    }
}

impl Platter {
    pub(super) const ROOT: FolderId = FolderId(0);

    pub(super) fn new(seed: u64) -> Self {
        Self {
            files: Vec::new(),
            folders: vec![Catalogue::default()],
            faults: Faults::default(),
            draws: Draws::new(seed),
            epoch: 0,
        }
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Refuses what was opened before a crash, and everything while the power is off.
    pub(super) fn check(&self, epoch: u64) -> io::Result<()> {
        if epoch != self.epoch {
            return Err(io::Error::other("it was opened before the power failed"));
        }
        self.faults.end()
    }

    pub(super) fn image(&mut self, id: FileId) -> &mut Image {
        &mut self.files[id.0]
    }

    fn names(&mut self, id: FolderId) -> &mut Catalogue {
        &mut self.folders[id.0]
    }

    pub(super) fn create(&mut self, folder: FolderId, name: &str) -> io::Result<FileId> {
        self.faults.begin()?;
        self.faults.claim()?;
        self.files.push(Image::default());
        let id = FileId(self.files.len() - 1);
        self.names(folder).link(name, Entry::File(id));
        self.faults.end()?;
        Ok(id)
    }

    pub(super) fn open(&mut self, folder: FolderId, name: &str) -> io::Result<FileId> {
        match self.names(folder).get(name)? {
            Entry::File(id) => Ok(id),
            Entry::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn folder(&mut self, parent: FolderId, name: &str) -> io::Result<FolderId> {
        match self.names(parent).get(name) {
            Ok(Entry::Folder(id)) => return Ok(id),
            Ok(Entry::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => {}
        }
        self.faults.begin()?;
        self.faults.claim()?;
        self.folders.push(Catalogue::default());
        let id = FolderId(self.folders.len() - 1);
        self.names(parent).link(name, Entry::Folder(id));
        self.faults.end()?;
        Ok(id)
    }

    pub(super) fn list(&mut self, folder: FolderId) -> Vec<String> {
        self.names(folder).files()
    }

    pub(super) fn rename(&mut self, folder: FolderId, from: &str, to: &str) -> io::Result<()> {
        self.faults.begin()?;
        self.names(folder).rename(from, to)?;
        self.faults.end()
    }

    pub(super) fn remove(&mut self, folder: FolderId, name: &str) -> io::Result<()> {
        self.faults.begin()?;
        self.names(folder).unlink(name)?;
        self.faults.end()
    }

    pub(super) fn sync_folder(&mut self, folder: FolderId) -> io::Result<()> {
        self.faults.begin()?;
        let fails = self.faults.sync_fails();
        self.faults.end()?;
        if fails {
            self.names(folder).fail_sync();
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.names(folder).sync();
        Ok(())
    }

    pub(super) fn write(&mut self, file: FileId, bytes: &[u8], at: usize) -> io::Result<()> {
        self.faults.begin()?;
        if let Err(full) = self.faults.claim() {
            let part = self.draws.below(bytes.len() + 1);
            self.image(file).write(&bytes[..part], at);
            return Err(full);
        }
        self.image(file).write(bytes, at);
        self.faults.end()
    }

    pub(super) fn allocate(&mut self, file: FileId, bytes: usize) -> io::Result<()> {
        self.faults.begin()?;
        self.faults.claim()?;
        self.image(file).grow(bytes);
        self.faults.end()
    }

    pub(super) fn sync_file(&mut self, file: FileId) -> io::Result<()> {
        self.faults.begin()?;
        let fails = self.faults.sync_fails();
        self.faults.end()?;
        if fails {
            self.image(file).fail_sync();
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        self.image(file).sync();
        Ok(())
    }

    pub(super) fn crash(&mut self, seed: u64) {
        let mut draws = Draws::new(seed);
        self.files.iter_mut().for_each(|file| file.crash(&mut draws));
        self.folders.iter_mut().for_each(|folder| folder.crash(&mut draws));
        let Faults { operations, syncs, claims, .. } = self.faults;
        self.faults = Faults { operations, syncs, claims, ..Faults::default() };
        self.epoch += 1;
    }

    /// The file at a path from the root.
    pub(super) fn find(&mut self, path: &Path) -> io::Result<&mut Image> {
        let mut entry = Entry::Folder(Self::ROOT);
        for part in path.components() {
            if let (Component::Normal(name), Entry::Folder(folder)) = (part, entry) {
                let name = name.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
                entry = self.names(folder).get(name)?;
            }
        }
        match entry {
            Entry::File(id) => Ok(self.image(id)),
            Entry::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}
