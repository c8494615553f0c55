//! One file: what everybody reads, what the disk has, and what is between them.

use std::collections::BTreeMap;

use super::super::SECTOR_BYTES;
use super::draws::Draws;

#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// What was written to a sector since the disk got it, in order.
    pending: BTreeMap<usize, Pending>,
    /// Lengths that the file has had since the disk got one.
    lengths: Vec<usize>,
    /// The last length is that of a failed sync.
    length_doubtful: bool,
}

#[derive(Debug, Clone, Default)]
struct Pending {
    versions: Vec<Vec<u8>>,
    /// A sync of the last version failed: it counts as clean, and no later sync writes it.
    doubtful: bool,
}

impl Image {
    /// The file as everybody sees it.
    pub(super) fn cached(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = at + bytes.len();
        self.grow(end);
        self.cached[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES {
            let pending = self.pending.entry(sector).or_default();
            pending.versions.push(sector_of(&self.cached, sector));
            pending.doubtful = false;
        }
    }

    pub(super) fn grow(&mut self, bytes: usize) {
        if bytes > self.cached.len() {
            self.cached.resize(bytes, 0);
            self.lengths.push(bytes);
            self.length_doubtful = false;
        }
    }

    pub(super) fn sync(&mut self) {
        if !self.length_doubtful
            && let Some(bytes) = self.lengths.pop()
        {
            self.durable.resize(bytes, 0);
            self.lengths.clear();
        }
        let durable = &mut self.durable;
        self.pending.retain(|&sector, pending| {
            if !pending.doubtful {
                put_sector(durable, sector, pending.versions.last());
            }
            pending.doubtful
        });
    }

    pub(super) fn fail_sync(&mut self) {
        self.length_doubtful = !self.lengths.is_empty();
        self.pending.values_mut().for_each(|pending| pending.doubtful = true);
    }

    /// Any of its lengths, and in each sector any of what was written there.
    pub(super) fn crash(&mut self, draws: &mut Draws) {
        // The draws come from all of it, so that each sector's do not depend on the length's.
        let drawn = draws.below(self.lengths.len() + 1);
        let length = drawn.checked_sub(1).map_or(self.durable.len(), |at| self.lengths[at]);
        let longest = self.cached.len().max(self.durable.len());
        self.durable.resize(longest, 0);
        for (&sector, pending) in &self.pending {
            let drawn = draws.below(pending.versions.len() + 1).checked_sub(1);
            put_sector(&mut self.durable, sector, drawn.map(|at| &pending.versions[at]));
        }
        self.durable.resize(length, 0);
        *self = Self {
            cached: self.durable.clone(),
            durable: std::mem::take(&mut self.durable),
            ..Self::default()
        };
    }

    pub(super) fn forge(&mut self, at: usize, bytes: &[u8]) {
        for image in [&mut self.cached, &mut self.durable] {
            let room = image.get_mut(at..).unwrap_or_default();
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
        }
    }

    pub(super) fn truncate(&mut self, bytes: usize) {
        self.cached.truncate(bytes);
        self.durable.truncate(bytes);
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> Vec<u8> {
    let at = sector * SECTOR_BYTES;
    bytes[at..bytes.len().min(at + SECTOR_BYTES)].to_vec()
}

/// What lies beyond the disk's length of the file is lost.
fn put_sector(durable: &mut [u8], sector: usize, bytes: Option<&Vec<u8>>) {
    if let (Some(room), Some(bytes)) = (durable.get_mut(sector * SECTOR_BYTES..), bytes) {
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
    }
}
