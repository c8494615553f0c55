//! Who is compared: how each one is found, configured and started.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::clock;
use crate::error::Error;
use crate::job::{HEAD_TIMEOUT, PROXY_CPU};
use crate::process::Process;
use crate::tls::Identity;

const READY_WITHIN: Duration = Duration::from_secs(10);
/// The one that others are set against.
pub const REFERENCE: &str = "haproxy";

/// One way to run one proxy.
#[derive(Debug, Clone, Copy)]
pub struct Contestant {
    pub name: &'static str,
    program: Program,
    template: &'static str,
    file: &'static str,
    /// `{{runtime}}` of the template, for Weir.
    runtime: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Weir,
    Haproxy,
    Nginx,
}

const fn weir(name: &'static str, runtime: &'static str) -> Contestant {
    let template = include_str!("../peers/weir.toml");
    Contestant { name, program: Program::Weir, template, file: "weir.toml", runtime }
}

pub const CONTESTANTS: &[Contestant] = &[
    weir("weir-glommio", "glommio"),
    weir("weir-epoll", "epoll"),
    Contestant {
        name: REFERENCE,
        program: Program::Haproxy,
        template: include_str!("../peers/haproxy.cfg"),
        file: "haproxy.cfg",
        runtime: "",
    },
    Contestant {
        name: "nginx",
        program: Program::Nginx,
        template: include_str!("../peers/nginx.conf"),
        file: "nginx.conf",
        runtime: "",
    },
];

/// What a proxy is set up for.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub backend: SocketAddr,
    /// The most clients at a time.
    pub connections: usize,
    /// Its certificate, when it is to speak TLS with clients.
    pub identity: Option<&'a Identity>,
}

/// A started proxy. Fields are dropped in this order: first the process, then its folder.
pub struct Running {
    pub process: Process,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Contestant {
    pub fn named(name: &str) -> Option<&'static Self> {
        CONTESTANTS.iter().find(|contestant| contestant.name == name)
    }

    /// The program's path; `weir` is the one to use for Weir, if the command line named one.
    pub fn locate(&self, weir: Option<&Path>) -> Result<PathBuf, Error> {
        let name = match self.program {
            Program::Weir => return locate_weir(weir),
            Program::Haproxy => "haproxy",
            Program::Nginx => "nginx",
        };
        // /usr/sbin is where both live and where a user's PATH seldom leads.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let mut candidates = folders.map(|folder| folder.join(name));
        candidates.find(|path| path.is_file()).ok_or_else(|| Error::NoBinary(name.into()))
    }

    /// The first line of what the program says about its version.
    pub fn version(&self, program: &Path) -> String {
        let argument = match self.program {
            Program::Weir => "version",
            Program::Haproxy | Program::Nginx => "-v",
        };
        let Ok(output) = Command::new(program).arg(argument).output() else {
            return "unknown".into();
        };
        // nginx prints to standard error.
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").trim().to_owned()
    }

