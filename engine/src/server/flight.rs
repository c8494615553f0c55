//! The flight recorder's thread, at low priority: a slow disk delays nobody else.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::ledger::Ledger;
use crate::ledger::flight::{Drain, Flight, FlightStats, INTERVAL, Moment, Names, Recorder};
use crate::metrics::{Family, Kind};
use crate::runtime::os;
use crate::slots::SlotTable;
use crate::snapshot::Snapshot;

/// In how many looks the disk is waited for once.
const LOOKS_PER_SYNC: u32 = 10;

pub(super) struct FlightThread {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

enum Order {
    /// Leave the files to a successor; answered when that is so.
    Release(oneshot::Sender<()>),
    /// There was no successor after all.
    Resume,
    /// The successor has them, and drains what the shards here still record.
    GiveUp,
}

impl FlightThread {
    pub(super) fn start(drain: Drain) -> io::Result<Self> {
        let (orders, received) = channel();
        let thread = std::thread::Builder::new()
            .name("weir-flight".to_owned())
            .spawn(move || record_until(drain, &received))?;
        Ok(Self { orders, thread })
    }

    // A thread that is gone records nothing, which stops nobody: no order reports it.

    pub(super) async fn release(&self) {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Release(answer)).is_ok() {
            let _ = answered.await;
        }
    }

    pub(super) fn resume(&self) {
        let _ = self.orders.send(Order::Resume);
    }

    pub(super) fn give_up(&self) {
        let _ = self.orders.send(Order::GiveUp);
    }

    /// After the shards: what they recorded is written.
    pub(super) fn stop(self) {
        drop(self.orders);
        // A panic was printed where it happened.
        let _ = self.thread.join();
    }
}

fn record_until(mut drain: Drain, orders: &Receiver<Order>) {
    os::lower_priority();
    let (mut looks, mut released) = (0, false);
    loop {
        match orders.recv_timeout(INTERVAL) {
            Err(RecvTimeoutError::Timeout) if released => {}
            Err(RecvTimeoutError::Timeout) => {
                drain.run();
                looks += 1;
                if looks == LOOKS_PER_SYNC {
                    looks = 0;
                    drain.sync();
                }
            }
            Ok(Order::Release(answer)) => {
                drain.run();
                drain.sync();
                released = true;
                // Whoever asked may have given up waiting.
                let _ = answer.send(());
            }
            Ok(Order::Resume) => {
                drain.resume();
                released = false;
            }
            Ok(Order::GiveUp) => return,
            Err(RecvTimeoutError::Disconnected) => return drain.close(),
        }
    }
}

/// A recorder's parts, for whoever needs them; none of them where there is no recorder.
pub(super) struct OpenFlight {
    pub(super) recorders: Vec<Recorder>,
    pub(super) thread: Option<FlightThread>,
    pub(super) recording: Option<Recording>,
}

/// What the control plane has of the recorder.
pub(super) struct Recording {
    names: Names,
    stats: Arc<FlightStats>,
}

impl OpenFlight {
    /// Opens the recorder that `snapshot` asks for. Without one the engine does what else it does.
    pub(super) fn open(
        ledger: &Ledger,
        snapshot: &mut Snapshot,
        table: &SlotTable,
        shards: usize,
        succeeds: bool,
    ) -> Self {
        let opened = Self::try_open(ledger, snapshot, table, shards, succeeds);
        opened
            .unwrap_or_else(|error| {
                eprintln!("weir: nothing is recorded for weir backtest: {error}");
                None
            })
            .unwrap_or(Self { recorders: Vec::new(), thread: None, recording: None })
    }

    fn try_open(
        ledger: &Ledger,
        snapshot: &mut Snapshot,
        table: &SlotTable,
        shards: usize,
        succeeds: bool,
    ) -> io::Result<Option<Self>> {
        let bytes = snapshot.config.engine.flight;
        if bytes == 0 {
            return Ok(None);
        }
        let clock_offset_ns = table.clock().offset_ns();
        let at = Moment { now: os::now(), wall: os::wall(), clock_offset_ns };
        let flight = Flight::open(&ledger.flight(), shards, bytes, succeeds, at)?;
        flight.told.iter().for_each(|line| eprintln!("weir: {line}"));
        let mut recording = Recording { names: flight.names, stats: flight.drain.stats() };
        recording.number(snapshot, table);
        let thread = FlightThread::start(flight.drain)?;
        let (recorders, recording) = (flight.recorders, Some(recording));
        Ok(Some(Self { recorders, thread: Some(thread), recording }))
    }
}

impl Recording {
    /// Gives what `snapshot` names its numbers.
    pub(super) fn number(&mut self, snapshot: &mut Snapshot, table: &SlotTable) {
        let (numbers, written) = self.names.number(&snapshot.config, table);
        snapshot.flight = Some(numbers);
        if let Err(error) = written {
            eprintln!("weir: records have no names for what is new in this configuration: {error}");
        }
    }

    /// What the recorder's thread counts, for a scrape.
    pub(super) fn families(&self) -> [Family; 3] {
        let stats = &self.stats;
        let counted =
            |name: &str, help: &str, count| Family::new(Kind::Counter, name, help).with(&[], count);
        [
            counted("weir_flight_records_total", "Requests recorded.", stats.records.get()),
            counted("weir_flight_lost_total", "Records not written.", stats.lost.get()),
            counted("weir_flight_errors_total", "Failures of the recorder.", stats.errors.get()),
        ]
    }
}
