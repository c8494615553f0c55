//! The slot table as the copier sees it.

use std::ops::Range;
use std::sync::Arc;

use super::block::{BLOCK_LINES, Body, LINE_BYTES};
use super::copy::Lines;
use super::counters::slot_blocks;
use crate::slots::{Mapping, SlotTable};

impl Lines for SlotTable {
    fn touched(&self) -> Vec<u64> {
        self.touched_blocks().map(|block| block as u64).collect()
    }

    fn copy_block(&self, block: u64, body: &mut Body) -> bool {
        body.fill(0);
        let (lines, names) = lines_of(block, self.capacity());
        for (line, bytes) in lines.zip(body.chunks_exact_mut(LINE_BYTES)) {
            let words = if names { Some(self.copy_name(line)) } else { self.copy_slot(line) };
            let Some(words) = words else { return false };
            for (word, bytes) in words.iter().zip(bytes.chunks_exact_mut(8)) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        true
    }
}

/// Puts a block back, before a table is made of the mapping.
pub(super) fn restore(mapping: &Arc<Mapping>, block: u64, body: &Body) {
    let (lines, names) = lines_of(block, mapping.slots);
    for (line, bytes) in lines.zip(body.chunks_exact(LINE_BYTES)) {
        let words = words_of(bytes);
        // What is free already stays untouched.
        if words == [0; LINE_BYTES / 8] {
            continue;
        }
        if names {
            mapping.restore_name(line, words);
        } else {
            mapping.restore_slot(line, words);
        }
    }
}

/// Which slots a block is about, and whether it has their names.
fn lines_of(block: u64, slots: usize) -> (Range<usize>, bool) {
    let names = block >= slot_blocks(slots);
    let block = if names { block - slot_blocks(slots) } else { block };
    let first = usize::try_from(block).unwrap_or(usize::MAX).saturating_mul(BLOCK_LINES);
    (first..slots.min(first.saturating_add(BLOCK_LINES)), names)
}

fn words_of(line: &[u8]) -> [u64; LINE_BYTES / 8] {
    let mut words = [0; LINE_BYTES / 8];
    for (word, bytes) in words.iter_mut().zip(line.chunks_exact(8)) {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        *word = u64::from_le_bytes(eight);
    }
    words
}

/// A slot and its name, as the copies have them, as a line of JSON; `None` when no key has it.
/// Words whose meaning depends on others are in hexadecimal.
pub(super) fn json(number: u64, slot: &[u8], name: &[u8]) -> Option<String> {
    let [tag, word, ban, strikes, admitted, refused, policy, shape] = words_of(slot);
    let hex = |word: u64| format!("{word:016x}");
    (tag != 0).then(|| {
        serde_json::json!({
            "slot": number, "name": text_of(name, tag), "tag": hex(tag), "policy": hex(policy),
            "shape": hex(shape), "word": hex(word), "ban": hex(ban), "strikes": hex(strikes),
            "admitted": admitted, "refused": refused,
        })
        .to_string()
    })
}

/// The text of a name, if it is that of the key of `tag`.
fn text_of(name: &[u8], tag: u64) -> Option<String> {
    let (head, text) = name.split_at_checked(8)?;
    let head = u64::from_le_bytes(head.try_into().ok()?);
    let length = usize::try_from(head & 0xFF).ok()?;
    let own = head != 0 && head >> 8 == tag >> 8;
    Some(String::from_utf8_lossy(text.get(..length).filter(|_| own)?).into_owned())
}
