//! `weirctl`: asks a running engine, over its Unix socket.
//!
//! Exit status: 0 when the engine did what was asked, 1 when it did not or could not be asked,
//! 2 for a wrong command line.

#![forbid(unsafe_code)]

mod client;
mod report;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_protocol::control::{Request, Response};

const SOCKET_DEFAULT: &str = "/run/weir/weir.sock";
const SOCKET_VARIABLE: &str = "WEIR_SOCKET";

/// Control a running Weir engine.
#[derive(Debug, Parser)]
#[command(name = "weirctl", version)]
struct Arguments {
    /// The engine's socket [default: $WEIR_SOCKET, or /run/weir/weir.sock]
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Show the engine and its shards
    Status,
    /// Show every upstream's backends
    Backends,
    /// Read the configuration file again and use it
    Reload,
    /// Answer the requests in flight, then stop
    Drain,
}

impl Command {
    const fn request(self) -> Request {
        match self {
            Self::Status => Request::Status,
            Self::Backends => Request::Backends,
            Self::Reload => Request::Reload,
            Self::Drain => Request::Drain,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nothing is left to do when standard error is closed too.
            let _ = writeln!(io::stderr(), "weirctl: {}", report::lines(&reason));
            ExitCode::FAILURE
        }
    }
}

/// Carries out one command; the error is for a person.
fn run(arguments: &Arguments) -> Result<(), String> {
    let path = socket_path(arguments.socket.as_deref(), std::env::var_os(SOCKET_VARIABLE));
    let response =
        client::ask(&path, arguments.command.request()).map_err(|error| error.explain(&path))?;
    if let Response::Failed(reason) = response {
        return Err(reason);
    }
    let text = if arguments.json { report::json(&response) } else { report::text(&response) };
    match io::stdout().write_all(text.as_bytes()) {
        // The reader has seen enough (`weirctl backends | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("cannot print: {error}")),
    }
}

/// The flag, the environment, the default; an empty variable counts as none.
fn socket_path(flag: Option<&Path>, variable: Option<std::ffi::OsString>) -> PathBuf {
    let variable = variable.filter(|path| !path.is_empty()).map(PathBuf::from);
    flag.map(Path::to_owned).or(variable).unwrap_or_else(|| PathBuf::from(SOCKET_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        for line in [["weirctl", "--json", "drain"], ["weirctl", "drain", "--json"]] {
            let arguments = Arguments::try_parse_from(line).expect("parses");
            assert!(arguments.json && arguments.command.request() == Request::Drain);
        }
    }

    #[test]
    fn a_wrong_command_line_is_status_2() {
        for line in [&["weirctl"][..], &["weirctl", "stauts"], &["weirctl", "status", "x"]] {
            assert_eq!(Arguments::try_parse_from(line).expect_err("refused").exit_code(), 2);
        }
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_default() {
        let path = |flag: Option<&str>, variable: Option<&str>| {
            socket_path(flag.map(Path::new), variable.map(Into::into))
        };
        assert_eq!(path(Some("/a"), Some("/b")), Path::new("/a"));
        assert_eq!(path(None, Some("/b")), Path::new("/b"));
        assert_eq!(path(None, Some("")), Path::new(SOCKET_DEFAULT));
        assert_eq!(path(None, None), Path::new(SOCKET_DEFAULT));
    }
}
