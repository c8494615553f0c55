//! The `weir` command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use weir_engine::config::Config;
use weir_engine::demo::{self, DemoPorts};
use weir_engine::server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An API gateway: rate limits, tokens, balancing and health checks in one thread-per-core engine.
#[derive(Parser)]
#[command(name = "weir", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a configuration until SIGTERM; SIGHUP reads it again
    Run {
        #[arg(long, value_name = "FILE", default_value = "weir.toml")]
        config: PathBuf,
    },
    /// Say whether a configuration is right, and what is wrong with it
    Check {
        #[arg(value_name = "FILE", default_value = "weir.toml")]
        config: PathBuf,
    },
    /// Start a gateway with three backends on this machine, and say what to try
    Demo(DemoArguments),
    /// Print the version
    Version,
}

#[derive(Args)]
struct DemoArguments {
    /// Where the gateway listens, on 127.0.0.1
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where its pages and the sample API are
    #[arg(long, default_value_t = 5000)]
    control_port: u16,
    /// The first backend's; the other two follow it
    #[arg(long, default_value_t = 5001, value_parser = clap::value_parser!(u16).range(1..=65533))]
    backend_port: u16,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config } => run(&config),
        Command::Check { config } => check(&config),
        Command::Demo(arguments) => demo(&arguments),
        Command::Version => {
            println!("weir {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn run(path: &Path) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(faults) => return fail(&faults),
    };
    match server::run(config, path.to_owned(), |banner| eprint!("{banner}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("weir: {error}")),
    }
}

fn demo(arguments: &DemoArguments) -> ExitCode {
    let first = arguments.backend_port;
    let ports = DemoPorts {
        gateway: arguments.port,
        control: arguments.control_port,
        backends: [first, first + 1, first + 2],
    };
    match demo::run(&ports) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("weir: {error}")),
    }
}

fn check(path: &Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            println!("{}: right: {}", path.display(), config.summary());
            ExitCode::SUCCESS
        }
        Err(faults) => fail(&faults),
    }
}

fn fail(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}
