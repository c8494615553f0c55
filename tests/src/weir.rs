//! A gateway under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Finished, Process};
use crate::shared_memory::SharedMemory;
use crate::wait;
use crate::{binaries, ports, sandbox};

/// The parts of a configuration that most tests share: everything of the engine in the test's own
/// folder. `[engine]` goes on for whoever appends keys, since it is the last table. Nothing is recorded:
/// a killed gateway leaves the live rings of its flight recorder for the next start.
pub const COMMON: &str = "\
[control]
address = \"127.0.0.1:@port:control@\"
socket = \"@folder@/weir.sock\"

[engine]
ledger = \"@folder@/ledger\"
flight = 0
";

/// For a start: it maps a ledger, probes the runtime and waits for predecessors, and many of them start
/// at once when all tests run.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// How a gateway is to be started. In the configuration `@folder@` stands for a temporary folder
/// of its own and `@port:NAME@` for a free port, the same one wherever NAME is the same.
pub struct Launch {
    config: String,
    surroundings: Surroundings,
}

/// What a gateway finds around it.
#[derive(Default)]
struct Surroundings {
    environment: Vec<(String, String)>,
    io_uring_forbidden: bool,
}

impl Surroundings {
    fn command(&self, config_path: &Path) -> Command {
        let mut command = Command::new(binaries::weir());
        command.arg("run").arg("--config").arg(config_path);
        command.envs(self.environment.iter().cloned());
        if self.io_uring_forbidden {
            sandbox::forbid_io_uring(&mut command);
        }
        command
    }
}

impl Launch {
    pub fn new(config: impl Into<String>) -> Self {
        Self { config: config.into(), surroundings: Surroundings::default() }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.surroundings.environment.push((name.into(), value.into()));
        self
    }

    /// As in a container whose seccomp profile has no io_uring.
    pub fn without_io_uring(mut self) -> Self {
        self.surroundings.io_uring_forbidden = true;
        self
    }

    /// Starts it and waits until all its listeners answer.
    ///
    /// # Panics
    /// When it ends instead, or does not listen in time.
    #[track_caller]
    pub fn start(self) -> Weir {
        self.try_start().unwrap_or_else(|finished| panic!("weir ended at its start: {finished:#?}"))
    }

    /// What it says when it ends at its start, whoever listens at its addresses. `prepare` is
    /// given its folder before.
    ///
    /// # Panics
    /// When it starts and goes on.
    #[track_caller]
    pub fn refused(self, prepare: impl FnOnce(&Path)) -> Finished {
        let folder = tempfile::tempdir().expect("a temporary folder");
        prepare(folder.path());
        let mut names = Names { folder: folder.path().to_owned(), ports: BTreeMap::new() };
        let config_path = folder.path().join("weir.toml");
        let config = names.fill_in(&self.config);
        std::fs::write(&config_path, config).expect("writes the configuration");
        Process::run(self.surroundings.command(&config_path))
    }

    /// Like [`Launch::start`], for a gateway that may refuse to.
    ///
    /// # Errors
    /// What it said when it ended.
    #[track_caller]
    pub fn try_start(self) -> Result<Weir, Finished> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut names = Names { folder: folder.path().to_owned(), ports: BTreeMap::new() };
        let config = names.fill_in(&self.config);
        let config_path = folder.path().join("weir.toml");
        std::fs::write(&config_path, &config).expect("writes the configuration");
        let process = spawn(self.surroundings.command(&config_path), &config)?;
        let surroundings = self.surroundings;
        let left = SharedMemory::of(folder.path());
        Ok(Weir { process: Some(process), names, config, surroundings, config_path, left, folder })
    }
}

/// A gateway, its folder and its configuration. Killed when dropped.
pub struct Weir {
    /// `None` while it is down between two starts.
    process: Option<Process>,
    names: Names,
    /// With everything filled in.
    config: String,
    surroundings: Surroundings,
    config_path: PathBuf,
    /// Goes after the process and before the folder.
    pub(crate) left: SharedMemory,
    folder: TempDir,
}

impl Weir {
    /// See [`Launch`].
    #[track_caller]
    pub fn start(config: &str) -> Self {
        Launch::new(config).start()
    }

    /// The address at `@port:NAME@`.
    ///
    /// # Panics
    /// When the configuration has no such name.
    #[track_caller]
    pub fn address(&self, name: &str) -> SocketAddr {
        let port = self.names.ports.get(name).unwrap_or_else(|| panic!("no port named {name}"));
        SocketAddr::from(([127, 0, 0, 1], *port))
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config_path(&self) -> &Path {
        &self.config_path
    }

    /// # Panics
    /// While it is down.
    #[track_caller]
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the gateway runs")
    }

    /// Puts another configuration into the file; the gateway learns of it by
    /// [`Weir::hang_up`] or at its next start.
    pub fn write_config(&mut self, config: &str) {
        self.config = self.names.fill_in(config);
        std::fs::write(&self.config_path, &self.config).expect("writes the configuration");
    }

