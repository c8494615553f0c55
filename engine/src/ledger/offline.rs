//! What can be done with a ledger's counters from outside: looking through them, and copying them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::block::{BLOCK_LINES, BODY_BYTES, LINE_BYTES, Place, RECORD_BYTES};
use super::counters::{Counters, NAME, slot_blocks};
use super::disk::RealFolder;
use super::header::{Chosen, Header};
use super::live::{self, LiveTable, Search};
use super::opening::Damage;
use super::{LedgerError, files};
use crate::runtime::UnixNanos;

/// What [`verify`] found of the counters. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub slots: u64,
    /// The last process closed the ledger.
    pub clean: bool,
    pub generation: u64,
    pub written_at: UnixNanos,
    /// Blocks that have a good copy.
    pub blocks: u64,
    pub damage: Damage,
    /// There is a live table: a running engine's, or one that the next start takes up.
    pub live_table: bool,
}

impl Verified {
    /// Whether every copy is as it should be.
    pub fn is_sound(&self) -> bool {
        self.damage == Damage::default()
    }
}

/// Looks through the counters of the ledger in `dir`: header, blocks, live table. An engine may use
/// them meanwhile: a block that is being written is looked at again.
///
/// # Errors
/// Whatever would keep an engine from opening them.
pub fn verify(dir: &Path) -> Result<Verified, LedgerError> {
    let (counters, Chosen { header, damaged }) = open_whole(dir)?;
    let slots = usize::try_from(header.slots).unwrap_or(usize::MAX);
    let (mut blocks, mut revisions) = (0, 0_u64);
    let mut damage = Damage { header: damaged, ..Damage::default() };
    let mut body = [0; BODY_BYTES];
    for block in 0..slot_blocks(slots) * 2 {
        let mut newest = counters.read_block(&header.identity, block, &mut body)?;
        for _ in 0..LOOKS {
            if !newest.damaged {
                break;
            }
            newest = counters.read_block(&header.identity, block, &mut body)?;
        }
        if newest.damaged {
            damage.note(block);
        }
        if let Some(label) = newest.label {
            blocks += 1;
            revisions = revisions.wrapping_add(label.revision);
        }
    }
    damage.lost = header.tally.blocks.saturating_sub(blocks);
    damage.older = header.tally.revisions.saturating_sub(revisions);
    let Header { slots, clean, generation, written_at, .. } = header;
    let live_table = has_live_table(dir, &header);
    Ok(Verified { slots, clean, generation, written_at, blocks, damage, live_table })
}

/// How often a header or a block is looked at again that an engine may be writing.
const LOOKS: usize = 100;

fn has_live_table(dir: &Path, header: &Header) -> bool {
    let (boot_id, shared_memory) = (files::boot_id(), Path::new("/dev/shm"));
    let search = Search { dir, shared_memory, choice: LiveTable::Auto, boot_id, header };
    live::is_left(&search)
}

/// Whether there are counters in `dir`.
pub(super) fn check(dir: &Path) -> Result<(), LedgerError> {
    open(dir).map(drop)
}

/// Writes every slot that belongs to a key, as its newest good copy has it, as a line of JSON each:
/// its number, the words of the slot and the name of its key. The copies of a running engine are up
/// to a sync interval old.
///
/// # Errors
/// Whatever would keep an engine from opening the counters, and what `out` says.
pub fn dump(dir: &Path, out: &mut dyn Write) -> Result<(), DumpError> {
    let (counters, header) = open(dir)?;
    let slots = usize::try_from(header.slots).unwrap_or(usize::MAX);
    let (mut body, mut names) = ([0; BODY_BYTES], [0; BODY_BYTES]);
    let lines = slots.min(BLOCK_LINES);
    for block in 0..slot_blocks(slots) {
        counters.read_block(&header.identity, block, &mut body)?;
        counters.read_block(&header.identity, slot_blocks(slots) + block, &mut names)?;
        let pairs = body.chunks_exact(LINE_BYTES).zip(names.chunks_exact(LINE_BYTES));
        for (at, (slot, name)) in pairs.take(lines).enumerate() {
            let number = block * BLOCK_LINES as u64 + at as u64;
            if let Some(line) = super::lines::json(number, slot, name) {
                writeln!(out, "{line}").map_err(DumpError::Out)?;
            }
        }
    }
    Ok(())
}

/// Why nothing more was dumped.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot write: {0}")]
    Out(io::Error),
}

/// Copies the counters of the ledger in `dir` to the folder `to`, which must have none: a ledger
/// that an engine can be started on. Of a running engine the copy is that of its last rounds: each
/// block is whole and as new as that, and the next start takes it for a ledger that was not closed.
///
/// # Errors
/// Whatever would keep an engine from opening the counters; `to` cannot be written; or it has
/// counters already.
pub fn backup(dir: &Path, to: &Path) -> Result<(), LedgerError> {
    let (counters, header) = open(dir)?;
    let there = to.join(NAME);
    let failed = |source| LedgerError::io("write", &there, source);
    if there.try_exists().map_err(failed)? {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let folder = RealFolder::new(to).map_err(|source| LedgerError::io("create", to, source))?;
    let target = Counters::create(&folder, &header)?;
    let copied = target
        .write_header(&header.before())
        .and_then(|()| copy_blocks(&counters, &header, &target))
        .and_then(|()| target.sync());
    if copied.is_err() {
        // Half a backup is none; the first error is the one to tell.
        let _ = fs::remove_file(&there);
    }
    copied
}

fn copy_blocks(from: &Counters, header: &Header, to: &Counters) -> Result<(), LedgerError> {
    let slots = usize::try_from(header.slots).unwrap_or(usize::MAX);
    let mut record = [0; RECORD_BYTES];
    for block in 0..slot_blocks(slots) * 2 {
        for place in Place::BOTH {
            // Both places: whichever a running engine writes meanwhile, the other is whole.
            from.read_place(&header.identity, block, place, &mut record)?;
            to.write_record(block, place, &record)?;
        }
    }
    Ok(())
}

/// The counters of the ledger in `dir`, and what there is of its header.
fn open_whole(dir: &Path) -> Result<(Counters, Chosen), LedgerError> {
    let (counters, _) = open(dir)?;
    let mut chosen = counters.read_header()?;
    for _ in 0..LOOKS {
        if !chosen.damaged {
            break;
        }
        chosen = counters.read_header()?;
    }
    Ok((counters, chosen))
}

fn open(dir: &Path) -> Result<(Counters, Header), LedgerError> {
    let path = dir.join(NAME);
    let missing = || LedgerError::io("open", &path, io::ErrorKind::NotFound.into());
    if !path.try_exists().map_err(|source| LedgerError::io("open", &path, source))? {
        return Err(missing());
    }
    let folder = RealFolder::new(dir).map_err(|source| LedgerError::io("open", dir, source))?;
    let counters = Counters::open(&folder)?.ok_or_else(missing)?;
    let header = counters.read_header()?.header;
    counters.check_size(&header)?;
    Ok((counters, header))
}
