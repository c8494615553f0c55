//! The `weir` command.

use std::io::{self, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use weir_engine::backtest;
use weir_engine::config::Config;
use weir_engine::demo::{self, DemoPorts};
use weir_engine::ledger::copies_on_write;
use weir_engine::ledger::tools::{self, ToolError};
use weir_engine::runtime::os;
use weir_engine::server::{self, Launch};
use weir_engine::tls::SelfSigned;

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
        /// Take over from the engine that serves now, without refusing a connection
        #[arg(long)]
        upgrade: bool,
        /// That engine's control socket [default: the configuration's]
        #[arg(long, value_name = "PATH", requires = "upgrade")]
        socket: Option<PathBuf>,
        /// If the ledger's journal is damaged, give up what comes after the damage
        #[arg(long, conflicts_with = "upgrade")]
        repair: bool,
    },
    /// Say whether a configuration is right, and what is wrong with it
    Check {
        #[arg(value_name = "FILE", default_value = "weir.toml")]
        config: PathBuf,
    },
    /// Start a gateway with three backends on this machine, and say what to try
    Demo(DemoArguments),
    /// Send recorded requests through another configuration's limits
    Backtest(BacktestArguments),
    /// Look after a ledger that no weir uses
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Make certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// Print the version
    Version,
}

#[derive(Subcommand)]
enum LedgerCommand {
    /// Read all files and compare their checksums; also while a weir uses them
    Verify { dir: PathBuf },
    /// Print counters, and then the journal's records, as lines of JSON
    Dump { dir: PathBuf },
    /// Write the journal anew, without what no longer matters
    Compact { dir: PathBuf },
    /// Copy the ledger to a folder that has none
    Backup { dir: PathBuf, to: PathBuf },
}

#[derive(Subcommand)]
enum CertCommand {
    /// For development: a certificate that vouches for itself, and its key
    SelfSigned(SelfSignedArguments),
}

#[derive(Args)]
struct SelfSignedArguments {
    /// A host name or address it is good for; may be repeated
    #[arg(long = "host", value_name = "HOST", required = true)]
    hosts: Vec<String>,
    /// The folder that cert.pem and key.pem are written into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// For how long it is good
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

#[derive(Args)]
struct BacktestArguments {
    /// The flight recorder's folder: `flight` in the ledger's
    #[arg(long, value_name = "DIR")]
    flight: PathBuf,
    /// The configuration to try
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
    /// How many keys of each limit, and minutes, are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
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
        Command::Run { config, upgrade, socket, repair } => run(config, upgrade, socket, repair),
        Command::Check { config } => check(&config),
        Command::Demo(arguments) => demo(&arguments),
        Command::Backtest(arguments) => backtest(&arguments),
        Command::Ledger(command) => ledger(&command),
        Command::Cert(CertCommand::SelfSigned(arguments)) => self_signed(&arguments),
        Command::Version => {
            println!("weir {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn run(config_path: PathBuf, upgrade: bool, socket: Option<PathBuf>, repair: bool) -> ExitCode {
    let config = match Config::load(&config_path) {
        Ok(config) => config,
        Err(faults) => return fail(&faults),
    };
    warn(&config);
    if repair && let Err(error) = repaired(&config.engine.ledger) {
        return fail(&format_args!("weir: {error}"));
    }
    let predecessor = upgrade.then(|| socket.unwrap_or_else(|| config.control.socket.clone()));
    let launch = Launch { config, config_path, predecessor };
    match server::run(launch, |banner| eprint!("{banner}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("weir: {error}")),
    }
}

/// Repairs the journal, and says what was given up.
fn repaired(dir: &Path) -> Result<(), ToolError> {
    match tools::repair(dir)? {
        Some(report) if report.damaged > 0 => eprintln!(
            "weir: the journal is repaired: {} records are left, {} damaged segments are kept as \
             *.damaged",
            report.records, report.damaged
        ),
        _ => eprintln!("weir: the journal needs no repair"),
    }
    Ok(())
}

fn ledger(command: &LedgerCommand) -> ExitCode {
    let done = match command {
        LedgerCommand::Verify { dir } => {
            tools::verify(dir).map(|sound| format!("{}: {sound}", dir.display()))
        }
        LedgerCommand::Dump { dir } => {
            let dumped = tools::dump(dir, &mut BufWriter::new(io::stdout().lock()));
            return match dumped {
                Err(error) if !error.is_broken_pipe() => fail(&format_args!("weir: {error}")),
                // The reader has seen enough (`weir ledger dump | head`).
                _ => ExitCode::SUCCESS,
            };
        }
        LedgerCommand::Compact { dir } => tools::compact(dir)
            .map(|report| format!("{}: {} records are left", dir.display(), report.records)),
        LedgerCommand::Backup { dir, to } => tools::backup(dir, to)
            .map(|()| format!("{} is copied to {}", dir.display(), to.display())),
    };
    match done {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
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

fn backtest(arguments: &BacktestArguments) -> ExitCode {
    let BacktestArguments { flight, config, json, top } = arguments;
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(faults) => return fail(&faults),
    };
    let watched = io::stderr().is_terminal();
    let progress = |done, most| {
        if watched {
            backtest::show_progress(&mut io::stderr(), done, most);
        }
    };
    match backtest::run(flight, &config, progress) {
        Ok(report) if *json => println!("{}", report.json(*top)),
        Ok(report) => print!("{}", report.text(*top)),
        Err(error) => return fail(&format_args!("weir: {error}")),
    }
    ExitCode::SUCCESS
}

fn check(path: &Path) -> ExitCode {
    match Config::load(path) {
        Ok(config) => {
            warn(&config);
            println!("{}: right: {}", path.display(), config.summary());
            config.notes().iter().for_each(|note| println!("{note}"));
            ExitCode::SUCCESS
        }
        Err(faults) => fail(&faults),
    }
}

fn warn(config: &Config) {
    for warning in config.warnings(os::wall()) {
        eprintln!("weir: {warning}");
    }
    let ledger = &config.engine.ledger;
    if let Some(filesystem) = copies_on_write(ledger) {
        eprintln!(
            "weir: the ledger {} is on {filesystem}, which copies on write: room for it cannot be \
             kept, and a full disk stops the copies of counts",
            ledger.display()
        );
    }
}

fn self_signed(arguments: &SelfSignedArguments) -> ExitCode {
    let SelfSignedArguments { hosts, out, days } = arguments;
    match SelfSigned::write(hosts, out, *days, os::wall()) {
        Ok(SelfSigned { certificate, key }) => {
            println!("For the configuration, under [[listener]]:");
            println!("tls = {{ certificate = {certificate:?}, key = {key:?} }}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format_args!("weir: {error}")),
    }
}

fn fail(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}
