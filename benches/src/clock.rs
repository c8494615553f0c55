//! The bench's clock: nothing here runs under the simulator, so it is the system's own.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a measuring tool needs the machine's clock")]
pub fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the bench's main thread is no shard")]
pub fn sleep(length: Duration) {
    std::thread::sleep(length);
}

/// Nanoseconds, saturating after five centuries.
pub fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
