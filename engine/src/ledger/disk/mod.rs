//! Where the ledger's files are: a disk, as far as the ledger needs one.
//!
//! What is brought to the disk goes through these traits, so that the same code runs on files
//! ([`RealFolder`]) and on a disk that loses, tears and fails by a seed ([`SimDisk`]).
//!
//! What a caller may rely on after a loss of power, and no more:
//! - what was written to a file, and its length, once a later [`DiskFile::sync`] of it succeeded;
//! - a file's name (made, renamed or removed) once a later [`Folder::sync`] of its folder did;
//! - of everything else any part may be there, in units of [`SECTOR_BYTES`], in any order.
//!
//! After a sync that failed, what it should have synced is in doubt for ever: a later success says
//! nothing about it, until it is written anew.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

mod real;
mod sim;

#[cfg(test)]
mod tests;

pub use real::RealFolder;
pub(super) use real::reserve;
pub use sim::SimDisk;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// A folder. Names are single path components. What changes here is on the disk after
/// [`Folder::sync`] only. Errors are the operating system's.
pub trait Folder: Send + Sync {
    /// An empty file, in the place of whatever file had the name; for its owner only.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// The file of that name, for reading and writing. `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// The folder of that name, which is made unless it is there; for its owner only.
    fn folder(&self, name: &str) -> io::Result<Arc<dyn Folder>>;

    /// The names of all files here, in order. Folders are not among them.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, in one step, in the place of whatever file had that.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file's name away. Who has it open may go on using it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Waits until the disk has the names in this folder as they are.
    fn sync(&self) -> io::Result<()>;

    /// Where it is, for messages.
    fn path(&self) -> PathBuf;
}

/// An open file. Errors are the operating system's.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads from `at` on until `bytes` is full or the file ends; how many bytes that was.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`; the file grows as needed. After an error any part of it may
    /// have been written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes room for `bytes` bytes from the beginning. A shorter file grows to that length, with
    /// zeros; no file gets shorter.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Waits until the disk has what was written, and the length.
    fn sync(&self) -> io::Result<()>;
}

/// Everything that is in a file.
///
/// # Errors
/// Those of the file, and `OutOfMemory` for a file that is larger than memory can address.
pub fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; size];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}
