//! `weir-sim`: replays fault scenarios against the engine's own code.
//!
//! Exit status: 0 when every property held, 1 when one did not, 2 when there was nothing to run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_sim::report::Report;
use weir_sim::scenario::Scenario;
use weir_sim::world;

#[derive(Parser)]
#[command(name = "weir-sim", version, about = "Runs Weir on a simulated network, from a seed")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario and judge it by the properties it expects
    Run {
        /// The scenario, a TOML file
        file: PathBuf,
        /// Instead of the scenario's own seed
        #[arg(long)]
        seed: Option<u64>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// A weir.toml instead of the scenario's own configuration
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    if !cfg!(tokio_unstable) {
        return refuse(
            &"this weir-sim was built without `--cfg tokio_unstable`, so runs would not \
                        repeat; build it in the repository, with RUSTFLAGS unset",
        );
    }
    let Command::Run { file, seed, json, config } = Arguments::parse().command;
    let scenario = match Scenario::load(&file, config.as_deref()) {
        Ok(scenario) => scenario,
        Err(error) => return refuse(&error),
    };
    let run = match world::run(&scenario, seed.unwrap_or(scenario.seed)) {
        Ok(run) => run,
        Err(error) => return refuse(&error),
    };
    let report = Report::new(&scenario, &run);
    if json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return refuse(&error),
        }
    } else {
        print!("{report}");
        println!("replay: {}", replay(&file, run.seed, config.as_deref()));
    }
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn refuse(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("weir-sim: {reason}");
    ExitCode::from(2)
}

fn replay(file: &Path, seed: u64, config: Option<&Path>) -> String {
    let config = config.map(|path| format!(" --config {}", path.display())).unwrap_or_default();
    format!("weir-sim run {} --seed {seed}{config}", file.display())
}
