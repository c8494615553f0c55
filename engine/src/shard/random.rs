//! Random bytes, drawn from the runtime in blocks: asking the system for each request's identifier
//! would be a system call each.

use std::cell::RefCell;

use crate::runtime::Runtime;

/// One in 256 identifiers of 16 bytes pays for the call.
const BLOCK_BYTES: usize = 4096;

/// Bytes of the runtime's that nobody was given yet. Identifiers are made of them, not keys: what
/// was handed out is not wiped.
pub struct Random {
    block: RefCell<Block>,
}

struct Block {
    bytes: Box<[u8]>,
    used: usize,
}

impl Default for Random {
    /// Asks for nothing yet.
    fn default() -> Self {
        let bytes = vec![0; BLOCK_BYTES].into_boxed_slice();
        Self { block: RefCell::new(Block { bytes, used: BLOCK_BYTES }) }
    }
}

impl Random {
    /// Bytes that were never given before; at most a block of them.
    pub fn draw<const N: usize>(&self, runtime: &impl Runtime) -> [u8; N] {
        const { assert!(N <= BLOCK_BYTES, "more than a block") };
        let mut block = self.block.borrow_mut();
        if BLOCK_BYTES - block.used < N {
            runtime.fill_random(&mut block.bytes);
            block.used = 0;
        }
        let start = block.used;
        block.used += N;
        let mut drawn = [0; N];
        drawn.copy_from_slice(&block.bytes[start..start + N]);
        drawn
    }
}
