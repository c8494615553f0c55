//! Parked connections: what an idle client costs while it says nothing.
//!
//! A connection that has been idle for a while gives up its task, its timer and the runtime's
//! stream, and becomes an entry of at most 64 bytes here. When something arrives on it, it becomes
//! a connection again. The time it has left is looked at in sweeps over all entries.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::connection::{Announced, Connection, spawn};
use super::slab::Slab;
use super::{Place, Service, Shard};
use crate::admission::AddressMemo;
use crate::runtime::{Instant, Layers, Parking, Runtime, Timer, Transport};

/// How long a connection is idle before it is parked: busy ones never pay for it.
pub(super) const PARK_AFTER: Duration = Duration::from_secs(1);
/// The least time between two sweeps; a parked connection lives at most that much too long.
const SWEEP: Duration = Duration::from_millis(500);
/// After so many connections were parked, the memory they used is given back ...
const SETTLE_PARKED: u32 = 256;
/// ... in this time, when more of them may have followed.
const SETTLE_DELAY: Duration = Duration::from_millis(250);

type Parked<R> = <<R as Runtime>::Parking as Parking>::Parked;

/// The parked connections of one shard.
pub(super) struct Lot<R: Runtime> {
    parking: R::Parking,
    entries: RefCell<Slab<Entry<R>>>,
    /// Parked since memory was last given back.
    unsettled: Cell<u32>,
    settle: Timer,
}

/// A connection without its task, timer and stream.
struct Entry<R: Runtime> {
    stream: Parked<R>,
    layers: Layers,
    peer: Peer,
    listener: u32,
    requests: u32,
    idle_since: Instant,
    place: Option<Place<R>>,
}

/// A peer's address in 20 bytes instead of 32: without flow label and scope, for which nobody asks.
struct Peer {
    ip: [u8; 16],
    port: u16,
    is_ipv4: bool,
    /// As in [`Connection`]; here it costs nothing.
    announced: Announced,
}

impl Peer {
    fn new(address: SocketAddr, announced: Announced) -> Self {
        let ip = match address {
            SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
            SocketAddr::V6(v6) => *v6.ip(),
        };
        let is_ipv4 = address.is_ipv4();
        Self { ip: ip.octets(), port: address.port(), is_ipv4, announced }
    }
}

impl From<Peer> for SocketAddr {
    fn from(peer: Peer) -> Self {
        let ip = Ipv6Addr::from(peer.ip);
        match ip.to_ipv4_mapped() {
            Some(v4) if peer.is_ipv4 => (v4, peer.port).into(),
            _ => (ip, peer.port).into(),
        }
    }
}

/// What the lot's task was woken for.
enum Event {
    Readable,
    Drain,
    Sweep,
    Settle,
}

impl<R: Runtime> Lot<R> {
    pub(super) fn new(parking: R::Parking, shard: &Shard<R>) -> Self {
        // Where a parked stream is its descriptor, which a simulated one is not.
        const {
            let is_descriptor = size_of::<Parked<R>>() == size_of::<OwnedFd>();
            assert!(!is_descriptor || size_of::<Entry<R>>() <= 64, "an entry is to be small");
        }
        Self {
            parking,
            entries: RefCell::default(),
            unsettled: Cell::new(0),
            settle: shard.timers.timer(),
        }
    }

    /// Parks `connection`, which waits for a request and has no bytes of one; gives it back when
    /// there is no room. `None` is that it is parked, or was lost.
    pub(super) fn park(
        &self,
        shard: &Shard<R>,
        connection: Connection<R>,
    ) -> Option<Connection<R>> {
        let (stream, layers) = connection.stream.take_apart();
        let mut entries = self.entries.borrow_mut();
        let parked = match self.parking.park(stream, entries.next()) {
            Ok(parked) => parked,
            Err(stream) => {
                let stream = Transport::put_together(stream?, layers);
                return Some(Connection { stream, ..connection });
            }
        };
        entries.insert(Entry {
            stream: parked,
            layers,
            peer: Peer::new(connection.peer, connection.announced),
            listener: u32::try_from(connection.listener).expect("fewer listeners than 2^32"),
            requests: connection.requests,
            idle_since: connection.idle_since,
            place: connection.place,
        });
        shard.metrics.connections_parked.set(entries.len() as u64);
        let idle_timeout = shard.snapshot.borrow().config.http.idle_timeout;
        shard.parked_sweep.arm_if_disarmed(connection.idle_since + idle_timeout);
        self.unsettled.set(self.unsettled.get() + 1);
        if self.unsettled.get() == SETTLE_PARKED {
            self.settle.arm(shard.runtime.now() + SETTLE_DELAY);
        }
        None
    }

