//! `weir-bench`: Weir beside HAProxy and nginx. The library's front page says what is measured.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use weir_benches::contestant::{CONTESTANTS, Contestant};
use weir_benches::error::Error;
use weir_benches::job::{JOBS, Job, JobKind, LOAD_CPU, SLOW_LOAD_PER_SECOND};
use weir_benches::load::Pace;
use weir_benches::micro::{self, limits};
use weir_benches::report::Report;
use weir_benches::run::{self, Entrant, Plan};
use weir_benches::sys;

/// The job that needs no contestants.
const LIMITS: &str = "limits";

/// Compare proxies on one core each, in interleaved rounds, and print CPU time per request,
/// throughput and latency.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[arg(help = jobs_help(), value_parser = PossibleValuesParser::new(job_names()))]
    job: String,
    /// How often each contestant is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one measurement
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    seconds: f64,
    /// Client connections [default: 64; 8000 for idle jobs, 16 for handshakes]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=28_000))]
    connections: Option<u32>,
    /// Open loop: requests a second, latency counted from the intended send time [default: closed
    /// loop; 2000 for slow]
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// The weir binary [default: dist, release or debug beside this one]
    #[arg(long)]
    weir: Option<PathBuf>,
    /// Contestants, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = CONTESTANTS.iter().map(|c| c.name.to_owned()),
        value_parser = PossibleValuesParser::new(CONTESTANTS.iter().map(|c| c.name)))]
    only: Vec<String>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

fn jobs_help() -> String {
    let lines: Vec<String> =
        JOBS.iter().map(|job| format!("{}: {}", job.name, job.about)).collect();
    format!("{}; {LIMITS}: the slot table alone, in nanoseconds", lines.join("; "))
}

fn job_names() -> impl Iterator<Item = &'static str> {
    JOBS.iter().map(|job| job.name).chain([LIMITS])
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1e7 => Ok(value),
        _ => Err("expected a number above 0, at most 10,000,000".into()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.job == LIMITS { measure(&arguments) } else { compare(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Error> {
    let figures = limits::measure(usize::try_from(arguments.rounds).unwrap_or(1))?;
    if arguments.json {
        let json = serde_json::to_string_pretty(&figures).map_err(std::io::Error::from);
        println!("{}", json.map_err(Error::io("write the figures as JSON"))?);
    } else {
        print!("{}", micro::text(&figures));
    }
    Ok(())
}

fn compare(arguments: &Arguments) -> Result<(), Error> {
    let plan = plan(arguments)?;
    let (entrants, skipped) = enter(arguments)?;
    sys::catch_interrupts();
    sys::raise_descriptor_limit().map_err(Error::io("raise the limit on open files"))?;
    sys::pin_thread(LOAD_CPU).map_err(Error::io(format!("pin this thread to CPU {LOAD_CPU}")))?;
    sys::sharpen_timers().map_err(Error::io("sharpen this thread's timers"))?;
    let rounds = run::run(&plan, &entrants)?;
    let report = Report::new(&plan, &entrants, skipped, &rounds);
    if arguments.json {
        let json = serde_json::to_string_pretty(&report).map_err(std::io::Error::from);
        println!("{}", json.map_err(Error::io("write the report as JSON"))?);
        eprint!("{}", report.complaints());
    } else {
        print!("{}", report.text());
    }
    match report.failures() {
        0 => Ok(()),
        failures => Err(Error::Failures { failures }),
    }
}

fn plan(arguments: &Arguments) -> Result<Plan, Error> {
    let unknown = || Error::UnknownName(arguments.job.clone());
    let job = Job::named(&arguments.job).ok_or_else(unknown)?;
    let connections = arguments.connections.and_then(|count| usize::try_from(count).ok());
    let rate = arguments.rate.or((job.kind == JobKind::Slow).then_some(SLOW_LOAD_PER_SECOND));
    Ok(Plan {
        job,
        rounds: usize::try_from(arguments.rounds).unwrap_or(1),
        length: Duration::from_secs_f64(arguments.seconds),
        connections: connections.unwrap_or(job.connections),
        pace: rate.map_or(Pace::Closed, |per_second| Pace::Open { per_second }),
    })
}

/// Those of the contestants asked for that are installed, and the names of the others.
fn enter(arguments: &Arguments) -> Result<(Vec<Entrant>, Vec<String>), Error> {
    let (mut entrants, mut skipped) = (Vec::new(), Vec::new());
    for name in &arguments.only {
        let unknown = || Error::UnknownName(name.clone());
        let contestant = Contestant::named(name).ok_or_else(unknown)?;
        match contestant.locate(arguments.weir.as_deref()) {
            Ok(program) => entrants.push(Entrant { contestant, program }),
            Err(error) => {
                eprintln!("{name}: skipped, {error}");
                skipped.push(name.clone());
            }
        }
    }
    if entrants.is_empty() {
        return Err(Error::NobodyInstalled(skipped.join(", ")));
    }
    Ok((entrants, skipped))
}
