//! One folder: its names as everybody sees them, as the disk has them, and what is between.

use std::collections::BTreeMap;
use std::io;

use super::draws::Draws;
use super::platter::{FileId, FolderId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(FileId),
    Folder(FolderId),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Catalogue {
    seen: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    /// Since `durable`, in order.
    changes: Vec<(Change, Fate)>,
}

#[derive(Debug, Clone)]
enum Change {
    Link(String, Entry),
    Unlink(String),
    Rename(String, String, Entry),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    /// The disk has it, but not one before it.
    Synced,
    /// Its sync failed, and no later one says anything about it.
    Doubtful,
}

impl Catalogue {
    pub(super) fn get(&self, name: &str) -> io::Result<Entry> {
        self.seen.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn files(&self) -> Vec<String> {
        let files = self.seen.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn link(&mut self, name: &str, entry: Entry) {
        self.change(Change::Link(name.to_owned(), entry));
    }

    pub(super) fn unlink(&mut self, name: &str) -> io::Result<()> {
        self.get(name)?;
        self.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let entry = self.get(from)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned(), entry));
        Ok(())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.changes.push((change, Fate::Pending));
    }

    pub(super) fn sync(&mut self) {
        self.settle(Fate::Synced);
        if self.changes.iter().all(|(_, fate)| *fate == Fate::Synced) {
            self.durable = self.seen.clone();
            self.changes.clear();
        }
    }

    pub(super) fn fail_sync(&mut self) {
        self.settle(Fate::Doubtful);
    }

    fn settle(&mut self, fate: Fate) {
        let pending = self.changes.iter_mut().filter(|(_, fate)| *fate == Fate::Pending);
        pending.for_each(|(_, settled)| *settled = fate);
    }

    /// What was synced, and any of the rest.
    pub(super) fn crash(&mut self, draws: &mut Draws) {
        for (change, fate) in std::mem::take(&mut self.changes) {
            if fate == Fate::Synced || draws.below(2) == 1 {
                apply(&mut self.durable, &change);
            }
        }
        self.seen = self.durable.clone();
    }
}

fn apply(names: &mut BTreeMap<String, Entry>, change: &Change) {
    match change {
        Change::Link(name, entry) => drop(names.insert(name.clone(), *entry)),
        Change::Unlink(name) => drop(names.remove(name)),
        Change::Rename(from, to, entry) => {
            names.remove(from);
            names.insert(to.clone(), *entry);
        }
    }
}
