//! The readable names of keys, beside their slots: what a person is shown. They decide nothing.

use std::fmt::{self, Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::sync::Atomic;

/// The size of a name in memory and in the ledger.
pub(crate) const NAME_BYTES: usize = 64;
/// How much of a name's text is kept.
pub(super) const TEXT_BYTES: usize = 56;

const _: () = assert!(size_of::<Name>() == NAME_BYTES && align_of::<Name>() == NAME_BYTES);

/// The name of the key that a slot belongs to. The head holds the length of the text in its low 8
/// bits and the upper 56 bits of the key's tag, which tell whose name it is; zero: nobody's.
#[repr(C, align(64))]
pub(super) struct Name<A = AtomicU64> {
    head: A,
    text: [A; TEXT_BYTES / 8],
}

/// A text as a name keeps it: cut to [`TEXT_BYTES`] between two characters.
pub(super) struct NameText {
    bytes: [u8; TEXT_BYTES],
    length: usize,
}

impl NameText {
    pub(super) fn of(name: &dyn Display) -> Self {
        let mut text = Self { bytes: [0; TEXT_BYTES], length: 0 };
        // An error says that the text is cut, as it should be.
        let _ = write!(text, "{name}");
        text
    }
}

impl Write for NameText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let fits = more.floor_char_boundary(TEXT_BYTES - self.length);
        self.bytes[self.length..self.length + fits].copy_from_slice(&more.as_bytes()[..fits]);
        self.length += fits;
        if fits == more.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl<A: Atomic> Name<A> {
    /// Names the key of `tag`. Only a holder of the group's lock may call it.
    pub(super) fn write(&self, tag: u64, text: &NameText) {
        // Release throughout: who sees a part of the new text sees that the old head is gone, and
        // who sees the new head sees all of the text.
        self.head.store(0, Ordering::Release);
        for (word, bytes) in self.text.iter().zip(text.bytes.chunks_exact(8)) {
            let mut part = [0; 8];
            part.copy_from_slice(bytes);
            word.store(u64::from_le_bytes(part), Ordering::Release);
        }
        self.head.store(tag & !0xFF | text.length as u64, Ordering::Release);
    }

    /// The text, if it is that of the key of `tag` and nobody is writing it.
    pub(super) fn read(&self, tag: u64) -> Option<String> {
        let words = self.copy();
        let length = usize::try_from(words[0] & 0xFF).unwrap_or(0);
        let mut bytes = [0; TEXT_BYTES];
        for (part, word) in bytes.chunks_exact_mut(8).zip(&words[1..]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        // What is shown on a terminal must not steer it.
        let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let text = bytes.get(..length).filter(|_| words[0] != 0 && words[0] & !0xFF == tag & !0xFF);
        text.map(|text| String::from_utf8_lossy(text).chars().map(plain).collect())
    }

    /// Head and text as they stand in the ledger; zeros while they are written.
    pub(super) fn copy(&self) -> [u64; 8] {
        // Acquire pairs with the release stores in `write`. Relaxed for the second look at the
        // head: the acquires above keep it behind them.
        let head = self.head.load(Ordering::Acquire);
        let mut words = [head; 8];
        for (copy, word) in words[1..].iter_mut().zip(&self.text) {
            *copy = word.load(Ordering::Acquire);
        }
        if self.head.load(Ordering::Relaxed) == head { words } else { [0; 8] }
    }

    /// Puts a copy back, before anybody else has the table.
    pub(super) fn restore(&self, words: [u64; 8]) {
        // Relaxed: sharing the table publishes it.
        let places = std::iter::once(&self.head).chain(&self.text);
        places.zip(words).for_each(|(place, word)| place.store(word, Ordering::Relaxed));
    }
}
