//! Mock backends: they answer everything, after a while, with the id of the request.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use weir_engine::runtime::{Listener, Runtime};
use weir_protocol::http::{
    CHUNK_END, FieldStore, Method, RequestBody, chunk_header, parse_request,
};

use crate::runtime::{Randomness, SimHost, SimListener, SimStream};
use crate::scenario::{BackendSpec, BackendStep, Does, Span, Step as _};
use crate::trace::{Step, Trace};
use crate::trouble::{Sent, Trouble, some_milliseconds};
use crate::wire::{BACKEND_FIELD, Framing, HEAD_LIMITS, ID_FIELD, Wire, WireError, pattern};

/// The size of the chunks that bodies are cut into.
const CHUNK_BYTES: usize = 1000;

/// The longest a connection idles before there is trouble.
const IDLE_MS: usize = 20;
const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";

/// What events have done to a backend; survives its crashes.
#[derive(Default)]
pub(crate) struct Condition {
    /// Further time for every request.
    pub(crate) slow_by: Cell<Duration>,
    /// The status of every answer.
    pub(crate) fails_with: Cell<Option<u16>>,
    /// Connections that are open.
    pub(crate) open: Cell<usize>,
    refuses: Cell<bool>,
    refusal: Notify,
}

impl Condition {
    /// From now on refuses connections, or takes them again.
    pub(crate) fn refuse(&self, refuses: bool) {
        if self.refuses.replace(refuses) != refuses {
            self.refusal.notify_one();
        }
    }
}

/// Counts a connection for as long as it is open.
struct Open(Rc<Condition>);

impl Open {
    fn new(condition: &Rc<Condition>) -> Self {
        condition.open.set(condition.open.get() + 1);
        Self(Rc::clone(condition))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
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
    let backend = Rc::new(Backend { name, spec, condition, trace });
    loop {
        let listener = host.runtime(0).bind(any).await?;
        backend.accept(listener, &mut random).await?;
        while backend.condition.refuses.get() {
            backend.condition.refusal.notified().await;
        }
    }
}

fn random_of(random: &mut Randomness, peer: SocketAddr) -> Randomness {
    let connection = random.next_u64();
    random.split(&format!("{peer} {connection}"))
}

async fn connection(backend: Rc<Backend>, stream: SimStream, mut random: Randomness) {
    let _open = Open::new(&backend.condition);
    let mut wire = Wire::new(stream);
    loop {
        // How a connection ends is the other end's business: it reports what it saw of it.
        match backend.exchange(&mut wire, &mut random).await {
            Ok(After::KeepAlive) => {}
            Ok(After::Reset) => return wire.abort(),
            Ok(After::Close) | Err(_) => return,
        }
    }
}

/// What becomes of a connection.
enum After {
    KeepAlive,
    Close,
    Reset,
}

/// An answer as bytes, and where its parts begin.
struct Answer {
    bytes: Vec<u8>,
    body: usize,
    trailers: usize,
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
    /// Serves until it refuses connections; then all end, as those of a process that dies.
    async fn accept(
        self: &Rc<Self>,
        listener: SimListener,
        random: &mut Randomness,
    ) -> io::Result<()> {
        let mut connections = JoinSet::new();
        while !self.condition.refuses.get() {
            tokio::select! {
                biased;
                () = self.condition.refusal.notified() => {}
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => {
                    let (stream, peer) = accepted?;
                    let random = random_of(random, peer);
                    connections.spawn_local(connection(Rc::clone(self), stream, random));
                }
            }
        }
        Ok(())
    }

