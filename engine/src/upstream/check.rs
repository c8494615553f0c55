//! Active health checks: one task for each backend, once per engine, on whatever runtime the
//! control plane (or the simulated gateway) has.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use weir_protocol::http::{FieldStore, HeadLimits, HeadScanner, Method, parse_response};

use super::health::{Change, CheckResult, Health};
use super::{Backend, Upstream, announce_nobody};
use crate::config::HealthConfig;
use crate::runtime::{Endpoint, Instant, Runtime, Stream, Transport};
use crate::tls::describe;

/// A status line and fields of a health page; more is a failure.
const HEAD_BYTES_MAX: usize = 8192;
const HEAD_LIMITS: HeadLimits =
    HeadLimits { head_bytes: HEAD_BYTES_MAX, target_bytes: 0, fields: 100 };

/// Told of every verdict that changed.
pub type OnChange = Rc<dyn Fn(&Upstream, &Backend, Change)>;

/// The checks of one configuration; dropping it ends them.
pub struct Checks {
    stopped: Rc<Cell<bool>>,
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.stopped.set(true);
    }
}

/// Starts checking every backend of `upstreams` that asks for it.
pub fn start<R: Runtime>(runtime: &R, upstreams: &[Arc<Upstream>], changed: &OnChange) -> Checks {
    let stopped = Rc::new(Cell::new(false));
    for upstream in upstreams {
        let Some(health) = &upstream.health else {
            upstream.backends.iter().for_each(|backend| backend.set_healthy(true));
            continue;
        };
        for index in 0..upstream.backends.len() {
            let checker = Checker {
                runtime: runtime.clone(),
                upstream: Arc::clone(upstream),
                index,
                health: health.clone(),
                changed: Rc::clone(changed),
                stopped: Rc::clone(&stopped),
            };
            runtime.spawn(checker.keep_running());
        }
    }
    Checks { stopped }
}

struct Checker<R> {
    runtime: R,
    upstream: Arc<Upstream>,
    index: usize,
    health: HealthConfig,
    changed: OnChange,
    stopped: Rc<Cell<bool>>,
}

impl<R: Runtime> Checker<R> {
    /// A panic costs one interval, not the checks.
    async fn keep_running(self) {
        while AssertUnwindSafe(self.run()).catch_unwind().await.is_err() {
            self.runtime.sleep_until(self.runtime.now() + self.health.interval).await;
        }
    }

    async fn run(&self) {
        let backend = Arc::clone(&self.upstream.backends[self.index]);
        // A reload finds the verdict of the checks before it.
        let mut health = if backend.is_healthy() { Health::Up(0) } else { Health::Down(0) };
        let mut next = self.runtime.now() + self.jitter();
        while !self.stopped.get() {
            let result = self.check(&backend).await;
            if self.stopped.get() {
                return;
            }
            backend.set_last_check(match &result {
                Ok(()) => "passed".into(),
                Err(reason) => reason.clone(),
            });
            let verdict = if result.is_ok() { CheckResult::Passed } else { CheckResult::Failed };
            let (after, change) = health.step(verdict, self.health.rise, self.health.fall);
            health = after;
            backend.set_healthy(health.is_up());
            if let Some(change) = change {
                (self.changed)(&self.upstream, &backend, change);
            }
            next = (next + self.health.interval).max(self.runtime.now());
            self.runtime.sleep_until(next).await;
        }
    }

    /// Up to a tenth of the interval, so that the checks of many backends spread out.
    fn jitter(&self) -> std::time::Duration {
        let mut bytes = [0; 4];
        self.runtime.fill_random(&mut bytes);
        self.health
            .interval
            .mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) / 10.0)
    }

    async fn check(&self, backend: &Backend) -> Result<(), String> {
        let deadline = self.runtime.now() + self.health.timeout;
        let mut check = pin!(self.fetch(&backend.endpoint, deadline));
        let mut expired = pin!(self.runtime.sleep_until(deadline));
        let status = poll_fn(|cx| {
            if let Poll::Ready(result) = check.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            expired.as_mut().poll(cx).map(|()| Err("timed out".to_owned()))
        })
        .await?;
        if (200..400).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
    }

    async fn fetch(&self, endpoint: &Endpoint, deadline: Instant) -> Result<u16, String> {
        let connected = self.runtime.connect(endpoint, deadline).await;
        let mut stream = connected.map_err(|error| format!("connect: {error}"))?;
        if let Some(version) = self.upstream.proxy_protocol {
            send(&mut stream, &announce_nobody(version)).await?;
        }
        let mut stream = match &self.upstream.tls {
            None => Transport::Plain(stream),
            Some(tls) => {
                let shaken = async {
                    let mut stream = tls.open(stream, endpoint)?;
                    poll_fn(|cx| stream.poll_handshake(cx)).await.map(|()| stream)
                };
                let shaken = shaken.await.map_err(|error| format!("tls: {}", describe(&error)))?;
                Transport::Tls(shaken)
            }
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {endpoint}\r\nUser-Agent: weir-health\r\nConnection: close\r\n\r\n",
            self.health.path
        );
        send(&mut stream, request.as_bytes()).await?;
        let status = read_status(&mut stream).await?;
        stream.close();
        Ok(status)
    }
}

async fn send<S: Stream>(stream: &mut S, mut unsent: &[u8]) -> Result<(), String> {
    while !unsent.is_empty() {
        let sent = poll_fn(|cx| stream.poll_write(cx, unsent)).await;
        unsent = &unsent[sent.map_err(|error| format!("send: {error}"))?..];
    }
    let sent = poll_fn(|cx| stream.poll_flush(cx)).await;
    sent.map_err(|error| format!("send: {error}"))
}

async fn read_status<S: Stream>(stream: &mut S) -> Result<u16, String> {
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    let mut filled = 0;
    let mut scanner = HeadScanner::default();
    loop {
        let read = poll_fn(|cx| stream.poll_read(cx, &mut buffer[filled..])).await;
        match read.map_err(|error| format!("receive: {error}"))? {
            0 => return Err("closed before an answer".into()),
            count => filled += count,
        }
        let end = scanner.scan(&buffer[..filled], &HEAD_LIMITS).map_err(|e| e.to_string())?;
        if let Some(end) = end {
            let mut store = FieldStore::new();
            let head = parse_response(&buffer[..end], &mut store, &HEAD_LIMITS, &Method::Get);
            return head.map(|head| head.status).map_err(|error| error.to_string());
        }
    }
}
