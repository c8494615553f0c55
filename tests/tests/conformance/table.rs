//! The tables in `docs/http.md`.

use std::path::{Path, PathBuf};

use crate::case::Row;
use crate::rows::SECTIONS;

const BEGIN: &str = "<!-- written by tests/tests/conformance: begin -->";
const END: &str = "<!-- written by tests/tests/conformance: end -->";

/// What each of the peers does with the cases of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peers {
    pub(crate) haproxy: String,
    pub(crate) nginx: String,
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md")
}

/// The text between the markers, and what stands before and behind.
fn parts() -> [String; 3] {
    let page = std::fs::read_to_string(path()).expect("the page is there");
    let (before, rest) = page.split_once(BEGIN).expect("the first marker");
    let (table, after) = rest.split_once(END).expect("the last marker");
    [before, table, after].map(str::to_owned)
}

/// The tables as they stand in the page.
pub(crate) fn present() -> String {
    let [_, table, _] = parts();
    table
}

pub(crate) fn replace(table: &str) {
    let [before, _, after] = parts();
    let page = format!("{before}{BEGIN}{table}{END}{after}");
    std::fs::write(path(), page).expect("the page can be written");
}

/// The tables for what `peers` do, which have an entry for each row.
pub(crate) fn render(peers: &[Peers]) -> String {
    let mut peers = peers.iter();
    let mut text = String::from("\n");
    for section in SECTIONS {
        text += &format!("\n### {}\n\n", section.title);
        text +=
            "| what | RFC | Weir | HAProxy 2.6 | nginx 1.22 |\n| --- | --- | --- | --- | --- |\n";
        for row in section.rows {
            let peer = peers.next().expect("an entry for each row");
            text += &format!("{} {} | {} |\n", row_start(row), peer.haproxy, peer.nginx);
        }
    }
    text + "\n"
}

fn row_start(row: &Row) -> String {
    let rfc = if row.rfc.is_empty() { "" } else { &format!(" {}", row.rfc) };
    format!("| {} |{rfc} | {} |", row.what, row.weir)
}

/// The columns of the peers in `table`, for the rows that are in it.
pub(crate) fn peers_in(table: &str) -> Vec<Peers> {
    let rows = SECTIONS.iter().flat_map(|section| section.rows);
    rows.map(|row| {
        let start = row_start(row);
        let rest = table.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default();
        let mut words = rest.split('|').map(|word| word.trim().to_owned());
        let mut word = || words.next().unwrap_or_default();
        Peers { haproxy: word(), nginx: word() }
    })
    .collect()
}
