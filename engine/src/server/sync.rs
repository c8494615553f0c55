//! The thread that brings counters and the journal to the disk, so that no shard ever waits for it;
//! and that hands the ledger over.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::flight::FlightThread;
use super::{ServerError, journal};
use crate::ledger::journal::{JournalHandle, Task};
use crate::ledger::{Ledger, LedgerError, News};
use crate::runtime::{Instant, os};

/// How often the table is told what the wall clock shows.
const WALL: Duration = Duration::from_secs(1);
/// How soon a released ledger's copies are looked at again, which are a successor's.
const RELEASED: Duration = Duration::from_secs(60);

pub(super) struct LedgerSync {
    orders: Sender<Order>,
    thread: JoinHandle<Result<(), LedgerError>>,
    flight: Option<FlightThread>,
}

/// What the thread is told, from before there is one.
pub(super) struct Orders {
    sender: Sender<Order>,
    received: Receiver<Order>,
}

impl Orders {
    pub(super) fn new() -> Self {
        let (sender, received) = channel();
        Self { sender, received }
    }

    /// A handle of the journal that has the thread serve it.
    pub(super) fn journal(&self, ledger: &Ledger) -> JournalHandle {
        let sender = self.sender.clone();
        ledger.journal(move |task| {
            // A thread that is gone drops the task, which tells whoever waits for it.
            let _ = sender.send(Order::Journal(task));
        })
    }
}

pub(super) enum Order {
    Journal(Task),
    /// No shard charges any more: make the ledger ready for a successor.
    Release(oneshot::Sender<Result<(), LedgerError>>),
    /// There was no successor after all.
    Resume(oneshot::Sender<Result<(), LedgerError>>),
    /// The successor has it.
    GiveUp,
    /// Shards and control plane have ended.
    Stop,
}

impl LedgerSync {
    /// `flight` goes where the ledger goes.
    pub(super) fn start(
        ledger: Ledger,
        orders: Orders,
        flight: Option<FlightThread>,
    ) -> Result<Self, ServerError> {
        let Orders { sender: orders, received } = orders;
        let torn = ledger.opening().journal.torn_bytes;
        if torn > 0 {
            eprintln!(
                "weir: the journal's last {torn} bytes broke off and are given up; they were not \
                 acknowledged, unless the disk lost them"
            );
        }
        let thread = std::thread::Builder::new()
            .name("weir-ledger".to_owned())
            .spawn(move || sync_until(ledger, &received))
            .map_err(ServerError::Control)?;
        Ok(Self { orders, thread, flight })
    }

    /// Whether the thread is gone, which only a panic can do.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    pub(super) async fn release(&self) -> Result<(), ServerError> {
        if let Some(flight) = &self.flight {
            flight.release().await;
        }
        self.ask(Order::Release).await
    }

    pub(super) async fn resume(&self) -> Result<(), ServerError> {
        self.ask(Order::Resume).await?;
        self.flight.iter().for_each(FlightThread::resume);
        Ok(())
    }

    pub(super) fn give_up(&self) {
        self.flight.iter().for_each(FlightThread::give_up);
        // A thread that is gone has given up everything.
        let _ = self.orders.send(Order::GiveUp);
    }

    async fn ask(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), LedgerError>>) -> Order,
    ) -> Result<(), ServerError> {
        let (answer, answered) = oneshot::channel();
        let lost = ServerError::Lost("the ledger's thread");
        if self.orders.send(order(answer)).is_err() {
            return Err(lost);
        }
        Ok(answered.await.map_err(|_| lost)??)
    }

    /// Syncs once more and marks the ledger as closed in order, unless it is a successor's.
    pub(super) fn stop(self) -> Result<(), ServerError> {
        if let Some(flight) = self.flight {
            flight.stop();
        }
        // Handles of the journal may outlive this.
        let _ = self.orders.send(Order::Stop);
        Ok(self.thread.join().map_err(|_| ServerError::Lost("the ledger's thread"))??)
    }
}

fn sync_until(mut ledger: Ledger, orders: &Receiver<Order>) -> Result<(), LedgerError> {
    let (mut due, mut released) = (os::now(), false);
    let (mut wall_due, mut next) = (due, None);
    loop {
        let now = os::now();
        if now >= due {
            due = if released { now + RELEASED } else { work(&mut ledger) };
        }
        if now >= wall_due {
            let table = ledger.table();
            table.set_wall(now, os::wall());
            // Asking who is banned is next to nothing again once nobody is.
            table.live_bans(now);
            wall_due = now + WALL;
        }
        let order = match next.take() {
            Some(order) => Ok(order),
            None => orders.recv_timeout(due.min(wall_due).since(os::now())),
        };
        match order {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Journal(task)) => next = journal::serve(&mut ledger, task, orders),
            // Whoever asked may have given up waiting.
            Ok(Order::Release(answer)) => {
                released = true;
                let _ = answer.send(ledger.release(os::wall()));
            }
            Ok(Order::Resume(answer)) => {
                released = false;
                due = os::now();
                let _ = answer.send(ledger.resume(os::wall(), os::now()).map(drop));
            }
            Ok(Order::GiveUp) => {
                ledger.give_up();
                wait_for_the_end(orders);
                return Ok(());
            }
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => {
                return ledger.close(os::wall());
            }
        }
    }
}

/// Brings some more of the counts to the disk; until when there is nothing to do.
fn work(ledger: &mut Ledger) -> Instant {
    let work = ledger.work(os::now, os::wall());
    work.news.iter().for_each(|news| tell(news, ledger));
    work.next
}

/// Said once, however long it lasts.
fn tell(news: &News, ledger: &Ledger) {
    match news {
        News::Failing(error) => eprintln!(
            "weir: {error}; counts go on in memory, and are not safe from a loss of power until \
             this is over"
        ),
        News::Recovered => {
            eprintln!("weir: counts are brought to {} again", ledger.path().display());
        }
    }
}

/// The thread stays, so that its end goes on meaning a panic.
fn wait_for_the_end(orders: &Receiver<Order>) {
    while !matches!(orders.recv(), Ok(Order::Stop) | Err(_)) {}
}
