//! Values under small numbers, in one allocation.

/// A number is given out again once its value is gone.
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The first of the free slots, each of which names the next.
    free: u32,
    taken: usize,
}

enum Slot<T> {
    Taken(T),
    Free(u32),
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NONE, taken: 0 }
    }
}

impl<T> Slab<T> {
    /// The number that the next [`Slab::insert`] uses.
    pub(super) fn next(&self) -> u32 {
        if self.free == NONE {
            u32::try_from(self.slots.len()).expect("fewer values than 2^32")
        } else {
            self.free
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        let number = self.next();
        self.taken += 1;
        match self.slots.get_mut(number as usize) {
            Some(slot) => {
                if let Slot::Free(next) = std::mem::replace(slot, Slot::Taken(value)) {
                    self.free = next;
                }
            }
            None => self.slots.push(Slot::Taken(value)),
        }
        number
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.slots.get_mut(number as usize)?;
        if matches!(slot, Slot::Free(_)) {
            return None;
        }
        let Slot::Taken(value) = std::mem::replace(slot, Slot::Free(self.free)) else {
            return None;
        };
        self.free = number;
        self.taken -= 1;
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.slots).filter_map(|(number, slot)| match slot {
            Slot::Taken(value) => Some((number, value)),
            Slot::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_never_twice_at_once() {
        let mut slab = Slab::default();
        for value in 0..4 {
            let next = slab.next();
            assert_eq!(slab.insert(value), next);
        }
        assert_eq!((slab.remove(1), slab.remove(3), slab.remove(1)), (Some(1), Some(3), None));
        assert_eq!(slab.remove(9), None);
        assert_eq!(slab.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [0, 2]);
        let again = [slab.insert(10), slab.insert(11), slab.insert(12)];
        assert_eq!(again, [3, 1, 4]);
        assert_eq!(slab.len(), 5);
    }
}
