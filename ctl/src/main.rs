//! `weirctl`: asks a running engine, over its Unix socket.
//!
//! Exit status: 0 when the engine did what was asked, 1 when it did not or could not be asked,
//! 2 for a wrong command line.

#![forbid(unsafe_code)]

mod client;
mod command;
mod report;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use command::Command;
use weir_protocol::control::Response;

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nothing is left to do when standard error is closed too.
            let _ = writeln!(io::stderr(), "weirctl: {}", report::lines(&reason));
            ExitCode::FAILURE
        }
    }
}

/// Carries out one command; the error is for a person.
fn run(arguments: Arguments) -> Result<(), String> {
    let path = socket_path(arguments.socket.as_deref(), std::env::var_os(SOCKET_VARIABLE));
    let response = client::ask_all(&path, arguments.command.request())
        .map_err(|error| error.explain(&path))?;
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
    use weir_protocol::control::{
        BansRequest, LedgerRequest, LimitsRequest, Question, Request, Subject, TopBy,
    };

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    fn parse(line: &[&str]) -> Arguments {
        Arguments::try_parse_from(["weirctl"].iter().chain(line)).expect("parses")
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        for line in [["--json", "drain"], ["drain", "--json"]] {
            let arguments = parse(&line);
            assert!(arguments.json && arguments.command.request() == Request::Drain);
        }
    }

    #[test]
    fn a_line_asks_what_it_says() {
        let asked = |line: &str| parse(&line.split(' ').collect::<Vec<_>>()).command.request();
        let top = LimitsRequest::Top { by: TopBy::Refused, limit: Some("a".into()), count: 3 };
        assert_eq!(asked("limits top --by refused --limit a -n 3"), Request::Limits(top));
        let subject = Subject::Key("k".into());
        let reset = LimitsRequest::Reset { subject: subject.clone(), limit: None };
        assert_eq!(asked("limits reset --key k"), Request::Limits(reset));
        let add = BansRequest::Add { subject, seconds: Some(60), reason: "why".into() };
        assert_eq!(asked("bans add --key k --for 1m --reason why"), Request::Bans(add));
        let lift = BansRequest::Lift { subject: Subject::Address("192.0.2.0/24".into()) };
        assert_eq!(asked("bans lift --address 192.0.2.0/24"), Request::Bans(lift));
        let question = Question {
            method: "POST".into(),
            path: "/a".into(),
            user: Some("u".into()),
            tier: Some("free".into()),
            headers: vec![("X".into(), "y".into())],
            ..Question::default()
        };
        let line = "explain --path /a --method POST --user u --tier free --header X:y";
        assert_eq!(asked(line), Request::Explain(question));
        let backup = LedgerRequest::Backup { to: "/b".into() };
        assert_eq!(asked("ledger backup /b"), Request::Ledger(backup));
    }

    #[test]
    fn a_wrong_command_line_is_status_2() {
        let wrong = [
            "weirctl",
            "weirctl stauts",
            "weirctl status x",
            "weirctl limits show",
            "weirctl limits show --key a --user b",
            "weirctl explain --path / --key a --user b",
            "weirctl bans add --user a --for 5",
        ];
        for line in wrong {
            let parsed = Arguments::try_parse_from(line.split(' '));
            assert_eq!(parsed.expect_err("refused").exit_code(), 2, "{line}");
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
