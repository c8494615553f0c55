//! Buffers of a shard, recycled, so that the steady state allocates nothing and an idle connection
//! holds none.
//!
//! Invariant: what a pool keeps is bounded ([`KEPT_BYTES_MAX`] for each class); what is in use is
//! bounded by the connections and by what one exchange may hold.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Sizes of input buffers, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A request's head.
    Small = 4096,
    /// A response's head and a small body.
    Medium = 16_384,
    /// A large body; fewer system calls for each byte.
    Large = 65_536,
}

const CLASSES: [Class; 3] = [Class::Small, Class::Medium, Class::Large];

/// What the pool keeps of each class when nobody uses it.
const KEPT_BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Default)]
pub struct Buffers {
    free: Rc<Free>,
}

#[derive(Default)]
struct Free {
    inputs: [RefCell<Vec<Box<[u8]>>>; 3],
    outputs: RefCell<Vec<Vec<u8>>>,
}

/// Bytes read from a peer: a filled region in a fixed allocation.
pub struct Input {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    pool: Rc<Free>,
}

/// Bytes to be written to a peer.
pub struct Output {
    bytes: Vec<u8>,
    pool: Rc<Free>,
}

impl Buffers {
    pub fn input(&self, class: Class) -> Input {
        let kept = self.free.inputs[class.index()].borrow_mut().pop();
        let bytes = kept.unwrap_or_else(|| vec![0; class as usize].into_boxed_slice());
        Input { bytes, start: 0, end: 0, pool: Rc::clone(&self.free) }
    }

    pub fn output(&self) -> Output {
        let kept = self.free.outputs.borrow_mut().pop();
        let bytes = kept.unwrap_or_else(|| Vec::with_capacity(Class::Small as usize));
        Output { bytes, pool: Rc::clone(&self.free) }
    }
}

impl Class {
    fn index(self) -> usize {
        match self {
            Self::Small => 0,
            Self::Medium => 1,
            Self::Large => 2,
        }
    }

    /// The smallest class that holds `bytes`, or the largest there is.
    pub fn holding(bytes: usize) -> Self {
        CLASSES.into_iter().find(|class| *class as usize >= bytes).unwrap_or(Self::Large)
    }
}

impl Input {
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Where the next read goes; empty when the buffer is full.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were read into [`Input::space`].
    pub fn filled(&mut self, count: usize) {
        assert!(self.end + count <= self.bytes.len(), "a read filled more than its buffer");
        self.end += count;
    }

    /// Forgets the first `count` bytes of data.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "consumed more than was there");
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn is_full(&self) -> bool {
        self.end == self.bytes.len()
    }

    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Moves the data to the front, and to a larger class when it fills this one.
    pub fn make_room(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.is_full() && self.bytes.len() < Class::Large as usize {
            let pool = Buffers { free: Rc::clone(&self.pool) };
            let mut larger = pool.input(Class::holding(self.bytes.len() + 1));
            larger.append(self.data());
            *self = larger;
        }
    }

    /// Copies `bytes`, which must fit into [`Input::space`].
    pub fn append(&mut self, bytes: &[u8]) {
        self.space()[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let class = Class::holding(self.bytes.len());
        let mut free = self.pool.inputs[class.index()].borrow_mut();
        if (free.len() + 1) * class as usize <= KEPT_BYTES_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Deref for Output {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Output {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut free = self.pool.outputs.borrow_mut();
        let kept = (free.len() + 1) * Class::Small as usize <= KEPT_BYTES_MAX;
        if kept && bytes.capacity() <= Class::Medium as usize {
            bytes.clear();
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_keeps_the_data_and_stops_at_the_largest_class() {
        let buffers = Buffers::default();
        let mut input = buffers.input(Class::Small);
        let pattern: Vec<u8> = (0..=255).cycle().take(Class::Small as usize).collect();
        input.append(&pattern);
        assert!(input.is_full());
        input.make_room();
        assert_eq!(input.capacity(), Class::Medium as usize);
        assert_eq!(input.data(), pattern);
        input.consume(100);
        input.make_room();
        assert_eq!(input.data(), &pattern[100..]);
        while input.capacity() < Class::Large as usize || !input.is_full() {
            let room = input.space().len();
            input.filled(room);
            input.make_room();
        }
        input.make_room();
        assert_eq!(input.capacity(), Class::Large as usize);
    }

    #[test]
    fn returned_buffers_are_used_again_empty() {
        let buffers = Buffers::default();
        let mut input = buffers.input(Class::Medium);
        input.append(b"secret");
        let address = input.bytes.as_ptr();
        drop(input);
        let again = buffers.input(Class::Medium);
        assert_eq!((again.bytes.as_ptr(), again.len()), (address, 0));
        let mut output = buffers.output();
        output.extend_from_slice(b"secret");
        drop(output);
        assert!(buffers.output().is_empty());
    }
}
