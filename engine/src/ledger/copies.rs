//! The copies of the table on the disk: `counters`, its last header, and the copier.

use super::block::{BODY_BYTES, Body};
use super::copy::{Acknowledged, Copier, Lines};
use super::counters::{Counters, slot_blocks};
use super::disk::Folder;
use super::header::{Chosen, Header};
use super::opening::Damage;
use super::{BootId, LedgerError};
use crate::runtime::{Instant, UnixNanos};

/// How many blocks are looked at in one go: a quarter of a mebibyte, some dozens of microseconds.
pub(super) const SLICE_BLOCKS: usize = 64;

pub(super) struct Copies {
    pub(super) counters: Counters,
    /// The last one that the disk acknowledged.
    pub(super) header: Header,
    /// Its other copy was damaged when it was read.
    header_damaged: bool,
    copier: Copier,
}

impl Copies {
    /// Opens `counters`, and makes it if it is missing; whether it was. The copies are not read
    /// yet.
    pub(super) fn open(
        folder: &dyn Folder,
        slots: usize,
        boot_id: BootId,
        wall: UnixNanos,
        now: Instant,
    ) -> Result<(Self, bool), LedgerError> {
        let found = Counters::open(folder)?;
        let created = found.is_none();
        let counters = match found {
            Some(counters) => counters,
            None => {
                let header = Header::new(slots, wall, now, boot_id)?;
                Counters::create(folder, &header)?
            }
        };
        let Chosen { header, damaged } = counters.read_header()?;
        counters.check_size(&header)?;
        counters.check_slots(&header, slots)?;
        let copier = Copier::new(slots);
        Ok((Self { counters, header, header_damaged: damaged, copier }, created))
    }

    /// Reads every block: for the copier, and for `restore`, which gets the newest copy of each
    /// that there is. What is of a later generation than `acknowledged` may be in the page cache
    /// only.
    pub(super) fn read(
        &mut self,
        acknowledged: u64,
        mut restore: impl FnMut(u64, &Body),
    ) -> Result<Damage, LedgerError> {
        let Self { counters, header, .. } = self;
        let slots = usize::try_from(header.slots).unwrap_or(usize::MAX);
        let mut copier = Copier::new(slots);
        let mut damage = Damage { header: self.header_damaged, ..Damage::default() };
        let mut body = [0; BODY_BYTES];
        for block in 0..slot_blocks(slots) * 2 {
            let newest = counters.read_block(&header.identity, block, &mut body)?;
            if newest.damaged {
                damage.note(block);
            }
            if newest.label.is_some() {
                restore(block, &body);
            }
            copier.note(block, &newest, &body, acknowledged);
        }
        let tally = copier.tally();
        damage.lost = header.tally.blocks.saturating_sub(tally.blocks);
        damage.older = header.tally.revisions.saturating_sub(tally.revisions);
        self.copier = copier;
        Ok(damage)
    }

    /// What another process has done since is read anew.
    pub(super) fn read_again(&mut self, acknowledged: u64) -> Result<(), LedgerError> {
        let Chosen { header, damaged } = self.counters.read_header()?;
        let Header { generation, tally, .. } = header;
        self.header = Header { generation, tally, ..self.header };
        self.header_damaged = damaged;
        self.read(acknowledged, |_, _| ()).map(drop)
    }

    /// Begins a round; how many blocks it will look at.
    pub(super) fn begin(&mut self, lines: &impl Lines) -> usize {
        self.copier.begin(lines)
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.copier.is_under_way()
    }

    /// Looks at some more blocks, and writes those that changed; whether any are left. `announce`
    /// is told the generation of a header before it is written.
    pub(super) fn step(
        &mut self,
        lines: &impl Lines,
        wall: UnixNanos,
        announce: impl Fn(u64),
    ) -> Result<bool, LedgerError> {
        let Self { counters, header, copier, .. } = self;
        let tally = copier.tally();
        let next = || announced(Header { tally, ..header.next(wall) }, &announce);
        copier.step(lines, counters, SLICE_BLOCKS, next)
    }

    /// Ends a round: waits for the disk.
    pub(super) fn finish(
        &mut self,
        lines: &impl Lines,
        wall: UnixNanos,
        announce: impl Fn(u64),
    ) -> Result<Acknowledged, LedgerError> {
        let Self { counters, header, copier, .. } = self;
        let tally = copier.tally();
        let next = || announced(Header { tally, ..header.next(wall) }, &announce);
        let (acknowledged, written) = copier.finish(lines, counters, next)?;
        if let Some(written) = written {
            *header = written;
        }
        Ok(acknowledged)
    }

    /// Writes a header and waits for it.
    pub(super) fn mark(
        &mut self,
        clean: bool,
        wall: UnixNanos,
        announce: impl Fn(u64),
    ) -> Result<(), LedgerError> {
        // Marked as open, the copies are as old as they were.
        let written_at = if clean { wall } else { self.header.written_at };
        let tally = self.copier.tally();
        let header = Header { clean, tally, ..self.header.next(written_at) };
        self.counters.write_header(&announced(header, &announce))?;
        self.counters.sync()?;
        self.header = header;
        Ok(())
    }
}

/// The live table's generation is the header's, or one ahead, at every moment.
fn announced(header: Header, announce: &impl Fn(u64)) -> Header {
    announce(header.generation);
    header
}
