//! One core's share of the engine: its connections, buffers, timers and pools, and nothing that
//! another core writes but the slot table and the backends' cells.

mod accept;
mod address_table;
mod arrival;
mod buffers;
mod connection;
mod contain;
mod date;
mod lot;
mod mailbox;
mod place;
mod random;
mod secure;
mod slab;
mod snapshot;
mod stage;
mod tunnels;
mod worker;

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::oneshot;

pub use address_table::{AddressTable, Claim, Entered};
pub use buffers::{Buffers, Class, Input, Output};
pub use connection::{Announced, Connection};
pub use mailbox::Mailbox;
pub use random::Random;
pub use snapshot::ShardSnapshot;
pub use stage::Stage;
pub use tunnels::{TunnelPlace, Tunnels};
pub use worker::Desk;

use crate::access::BlockSet;
use crate::access_log::ShardLog;
use crate::admission::address_key;
use crate::ledger::flight::Recorder;
use crate::metrics::ShardMetrics;
use crate::proxy::{Pool, exchange};
use crate::runtime::{Runtime, Timer, Timers};
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;
use contain::essential;
use date::DateCache;
use lot::Lot;
use place::Place;
use worker::Workers;

/// How long a log line may wait in its shard.
const LOG_DELAY: Duration = Duration::from_millis(100);

/// How often a shard shows that it turns.
pub const BEAT: Duration = Duration::from_secs(1);

/// What the control plane tells a shard.
pub enum Command {
    /// Requests that begin from now on use this configuration.
    Snapshot(Arc<Snapshot>),
    /// These are blocked from now on, and nobody else. Sent before the shard runs, it is obeyed
    /// before the first connection is accepted.
    Blocks(Option<Arc<BlockSet>>),
    /// Accept no more, close what is idle, finish what is in flight, then end.
    Drain,
    /// Go a step on the way to a successor, or back to serving. Answered when that is done: for
    /// [`Stage::Paused`], when every connection left has its decision.
    Enter(Stage, oneshot::Sender<()>),
    /// End now.
    Stop,
}

/// What a shard is made of.
pub struct ShardSetup {
    pub id: usize,
    pub mailbox: Arc<Mailbox<Command>>,
    pub snapshot: Arc<Snapshot>,
    pub table: Arc<SlotTable>,
    pub metrics: Arc<ShardMetrics>,
    /// `None` when there is no access log.
    pub log: Option<ShardLog>,
    /// `None` when nothing is recorded.
    pub flight: Option<Recorder>,
}

pub struct Shard<R: Runtime> {
    pub id: usize,
    pub runtime: R,
    pub timers: Timers,
    pub buffers: Buffers,
    pub random: Random,
    pub pool: Pool<R::Stream>,
    pub table: Arc<SlotTable>,
    pub metrics: Arc<ShardMetrics>,
    pub tunnels: Tunnels,
    pub flight: Option<Recorder>,
    snapshot: RefCell<Rc<ShardSnapshot>>,
    /// `None` when nobody is blocked.
    blocks: RefCell<Option<Arc<BlockSet>>>,
    log: RefCell<Option<ShardLog>>,
    log_flush: Timer,
    date: DateCache,
    stage: Cell<Stage>,
    open: Cell<usize>,
    /// Connections whose request has been read, or refused, and is not over.
    engaged: Cell<usize>,
    /// Told when the connections that are open are the engaged ones.
    settled: RefCell<Option<oneshot::Sender<()>>>,
    /// When parked connections are next looked through.
    parked_sweep: Timer,
    /// Once there has been a limit by address; where claims are given back.
    addresses: OnceCell<Arc<AddressTable>>,
    /// Listeners that may still bring connections.
    accepting: Cell<usize>,
    last_closed: RefCell<Option<Waker>>,
    /// A task that the shard cannot do without has panicked.
    broken: Cell<bool>,
}

/// What the connections of a shard are served with.
struct Service<R: Runtime, F> {
    shard: Rc<Shard<R>>,
    workers: Workers<R, F>,
    lot: Lot<R>,
    /// Refused connections that are hearing so.
    refused: Cell<usize>,
}