    /// Starts the proxy and waits until it listens.
    pub fn start(&self, program: &Path, setup: &Setup<'_>) -> Result<Running, Error> {
        let folder = tempfile::Builder::new()
            .prefix("weir-bench-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let address = free_address().map_err(Error::io("find a free port"))?;
        let text = self.configuration(folder.path(), address, setup)?;
        setup.identity.map_or(Ok(()), |identity| identity.write_to(folder.path()))?;
        let file = folder.path().join(self.file);
        fs::write(&file, text).map_err(Error::io(format!("write {}", file.display())))?;
        let command = self.command(program, &file, folder.path());
        let mut process = Process::start(command, PROXY_CPU, folder.path().join("log"))?;
        self.wait_until_ready(&mut process, address)?;
        Ok(Running { process, address, _folder: folder })
    }

    fn configuration(
        &self,
        folder: &Path,
        listen: SocketAddr,
        setup: &Setup<'_>,
    ) -> Result<String, Error> {
        let Setup { backend, connections, identity } = *setup;
        // Some to spare for the readiness check and for connections being replaced.
        let connections_max = connections + 64;
        let values = [
            ("folder", folder.display().to_string()),
            ("listen", listen.to_string()),
            ("backend", backend.to_string()),
            ("cpu", PROXY_CPU.to_string()),
            ("runtime", self.runtime.to_owned()),
            ("connections_max", connections_max.to_string()),
            ("descriptors_max", (connections_max * 2 + 64).to_string()),
            ("backend_connections", connections.clamp(128, 1024).to_string()),
            ("head_timeout", format!("{}s", HEAD_TIMEOUT.as_secs())),
        ];
        let template = choose_lines(self.template, identity.is_some());
        fill(&template, &values).map_err(|fault| Error::Template { name: self.file, fault })
    }

    fn command(&self, program: &Path, file: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        match self.program {
            Program::Weir => command.arg("run").arg("--config").arg(file),
            Program::Haproxy => command.arg("-db").arg("-f").arg(file),
            Program::Nginx => {
                command.arg("-p").arg(folder).arg("-c").arg(file).args(["-e", "stderr"])
            }
        };
        command
    }

    fn wait_until_ready(&self, process: &mut Process, address: SocketAddr) -> Result<(), Error> {
        let start = clock::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.exited() {
                let (status, log) = (status.to_string(), process.last_words());
                return Err(Error::Exited { name: self.name, status, log });
            }
            if clock::now().saturating_duration_since(start) > READY_WITHIN {
                return Err(Error::NotReady { name: self.name, log: process.last_words() });
            }
            clock::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Beside the bench's own binary stands the profile's folder; its neighbours are the others.
fn locate_weir(named: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(path) = named {
        let found = path.is_file().then(|| path.to_path_buf());
        return found.ok_or_else(|| Error::NoBinary(path.to_path_buf()));
    }
    let own = std::env::current_exe().map_err(Error::io("find the bench's own path"))?;
    let target = own.ancestors().nth(2).unwrap_or(Path::new("target"));
    let mut candidates =
        ["dist", "release", "debug"].map(|p| target.join(p).join("weir")).into_iter();
    let found = candidates.find(|path| path.is_file());
    found.ok_or_else(|| Error::NoBinary(target.join("dist").join("weir")))
}

/// An address that nobody listened on a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Keeps of the lines that are marked `%tls` or `%plain` only those of the kind asked for.
fn choose_lines(template: &str, tls: bool) -> String {
    let (kept, dropped) = if tls { ("%tls ", "%plain ") } else { ("%plain ", "%tls ") };
    let mut text = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let (indent, rest) = line.split_at(indent);
        if !rest.starts_with(dropped) {
            text.push_str(indent);
            text.push_str(rest.strip_prefix(kept).unwrap_or(rest));
        }
    }
    text
}

/// Replaces each `{{name}}` by its value; a name without a value is a fault.
fn fill(template: &str, values: &[(&str, String)]) -> Result<String, String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("a {{ without its }}")?;
        let found = values.iter().find(|(known, _)| *known == name);
        let (_, value) = found.ok_or_else(|| format!("unknown placeholder {name}"))?;
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_or_refused() {
        let values = [("a", "1".to_owned()), ("b", "{{a}}".to_owned())];
        assert_eq!(fill("x {{a}}{{b}} } { y", &values), Ok("x 1{{a}} } { y".to_owned()));
        assert_eq!(fill("{{c}}", &values), Err("unknown placeholder c".to_owned()));
        assert_eq!(fill("{{a", &values), Err("a {{ without its }}".to_owned()));
    }

    #[test]
    fn every_template_has_the_ports_and_no_hole() {
        let listen: SocketAddr = "127.0.0.1:18080".parse().unwrap();
        let backend: SocketAddr = "127.0.0.1:15001".parse().unwrap();
        let identity = Identity::make().unwrap();
        let plain = Setup { backend, connections: 512, identity: None };
        let tls = Setup { identity: Some(&identity), ..plain };
        for (contestant, setup) in CONTESTANTS.iter().flat_map(|c| [(c, plain), (c, tls)]) {
            let text = contestant.configuration(Path::new("/f"), listen, &setup).unwrap();
            assert!(text.contains("127.0.0.1:18080"), "{text}");
            assert!(text.contains("127.0.0.1:15001"), "{text}");
            assert!(!text.contains("{{") && !text.contains("}}"), "{text}");
            assert!(!text.contains('%'), "{text}");
            assert_eq!(text.contains(".pem"), setup.identity.is_some(), "{text}");
            if contestant.program == Program::Weir {
                assert!(text.contains(&format!("runtime = \"{}\"", contestant.runtime)), "{text}");
            }
        }
    }

    #[test]
    fn marked_lines_are_kept_for_their_kind_only() {
        let template = "a\n  %plain b\n  %tls c %tls\nd";
        assert_eq!(choose_lines(template, true), "a\n  c %tls\nd");
        assert_eq!(choose_lines(template, false), "a\n  b\nd");
    }
}
