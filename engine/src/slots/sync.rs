//! The one place that names the atomics. The protocol is generic over them, so that loom can
//! explore it in an ordinary test build: its own `cfg` would reach into every dependency.

use std::sync::atomic::{AtomicU64, Ordering};

/// A 64-bit atomic and how a thread waits for another.
pub(super) trait Atomic: Send + Sync {
    fn new(value: u64) -> Self;
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// `Err` carries the value that was found instead of `current`.
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
    fn fetch_or(&self, bits: u64, order: Ordering) -> u64;
    fn fetch_and(&self, bits: u64, order: Ordering) -> u64;

    /// Waits a little, longer with each of `rounds`.
    fn pause(rounds: u32);
}

/// Makes an [`Atomic`] of a type with the methods of the standard library's, and of a way to wait.
macro_rules! atomic {
    ($atomic:ty, $pause:expr) => {
        impl crate::slots::sync::Atomic for $atomic {
            fn new(value: u64) -> Self {
                Self::new(value)
            }

            #[inline]
            fn load(&self, order: Ordering) -> u64 {
                self.load(order)
            }

            #[inline]
            fn store(&self, value: u64, order: Ordering) {
                self.store(value, order);
            }

            #[inline]
            fn compare_exchange(
                &self,
                current: u64,
                new: u64,
                success: Ordering,
                failure: Ordering,
            ) -> Result<u64, u64> {
                self.compare_exchange(current, new, success, failure)
            }

            fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_add(value, order)
            }

            fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
                self.fetch_or(bits, order)
            }

            fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
                self.fetch_and(bits, order)
            }

            fn pause(rounds: u32) {
                $pause(rounds);
            }
        }
    };
}

/// The models' atomics are made of the same cloth.
#[cfg(test)]
pub(super) use atomic;

atomic!(AtomicU64, spin);

/// Spins for up to 127 hints in all, then gives the core away: the holder may not be running.
fn spin(rounds: u32) {
    if rounds < 7 {
        (0..1_u32 << rounds).for_each(|_| std::hint::spin_loop());
    } else {
        std::thread::yield_now();
    }
}
