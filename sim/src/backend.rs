//! Mock backends: they answer everything, after a while, with the id of the request.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use weir_engine::runtime::{Listener, Runtime};
use weir_protocol::http::{
    CHUNK_END, FieldStore, LAST_CHUNK, Method, RequestBody, chunk_header, parse_request,
};

use crate::runtime::{Randomness, SimHost, SimStream};
use crate::scenario::{BackendSpec, Span};
use crate::trace::{Step, Trace};
use crate::wire::{BACKEND_FIELD, Framing, HEAD_LIMITS, ID_FIELD, Wire, WireError, pattern};

/// The size of the chunks that bodies are cut into.
const CHUNK_BYTES: usize = 1000;

/// What events have done to a backend; survives its crashes.
#[derive(Default)]
pub(crate) struct Condition {
    /// Further time for every request.
    pub(crate) slow_by: Cell<Duration>,
    /// The status of every answer.
    pub(crate) fails_with: Cell<Option<u16>>,
}

/// What the tasks of one backend share, from one start to the next crash.
struct Backend {
    name: Rc<str>,
    spec: BackendSpec,
    condition: Rc<Condition>,
    trace: Trace,
}

/// The software of a backend.
pub(crate) async fn serve(
    host: SimHost,
    spec: BackendSpec,
    condition: Rc<Condition>,
    trace: Trace,
    mut random: Randomness,
) -> turmoil::Result {
    let name: Rc<str> = spec.name.get_ref().as_str().into();
    trace.push(Step::Started { host: Rc::clone(&name) });
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), spec.port);
    let listener = host.runtime(0).bind(any).await?;
    let backend = Rc::new(Backend { name, spec, condition, trace });
    loop {
        let (stream, peer) = listener.accept().await?;
        let random = random_of(&mut random, peer);
        tokio::task::spawn_local(connection(Rc::clone(&backend), stream, random));
    }
}

fn random_of(random: &mut Randomness, peer: SocketAddr) -> Randomness {
    let connection = random.next_u64();
    random.split(&format!("{peer} {connection}"))
}

async fn connection(backend: Rc<Backend>, stream: SimStream, mut random: Randomness) {
    let mut wire = Wire::new(stream);
    // How a connection ends is the other end's business: it reports what it saw of it.
    while let Ok(true) = backend.exchange(&mut wire, &mut random).await {}
}

/// What a backend needs to know of a request.
struct Asked {
    id: Option<Rc<str>>,
    head_only: bool,
    body: Framing,
    persistent: bool,
    expects_continue: bool,
}

impl Backend {
    /// Answers one request; whether the connection goes on.
    async fn exchange(&self, wire: &mut Wire, random: &mut Randomness) -> Result<bool, WireError> {
        let head = wire.read_head().await?;
        let asked = read_request(&head)?;
        if asked.expects_continue {
            wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        wire.read_body(asked.body).await?;
        if let Some(id) = &asked.id {
            self.trace.push(Step::Arrived { id: Rc::clone(id), backend: Rc::clone(&self.name) });
        }
        let work = between(self.spec.latency, random) + self.condition.slow_by.get();
        tokio::time::sleep(work).await;
        let status = self.condition.fails_with.get().unwrap_or(self.status_of(&asked));
        if asked.id.is_none() {
            self.trace.push(Step::Checked { backend: Rc::clone(&self.name), status });
        }
        wire.write_all(&self.answer(&asked, status)).await?;
        Ok(asked.persistent)
    }

    /// Health checks pass whatever a backend answers to others.
    fn status_of(&self, asked: &Asked) -> u16 {
        if asked.id.is_some() { self.spec.status } else { 200 }
    }

    fn answer(&self, asked: &Asked, status: u16) -> Vec<u8> {
        let id = asked.id.as_deref().unwrap_or("health");
        let bodiless = matches!(status, 204 | 304);
        let length = if bodiless { 0 } else { self.spec.body_bytes };
        let mut out = format!(
            "HTTP/1.1 {status} Simulated\r\n{ID_FIELD}: {id}\r\n{BACKEND_FIELD}: {}\r\n",
            self.name
        );
        if !asked.persistent {
            out += "Connection: close\r\n";
        }
        let body = pattern(id, length);
        let mut out = match (bodiless, self.spec.chunked) {
            (true, _) => out + "\r\n",
            (false, true) => out + "Transfer-Encoding: chunked\r\n\r\n",
            (false, false) => out + &format!("Content-Length: {length}\r\n\r\n"),
        }
        .into_bytes();
        if bodiless || asked.head_only {
            return out;
        }
        if self.spec.chunked {
            write_chunks(&mut out, &body);
        } else {
            out.extend_from_slice(&body);
        }
        out
    }
}

fn write_chunks(out: &mut Vec<u8>, body: &[u8]) {
    for chunk in body.chunks(CHUNK_BYTES) {
        out.extend_from_slice(chunk_header(chunk.len(), &mut [0; 18]));
        out.extend_from_slice(chunk);
        out.extend_from_slice(CHUNK_END);
    }
    out.extend_from_slice(LAST_CHUNK);
}

fn read_request(head: &[u8]) -> Result<Asked, WireError> {
    let mut store = FieldStore::new();
    let head = parse_request(head, &mut store, &HEAD_LIMITS)?;
    Ok(Asked {
        id: head.by_name(ID_FIELD).map(|id| String::from_utf8_lossy(id).into()),
        head_only: head.method == Method::Head,
        body: match head.body {
            RequestBody::None => Framing::Length(0),
            RequestBody::Length(length) => Framing::Length(length),
            RequestBody::Chunked => Framing::Chunked,
        },
        persistent: head.persistent,
        expects_continue: head.expect_continue,
    })
}

/// A duration drawn evenly from a range.
fn between([low, high]: [Span; 2], random: &mut Randomness) -> Duration {
    let width = high.0.saturating_sub(low.0).as_micros();
    let drawn = random.below(usize::try_from(width).unwrap_or(usize::MAX - 1) + 1);
    low.0 + Duration::from_micros(drawn as u64)
}
