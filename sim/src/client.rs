//! Mock clients: they send requests at their pace and say how each one ended.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use weir_engine::runtime::{Endpoint, Runtime};
use weir_protocol::http::{FieldStore, Method, ResponseBody, parse_response};

use crate::runtime::{Randomness, SimRuntime};
use crate::scenario::{ClientSpec, ClientStep, Step as _};
use crate::trace::{Outcome, Step, Trace};
use crate::trouble::{Sent, Trouble, some_milliseconds};
use crate::wire::{BACKEND_FIELD, Framing, HEAD_LIMITS, ID_FIELD, Quiet, Wire, WireError, pattern};

/// The longest a client waits for an answer before there is trouble.
const WAITING_MS: usize = 20;

/// One client on its host.
pub(crate) struct Client {
    pub(crate) name: Rc<str>,
    pub(crate) spec: ClientSpec,
    pub(crate) gateway: SocketAddr,
    pub(crate) runtime: SimRuntime,
    pub(crate) trace: Trace,
    /// When the last request begins.
    pub(crate) until: Duration,
    pub(crate) idle: RefCell<Vec<Wire>>,
}

/// The software of a client: ends when its last request is over.
pub(crate) async fn run(client: Client, mut random: Randomness) -> turmoil::Result {
    let client = Rc::new(client);
    tokio::time::sleep(client.spec.start.0).await;
    let mut requests = JoinSet::new();
    let mut number = 0;
    while now() < client.until {
        number += 1;
        match (client.spec.rate, client.spec.think) {
            (Some(rate), _) => {
                requests.spawn_local(request(Rc::clone(&client), number, random.split("request")));
                tokio::time::sleep(pause(rate, &mut random)).await;
            }
            (None, think) => {
                request(Rc::clone(&client), number, random.split("request")).await;
                // A closed loop that takes no time would not let the clock move.
                let think = think.map_or(Duration::ZERO, |think| think.0);
                tokio::time::sleep(think.max(Duration::from_millis(1))).await;
            }
        }
    }
    while requests.join_next().await.is_some() {}
    Ok(())
}

fn now() -> Duration {
    turmoil::sim_elapsed().expect("a client runs in the simulation")
}

/// From half to one and a half times the mean, so that clients do not march in step.
fn pause(rate: f64, random: &mut Randomness) -> Duration {
    const STEPS: u32 = 1 << 16;
    let drawn = u32::try_from(random.below(STEPS as usize)).unwrap_or(0);
    Duration::from_secs_f64((0.5 + f64::from(drawn) / f64::from(STEPS)) / rate)
}

async fn request(client: Rc<Client>, number: u32, random: Randomness) {
    let id: Rc<str> = format!("{}.{number}", client.name).into();
    let mut random = random.split(&id);
    client.trace.push(Step::Sent {
        id: Rc::clone(&id),
        client: Rc::clone(&client.name),
        method: client.spec.method.as_str().into(),
        path: client.spec.path.as_str().into(),
    });
    let exchange = tokio::time::timeout(client.spec.deadline.0, client.exchange(&id, &mut random));
    let outcome = match exchange.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Broken(error.to_string()),
        Err(_) => Outcome::Hung,
    };
    client.trace.push(Step::Done { id, outcome });
}

/// An answer as it came.
struct Answer {
    status: u16,
    id: Option<String>,
    backend: Option<String>,
    body: Framing,
    persistent: bool,
    /// Whether the body of such a request is what the backend made for it.
    has_body: bool,
}

impl Client {
    async fn exchange(&self, id: &Rc<str>, random: &mut Randomness) -> Result<Outcome, WireError> {
        let mut wire = match self.take_idle() {
            Err(count) => {
                let reason = format!("{count} bytes or more came behind an earlier answer");
                return Ok(Outcome::Wrong(reason));
            }
            Ok(Some(wire)) => wire,
            Ok(None) => self.connect().await?,
        };
        let trouble = self.spec.trouble.as_ref().and_then(|troubles| troubles.draw(random));
        let missing = match self.send(&mut wire, id, trouble, random).await? {
            Sent::Whole => false,
            Sent::HalfClosed { missing } => missing,
            Sent::Closed => return Ok(Outcome::Left),
            Sent::Reset => {
                wire.abort();
                return Ok(Outcome::Left);
            }
        };
        let answer = loop {
            let head = wire.read_head().await?;
            let answer = read_answer(&head, &self.spec.method)?;
            // RFC 9110 section 15.2: any number of interim responses may come first.
            if answer.status >= 200 {
                break answer;
            }
        };
        if missing && answer.backend.is_some() {
            return Ok(Outcome::Wrong("a backend's answer to half a request".to_owned()));
        }
        let body = wire.read_body(answer.body).await?;
        if let Some(reason) = judge(&answer, id, &body) {
            return Ok(Outcome::Wrong(reason));
        }
        if wire.unclaimed() > 0 {
            return Ok(Outcome::Wrong(format!("{} bytes behind the answer", wire.unclaimed())));
        }
        if !answer.persistent {
            match wire.read_to_end().await {
                0 => {}
                count => {
                    return Ok(Outcome::Wrong(format!("{count} bytes behind the last answer")));
                }
            }
        } else if self.spec.keep_alive && trouble.is_none() {
            self.idle.borrow_mut().push(wire);
        }
        Ok(Outcome::Answered { status: answer.status, backend: answer.backend })
    }

