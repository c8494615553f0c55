//! Parts of the engine alone, in nanoseconds: what cannot be told apart in a request's time.

use std::fmt::Write;

use serde::Serialize;

use crate::stats::Spread;

pub mod limits;

/// What one operation cost, over several rounds.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub threads: usize,
    /// Nanoseconds of a thread's time for each operation.
    pub ns: Spread,
}

/// A line for each figure.
pub fn text(figures: &[Figure]) -> String {
    let mut text = format!("{:<44} threads   ns (min .. max)\n", "");
    for Figure { name, threads, ns } in figures {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{name:<44} {threads:>7}   {:.1} ({:.1} .. {:.1})",
            ns.median, ns.min, ns.max
        );
    }
    text
}
