//! What Weir does with each message that the RFCs have a word on, and what HAProxy and nginx do.
//!
//! `rows/` has the cases and what Weir must do with them, which is tested on both runtimes, with
//! each message at once and byte by byte. The tables in `docs/http.md` have the same rows, with what
//! the peers do beside:
//!
//! ```text
//! WEIR_PEERS=1      holds their columns against HAProxy and nginx as Debian 12 has them
//! WEIR_PEERS=write  writes the tables anew
//! ```

mod judge;
mod observe;
mod peers;
mod table;

#[macro_use]
mod case;
mod rows;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use weir_tests::wait::PATIENCE;
use weir_tests::{Runtime, Setup, on_both_runtimes};

use case::Row;
use observe::{Pace, Stage};
use peers::Peer;
use rows::SECTIONS;
use table::Peers;

on_both_runtimes!(every_case_is_decided_as_the_rows_say);

fn rows() -> impl Iterator<Item = &'static Row> {
    SECTIONS.iter().flat_map(|section| section.rows)
}

fn every_case_is_decided_as_the_rows_say(runtime: Runtime) {
    let stage = Stage::start();
    let weir = Setup::new(runtime).backend(stage.address()).start();
    let mut faults = Vec::new();
    for row in rows() {
        for (case, pace) in row
            .cases
            .iter()
            .flat_map(|case| [Pace::AtOnce, Pace::ByteByByte].map(|pace| (case, pace)))
        {
            let seen = stage.play(weir.address("main"), case, pace, PATIENCE);
            let verdict = judge::verdict(row, case, &seen);
            let fault = judge::fault(case, &seen);
            if verdict != row.weir || fault.is_some() {
                faults.push(format!(
                    "{}: {verdict}, not {} {pace:?} {fault:?}\n    {:?}\n    {seen:?}",
                    row.what,
                    row.weir,
                    case.text()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// A row that could not fail would be none.
#[test]
fn rows_can_be_told_apart() {
    let mut names = BTreeSet::new();
    for row in rows() {
        assert!(names.insert(row.what), "{} is there twice", row.what);
        assert!(!row.cases.is_empty(), "{} has no case", row.what);
        let named = row.words.iter().any(|(word, signs)| *word == row.weir && !signs.is_empty());
        assert!(judge::is_refusal(row.weir) || named, "{}: {} is no word", row.what, row.weir);
        assert!(!row.what.contains('|') && !row.rfc.contains('|'), "{}", row.what);
    }
    let cases: usize = rows().map(|row| row.cases.len()).sum();
    assert!(cases >= 450, "only {cases} cases are left");
}

#[test]
fn the_page_has_every_row() {
    let present = table::present();
    let peers = table::peers_in(&present);
    for (row, peers) in rows().zip(&peers) {
        let known = !peers.haproxy.is_empty() && !peers.nginx.is_empty();
        assert!(known, "write the tables anew, with WEIR_PEERS=write: no row for {}", row.what);
    }
    assert_eq!(present, table::render(&peers), "write the tables anew, with WEIR_PEERS=write");
}

/// Only where it is asked for: the peers' versions are Debian's, not ours to choose.
#[test]
fn the_page_has_what_the_peers_do() {
    let Ok(wish) = std::env::var("WEIR_PEERS") else { return };
    let stage = Stage::start();
    let haproxy = Peer::haproxy(stage.address());
    let nginx = Peer::nginx(stage.address());
    let peers = rows().map(|row| Peers {
        haproxy: words(&stage, haproxy.address(), row),
        nginx: words(&stage, nginx.address(), row),
    });
    let found = table::render(&peers.collect::<Vec<_>>());
    if wish == "write" {
        table::replace(&found);
    }
    assert_eq!(table::present(), found);
}

/// What a peer does with the cases of a row, in their order.
fn words(stage: &Stage, peer: SocketAddr, row: &Row) -> String {
    let mut words: Vec<String> = Vec::new();
    for case in row.cases {
        let seen = stage.play(peer, case, Pace::AtOnce, Duration::from_secs(5));
        let word = judge::verdict(row, case, &seen);
        assert_ne!(word, judge::UNNAMED, "{}: {:?}: {seen:?}", row.what, case.text());
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" or ")
}
