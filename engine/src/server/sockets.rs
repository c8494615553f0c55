//! The listening sockets: bound for each shard, or inherited from a predecessor.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::ServerError;
use crate::config::{Config, ListenerConfig};
use crate::runtime::os;

/// A listening socket and the name of its listener.
pub(super) struct Listening {
    pub(super) name: String,
    pub(super) socket: TcpListener,
}

/// Every socket that the shards will serve. None that is new listens yet, so that giving up at
/// this point refuses and resets nobody.
#[derive(Default)]
pub(super) struct Sockets {
    /// In the order of the configuration's listeners.
    pub(super) addresses: Vec<(String, SocketAddr)>,
    /// For each shard, sockets with their listeners' places.
    by_shard: Vec<Vec<(usize, TcpListener)>>,
    /// Those that must be told to listen, as (shard, place in its list).
    silent: Vec<(usize, usize)>,
    /// Inherited ones that no listener of this configuration has.
    gone: Vec<TcpListener>,
}

impl Sockets {
    /// Takes over what fits of `inherited` and binds the rest, a socket for each shard. All sockets
    /// of a listener are taken over, however many shards there are: connections wait in each, and
    /// would be reset with it.
    pub(super) fn gather(
        config: &Config,
        shards: usize,
        mut inherited: Vec<Listening>,
    ) -> Result<Self, ServerError> {
        let mut sockets = Self::default();
        sockets.by_shard.resize_with(shards, Vec::new);
        for (index, listener) in config.listeners.iter().enumerate() {
            let failed = |source| ServerError::Listen { address: listener.address, source };
            let (mine, others) =
                inherited.into_iter().partition(|other: &Listening| is_of(other, listener));
            inherited = others;
            let address = sockets.add(index, listener.address, mine).map_err(failed)?;
            sockets.addresses.push((listener.name.clone(), address));
        }
        sockets.gone = inherited.into_iter().map(|listening| listening.socket).collect();
        Ok(sockets)
    }

    /// The sockets of one listener; returns their address.
    fn add(
        &mut self,
        index: usize,
        configured: SocketAddr,
        inherited: Vec<Listening>,
    ) -> io::Result<SocketAddr> {
        let mut address = configured;
        if let Some(first) = inherited.first() {
            address = first.socket.local_addr()?;
        } else {
            wait_until_unshared(address)?;
        }
        let (shards, count) = (self.by_shard.len(), inherited.len());
        for (at, listening) in inherited.into_iter().enumerate() {
            self.by_shard[at % shards].push((index, listening.socket));
        }
        for shard in count..shards {
            let socket = os::bind(address)?;
            // With port 0 the first shard's port is everybody's.
            address = socket.local_addr()?;
            self.silent.push((shard, self.by_shard[shard].len()));
            self.by_shard[shard].push((index, socket));
        }
        Ok(address)
    }

    /// Has the new ones listen, and those that nobody serves any more refuse; returns the others, by
    /// shard.
    pub(super) fn listen(self) -> Result<Vec<Vec<(usize, TcpListener)>>, ServerError> {
        for (shard, at) in self.silent {
            let (index, socket) = &self.by_shard[shard][at];
            let address = self.addresses[*index].1;
            let failed = |source| ServerError::Listen { address, source };
            os::start_listening(socket).map_err(failed)?;
        }
        // Closing is not enough: the predecessor's copies, or the kernel on behalf of its rings, would
        // let in clients for a while whom nobody answers.
        self.gone.iter().for_each(os::stop_listening);
        Ok(self.by_shard)
    }

    /// Copies of them all, for a successor.
    pub(super) fn copies(&self) -> Result<Vec<Listening>, ServerError> {
        let all = self.by_shard.iter().flatten();
        let copies = all.map(|(index, socket)| {
            let (name, address) = &self.addresses[*index];
            let failed = |source| ServerError::Listen { address: *address, source };
            let socket = socket.try_clone().map_err(failed)?;
            Ok(Listening { name: name.clone(), socket })
        });
        copies.collect()
    }
}

/// Port 0 is whichever the predecessor was given.
fn is_of(inherited: &Listening, listener: &ListenerConfig) -> bool {
    inherited.socket.local_addr().is_ok_and(|address| {
        let chosen = listener.address.port() == 0
            && address.ip() == listener.address.ip()
            && inherited.name == listener.name;
        address == listener.address || chosen
    })
}