    fn take(&self, shard: &Shard<R>, token: u32) -> Option<Entry<R>> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.remove(token)?;
        shard.metrics.connections_parked.set(entries.len() as u64);
        Some(entry)
    }

    /// The entry as a connection again.
    fn revive(&self, shard: &Shard<R>, entry: Entry<R>) -> Option<Connection<R>> {
        // On an error it is closed: there is nothing left that could answer.
        let stream = self.parking.unpark(entry.stream).ok()?;
        Some(Connection {
            stream: Transport::put_together(stream, entry.layers),
            timer: shard.timers.timer(),
            announced: entry.peer.announced,
            peer: entry.peer.into(),
            addresses: AddressMemo::default(),
            listener: entry.listener as usize,
            requests: entry.requests,
            idle_since: entry.idle_since,
            place: entry.place,
        })
    }

    fn poll_event(
        &self,
        shard: &Shard<R>,
        cx: &mut Context<'_>,
        tokens: &mut Vec<u32>,
    ) -> Poll<Event> {
        match self.parking.poll_ready(cx, tokens) {
            Poll::Ready(Ok(())) => return Poll::Ready(Event::Readable),
            // No descriptor is left to watch with; the next sweep asks again.
            Poll::Ready(Err(_)) => shard.parked_sweep.arm(shard.runtime.now() + SWEEP),
            Poll::Pending => {}
        }
        if shard.stage().closes_idle() && self.entries.borrow().len() > 0 {
            return Poll::Ready(Event::Drain);
        }
        if self.settle.poll_expired(cx).is_ready() {
            return Poll::Ready(Event::Settle);
        }
        shard.parked_sweep.poll_expired(cx).map(|()| Event::Sweep)
    }

    /// Names what was idle too long, by the configuration as it is now.
    fn sweep(&self, shard: &Shard<R>, due: &mut Vec<u32>) {
        let idle_timeout = shard.snapshot.borrow().config.http.idle_timeout;
        let now = shard.runtime.now();
        let mut next = Instant::NEVER;
        for (token, entry) in self.entries.borrow().iter() {
            let deadline = entry.idle_since + idle_timeout;
            if deadline <= now {
                due.push(token);
            } else {
                next = next.min(deadline);
            }
        }
        shard.parked_sweep.disarm();
        if next != Instant::NEVER {
            shard.parked_sweep.arm(next.max(now + SWEEP));
        }
    }

    fn settle(&self) {
        self.settle.disarm();
        self.unsettled.set(0);
        self.parking.settle();
    }
}

/// Revives and sweeps the parked connections of a shard; never returns.
pub(super) async fn tend<R: Runtime, F: Future<Output = ()> + 'static>(service: Rc<Service<R, F>>) {
    let (shard, lot) = (&service.shard, &service.lot);
    let mut tokens = Vec::new();
    loop {
        match poll_fn(|cx| lot.poll_event(shard, cx, &mut tokens)).await {
            Event::Readable => {}
            // A request may be on its way to a connection that had none yet; others just end.
            Event::Drain => {
                let entries = lot.entries.borrow();
                tokens.extend(entries.iter().map(|(token, _)| token));
            }
            // Each closes itself, as if it had never been parked.
            Event::Sweep => lot.sweep(shard, &mut tokens),
            Event::Settle => lot.settle(),
        }
        for token in tokens.drain(..) {
            let entry = lot.take(shard, token);
            if let Some(connection) = entry.and_then(|entry| lot.revive(shard, entry)) {
                spawn(&service, connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_keeps_its_family_and_port() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443", "[::ffff:192.0.2.1]:1", "[::]:0"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(SocketAddr::from(Peer::new(address, Announced::Nothing)), address, "{text}");
        }
        assert!(size_of::<Peer>() <= 20);
    }
}