/// Serves `listeners`, each with its place among the configuration's, until drained or stopped. A
/// listener may have several sockets here, or none. `parking` is for connections that are idle.
pub async fn run<R: Runtime>(
    runtime: R,
    setup: ShardSetup,
    listeners: Vec<(usize, R::Listener)>,
    parking: R::Parking,
) {
    let mailbox = Arc::clone(&setup.mailbox);
    let shard = Rc::new(Shard::new(runtime, setup));
    let runtime = &shard.runtime;
    let owned = || Rc::clone(&shard);
    runtime.spawn(essential(owned(), shard.timers.clone().drive(runtime.clone())));
    runtime.spawn({
        let shard = owned();
        essential(owned(), async move { shard.pool.sweep(|| shard.runtime.now()).await })
    });
    runtime.spawn(essential(owned(), flush_log(owned())));
    runtime.spawn(essential(owned(), beat(owned())));
    shard.accepting.set(listeners.len());
    let service = Rc::new(Service {
        workers: Workers::new(Rc::clone(&shard), exchange::<R>),
        lot: Lot::new(parking, &shard),
        refused: Cell::new(0),
        shard: Rc::clone(&shard),
    });
    runtime.spawn(essential(owned(), lot::tend(Rc::clone(&service))));
    for (index, listener) in listeners {
        let task = accept::accept(Rc::clone(&service), listener, index);
        runtime.spawn(essential(owned(), task));
    }
    obey(&shard, &mailbox).await;
    shard.flush_log_now();
}

async fn obey<R: Runtime>(shard: &Shard<R>, mailbox: &Mailbox<Command>) {
    loop {
        let mut next = pin!(mailbox.receive());
        let command = poll_fn(|cx| {
            if let Poll::Ready(command) = next.as_mut().poll(cx) {
                return Poll::Ready(Some(command));
            }
            if shard.is_drained() || shard.broken.get() {
                return Poll::Ready(None);
            }
            *shard.last_closed.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        });
        match command.await {
            Some(Command::Snapshot(snapshot)) => shard.install(snapshot),
            Some(Command::Blocks(blocks)) => drop(shard.blocks.replace(blocks)),
            // Who has left has less to serve than a drain would.
            Some(Command::Drain) if shard.stage.get() != Stage::Left => {
                shard.enter(Stage::Draining);
            }
            Some(Command::Drain) => {}
            Some(Command::Enter(stage, entered)) => {
                shard.enter(stage);
                if stage == Stage::Paused {
                    shard.await_settled(entered);
                } else {
                    // Whoever asked may have given up.
                    let _ = entered.send(());
                }
            }
            Some(Command::Stop) => return shard.cut_tunnels().await,
            None => return,
        }
    }
}

/// Shows that the shard turns, for whoever watches; never returns.
async fn beat<R: Runtime>(shard: Rc<Shard<R>>) {
    let timer = shard.timers.timer();
    loop {
        let now = shard.runtime.now();
        shard.metrics.beats.increment();
        timer.arm(now + BEAT);
        poll_fn(|cx| timer.poll_expired(cx)).await;
    }
}

/// Hands log lines to the writer a moment after they were written; never returns.
async fn flush_log<R: Runtime>(shard: Rc<Shard<R>>) {
    loop {
        poll_fn(|cx| shard.log_flush.poll_expired(cx)).await;
        shard.log_flush.disarm();
        shard.flush_log_now();
    }
}

