//! Holds threads back until a test lets them go on.

use std::sync::{Arc, Condvar, Mutex};

use crate::wait::PATIENCE;

/// Closed at first. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Lets everyone through, from now on.
    pub fn open(&self) {
        *self.0.open.lock().expect("not poisoned") = true;
        self.0.changed.notify_all();
    }

    /// Waits until it is open, or so long that the test must have failed.
    pub fn pass(&self) {
        let open = self.0.open.lock().expect("not poisoned");
        // Whether it opened shows in what the test finds next.
        let _ = self.0.changed.wait_timeout_while(open, PATIENCE * 3, |open| !*open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_before_it_opens() {
        let gate = Gate::default();
        let waiting = std::thread::spawn({
            let gate = gate.clone();
            move || gate.pass()
        });
        assert!(!waiting.is_finished());
        gate.open();
        waiting.join().expect("passes");
        gate.pass();
    }
}
