//! The `weir` command where it is not a gateway.

use std::process::Command;

use crate::binaries;
use crate::process::{Finished, Process};

/// Runs `weir` with these arguments to its end.
#[track_caller]
pub fn weir(arguments: &[&str]) -> Finished {
    let mut command = Command::new(binaries::weir());
    command.args(arguments);
    Process::run(command)
}
