use std::cell::{Cell, Ref, RefCell};
use std::time::{Duration, SystemTime};

use crate::runtime::UnixNanos;

/// The `Date` of answers, formatted once a second.
#[derive(Default)]
pub(super) struct DateCache {
    second: Cell<u64>,
    text: RefCell<String>,
}

impl DateCache {
    pub(super) fn get(&self, wall: UnixNanos) -> Ref<'_, str> {
        let second = wall.as_secs();
        if self.second.get() != second || self.text.borrow().is_empty() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            *self.text.borrow_mut() = httpdate::fmt_http_date(time);
            self.second.set(second);
        }
        Ref::map(self.text.borrow(), String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_clock_also_backwards() {
        let cache = DateCache::default();
        let at = |second: u64| cache.get(UnixNanos(second * 1_000_000_000)).to_owned();
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_776), "Sun, 06 Nov 1994 08:49:36 GMT");
    }
}
