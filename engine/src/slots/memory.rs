//! Where slots and names are: in a map, of a file or of nothing.

use std::fs::File;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use memmap2::{Advice, MmapMut, MmapRaw, UncheckedAdvice};

use super::groups::GROUP_SLOTS;
use super::name::{NAME_BYTES, Name};
use super::slot::{SLOT_BYTES, Slot};

/// Tables from this size on ask for huge pages: a random slot of theirs would miss the TLB as well
/// as the cache. Smaller ones would only take more memory.
const HUGE_BYTES_MIN: usize = 64 << 20;

/// What a table of so many slots takes: the slots, then their names. `None` beyond memory.
pub(crate) fn table_bytes(slots: usize) -> Option<usize> {
    slots.checked_mul(SLOT_BYTES + NAME_BYTES)
}

/// Memory for a table, and what keeps every other process away from it. The lock is given up with
/// the last user of the map, or to a successor once nobody here charges any more.
pub(crate) struct Mapping {
    /// Shared and writable.
    pub(crate) map: MmapRaw,
    /// Of the first slot, in bytes from the beginning of the map.
    pub(crate) offset: usize,
    pub(crate) slots: usize,
    pub(crate) lock: Mutex<Option<File>>,
}

impl Mapping {
    /// Puts the copy of a slot back, before a table is made of the mapping.
    pub(crate) fn restore_slot(self: &Arc<Self>, index: usize, words: [u64; 8]) {
        Memory::new(Arc::clone(self)).slots()[index].restore(words);
    }

    /// Puts the copy of a name back, before a table is made of the mapping.
    pub(crate) fn restore_name(self: &Arc<Self>, index: usize, words: [u64; 8]) {
        Memory::new(Arc::clone(self)).names()[index].restore(words);
    }
}

/// The slots and names in a mapping.
pub(super) struct Memory {
    mapping: Arc<Mapping>,
    slots: NonNull<Slot>,
    names: NonNull<Name>,
}

// SAFETY: the pointers lead into the mapping, which may be used from any thread and lives as long
// as this; what they lead to is atomics only.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Zeros that become resident as they are touched: free slots, without names.
    pub(super) fn anonymous(slots: usize) -> Self {
        let bytes = table_bytes(slots).expect("a table within memory");
        let map = MmapMut::map_anon(bytes).expect("memory for the slot table");
        let lock = Mutex::new(None);
        Self::new(Arc::new(Mapping { map: map.into(), offset: 0, slots, lock }))
    }

    pub(super) fn new(mapping: Arc<Mapping>) -> Self {
        let (slots, offset) = (mapping.slots, mapping.offset);
        assert!(slots.is_power_of_two() && slots >= GROUP_SLOTS, "slots make whole groups");
        let end = table_bytes(slots).and_then(|bytes| bytes.checked_add(offset));
        assert!(end.is_some_and(|end| end <= mapping.map.len()), "the table lies within the map");
        let first = mapping.map.as_mut_ptr().wrapping_add(offset);
        assert!(first.addr().is_multiple_of(SLOT_BYTES), "slots are aligned");
        let names = first.wrapping_add(slots * SLOT_BYTES);
        if end.is_some_and(|end| end - offset >= HUGE_BYTES_MIN) {
            // Advice that is not taken, as by most tmpfs, costs time and nothing else.
            let _ = mapping.map.advise(Advice::HugePage);
        }
        let at = |place: *mut u8| NonNull::new(place).expect("a map is somewhere");
        Self { slots: at(first).cast(), names: at(names).cast(), mapping }
    }

    #[cfg(test)]
    pub(super) fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping)
    }

    #[inline]
    pub(super) fn slots(&self) -> &[Slot] {
        // SAFETY: `new` checked that so many slots lie within the map and are aligned; the map is
        // shared, writable, and lives as long as `self`. A slot is atomics only, so every bit
        // pattern is a value and writes through shared references are allowed. Nothing in this
        // process makes another kind of reference into these bytes, and the mapping's lock keeps
        // other processes out.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr(), self.mapping.slots) }
    }

    #[inline]
    pub(super) fn names(&self) -> &[Name] {
        // SAFETY: as for the slots, which they follow.
        unsafe { std::slice::from_raw_parts(self.names.as_ptr(), self.mapping.slots) }
    }

    /// Looking at every slot has made all of them resident, most of which may be free for ever.
    /// Only for a shared map of a file.
    pub(super) fn forget_unused(&self) {
        // SAFETY: the map is shared and of a file, so its bytes stay in the page cache, from where
        // the next access takes them; only private maps lose what was written.
        let advised = unsafe { self.mapping.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        // Advice that was not taken costs memory and nothing else.
        let _ = advised;
    }
}
