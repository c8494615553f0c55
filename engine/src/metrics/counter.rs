use std::sync::atomic::{AtomicU64, Ordering};

/// A number with one writing thread and any number of readers.
///
/// A second writer would lose counts, never more than that.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`, wrapping as Prometheus counters may.
    #[inline]
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// Takes one from a gauge, stopping at zero.
    #[inline]
    pub fn decrement(&self) {
        self.set(self.get().saturating_sub(1));
    }

    #[inline]
    pub fn set(&self, n: u64) {
        // Relaxed: publishes nothing but the number itself, and pairs with `get` in readers.
        self.0.store(n, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        // Relaxed: the writer reads back its own store; a reader takes any recent value.
        self.0.load(Ordering::Relaxed)
    }
}
