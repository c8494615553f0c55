//! An engine in three steps: prepared, so that nothing can fail any more that a predecessor would
//! have to make up for; begun; and running.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::blocking::Blocking;
use super::flight::{FlightThread, OpenFlight};
use super::handover::Offer;
use super::operations::{Engine, Parts};
use super::shards::{Common, Shards};
use super::sockets::{Listening, Sockets};
use super::sync::{LedgerSync, Orders};
use super::{Launch, ServerError, control};
use crate::access_log::LogSink;
use crate::control::{SocketFile, Unplaced, prepare};
use crate::ledger::Ledger;
use crate::runtime::os;
use crate::runtime::probe::Chosen;
use crate::snapshot::Snapshot;
use crate::upstream::Registry;

/// All that an engine is made of but the ledger. Dropped, it leaves no trace.
pub(super) struct Prepared {
    chosen: Chosen,
    shards: Shards,
    sockets: Sockets,
    /// The pages' and weirctl's.
    unplaced: [Unplaced; 2],
    log: Option<LogSink>,
    snapshot: Snapshot,
    registry: Registry,
    config_path: PathBuf,
    pages_path: PathBuf,
    /// Another engine is about to end.
    replaces: bool,
}

/// An engine whose shards serve.
struct Running {
    engine: Arc<Engine>,
    shards: Shards,
    flight: Option<FlightThread>,
    sockets: control::Sockets,
    orders: Orders,
    files: Vec<SocketFile>,
    sample_api: bool,
    drain_timeout: Duration,
}

impl Prepared {
    pub(super) fn new(
        launch: Launch,
        chosen: Chosen,
        cpus: Vec<Option<usize>>,
        inherited: Vec<Listening>,
    ) -> Result<Self, ServerError> {
        let Launch { config, config_path, predecessor } = launch;
        let replaces = predecessor.is_some();
        let sockets = Sockets::gather(&config, cpus.len(), inherited)?;
        let socket = prepare(&config.control.socket, replaces)?;
        let pages_path = pages_path(&config.engine.ledger);
        let pages = prepare(&pages_path, replaces)?;
        let log = LogSink::start(&config.access_log, cpus.len()).map_err(ServerError::AccessLog)?;
        let shards = Shards::start(&chosen, cpus)?;
        let mut registry = Registry::default();
        let snapshot = Snapshot::build(config, 1, &mut registry, Some(&pages_path))?;
        Ok(Self {
            chosen,
            shards,
            sockets,
            unplaced: [pages, socket],
            log,
            snapshot,
            registry,
            config_path,
            pages_path,
            replaces,
        })
    }

    /// Serves until the end. The ledger is this engine's, and so are its addresses.
    pub(super) fn serve(
        prepared: Result<Self, ServerError>,
        ledger: Ledger,
        ready: impl FnOnce(&str),
    ) -> Result<(), ServerError> {
        match prepared.and_then(|prepared| prepared.begin(&ledger)) {
            Ok(running) => running.run(ledger, ready),
            Err(error) => {
                // It was opened in vain, which is no reason to find it unclean.
                ledger.close(os::wall())?;
                Err(error)
            }
        }
    }

    /// Lets clients in.
    fn begin(self, ledger: &Ledger) -> Result<Running, ServerError> {
        let table = ledger.table();
        let offer = Offer { sockets: self.sockets.copies()?, lock: ledger.lock()? };
        let addresses = self.sockets.addresses.clone();
        let mut files = Vec::new();
        let mut place = |unplaced: Unplaced| {
            let (listener, file) = unplaced.place()?;
            files.push(file);
            Ok::<_, ServerError>(listener)
        };
        let [pages, socket] = self.unplaced;
        let sockets = control::Sockets { pages: place(pages)?, socket: place(socket)? };
        let mut snapshot = self.snapshot;
        let shards = self.shards.count();
        let flight = OpenFlight::open(ledger, &mut snapshot, &table, shards, self.replaces);
        let OpenFlight { recorders, thread: flight, recording } = flight;
        let snapshot = Arc::new(snapshot);
        let log = self.log.as_ref();
        let common = Common { snapshot: &snapshot, table: &table, log, recorders };
        let (orders, handles) = (Orders::new(), self.shards.handles());
        let journal = orders.journal(ledger);
        let mailboxes = handles.iter().map(|shard| Arc::clone(&shard.mailbox)).collect();
        // Shards look into their mailboxes before they let anybody in.
        let blocking = Blocking::new(mailboxes, journal.clone(), os::wall().as_millis());
        self.shards.serve(common, self.sockets.listen()?)?;
        let config = &snapshot.config;
        ledger.standing().set_interval(config.engine.sync_interval);
        let (sample_api, drain_timeout) = (config.control.sample_api, config.engine.drain_timeout);
        let engine = Engine::new(Parts {
            config_path: self.config_path,
            pages_path: self.pages_path,
            chosen: self.chosen,
            addresses,
            snapshot,
            registry: self.registry,
            handles,
            blocking,
            table,
            ledger_path: ledger.path().to_owned(),
            journal,
            standing: ledger.standing(),
            log: self.log,
            recording,
            offer,
        });
        let engine = Arc::new(engine);
        let shards = self.shards;
        Ok(Running { engine, shards, flight, sockets, orders, files, sample_api, drain_timeout })
    }
}

impl Running {
    /// Until the end.
    fn run(self, ledger: Ledger, ready: impl FnOnce(&str)) -> Result<(), ServerError> {
        let Self { engine, shards, flight, sockets, orders, files, sample_api, drain_timeout } =
            self;
        let sync = LedgerSync::start(ledger, orders, flight)?;
        let ready = || ready(&engine.banner());
        let outcome =
            control::run(&engine, &sync, shards, sockets, sample_api, drain_timeout, ready);
        if engine.has_left() {
            files.into_iter().for_each(SocketFile::leave);
        } else {
            drop(files);
        }
        engine.stop_log();
        sync.stop()?;
        outcome
    }
}

/// The pages' socket lives in the ledger's folder, which is this engine's alone.
fn pages_path(ledger: &Path) -> PathBuf {
    ledger.join("pages.sock")
}
