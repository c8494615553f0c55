//! One request and its answer over the engine's socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use weir_protocol::control::codec::{self, FrameError, HEADER_BYTES};
use weir_protocol::control::{BANS_PAGE, BansRequest, Request, Response};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A reload reads files and resolves nothing: half a minute is a disk in trouble.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ClientError {
    Connect(io::Error),
    Send(io::Error),
    Receive(io::Error),
    Frame(FrameError),
}

impl ClientError {
    /// One line for a person: what is wrong with `path` and what to do.
    pub(crate) fn explain(&self, path: &Path) -> String {
        use io::ErrorKind;
        let path = path.display();
        match self {
            Self::Connect(error) => match error.kind() {
                ErrorKind::NotFound => format!(
                    "{path} does not exist; is weir running, and is this its [control] socket?"
                ),
                ErrorKind::ConnectionRefused => {
                    format!("nothing answers on {path}; weir is not running")
                }
                ErrorKind::PermissionDenied => {
                    format!("{path} may not be opened; run as root or as weir's user")
                }
                ErrorKind::TimedOut => format!("the engine on {path} takes no connection"),
                _ => format!("cannot connect to {path}: {error}"),
            },
            Self::Send(error) => format!("cannot send to {path}: {error}"),
            Self::Receive(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    format!("the engine on {path} did not answer in {} s", READ_TIMEOUT.as_secs())
                }
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
                    format!("the engine on {path} closed without an answer")
                }
                _ => format!("cannot receive from {path}: {error}"),
            },
            Self::Frame(error) => format!("the answer from {path} is unusable: {error}"),
        }
    }
}

/// Asks the engine whose socket is at `path`.
///
/// # Errors
/// [`ClientError`] when no whole answer came; [`Response::Failed`] is an answer.
pub(crate) fn ask(path: &Path, request: &Request) -> Result<Response, ClientError> {
    let stream = connect(path).map_err(ClientError::Connect)?;
    stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(ClientError::Connect)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(ClientError::Connect)?;
    converse(stream, request)
}

/// Connects in bounded time. A Unix socket waits for ever while its backlog is full, and has no
/// timeout for that, so a thread does the waiting and is left behind if it must be.
/// As [`ask`], but for lists that come in pages: those are put together.
///
/// # Errors
/// Those of [`ask`].
pub(crate) fn ask_all(path: &Path, mut request: Request) -> Result<Response, ClientError> {
    let mut all = Vec::new();
    loop {
        let response = ask(path, &request)?;
        let Request::Bans(BansRequest::List { skip }) = &mut request else { return Ok(response) };
        let page = match response {
            Response::Bans(page) => page,
            other => return Ok(other),
        };
        let is_last = page.len() < BANS_PAGE;
        all.extend(page);
        if is_last {
            return Ok(Response::Bans(all));
        }
        *skip = u32::try_from(all.len()).unwrap_or(u32::MAX);
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let (sender, receiver) = mpsc::channel();
    let path = path.to_owned();
    thread::Builder::new().spawn(move || {
        // Nobody receives once the time is up.
        let _ = sender.send(UnixStream::connect(path));
    })?;
    receiver.recv_timeout(CONNECT_TIMEOUT).unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

fn converse(mut stream: impl Read + Write, request: &Request) -> Result<Response, ClientError> {
    let frame = codec::encode(request).map_err(ClientError::Frame)?;
    match stream.write_all(&frame) {
        // An engine that turns us away says why before it closes, so there may be an answer.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(ClientError::Send(error));
        }
        _ => {}
    }
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).map_err(ClientError::Receive)?;
    let mut payload = vec![0; codec::payload_bytes(header).map_err(ClientError::Frame)?];
    stream.read_exact(&mut payload).map_err(ClientError::Receive)?;
    codec::decode(&payload).map_err(ClientError::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    /// A path for one test, free.
    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("weirctl-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    /// What `ask` makes of an engine that reads six bytes of request and answers `answer`.
    fn asked(name: &str, answer: Vec<u8>) -> Result<Response, String> {
        let path = path(name);
        let listener = UnixListener::bind(&path).expect("binds");
        let engine = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 6];
            stream.read_exact(&mut request).expect("a request");
            stream.write_all(&answer).expect("sends");
            request
        });
        let response = ask(&path, &Request::Backends).map_err(|error| error.explain(&path));
        assert_eq!(engine.join().expect("answered"), [2, 0, 0, 0, 3, 1]);
        let _ = std::fs::remove_file(&path);
        response
    }

    #[test]
    fn an_answer_is_returned() {
        let answer = Response::Backends(Vec::new());
        let frame = codec::encode(&answer).expect("short");
        assert_eq!(asked("answer", frame), Ok(answer));
    }

    #[test]
    fn a_bad_answer_is_explained() {
        for (name, answer, expected) in [
            ("nothing", &[][..], "closed without an answer"),
            ("half", &[9, 0, 0, 0, 3, 2], "closed without an answer"),
            ("version", &[2, 0, 0, 0, 7, 0], "speaks version 7"),
            ("huge", &[0xff; 4], "at most 1048576"),
            ("empty", &[0; 4], "the frame is empty"),
        ] {
            let error = asked(name, answer.to_vec()).expect_err(name);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_engine_that_hangs_up_first_is_still_heard() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let reason = Response::Failed("no".to_owned());
        theirs.write_all(&codec::encode(&reason).expect("short")).expect("sends");
        drop(theirs);
        assert_eq!(converse(ours, &Request::Status).expect("an answer"), reason);
    }

    #[test]
    fn an_absent_engine_is_explained() {
        let path = path("absent");
        let explained = || ask(&path, &Request::Status).expect_err("no engine").explain(&path);
        assert!(explained().contains("does not exist"), "{}", explained());
        drop(UnixListener::bind(&path).expect("binds"));
        assert!(explained().contains("weir is not running"), "{}", explained());
        let _ = std::fs::remove_file(&path);
    }

    #[test]
    fn a_silent_engine_is_given_up() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        ours.set_read_timeout(Some(Duration::from_millis(10))).expect("sets");
        let error = converse(ours, &Request::Status).expect_err("no answer");
        assert!(error.explain(Path::new("/s")).contains("did not answer in 30 s"));
    }
}
