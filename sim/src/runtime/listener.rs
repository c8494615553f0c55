//! One simulated listening socket shared by a host's shards.
//!
//! On Linux each shard has a socket of its own (`SO_REUSEPORT`) and the kernel picks one by a hash
//! of the addresses, busy or not. Here a task accepts for all of them and deals the connections
//! out by a seeded draw. So, as on Linux, a connection is established before a shard takes it, and
//! those that a closed shard has not taken are reset.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use turmoil::net::TcpListener;
use weir_engine::runtime::{Listener, Stream};

use super::{HostShared, SimStream};

type Accepted = (SimStream, SocketAddr);

/// The socket, alive as long as a shard listens.
pub(super) struct SharedPort {
    address: SocketAddr,
    shards: RefCell<BTreeMap<u64, mpsc::UnboundedSender<Accepted>>>,
    next_shard: Cell<u64>,
    task: RefCell<Option<AbortHandle>>,
}

/// A shard's share of a listening socket.
pub struct SimListener {
    port: Rc<SharedPort>,
    shard: u64,
    waiting: RefCell<mpsc::UnboundedReceiver<Accepted>>,
}

/// Joins the socket bound to `address`, or binds it.
pub(super) async fn bind(host: &Rc<HostShared>, address: SocketAddr) -> io::Result<SimListener> {
    let bound = host.ports.borrow().get(&address.port()).and_then(Weak::upgrade);
    match bound {
        Some(port) if port.address == address => Ok(SimListener::join(port)),
        Some(_) => Err(io::ErrorKind::AddrInUse.into()),
        None => Ok(SimListener::join(open(host, address).await?)),
    }
}

async fn open(host: &Rc<HostShared>, address: SocketAddr) -> io::Result<Rc<SharedPort>> {
    let listener = open_retrying(host, address).await?;
    let address = listener.local_addr()?;
    let port = Rc::new(SharedPort {
        address,
        shards: RefCell::new(BTreeMap::new()),
        next_shard: Cell::new(0),
        task: RefCell::new(None),
    });
    let dealing = deal(listener, Rc::downgrade(&port), Rc::clone(host));
    *port.task.borrow_mut() = Some(tokio::task::spawn_local(dealing).abort_handle());
    host.ports.borrow_mut().insert(address.port(), Rc::downgrade(&port));
    Ok(port)
}

/// Binds; a socket of ours that was closed a moment ago goes when its task is next looked at.
async fn open_retrying(host: &HostShared, address: SocketAddr) -> io::Result<TcpListener> {
    let was_ours = host.ports.borrow().contains_key(&address.port());
    let mut attempts = if was_ours { 100 } else { 1 };
    loop {
        attempts -= 1;
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {
                tokio::task::yield_now().await;
            }
            done => return done,
        }
    }
}

/// Accepts for all shards.
async fn deal(listener: TcpListener, port: Weak<SharedPort>, host: Rc<HostShared>) {
    let place = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let mut random = host.net_randomness(&place);
    while let Ok((stream, peer)) = listener.accept().await {
        let Some(port) = port.upgrade() else { return };
        let Ok(stream) = SimStream::accepted(stream, &host) else { continue };
        let shards = port.shards.borrow();
        let chosen = shards.values().nth(random.below(shards.len().max(1)));
        if let Some(shard) = chosen {
            // A shard leaves the table before its receiver goes.
            let _ = shard.send((stream, peer));
        }
    }
}

impl SimListener {
    fn join(port: Rc<SharedPort>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let shard = port.next_shard.get();
        port.next_shard.set(shard + 1);
        port.shards.borrow_mut().insert(shard, sender);
        Self { port, shard, waiting: RefCell::new(receiver) }
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<Accepted> {
        let accepted = poll_fn(|cx| self.waiting.borrow_mut().poll_recv(cx)).await;
        // The sender lives in the port's table for as long as this listener does.
        accepted.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn try_accept(&self) -> io::Result<Option<Accepted>> {
        Ok(self.waiting.borrow_mut().try_recv().ok())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.port.address)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.port.shards.borrow_mut().remove(&self.shard);
        while let Ok((stream, _)) = self.waiting.get_mut().try_recv() {
            stream.abort();
        }
    }
}

impl Drop for SharedPort {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}
