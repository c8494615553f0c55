//! Writes a flight recorder's folder full of made-up requests, to measure `weir backtest` with:
//!
//! ```text
//! cargo run --release -p weir-engine --example flight_records -- FOLDER CONFIG MILLIONS
//! weir backtest --flight FOLDER/flight --config CONFIG
//! ```
//!
//! A day of them, evenly: a quarter of each million comes from a hundred addresses, the rest from a
//! hundred thousand, all without a key and to the first route.

use std::path::Path;
use std::process::ExitCode;

use weir_engine::config::Config;
use weir_engine::ledger::flight::{
    Decision, Flight, IDENTIFIED, Moment, Place, RECORD_BYTES, Record, mapped,
};
use weir_engine::metrics::Counter;
use weir_engine::runtime::{Instant, UnixNanos};
use weir_engine::slots::SlotTable;

const DAY_NS: u64 = 86_400_000_000_000;
const BASE: UnixNanos = UnixNanos(1_780_000_000_000_000_000);
/// Fewer than a live ring holds.
const BATCH: u64 = 8192;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, config, millions] = arguments.as_slice() else {
        eprintln!("usage: flight_records FOLDER CONFIG MILLIONS");
        return ExitCode::FAILURE;
    };
    match write(Path::new(folder), Path::new(config), millions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path, config: &Path, millions: &str) -> Result<(), String> {
    let config = Config::load(config).map_err(|faults| faults.to_string())?;
    let records = millions.parse::<u64>().map_err(|error| error.to_string())? * 1_000_000;
    let place = Place { ledger: folder, tmpfs: folder, identity: 1, epoch_base: BASE };
    let at = Moment { now: Instant::from_nanos(0), wall: BASE, clock_offset_ns: 0 };
    let bytes = (records + 64) * RECORD_BYTES as u64;
    let flight = Flight::open(&place, 1, bytes, false, at).map_err(|error| error.to_string())?;
    let Flight { recorders, mut drain, mut names, .. } = flight;
    let (numbers, written) = names.number(&config, &SlotTable::in_memory(8, [0; 16]));
    written.map_err(|error| error.to_string())?;
    let dropped = Counter::new();
    for n in 0..records {
        let record = record(n, numbers.routes[0], DAY_NS / records * n);
        recorders[0].record(&record, &dropped);
        if n % BATCH == 0 {
            drain.run();
        }
    }
    drain.close();
    if dropped.get() == 0 { Ok(()) } else { Err(format!("{} are missing", dropped.get())) }
}

fn record(n: u64, route: u16, at_ns: u64) -> Record {
    // A fixed mix: the same folder each time.
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let host = if mixed.is_multiple_of(4) { mixed % 100 } else { mixed % 100_000 };
    let [.., a, b, c] = host.to_be_bytes();
    Record {
        time: UnixNanos(BASE.0 + at_ns),
        address: mapped(std::net::Ipv4Addr::new(10, a, b, c).into()),
        key: 0,
        user: 0,
        cost: 1,
        latency_us: 900,
        status: 200,
        route,
        tier: 0,
        decision: Decision::Forwarded,
        limit: 0,
        flags: IDENTIFIED,
    }
}
