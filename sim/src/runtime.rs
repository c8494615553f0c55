//! The engine's [`Runtime`] on turmoil: simulated network and clock, everything seeded.
//!
//! What differs from Linux, and what is done about it:
//! - a host binds an address once, so the shards of a host share a listener ([`listener`]);
//! - turmoil has no reset to send at will and never writes short, so streams make up for both
//!   ([`stream`]);
//! - it knows no Unix sockets: connecting to one is [`io::ErrorKind::Unsupported`];
//! - a connect that is given up keeps its port on the connecting host until the host restarts.
//!
//! Invariant: nothing here reads a clock or a random source of the machine, or iterates over
//! anything whose order is not fixed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime};

use turmoil::net::TcpStream;
use weir_engine::runtime::{Endpoint, Instant, Runtime, UnixNanos};

mod listener;
mod parking;
mod random;
mod stream;

pub use listener::SimListener;
pub use parking::SimParking;
pub use random::Randomness;
pub use stream::SimStream;

use listener::SharedPort;
use stream::Resets;

/// 2025-01-01 00:00 UTC, when simulations begin.
const EPOCH: Duration = Duration::from_secs(1_735_689_600);
/// Segments under way in one direction of a connection, and connections waiting in a listener;
/// turmoil's default of 64 makes it panic under a burst of connections.
const TCP_CAPACITY: usize = 1024;
/// A longer sleep is taken in steps of this, so that far deadlines need no care.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// A simulation's builder with what the runtime here needs; latencies and duration are the
/// scenario's to set.
pub fn builder(seed: u64) -> turmoil::Builder {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .epoch(SystemTime::UNIX_EPOCH + EPOCH)
        .tick_duration(Duration::from_millis(1))
        .tcp_capacity(TCP_CAPACITY);
    builder
}

/// What the hosts of one simulation share.
#[derive(Clone)]
pub struct SimNet {
    shared: Rc<NetShared>,
}

struct NetShared {
    seed: u64,
    resets: RefCell<Resets>,
    starts: RefCell<BTreeMap<String, u32>>,
}

impl SimNet {
    pub fn new(seed: u64) -> Self {
        let (resets, starts) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeMap::new()));
        Self { shared: Rc::new(NetShared { seed, resets, starts }) }
    }

    /// The host `name`, freshly started: to be called in its software, once per start.
    pub fn host(&self, name: &str) -> SimHost {
        let mut starts = self.shared.starts.borrow_mut();
        let start = starts.entry(name.to_owned()).or_default();
        *start += 1;
        SimHost {
            shared: Rc::new(HostShared {
                net: Rc::clone(&self.shared),
                name: name.to_owned(),
                start: *start,
                ports: RefCell::new(BTreeMap::new()),
                closing: stream::spawn_closer(),
                clock: Cell::new((Instant::default(), UnixNanos(0))),
            }),
        }
    }
}

/// One start of a host: what a process's kernel would keep for it.
#[derive(Clone)]
pub struct SimHost {
    shared: Rc<HostShared>,
}

struct HostShared {
    net: Rc<NetShared>,
    name: String,
    start: u32,
    ports: RefCell<BTreeMap<u16, Weak<SharedPort>>>,
    closing: tokio::sync::mpsc::UnboundedSender<TcpStream>,
    /// What the clocks said last.
    clock: Cell<(Instant, UnixNanos)>,
}

impl SimHost {
    /// The runtime of one of the host's shards; they all run on the host's one thread.
    pub fn runtime(&self, shard: usize) -> SimRuntime {
        let purpose = ["random", &self.shared.name, &self.shared.start.to_string()];
        let random = Randomness::new(self.shared.net.seed, &purpose).split(&shard.to_string());
        SimRuntime { host: Rc::clone(&self.shared), random: Rc::new(RefCell::new(random)) }
    }
}

impl HostShared {
    /// A source for the network's whims at `place`.
    fn net_randomness(&self, place: &str) -> Randomness {
        let purpose = ["net", &self.name, &self.start.to_string(), place];
        Randomness::new(self.net.seed, &purpose)
    }

    /// Monotonic and wall-clock time. Destructors run by a crash see the last time the host knew:
    /// without its executor, tokio's clock would be the machine's.
    fn clock(&self) -> (Instant, UnixNanos) {
        if tokio::runtime::Handle::try_current().is_err() {
            return self.clock.get();
        }
        if let (Some(elapsed), Some(wall)) = (turmoil::sim_elapsed(), turmoil::since_epoch()) {
            self.clock.set((Instant::from_nanos(nanos(elapsed)), UnixNanos(nanos(wall))));
        }
        self.clock.get()
    }

    /// The address that turmoil can bind for `address`: it knows loopback and "any" only, of the
    /// host's own family.
    fn bindable(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let own = turmoil::lookup(self.name.as_str());
        let any = match own {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let ip = address.ip();
        if ip.is_loopback() && ip.is_ipv4() == own.is_ipv4() {
            Ok(address)
        } else if ip == own || ip.is_unspecified() {
            Ok(SocketAddr::new(any, address.port()))
        } else {
            Err(io::ErrorKind::AddrNotAvailable.into())
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a simulation of less than 584 years")
}

/// A shard's handle to its simulated host.
#[derive(Clone)]
pub struct SimRuntime {
    host: Rc<HostShared>,
    random: Rc<RefCell<Randomness>>,
}

impl SimRuntime {
    async fn open(&self, endpoint: &Endpoint) -> io::Result<SimStream> {
        let Endpoint::Tcp(address) = endpoint else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        SimStream::new(TcpStream::connect(*address).await?, &self.host)
    }
}

impl Runtime for SimRuntime {
    type Stream = SimStream;
    type Listener = SimListener;
    type Parking = SimParking;

    async fn bind(&self, address: SocketAddr) -> io::Result<SimListener> {
        listener::bind(&self.host, self.host.bindable(address)?).await
    }

    async fn connect(&self, endpoint: &Endpoint, deadline: Instant) -> io::Result<SimStream> {
        tokio::select! {
            biased;
            () = self.sleep_until(deadline) => Err(io::ErrorKind::TimedOut.into()),
            opened = self.open(endpoint) => opened,
        }
    }

    fn parking(&self) -> io::Result<SimParking> {
        Ok(SimParking::default())
    }

    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(future);
    }

    async fn sleep_until(&self, deadline: Instant) {
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }

    /// Time since the simulation began, precise within a tick and not reset by a crash.
    fn now(&self) -> Instant {
        self.host.clock().0
    }

    fn wall(&self) -> UnixNanos {
        self.host.clock().1
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.random.borrow_mut().fill(bytes);
    }
}