    /// SIGHUP: reload, and reopen of the log.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.process().signal(libc::SIGHUP);
    }

    /// `kill -9`: no chance to save anything.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, and what it left behind after its drain.
    #[track_caller]
    pub fn terminate(&mut self) -> Finished {
        self.process().signal(libc::SIGTERM);
        self.wait()
    }

    /// Waits for its end, and what it left behind.
    ///
    /// # Panics
    /// When it goes on.
    #[track_caller]
    pub fn wait(&mut self) -> Finished {
        self.process.take().expect("the gateway runs").wait()
    }

    /// Starts it again, on the same ledger and ports, after [`Weir::kill`] or
    /// [`Weir::terminate`].
    ///
    /// # Panics
    /// While it runs, or when it does not come up.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let started = spawn(self.surroundings.command(&self.config_path), &self.config);
        let process = started.unwrap_or_else(|finished| panic!("no restart: {finished:#?}"));
        self.process = Some(process);
    }

    /// What another gateway, with the same file or another one, says when it cannot start; the
    /// placeholders of `config` are those of this one.
    ///
    /// # Panics
    /// When it starts and goes on.
    #[track_caller]
    pub fn rival(&mut self, config: &str) -> Finished {
        let path = self.folder.path().join("rival.toml");
        let config = self.names.fill_in(config);
        std::fs::write(&path, config).expect("writes the configuration");
        Process::run(self.surroundings.command(&path))
    }

    /// Has another process with the same file take over, and returns the one before.
    ///
    /// # Panics
    /// When it does not come up.
    #[track_caller]
    pub fn upgrade(&mut self) -> Process {
        let mut command = self.surroundings.command(&self.config_path);
        command.arg("--upgrade");
        let started = spawn(command, &self.config);
        let successor = started.unwrap_or_else(|finished| panic!("no upgrade: {finished:#?}"));
        self.process.replace(successor).expect("the gateway runs")
    }

    /// Begins what [`Weir::upgrade`] does, with a file of its own, and waits for nothing.
    #[track_caller]
    pub fn begin_upgrade(&mut self, config: &str) -> Process {
        let path = self.folder.path().join("successor.toml");
        std::fs::write(&path, self.names.fill_in(config)).expect("writes the configuration");
        let mut command = self.surroundings.command(&path);
        command.arg("--upgrade");
        Process::spawn(command)
    }

    /// Runs `weirctl` against it.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binaries::weirctl());
        command.arg("--socket").arg(self.folder().join("weir.sock")).args(arguments);
        Process::run(command)
    }
}

/// What placeholders stand for.
struct Names {
    folder: PathBuf,
    ports: BTreeMap<String, u16>,
}

impl Names {
    fn fill_in(&mut self, text: &str) -> String {
        let folder = self.folder.to_str().expect("a temporary folder of UTF-8");
        let mut filled = text.replace("@folder@", folder);
        while let Some((before, rest)) = filled.split_once("@port:") {
            let (name, after) = rest.split_once('@').expect("a port's name ends with @");
            let port = *self.ports.entry(name.into()).or_insert_with(ports::free);
            filled = format!("{before}{port}{after}");
        }
        filled
    }
}

/// Starts `weir run` and waits until it says that it listens everywhere; else what it said when it
/// ended. Connecting would prove less: after `kill -9` the kernel takes a moment to take down what
/// io_uring held, and the dead listeners still accept.
#[track_caller]
fn spawn(command: Command, config: &str) -> Result<Process, Finished> {
    let mut process = Process::spawn(command);
    let lines = listening_addresses(config).into_iter();
    let lines: Vec<_> = lines.map(|address| format!("listening on {address}")).collect();
    let up = wait::poll(START_PATIENCE, || {
        let ended = process.status().is_some();
        let said = process.stderr();
        let up = lines.iter().all(|line| said.contains(line));
        (ended || up).then_some(up && !ended)
    });
    match up {
        Some(true) => Ok(process),
        Some(false) => Err(process.wait()),
        None => panic!("weir does not say that it listens: {}", process.stderr()),
    }
}

/// The values of `address` in `[[listener]]` and `[control]`. A scan of lines serves for the
/// configurations of tests; broken ones are none of its business.
fn listening_addresses(config: &str) -> Vec<SocketAddr> {
    let mut table = "";
    let mut addresses = Vec::new();
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        if matches!(table, "[[listener]]" | "[control]") && key.trim() == "address" {
            addresses.extend(value.trim().trim_matches('"').parse::<SocketAddr>());
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let mut names = Names { folder: "/x/y".into(), ports: BTreeMap::new() };
        let text = names.fill_in("@folder@/a @port:a@ @port:b@ @port:a@ health = { path = 1 }");
        let (a, b) = (names.ports["a"], names.ports["b"]);
        assert_ne!(a, b);
        assert_eq!(text, format!("/x/y/a {a} {b} {a} health = {{ path = 1 }}"));
        assert_eq!(names.fill_in("@port:b@"), b.to_string(), "also in a later configuration");
    }

    #[test]
    fn listeners_are_found() {
        let config = "[control]\naddress = \"127.0.0.1:1\"\nsocket=\"/s\"\n[[listener]]\n\
            address = \"127.0.0.1:2\"\n[[upstream]]\nname = \"u\"\n[[upstream.backend]]\n\
            address = \"127.0.0.1:3\"\n[[listener]]\n  address=\"[::1]:4\"\n";
        let expected = ["127.0.0.1:1", "127.0.0.1:2", "[::1]:4"];
        let expected = expected.map(|text| text.parse::<SocketAddr>().expect("an address"));
        assert_eq!(listening_addresses(config), expected);
    }
}
