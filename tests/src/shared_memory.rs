//! The tables that gateways count in, which outlive them.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::weir::Weir;

/// What gateways that were killed leave in shared memory for their successors: one table for each
/// ledger in this folder.
pub(crate) struct SharedMemory(PathBuf);

impl SharedMemory {
    pub(crate) fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = PathBuf> {
        let folders = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        folders.filter_map(|folder| {
            let counters = std::fs::File::open(folder.path().join("counters")).ok()?;
            // Both copies of its header have the ledger's identity.
            let mut identity = [0; 16];
            counters.read_exact_at(&mut identity, 88).ok()?;
            Some(format!("/dev/shm/weir-{:032x}", u128::from_be_bytes(identity)).into())
        })
    }
}

/// Of the flight recorder whose ledger has this table.
fn rings_beside(table: &Path) -> impl Iterator<Item = PathBuf> {
    let prefix = format!("{}-flight-", table.display());
    let entries = std::fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(move |path| path.to_str().is_some_and(|path| path.starts_with(&prefix)))
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // One that was stopped has taken its own away.
        for table in self.tables() {
            drop(std::fs::remove_file(&table));
            rings_beside(&table).for_each(|ring| drop(std::fs::remove_file(ring)));
        }
    }
}

impl Weir {
    /// The table in shared memory of its ledger, which is there while it runs and after a kill.
    ///
    /// # Panics
    /// When it has no ledger.
    pub fn live_table(&self) -> PathBuf {
        self.left.tables().next().expect("a ledger")
    }
}
