//! The cases, in the order of the tables.

mod answer_bodies;
mod answers;
mod chunks;
mod connections;
mod fields;
mod framing;
mod hosts;
mod methods;
mod paths;
mod request_lines;
mod targets;

use crate::case::Row;

/// A table.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) rows: &'static [Row],
}

pub(crate) const SECTIONS: &[Section] = &[
    Section { title: "Request lines", rows: request_lines::ROWS },
    Section { title: "Methods with rules of their own", rows: methods::ROWS },
    Section { title: "Targets", rows: targets::ROWS },
    Section { title: "Paths", rows: paths::ROWS },
    Section { title: "Host", rows: hosts::ROWS },
    Section { title: "Fields of requests", rows: fields::ROWS },
    Section { title: "Framing of requests", rows: framing::ROWS },
    Section { title: "Chunks", rows: chunks::ROWS },
    Section {
        title: "What is for one connection, and what is not believed",
        rows: connections::ROWS,
    },
    Section { title: "Heads of answers", rows: answers::ROWS },
    Section { title: "Bodies of answers", rows: answer_bodies::ROWS },
];
