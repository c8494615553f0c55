//! The figures of `docs/limits.md`: what the algorithms' promises come to. Print them with
//!
//! ```text
//! cargo test -p weir-protocol --lib limit::measured -- --ignored --nocapture
//! ```

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures to print, far from either end"
)]

use std::collections::VecDeque;

use super::meter::{Meter, Moment, Outcome, Word};

const SECOND: u64 = 1_000_000_000;
const WINDOW_NS: u64 = 60 * SECOND;

/// Sebastiano Vigna's splitmix64, with a seed of its own for each figure.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Time to the next arrival of a Poisson process.
    fn gap_ns(&mut self, mean_ns: f64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - uniform).ln() * mean_ns) as u64
    }
}

struct Counter {
    meter: Meter,
    word: Word,
}

impl Counter {
    fn new(meter: Meter) -> Self {
        Self { meter, word: meter.fresh(at(0)) }
    }

    /// How long to wait, if it refuses.
    fn ask(&mut self, now_ns: u64) -> Result<(), u64> {
        match self.meter.charge(self.word, at(now_ns), 1) {
            Outcome::Admitted { word, .. } => {
                self.word = word;
                Ok(())
            }
            Outcome::Refused { retry_after_ns, .. } => Err(retry_after_ns),
        }
    }
}

fn at(table_ns: u64) -> Moment {
    Moment { table_ns, wall_s: table_ns / SECOND }
}

/// Those of the times in the last window's length.
fn keep_window(times: &mut VecDeque<u64>, now_ns: u64) {
    while times.front().is_some_and(|at_ns| at_ns + WINDOW_NS <= now_ns) {
        times.pop_front();
    }
}

/// The most admitted in any window's length by an adversary who knows the clock: a trickle for a
/// while or none, silence, then as much as there is from a moment of his choice.
fn worst_interval(meter: Meter, limit: u64) -> u64 {
    let mut worst = 0;
    for phase in 0..=200 {
        for trickle in [0, limit / 4, limit / 2, limit] {
            let mut counter = Counter::new(meter);
            let mut recent = VecDeque::new();
            let mut now_ns = 10 * WINDOW_NS;
            for _ in 0..trickle {
                let _ = counter.ask(now_ns);
            }
            // From the beginning of a window to its last nanosecond.
            now_ns += WINDOW_NS * phase / 100;
            now_ns -= u64::from(phase % 100 == 0 && phase > 0);
            let until_ns = now_ns + 2 * WINDOW_NS;
            while now_ns < until_ns {
                match counter.ask(now_ns) {
                    Ok(()) => recent.push_back(now_ns),
                    Err(wait_ns) => now_ns += wait_ns,
                }
                keep_window(&mut recent, now_ns);
                worst = worst.max(recent.len() as u64);
            }
        }
    }
    worst
}

/// What Poisson arrivals, at `load` times the limit's rate, make of a meter.
#[derive(Default)]
struct Typical {
    arrivals: f64,
    admitted: f64,
    /// What a counter admits that remembers every admission of the last window's length.
    admitted_exactly: f64,
    /// Decisions that such a counter, given the same past, would have made otherwise.
    wrong: f64,
    /// Between what is counted and what was admitted in the last window's length, over the limit.
    error: f64,
}

fn typical(meter: Meter, limit: u64, load: f64) -> Typical {
    let mut random = Random(limit.wrapping_mul(31) ^ load.to_bits());
    let mean_ns = WINDOW_NS as f64 / (limit as f64 * load);
    let (mut counter, mut now_ns) = (Counter::new(meter), 0);
    let (mut log, mut exact) = (VecDeque::new(), VecDeque::new());
    let mut figures = Typical::default();
    for _ in 0..400_000 {
        now_ns += random.gap_ns(mean_ns);
        keep_window(&mut log, now_ns);
        keep_window(&mut exact, now_ns);
        let (used, truth) = (limit - meter.peek(counter.word, at(now_ns)).remaining, log.len());
        figures.error += (used as f64 - truth as f64).abs() / limit as f64;
        figures.arrivals += 1.0;
        let admitted = counter.ask(now_ns).is_ok();
        figures.wrong += f64::from(admitted != ((truth as u64) < limit));
        if admitted {
            log.push_back(now_ns);
            figures.admitted += 1.0;
        }
        if (exact.len() as u64) < limit {
            exact.push_back(now_ns);
            figures.admitted_exactly += 1.0;
        }
    }
    figures
}

/// The share of the rate that a caller gets who always asks.
fn saturated(meter: Meter, limit: u64) -> f64 {
    let (mut counter, mut now_ns, mut admitted) = (Counter::new(meter), 0, 0_u64);
    while now_ns < 100 * WINDOW_NS {
        match counter.ask(now_ns) {
            Ok(()) => admitted += 1,
            Err(wait_ns) => now_ns += wait_ns,
        }
    }
    admitted as f64 / (100 * limit) as f64
}

fn print_algorithm(name: &str, meter: impl Fn(u64) -> Meter) {
    println!("{name}, a minute");
    for limit in [5, 20, 100, 1_000] {
        let (meter, worst) = (meter(limit), worst_interval(meter(limit), limit));
        let worst = worst as f64 / limit as f64;
        println!("  {limit}: worst interval {worst:.3}, saturated {:.3}", saturated(meter, limit));
        for load in [0.5, 1.0, 2.0, 10.0] {
            let figures = typical(meter, limit, load);
            let percent = |part: f64| 100.0 * part / figures.arrivals;
            println!(
                "    load {load}: counted off by {:.2} %, decided otherwise {:.3} %, admitted {:+.2} %",
                percent(figures.error),
                percent(figures.wrong),
                100.0 * (figures.admitted / figures.admitted_exactly - 1.0),
            );
        }
    }
}

#[test]
#[ignore = "prints the figures of docs/limits.md"]
fn figures() {
    let fits = "within the bounds";
    print_algorithm("sliding_window", |limit| Meter::window(limit, WINDOW_NS).expect(fits));
    print_algorithm("strict", |limit| Meter::strict(limit, WINDOW_NS).expect(fits));
    for count in [1_000, 10_000_000, 3_000_000_000_u64] {
        let bucket = Meter::bucket(count, SECOND, count).expect(fits);
        let full_ns = bucket.peek(bucket.holding(at(0), count), at(0)).reset_ns;
        let short = (full_ns - SECOND) as f64 / full_ns as f64;
        println!("token_bucket, {count} a second: short of the rate by {:.4} %", 100.0 * short);
    }
}