    /// Answers one request.
    async fn exchange(&self, wire: &mut Wire, random: &mut Randomness) -> Result<After, WireError> {
        let trouble = self.spec.trouble.as_ref().and_then(|troubles| troubles.draw(random));
        if let Some(trouble) = trouble.filter(|trouble| trouble.at == BackendStep::Idle) {
            tokio::time::sleep(some_milliseconds(IDLE_MS, random)).await;
            self.tell(&trouble, None, false);
            let done = trouble.act(wire, false).await?;
            if let Some(after) = self.end(wire, done).await {
                return Ok(after);
            }
        }
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
        let answer = self.answer(&asked, status);
        let sent = match trouble.filter(|trouble| trouble.at != BackendStep::Idle) {
            Some(trouble) if asked.id.is_some() => {
                self.answer_in_trouble(wire, &asked, answer, trouble, random).await?
            }
            _ => {
                wire.write_all(&answer.bytes).await?;
                Sent::Whole
            }
        };
        let after = if asked.persistent { After::KeepAlive } else { After::Close };
        Ok(self.end(wire, sent).await.unwrap_or(after))
    }

    async fn answer_in_trouble(
        &self,
        wire: &mut Wire,
        asked: &Asked,
        answer: Answer,
        trouble: Trouble<BackendStep>,
        random: &mut Randomness,
    ) -> Result<Sent, WireError> {
        let Answer { mut bytes, body, trailers } = answer;
        let section = match trouble.at {
            BackendStep::Idle | BackendStep::BeforeHead => 0..0,
            BackendStep::Head => 1..body,
            BackendStep::AfterInterim => {
                bytes.splice(0..0, INTERIM.iter().copied());
                INTERIM.len()..INTERIM.len()
            }
            BackendStep::Body => body..trailers,
            BackendStep::Trailers => trailers..bytes.len(),
        };
        let ends = matches!(trouble.does, Does::Reset | Does::HalfClose | Does::Close);
        let begun = section.start > 0 && section.start < bytes.len();
        self.tell(&trouble, asked.id.as_ref(), ends && begun);
        trouble.send(wire, &bytes, section, random).await
    }

    fn tell(&self, trouble: &Trouble<BackendStep>, id: Option<&Rc<str>>, broken_off: bool) {
        self.trace.push(Step::Trouble {
            host: Rc::clone(&self.name),
            id: id.cloned(),
            at: trouble.at.name(),
            does: trouble.does,
            broken_off,
        });
    }

    /// What is left of the connection, if that was its last message.
    async fn end(&self, wire: &mut Wire, sent: Sent) -> Option<After> {
        match sent {
            Sent::Whole => None,
            Sent::Closed => Some(After::Close),
            Sent::Reset => Some(After::Reset),
            Sent::HalfClosed { missing } => {
                // A request may cross an end that no answer stood before.
                if wire.read_head().await.is_ok() && missing {
                    self.trace.push(Step::Reused { backend: Rc::clone(&self.name) });
                }
                Some(After::Close)
            }
        }
    }

    /// Health checks pass whatever a backend answers to others.
    fn status_of(&self, asked: &Asked) -> u16 {
        if asked.id.is_some() { self.spec.status } else { 200 }
    }

    fn answer(&self, asked: &Asked, status: u16) -> Answer {
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
        let content = pattern(id, length);
        let mut bytes = match (bodiless, self.spec.chunked) {
            (true, _) => out + "\r\n",
            (false, true) => out + "Transfer-Encoding: chunked\r\n\r\n",
            (false, false) => out + &format!("Content-Length: {length}\r\n\r\n"),
        }
        .into_bytes();
        let body = bytes.len();
        let mut trailers = body;
        if bodiless || asked.head_only {
            return Answer { bytes, body, trailers };
        }
        if self.spec.chunked {
            write_chunks(&mut bytes, &content);
            trailers = bytes.len();
            bytes.extend_from_slice(b"0\r\nX-Sim-Trailer: yes\r\n\r\n");
        } else {
            bytes.extend_from_slice(&content);
            trailers = bytes.len();
        }
        Answer { bytes, body, trailers }
    }
}

fn write_chunks(out: &mut Vec<u8>, body: &[u8]) {
    for chunk in body.chunks(CHUNK_BYTES) {
        out.extend_from_slice(chunk_header(chunk.len(), &mut [0; 18]));
        out.extend_from_slice(chunk);
        out.extend_from_slice(CHUNK_END);
    }
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
