//! The copier: brings what changed in the live table to `counters`, in rounds.
//!
//! ```text
//! round   blocks that ever held a key ─► those that changed ─► header, then each block to the
//!         older of its places ─► one sync ─► acknowledged
//! ```
//!
//! Invariants:
//! - the place that holds a block's acknowledged revision is never written: until the next one is
//!   acknowledged it goes to the other, however often that takes;
//! - a sync acknowledges what was written in its round and nothing else: after a failure all of
//!   that round is in doubt, and is written anew from the live table;
//! - a block is acknowledged with what it held after its round began.
//!
//! A header whose round failed is not acknowledged either: the next round's takes its place, and
//! the one before it stays.
//!
//! No clock inside: the caller decides when a round begins, and how much of it is done at a time.

use super::LedgerError;
use super::block::{BODY_BYTES, Body, Label, fingerprint};
use super::counters::{Counters, Newest, slot_blocks};
use super::header::{Header, Tally};

/// The live table in blocks, those of slots first, then as many of their names.
pub(super) trait Lines {
    /// The blocks of slots that ever held a key.
    fn touched(&self) -> Vec<u64>;

    /// What a block holds: each line as it was at some moment of the call. False when a line did
    /// not come to rest.
    fn copy_block(&self, block: u64, body: &mut Body) -> bool;
}

/// How often a block that changes hands all the time is looked at again.
const PATIENCE: u32 = 1_000;

pub(super) struct Copier {
    slot_blocks: u64,
    /// Of each block, the fingerprint of the acknowledged copy; 0 when there is none, or when its
    /// other place is in doubt.
    acknowledged: Vec<u64>,
    /// Of each block, the revision of the acknowledged copy.
    revisions: Vec<u64>,
    /// Of the acknowledged copies.
    tally: Tally,
    round: Option<Round>,
}

struct Round {
    blocks: Vec<u64>,
    /// Of `blocks`, how many were looked at.
    done: usize,
    /// Blocks of slots that did not come to rest.
    restless: Vec<u64>,
    /// Block and fingerprint.
    written: Vec<(u64, u64)>,
    /// Written before the first block.
    header: Option<Header>,
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// Blocks written.
    pub(super) written: usize,
    /// Whether all that was counted before the round is on the disk: no block was restless.
    pub(super) complete: bool,
}

impl Copier {
    /// For a table of which there are no copies.
    pub(super) fn new(slots: usize) -> Self {
        let slot_blocks = slot_blocks(slots);
        let blocks = usize::try_from(slot_blocks * 2).unwrap_or(usize::MAX);
        // Zeroed memory that is not touched is not resident.
        let (acknowledged, revisions) = (vec![0; blocks], vec![0; blocks]);
        Self { slot_blocks, acknowledged, revisions, tally: Tally::default(), round: None }
    }

    /// Takes in what was found of a block at the opening. Up to that generation the disk has
    /// acknowledged everything.
    pub(super) fn note(&mut self, block: u64, newest: &Newest, body: &Body, acknowledged: u64) {
        let Some(label) = newest.label else { return };
        let (at, in_doubt) = (index(block), label.generation > acknowledged);
        // The place of one that is in doubt is the next to be written, not the other one.
        let revision = label.revision - u64::from(in_doubt);
        self.tally.blocks += u64::from(revision > 0);
        self.tally.revisions = self.tally.revisions.wrapping_add(revision);
        self.revisions[at] = revision;
        // A damaged place is written again at once.
        let renew = newest.damaged || in_doubt;
        self.acknowledged[at] = if renew { 0 } else { fingerprint(body) };
    }

    /// Of the copies that the disk has acknowledged.
    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Begins a round; how many blocks it will look at.
    pub(super) fn begin(&mut self, lines: &impl Lines) -> usize {
        let blocks = lines.touched();
        let count = blocks.len();
        let (restless, written) = (Vec::new(), Vec::new());
        self.round = Some(Round { blocks, done: 0, restless, written, header: None });
        count
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.round.is_some()
    }

