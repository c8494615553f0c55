//! A table whose every state is known, and the copies of it on a disk that fails.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::super::block::{BLOCK_LINES, BODY_BYTES, Body, LINE_BYTES};
use super::super::copies::Copies;
use super::super::copy::Lines;
use super::super::disk::SimDisk;
use super::super::opening::Damage;
use super::super::{BootId, LedgerError};
use super::{NOW, WALL};

/// Two blocks of slots and two of names.
pub(super) const SLOTS: usize = 2 * BLOCK_LINES;
const BOOT: BootId = [3; 16];

/// A small generator (xorshift), so that a seed is a run.
pub(super) struct Draws(pub(super) u64);

impl Draws {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Lines that hold one number each, eight times over, so that half a line shows.
#[derive(Default)]
pub(super) struct Shelf {
    values: RefCell<Vec<u64>>,
    /// Every value that each line ever had; numbers only grow.
    had: Vec<BTreeSet<u64>>,
    /// Of each line, the value that the disk acknowledged, or a later one.
    acknowledged: Vec<u64>,
    /// Blocks that do not come to rest for so many looks.
    restless: Cell<u32>,
}

impl Shelf {
    pub(super) fn new() -> Self {
        let lines = 2 * SLOTS;
        Self {
            values: RefCell::new(vec![0; lines]),
            had: vec![BTreeSet::from([0]); lines],
            acknowledged: vec![0; lines],
            restless: Cell::new(0),
        }
    }

    /// A slot counts, and now and then another key takes it, with another name.
    pub(super) fn change(&mut self, draws: &mut Draws, times: u64) {
        for _ in 0..times {
            let slot = usize::try_from(draws.below(SLOTS as u64)).expect("small");
            let lines = if draws.below(4) == 0 { vec![slot, SLOTS + slot] } else { vec![slot] };
            for line in lines {
                let value = &mut self.values.borrow_mut()[line];
                *value += 1 + draws.below(5);
                self.had[line].insert(*value);
            }
        }
    }

    pub(super) fn disturb(&self, looks: u32) {
        self.restless.set(looks);
    }

    pub(super) fn values(&self) -> Vec<u64> {
        self.values.borrow().clone()
    }

    /// What was counted before a round that is acknowledged now.
    pub(super) fn acknowledge(&mut self, before: &[u64]) {
        self.acknowledged.copy_from_slice(before);
    }

    /// Checks what a recovery found, and goes on from there. `exact`: nothing acknowledged may be
    /// missing.
    pub(super) fn recover(&mut self, found: &[u64], exact: bool, context: &str) {
        for (line, &value) in found.iter().enumerate() {
            assert!(self.had[line].contains(&value), "{context}: {line} never was {value}");
            let least = self.acknowledged[line];
            assert!(!exact || value >= least, "{context}: {line} is {value}, not {least} or more");
        }
        *self.values.borrow_mut() = found.to_vec();
        self.acknowledged = found.to_vec();
    }

    /// Whether something that was acknowledged is not in `found`.
    pub(super) fn misses(&self, found: &[u64]) -> bool {
        found.iter().zip(&self.acknowledged).any(|(value, least)| value < least)
    }
}

impl Lines for Shelf {
    fn touched(&self) -> Vec<u64> {
        let values = self.values.borrow();
        let blocks = values[..SLOTS].chunks(BLOCK_LINES).zip(0..);
        blocks.filter(|(lines, _)| lines.iter().any(|&v| v > 0)).map(|(_, block)| block).collect()
    }

    fn copy_block(&self, block: u64, body: &mut Body) -> bool {
        if self.restless.get() > 0 {
            self.restless.set(self.restless.get() - 1);
            return false;
        }
        let first = usize::try_from(block).expect("small") * BLOCK_LINES;
        let values = self.values.borrow();
        for (value, line) in values[first..].iter().zip(body.chunks_exact_mut(LINE_BYTES)) {
            line.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&value.to_le_bytes()));
        }
        true
    }
}

/// Opens the copies on `disk`, and what is in them. A line that is not one number is a panic.
pub(super) fn open(disk: &SimDisk) -> Result<(Copies, Damage, Vec<u64>), LedgerError> {
    open_after(disk, u64::MAX)
}

/// The same after a kill, when the disk has acknowledged that generation only.
pub(super) fn open_after(
    disk: &SimDisk,
    acknowledged: u64,
) -> Result<(Copies, Damage, Vec<u64>), LedgerError> {
    let (mut copies, _) = Copies::open(&*disk.root(), SLOTS, BOOT, WALL, NOW)?;
    let mut found = vec![0; 2 * SLOTS];
    let damage = copies.read(acknowledged, |block, body| read(block, body, &mut found))?;
    copies.mark(false, WALL, |_| ())?;
    Ok((copies, damage, found))
}

fn read(block: u64, body: &Body, found: &mut [u64]) {
    assert_eq!(body.len(), BODY_BYTES);
    let first = usize::try_from(block).expect("small") * BLOCK_LINES;
    for (line, value) in body.chunks_exact(LINE_BYTES).zip(&mut found[first..]) {
        let words: Vec<_> = line.chunks_exact(8).map(|word| word.try_into().expect("8")).collect();
        *value = u64::from_le_bytes(words[0]);
        assert!(words.iter().all(|word| *word == words[0]), "half a line in block {block}");
    }
}

/// One round, during which the table goes on changing.
pub(super) fn round(
    shelf: &mut Shelf,
    copies: &mut Copies,
    draws: &mut Draws,
) -> Result<(), LedgerError> {
    let before = shelf.values();
    copies.begin(shelf);
    while copies.step(shelf, WALL, |_| ())? {
        shelf.change(draws, 3);
    }
    shelf.change(draws, 2);
    let acknowledged = copies.finish(shelf, WALL, |_| ())?;
    assert!(acknowledged.complete, "it came to rest");
    shelf.acknowledge(&before);
    Ok(())
}
