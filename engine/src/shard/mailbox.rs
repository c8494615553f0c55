//! How the control plane talks to a shard: a lock-free queue and the waker of one task.

use std::future::poll_fn;
use std::task::Poll;

use crossbeam::queue::SegQueue;
use futures_util::task::AtomicWaker;

/// Messages to one shard. Any thread sends, one task receives.
pub struct Mailbox<T> {
    queue: SegQueue<T>,
    reader: AtomicWaker,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { queue: SegQueue::new(), reader: AtomicWaker::new() }
    }
}

impl<T> Mailbox<T> {
    pub fn send(&self, message: T) {
        self.queue.push(message);
        self.reader.wake();
    }

    pub async fn receive(&self) -> T {
        poll_fn(|cx| {
            // Registered before the look: a message pushed in between wakes this task again.
            self.reader.register(cx.waker());
            self.queue.pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