    /// Looks at up to `count` more blocks, and writes those that changed; whether any are left.
    /// `next_header` is asked once in a round, before anything is written.
    pub(super) fn step(
        &mut self,
        lines: &impl Lines,
        counters: &Counters,
        count: usize,
        next_header: impl Fn() -> Header,
    ) -> Result<bool, LedgerError> {
        let Some(round) = &mut self.round else { return Ok(false) };
        let end = round.blocks.len().min(round.done + count);
        let blocks: Vec<u64> = round.blocks[round.done..end].to_vec();
        round.done = end;
        let left = end < round.blocks.len();
        for block in blocks {
            if let Err(error) = self.copy(lines, counters, block, &next_header) {
                self.doubt();
                return Err(error);
            }
        }
        Ok(left)
    }

    /// Copies a block of slots if it changed, and then that of their names if it did too.
    fn copy(
        &mut self,
        lines: &impl Lines,
        counters: &Counters,
        block: u64,
        next_header: &impl Fn() -> Header,
    ) -> Result<(), LedgerError> {
        let mut body = [0; BODY_BYTES];
        if !lines.copy_block(block, &mut body) {
            self.round.iter_mut().for_each(|round| round.restless.push(block));
            return Ok(());
        }
        if !self.write_if_changed(counters, block, &body, next_header)? {
            return Ok(());
        }
        let names = self.slot_blocks + block;
        if lines.copy_block(names, &mut body) {
            self.write_if_changed(counters, names, &body, next_header)?;
        }
        Ok(())
    }

    /// Whether it had changed.
    fn write_if_changed(
        &mut self,
        counters: &Counters,
        block: u64,
        body: &Body,
        next_header: &impl Fn() -> Header,
    ) -> Result<bool, LedgerError> {
        let (at, print) = (index(block), fingerprint(body));
        let Some(round) = &mut self.round else { return Ok(false) };
        if self.acknowledged[at] == print {
            return Ok(false);
        }
        let header = match round.header {
            Some(header) => header,
            None => {
                let header = next_header();
                counters.write_header(&header)?;
                *round.header.insert(header)
            }
        };
        // In doubt from the first byte on.
        round.written.push((block, print));
        let revision = self.revisions[at] + 1;
        let label = Label { block, generation: header.generation, revision };
        counters.write_block(&header.identity, label, body)?;
        Ok(true)
    }

    /// Ends a round: waits for the disk. The header is the one that holds now, if one was written.
    pub(super) fn finish(
        &mut self,
        lines: &impl Lines,
        counters: &Counters,
        next_header: impl Fn() -> Header,
    ) -> Result<(Acknowledged, Option<Header>), LedgerError> {
        let finished = self.settle(lines, counters, &next_header).and_then(|()| {
            let written = self.round.as_ref().is_some_and(|round| round.header.is_some());
            if written { counters.sync() } else { Ok(()) }
        });
        if let Err(error) = finished {
            self.doubt();
            return Err(error);
        }
        let Some(round) = self.round.take() else {
            return Ok((Acknowledged { written: 0, complete: true }, None));
        };
        for &(block, print) in &round.written {
            let at = index(block);
            self.tally.blocks += u64::from(self.revisions[at] == 0);
            self.tally.revisions += 1;
            self.revisions[at] += 1;
            self.acknowledged[at] = print;
        }
        let complete = round.restless.is_empty();
        Ok((Acknowledged { written: round.written.len(), complete }, round.header))
    }

    /// Looks again at the blocks that did not come to rest.
    fn settle(
        &mut self,
        lines: &impl Lines,
        counters: &Counters,
        next_header: &impl Fn() -> Header,
    ) -> Result<(), LedgerError> {
        for _ in 0..PATIENCE {
            let restless = self.round.as_mut().map(|round| std::mem::take(&mut round.restless));
            let restless = restless.unwrap_or_default();
            if restless.is_empty() {
                break;
            }
            std::thread::yield_now();
            for block in restless {
                self.copy(lines, counters, block, next_header)?;
            }
        }
        Ok(())
    }

    /// Gives up a round: nothing that it wrote is believed to be on the disk, nor that it is not.
    fn doubt(&mut self) {
        let written = self.round.take().map(|round| round.written).unwrap_or_default();
        for (block, _) in written {
            self.acknowledged[index(block)] = 0;
        }
    }
}

/// A block's place in the lists; blocks are no more than slots, which fit memory.
fn index(block: u64) -> usize {
    usize::try_from(block).unwrap_or(usize::MAX)
}
