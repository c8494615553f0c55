//! Which addresses, keys and users are kept out whatever they ask for: lists of the configuration
//! and an operator's blocks.
//!
//! Invariants:
//! - what shards ask is immutable and swapped whole; nothing here is counted, and nothing is told
//!   apart by what a client can choose but its own name;
//! - a look-up neither allocates nor branches on more than the depth of a tree.

mod blocks;
mod list;
mod networks;

pub use blocks::{BLOCKS_MAX, BlockChange, BlockSet, Blocked, Blocks, BlocksFull, parse_network};
pub use list::{AccessList, Listing};
