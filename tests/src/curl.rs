//! The client that people have.

use std::process::Command;

use crate::process::{Finished, Process};

/// What curl received.
#[derive(Debug)]
pub struct Fetched {
    pub status: u16,
    pub body: String,
}

/// Runs curl, quietly, without its configuration file and with an end; any exit status.
///
/// # Panics
/// When there is no curl.
#[track_caller]
pub fn run(arguments: &[&str]) -> Finished {
    let mut command = Command::new("curl");
    // `--disable` must come first. Proxies of the environment would hide what is under test.
    command.args(["--disable", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]);
    command.args(arguments);
    Process::run(command)
}

/// Runs curl for one answer.
///
/// # Panics
/// When curl fails; an answer with an error status is no failure.
#[track_caller]
pub fn fetch(arguments: &[&str]) -> Fetched {
    let finished = run(&[arguments, &["--write-out", "\n%{http_code}"]].concat());
    assert!(finished.status.success(), "curl: {}", finished.stderr);
    let (body, code) = finished.stdout.rsplit_once('\n').expect("curl writes the code");
    Fetched { status: code.parse().expect("a status code"), body: body.to_owned() }
}