    /// Sends the request, with what is to go wrong until some of its answer has come.
    async fn send(
        &self,
        wire: &mut Wire,
        id: &Rc<str>,
        trouble: Option<Trouble<ClientStep>>,
        random: &mut Randomness,
    ) -> Result<Sent, WireError> {
        let (bytes, head) = self.request(id);
        let Some(trouble) = trouble else {
            wire.write_all(&bytes).await?;
            return Ok(Sent::Whole);
        };
        let section = match trouble.at {
            ClientStep::Head => 1..head,
            ClientStep::BeforeBody => head..head,
            ClientStep::Body => head..bytes.len(),
            ClientStep::Waiting | ClientStep::Answer => bytes.len()..bytes.len(),
        };
        let step = Step::Trouble {
            host: Rc::clone(&self.name),
            id: Some(Rc::clone(id)),
            at: trouble.at.name(),
            does: trouble.does,
            broken_off: false,
        };
        if section.start < bytes.len() {
            self.trace.push(step);
            return trouble.send(wire, &bytes, section, random).await;
        }
        wire.write_all(&bytes).await?;
        match trouble.at {
            ClientStep::Answer => wire.begin().await?,
            // Not before the request is at its backend, now and then.
            _ => tokio::time::sleep(some_milliseconds(WAITING_MS, random)).await,
        }
        self.trace.push(step);
        trouble.act(wire, false).await
    }

    async fn connect(&self) -> Result<Wire, WireError> {
        let endpoint = Endpoint::Tcp(self.gateway);
        let deadline = self.runtime.now() + self.spec.deadline.0;
        Ok(Wire::new(self.runtime.connect(&endpoint, deadline).await?))
    }

    /// A kept connection that is still open; the error is how many bytes came unasked.
    fn take_idle(&self) -> Result<Option<Wire>, usize> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut wire) = idle.pop() {
            match wire.is_quiet() {
                Quiet::Yes => return Ok(Some(wire)),
                Quiet::Closed => {}
                Quiet::Spoken(count) => return Err(count),
            }
        }
        Ok(None)
    }

    /// The bytes of a request, and where its head ends.
    fn request(&self, id: &str) -> (Vec<u8>, usize) {
        let ClientSpec { method, path, headers, body_bytes, keep_alive, .. } = &self.spec;
        let mut out = format!("{method} {path} HTTP/1.1\r\n{ID_FIELD}: {id}\r\n");
        if !headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
            out += &format!("Host: {}\r\n", self.gateway);
        }
        for (name, value) in headers {
            out += &format!("{name}: {value}\r\n");
        }
        if !keep_alive {
            out += "Connection: close\r\n";
        }
        if *body_bytes > 0 {
            out += &format!("Content-Length: {body_bytes}\r\n");
        }
        out += "\r\n";
        let mut out = out.into_bytes();
        let head = out.len();
        out.extend(pattern(id, *body_bytes));
        (out, head)
    }
}

fn read_answer(head: &[u8], method: &str) -> Result<Answer, WireError> {
    let mut store = FieldStore::new();
    let method = if method == "HEAD" { Method::Head } else { Method::Get };
    let head = parse_response(head, &mut store, &HEAD_LIMITS, &method)?;
    let text = |name| head.by_name(name).map(|value| String::from_utf8_lossy(value).into_owned());
    Ok(Answer {
        status: head.status,
        id: text(ID_FIELD),
        backend: text(BACKEND_FIELD),
        body: match head.body {
            ResponseBody::None => Framing::Length(0),
            ResponseBody::Length(length) => Framing::Length(length),
            ResponseBody::Chunked => Framing::Chunked,
            ResponseBody::UntilClose => Framing::UntilClose,
        },
        persistent: head.persistent,
        has_body: head.body != ResponseBody::None,
    })
}

/// What is wrong with a backend's answer to the request `id`.
fn judge(answer: &Answer, id: &str, body: &[u8]) -> Option<String> {
    answer.backend.as_ref()?;
    let whose = answer.id.as_deref().unwrap_or("nobody");
    if whose != id {
        return Some(format!("the answer to {whose}"));
    }
    let intact = body == pattern(id, body.len());
    (answer.has_body && !intact).then(|| "a body that is not the backend's".to_owned())
}