/// How long a predecessor may take to let go of its addresses.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(1);
const PREDECESSOR_PAUSE: Duration = Duration::from_millis(5);

/// Refuses an address that somebody listens on, after some patience: the kernel takes down what an
/// io_uring held, listeners included, only after the killed process is gone, and a supervisor
/// starts the next one at once.
fn wait_until_unshared(address: SocketAddr) -> io::Result<()> {
    let deadline = os::now() + PREDECESSOR_TIMEOUT;
    loop {
        match os::ensure_unshared(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && os::now() < deadline => {
                std::thread::park_timeout(PREDECESSOR_PAUSE);
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn an_address_is_waited_for_but_not_for_ever() {
        let held = os::listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = held.local_addr().expect("is bound");
        let error = wait_until_unshared(address).expect_err("somebody listens");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let predecessor = std::thread::spawn(move || {
            std::thread::park_timeout(PREDECESSOR_PAUSE * 20);
            drop(held);
        });
        wait_until_unshared(address).expect("it is let go");
        predecessor.join().expect("ends");
    }

    fn config(addresses: &[&str]) -> Config {
        let listener = |address: &&str| format!("[[listener]]\naddress = \"{address}\"\n");
        let mut text: String = addresses.iter().map(listener).collect();
        text += "[[upstream]]\nname = \"a\"\nbackend = [{ address = \"127.0.0.1:1\" }]\n";
        text += "[[route]]\npath = \"/*\"\nupstream = \"a\"\n";
        Config::parse(&text, "test").expect("right")
    }

    fn inherited(count: usize) -> (SocketAddr, Vec<Listening>) {
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut sockets = Vec::new();
        for _ in 0..count {
            let socket = os::listen(address).expect("listens");
            address = socket.local_addr().expect("is bound");
            sockets.push(Listening { name: "old".to_owned(), socket });
        }
        (address, sockets)
    }

    fn shape(by_shard: &[Vec<(usize, TcpListener)>]) -> Vec<Vec<usize>> {
        by_shard.iter().map(|list| list.iter().map(|(index, _)| *index).collect()).collect()
    }

    #[test]
    fn fewer_shards_serve_all_inherited_sockets() {
        let (address, sockets) = inherited(3);
        let config = config(&[&address.to_string()]);
        let gathered = Sockets::gather(&config, 2, sockets).expect("gathers");
        assert_eq!(gathered.addresses, [(address.to_string(), address)]);
        assert_eq!(gathered.copies().expect("copies").len(), 3);
        assert_eq!(shape(&gathered.listen().expect("listens")), [vec![0, 0], vec![0]]);
    }

    #[test]
    fn more_shards_get_sockets_of_their_own_which_listen_last() {
        let (address, mut sockets) = inherited(1);
        let (_, strangers) = inherited(1);
        sockets.extend(strangers);
        let config = config(&["127.0.0.1:0", &address.to_string()]);
        let gathered = Sockets::gather(&config, 2, sockets).expect("gathers");
        let fresh = gathered.addresses[0].1;
        TcpStream::connect(fresh).expect_err("nobody is let in yet");
        let by_shard = gathered.listen().expect("listens");
        TcpStream::connect(fresh).expect("somebody is there");
        assert_eq!(shape(&by_shard), [vec![0, 1], vec![0, 1]]);
        assert!(by_shard.iter().all(|list| list[1].1.local_addr().expect("bound") == address));
    }

    #[test]
    fn what_nobody_serves_any_more_refuses_when_the_others_listen() {
        let (address, mut sockets) = inherited(1);
        let (gone, mut strangers) = inherited(2);
        // As the predecessor, or the kernel on its behalf, does for a while.
        let _held: Vec<_> =
            strangers.iter().map(|stranger| stranger.socket.try_clone().expect("a copy")).collect();
        sockets.append(&mut strangers);
        let config = config(&[&address.to_string()]);
        let gathered = Sockets::gather(&config, 1, sockets).expect("gathers");
        TcpStream::connect(gone).expect("the predecessor may still go on");
        let _serving = gathered.listen().expect("listens");
        TcpStream::connect(gone).expect_err("nobody would ever answer");
        TcpStream::connect(address).expect("somebody is there");
    }
}