impl<R: Runtime> Shard<R> {
    fn new(runtime: R, setup: ShardSetup) -> Self {
        let timers = Timers::new(runtime.now());
        let (table, metrics) = (&setup.table, &setup.metrics);
        let snapshot = ShardSnapshot::new(Arc::clone(&setup.snapshot), setup.id, table, metrics);
        let shard = Self {
            id: setup.id,
            pool: Pool::new(&timers),
            log_flush: timers.timer(),
            parked_sweep: timers.timer(),
            addresses: OnceCell::new(),
            timers,
            buffers: Buffers::default(),
            random: Random::default(),
            table: setup.table,
            tunnels: Tunnels::new(Arc::clone(&setup.metrics)),
            metrics: setup.metrics,
            flight: setup.flight,
            snapshot: RefCell::new(Rc::new(snapshot)),
            blocks: RefCell::new(None),
            log: RefCell::new(setup.log),
            date: DateCache::default(),
            stage: Cell::new(Stage::Serving),
            open: Cell::new(0),
            engaged: Cell::new(0),
            settled: RefCell::new(None),
            accepting: Cell::new(0),
            last_closed: RefCell::new(None),
            broken: Cell::new(false),
            runtime,
        };
        shard.keep_addresses(&setup.snapshot);
        shard
    }

    /// The configuration for a request that begins now.
    pub fn snapshot(&self) -> Rc<ShardSnapshot> {
        Rc::clone(&self.snapshot.borrow())
    }

    /// Whom an operator has blocked. Not to be held across an await.
    #[inline]
    pub fn blocks(&self) -> Ref<'_, Option<Arc<BlockSet>>> {
        self.blocks.borrow()
    }

    fn install(&self, snapshot: Arc<Snapshot>) {
        self.keep_addresses(&snapshot);
        let snapshot = ShardSnapshot::new(snapshot, self.id, &self.table, &self.metrics);
        *self.snapshot.borrow_mut() = Rc::new(snapshot);
        // Parked connections get its idle timeout at once.
        self.parked_sweep.arm(self.runtime.now());
    }

    fn keep_addresses(&self, snapshot: &Snapshot) {
        if let Some(addresses) = &snapshot.addresses {
            // The process has one such table, so a later snapshot brings no other.
            self.addresses.get_or_init(|| Arc::clone(addresses));
        }
    }

    /// A client's address as [`AddressTable`] wants it; its key is the slot table's.
    fn hash_address(&self, address: IpAddr) -> u64 {
        let (key, length) = address_key(address);
        self.table.subject(&[b"connection", &key[..length]]).as_u64()
    }

    /// Whether a drain is over: nobody is here, and nobody will come.
    fn is_drained(&self) -> bool {
        self.stage().is_final() && self.open.get() == 0 && self.accepting.get() == 0
    }

    /// Ends every tunnel with a reset, and waits until they have said so in the log.
    async fn cut_tunnels(&self) {
        self.tunnels.cut();
        self.timers.wake_all();
        poll_fn(|cx| self.tunnels.poll_closed(cx)).await;
    }

    fn tell_if_drained(&self) {
        if self.is_drained() {
            self.wake_obey();
        }
    }

    /// Has the task that obeys commands look at the shard again.
    fn wake_obey(&self) {
        if let Some(waker) = self.last_closed.borrow_mut().take() {
            waker.wake();
        }
    }

    /// A listener has brought its last connection.
    fn stopped_accepting(&self) {
        self.accepting.set(self.accepting.get() - 1);
        self.tell_if_drained();
    }

    /// The current time as an IMF-fixdate (RFC 9110 section 5.6.7).
    pub fn date(&self) -> Ref<'_, str> {
        self.date.get(self.runtime.wall())
    }

    /// Appends one line to the access log, if there is one.
    pub fn log(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut log = self.log.borrow_mut();
        let Some(log) = log.as_mut() else { return };
        log.push(write);
        self.metrics.log_lines_dropped.set(log.lines_dropped());
        self.log_flush.arm_if_disarmed(self.runtime.now() + LOG_DELAY);
    }

    pub fn has_log(&self) -> bool {
        self.log.borrow().is_some()
    }

    fn flush_log_now(&self) {
        let mut log = self.log.borrow_mut();
        // A writer that lags keeps the lines here for another while.
        if log.as_mut().is_some_and(|log| !log.flush()) {
            self.log_flush.arm(self.runtime.now() + LOG_DELAY);
        }
    }
}
