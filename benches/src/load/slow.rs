//! Clients that send a head which never ends, one byte a second (Slowloris).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock;
use crate::error::Error;
use crate::sys::{self, Epoll, READABLE};

/// Between two bytes of one client.
const BETWEEN_BYTES: Duration = Duration::from_secs(1);
/// How late a close may be noticed.
const RESOLUTION: Duration = Duration::from_millis(10);

/// What became of slow clients.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlowOutcome {
    pub clients: usize,
    /// Of them, how many the server closed.
    pub cut_off: usize,
    /// Of those, how many were sent something first, such as a 408.
    pub told: usize,
    /// From a client's connect to its end, for the first and the last to be cut off.
    pub first_after: Duration,
    pub last_after: Duration,
}

/// A thread that keeps slow clients going until it is asked for the outcome.
pub struct SlowClients {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<SlowOutcome, Error>>>,
}

impl SlowClients {
    /// Opens `count` connections; their thread runs on `cpu`, or anywhere for `None`.
    pub fn start(address: SocketAddr, count: usize, cpu: Option<usize>) -> Result<Self, Error> {
        let crowd = Crowd::open(address, count)?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("slow clients".into())
            .spawn(move || {
                cpu.map_or(Ok(()), sys::pin_thread).map_err(Error::io("pin the slow clients"))?;
                // Relaxed: a lone flag, polled; nothing else is published through it.
                crowd.run(|| seen.load(Ordering::Relaxed))
            })
            .map_err(Error::io("start the slow clients' thread"))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Closes those that are left and says what was seen until now.
    pub fn finish(self) -> Result<SlowOutcome, Error> {
        self.stop.store(true, Ordering::Relaxed);
        self.wait()
    }

    /// Waits until the last one was cut off.
    pub fn wait(mut self) -> Result<SlowOutcome, Error> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => Err(Error::Panicked("slow clients")),
        }
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Slow {
    stream: TcpStream,
    opened: Instant,
    told: bool,
}

struct Crowd {
    epoll: Epoll,
    /// `None` once it was cut off.
    clients: Vec<Option<Slow>>,
    outcome: SlowOutcome,
    scratch: [u8; 4096],
}

impl Crowd {
    fn open(address: SocketAddr, count: usize) -> Result<Self, Error> {
        let epoll = Epoll::new().map_err(Error::io("create the slow clients' epoll"))?;
        let mut clients = Vec::with_capacity(count);
        for token in 0..count {
            let open = || -> io::Result<Slow> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.write_all(b"GET /plain HTTP/1.1\r\nHost: slow\r\nX-Slow: ")?;
                stream.set_nonblocking(true)?;
                epoll.add(&stream, token, READABLE)?;
                Ok(Slow { stream, opened: clock::now(), told: false })
            };
            clients.push(Some(open().map_err(Error::io(format!("connect to {address}")))?));
        }
        let outcome = SlowOutcome { clients: count, ..SlowOutcome::default() };
        Ok(Self { epoll, clients, outcome, scratch: [0; 4096] })
    }

    fn run(mut self, stopped: impl Fn() -> bool) -> Result<SlowOutcome, Error> {
        let start = clock::now();
        let (mut sent, mut ready) = (0_u32, Vec::new());
        let count = u32::try_from(self.clients.len()).unwrap_or(u32::MAX).max(1);
        while !stopped() && self.outcome.cut_off < self.outcome.clients {
            // The clients' bytes are spread over the second, not sent in bursts.
            let due = start + BETWEEN_BYTES.mul_f64(f64::from(sent) / f64::from(count));
            let wait = due.saturating_duration_since(clock::now());
            if wait.is_zero() {
                self.send_byte(usize::try_from(sent % count).unwrap_or(0));
                sent += 1;
            }
            let wait = wait.min(RESOLUTION);
            self.epoll.wait(wait, &mut ready).map_err(Error::io("wait for slow clients' ends"))?;
            for &token in &ready {
                self.receive(token);
            }
        }
        Ok(self.outcome)
    }

    fn send_byte(&mut self, token: usize) {
        let Some(slow) = &mut self.clients[token] else { return };
        match slow.stream.write(b"a") {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => self.cut_off(token),
            Ok(_) | Err(_) => {}
        }
    }

    fn receive(&mut self, token: usize) {
        let Some(slow) = &mut self.clients[token] else { return };
        match slow.stream.read(&mut self.scratch) {
            Ok(0) => self.cut_off(token),
            Ok(_) => slow.told = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.cut_off(token),
        }
    }

    fn cut_off(&mut self, token: usize) {
        let Some(slow) = self.clients[token].take() else { return };
        let after = clock::now().saturating_duration_since(slow.opened);
        let outcome = &mut self.outcome;
        let first = outcome.cut_off == 0;
        outcome.first_after = if first { after } else { outcome.first_after.min(after) };
        outcome.last_after = outcome.last_after.max(after);
        outcome.cut_off += 1;
        outcome.told += usize::from(slow.told);
    }
}
