//! Sends a case through a proxy and sees what comes out on either side.
//!
//! The readers here are kinder than a recipient should be: they must read what other proxies pass
//! on, too. Behind each case goes one more request, which shows that nobody mistook its beginning.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::case::{Case, bytes};

/// The request behind each case, and its answer.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const NEXT_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";

/// How a case's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    AtOnce,
    ByteByByte,
}

/// A message that somebody read: head as it came, body as decoded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) text: Vec<u8>,
    /// Whether it ended as its head said.
    pub(crate) whole: bool,
}

/// How the proxy ended the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    Reset,
    /// Not at all, in the time it had.
    Open,
}

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Observation {
    /// Whole requests that the backend got, the one behind the case among them.
    pub(crate) requests: Vec<Message>,
    /// Answers that the client got, interim ones and the one to the next request among them.
    pub(crate) answers: Vec<Message>,
    pub(crate) ending: Ending,
}

impl fmt::Debug for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.whole { "" } else { " and no end" };
        write!(out, "\"{}\"{end}", self.text.escape_ascii())
    }
}

impl Message {
    /// The second word of its first line: a target, or a status.
    pub(crate) fn second_word(&self) -> &[u8] {
        let line = self.text.split(|byte| *byte == b'\r').next().unwrap_or_default();
        line.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.second_word()).ok()?.parse().ok()
    }

    fn method(&self) -> &[u8] {
        self.text.split(|byte| *byte == b' ').next().unwrap_or_default()
    }

    /// Whether it is the request behind the case.
    pub(crate) fn is_next_request(&self) -> bool {
        self.second_word() == b"/next"
    }

    /// Whether it is that one's answer.
    pub(crate) fn is_next_answer(&self) -> bool {
        self.text.starts_with(b"HTTP/1.1 200 ") && self.text.ends_with(b"\r\n\r\nnext")
    }
}

/// A backend that answers as each case has it. Its threads end with the test's process.
pub(crate) struct Stage {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// What is sent for an answer, and whether the connection ends there.
    answer: Vec<u8>,
    closes: bool,
    seen: Vec<Message>,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, script }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `case` through `proxy`, and reads until the proxy closes or `patience` is over.
    pub(crate) fn play(
        &self,
        proxy: SocketAddr,
        case: &Case,
        pace: Pace,
        patience: Duration,
    ) -> Observation {
        let (sent, script) = match *case {
            Case::Request(text) => {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
                (bytes(text), Script { answer, ..Script::default() })
            }
            Case::Answer { to, text, closes } => {
                let sent = format!("{to} /a HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
                (sent, Script { answer: bytes(text), closes, seen: Vec::new() })
            }
        };
        *self.script.lock().expect("not poisoned") = script;
        let (received, ending) = converse(proxy, &sent, pace, patience);
        let requests = std::mem::take(&mut self.script.lock().expect("not poisoned").seen);
        let first = sent.split(|byte| *byte == b' ').next().unwrap_or_default();
        Observation { requests, answers: answers(&received, first), ending }
    }
}

/// Writes the case and the next request, and returns all that comes back.
fn converse(proxy: SocketAddr, sent: &[u8], pace: Pace, patience: Duration) -> (Vec<u8>, Ending) {
    let mut stream = TcpStream::connect(proxy).expect("the proxy listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(patience)).expect("a time");
    let all = [sent, NEXT].concat();
    let pieces = match pace {
        Pace::AtOnce => all.chunks(all.len()),
        // The long ones are about lengths.
        Pace::ByteByByte => all.chunks(1 + all.len() / 1000),
    };
    for piece in pieces {
        // A proxy that has refused the beginning need not take the rest.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (received, Ending::Closed),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return (received, Ending::Open);
            }
            Err(_) => return (received, Ending::Reset),
        }
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Script>) {
    let mut received = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        while let Some((request, len)) = message(&received, Kind::Request).filter(|it| it.0.whole) {
            received.drain(..len);
            let (answer, closes) = answer_to(request, &mut script.lock().expect("not poisoned"));
            if stream.write_all(&answer).is_err() || closes {
                return;
            }
        }
    }
}

fn answer_to(request: Message, script: &mut Script) -> (Vec<u8>, bool) {
    let answer = if request.is_next_request() {
        (NEXT_ANSWER.to_vec(), false)
    } else {
        let mut answer = script.answer.clone();
        if request.method() == b"HEAD" && answer.ends_with(b"\r\n\r\nok") {
            answer.truncate(answer.len() - 2);
        }
        (answer, script.closes)
    };
    script.seen.push(request);
    answer
}

/// All answers in what a client received, the first of them to a request with `method`.
fn answers(mut received: &[u8], method: &[u8]) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    while !received.is_empty() {
        let final_before = found.iter().any(|answer| answer.status() >= Some(200));
        let bodiless = method == b"HEAD" && !final_before;
        match message(received, Kind::Answer { bodiless }) {
            Some((answer, len)) => {
                found.push(answer);
                received = &received[len..];
            }
            None => {
                found.push(Message { text: received.to_vec(), whole: false });
                break;
            }
        }
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Answer { bodiless: bool },
}

/// The first message in `received`, as far as it is there, and its length; `None` without a head.
fn message(received: &[u8], kind: Kind) -> Option<(Message, usize)> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (head, rest) = received.split_at(end);
    let mut found = Message { text: head.to_vec(), whole: true };
    let values = field_values(head);
    let status = found.status().unwrap_or_default();
    let bodiless = match kind {
        Kind::Request => false,
        Kind::Answer { bodiless } => bodiless || status < 200 || [204, 304].contains(&status),
    };
    let chunked = values("transfer-encoding").iter().any(|value| value.contains("chunked"));
    let length = values("content-length").iter().find_map(|value| value.parse::<usize>().ok());
    let body = match (bodiless, chunked, length) {
        (true, ..) => 0,
        (_, true, _) => {
            let (decoded, len, whole) = dechunk(rest);
            found.text.extend(decoded);
            found.whole = whole;
            return Some((found, end + len));
        }
        (_, _, Some(length)) => length,
        (..) if kind == Kind::Request => 0,
        _ => rest.len(),
    };
    found.whole = rest.len() >= body;
    let body = body.min(rest.len());
    found.text.extend(&rest[..body]);
    Some((found, end + body))
}

/// Finds the values of a field in a head, in small letters.
fn field_values(head: &[u8]) -> impl Fn(&str) -> Vec<String> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    move |name| {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let own = fields.filter(|(own, _)| own.trim() == name);
        own.map(|(_, value)| value.trim().to_owned()).collect()
    }
}

/// The decoded body and its trailers; the bytes taken; whether it ended.
fn dechunk(bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let (mut decoded, mut at) = (Vec::new(), 0);
    let line_end = |at: usize| bytes[at..].windows(2).position(|two| two == b"\r\n");
    while let Some(len) = line_end(at) {
        let line = String::from_utf8_lossy(&bytes[at..at + len]).into_owned();
        let digits: String = line.chars().take_while(char::is_ascii_hexdigit).collect();
        let Ok(size) = usize::from_str_radix(&digits, 16) else { break };
        at += len + 2;
        if size == 0 {
            while let Some(len @ 1..) = line_end(at) {
                decoded.extend(&bytes[at..at + len + 2]);
                at += len + 2;
            }
            let whole = line_end(at) == Some(0);
            return (decoded, if whole { at + 2 } else { bytes.len() }, whole);
        }
        let end = at.saturating_add(size).min(bytes.len());
        decoded.extend(&bytes[at..end]);
        at = end.saturating_add(2).min(bytes.len());
    }
    (decoded, bytes.len(), false)
}
