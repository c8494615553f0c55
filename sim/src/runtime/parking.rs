//! Parked connections of a simulated shard: kept as they are, and looked through on each wake-up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use weir_engine::runtime::Parking;

use super::SimStream;

#[derive(Default)]
pub struct SimParking {
    lot: Rc<RefCell<Lot>>,
}

#[derive(Default)]
struct Lot {
    streams: BTreeMap<u32, SimStream>,
    /// Of the task that waits for one of them.
    waiting: Option<Waker>,
}

/// A stream's place in the lot.
pub struct SimParked {
    lot: Rc<RefCell<Lot>>,
    token: u32,
}

impl Parking for SimParking {
    type Stream = SimStream;
    type Parked = SimParked;

    fn park(&self, stream: SimStream, token: u32) -> Result<SimParked, Option<SimStream>> {
        let mut lot = self.lot.borrow_mut();
        let former = lot.streams.insert(token, stream);
        assert!(former.is_none(), "token {token} is in use");
        if let Some(waker) = lot.waiting.take() {
            waker.wake();
        }
        Ok(SimParked { lot: Rc::clone(&self.lot), token })
    }

    fn unpark(&self, parked: SimParked) -> io::Result<SimStream> {
        let stream = self.lot.borrow_mut().streams.remove(&parked.token);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn poll_ready(&self, cx: &mut Context<'_>, tokens: &mut Vec<u32>) -> Poll<io::Result<()>> {
        let mut lot = self.lot.borrow_mut();
        lot.waiting = Some(cx.waker().clone());
        let before = tokens.len();
        for (token, stream) in &mut lot.streams {
            if stream.poll_readable(cx).is_ready() {
                tokens.push(*token);
            }
        }
        if tokens.len() > before { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    // The simulated host's memory is the machine's.
    fn settle(&self) {}
}

impl Drop for SimParked {
    fn drop(&mut self) {
        let stream = self.lot.borrow_mut().streams.remove(&self.token);
        drop(stream);
    }
}
