//! Holds the fuzz targets' properties for the committed corpora, and for what small changes make of
//! them, without a fuzzer.

use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/properties/chunks.rs"]
mod chunks;
#[path = "../fuzz/properties/independent.rs"]
mod independent;
#[path = "../fuzz/properties/independent_chunked.rs"]
mod independent_chunked;
#[path = "../fuzz/properties/journal.rs"]
mod journal;
#[path = "../fuzz/properties/proxy_header.rs"]
mod proxy_header;
#[path = "../fuzz/properties/request_head.rs"]
mod request_head;
#[path = "../fuzz/properties/response_head.rs"]
mod response_head;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).expect("a corpus").flatten();
    let mut paths: Vec<_> = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seed"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 12, "the corpus of {target} was not found");
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

/// Puts `bytes` in the place of `cut` bytes `at` a place of a seed.
type Change = (prop::sample::Index, usize, Vec<u8>);

/// What a message is made of, so that changes are worth making.
fn any_change() -> impl Strategy<Value = Change> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3),
        prop::sample::select(&b"\r\n\t :;,=\"\\0aA_-/*?#%\x7f\x00"[..]).prop_map(|byte| vec![byte]),
        Just(b"\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
    ];
    (any::<prop::sample::Index>(), 0..4_usize, bytes)
}

fn hold(target: &str, check: fn(&[u8])) {
    let seeds = seeds(target);
    seeds.iter().for_each(|seed| check(seed));
    let changes = prop::collection::vec(any_change(), 1..4);
    let input = (prop::sample::select(seeds), changes).prop_map(|(mut seed, changes)| {
        for (at, cut, bytes) in changes {
            let at = at.index(seed.len() + 1);
            let end = (at + cut).min(seed.len());
            seed.splice(at..end, bytes);
        }
        seed
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let held = runner.run(&input, |bytes| {
        check(&bytes);
        Ok(())
    });
    if let Err(failure) = held {
        panic!("{failure}");
    }
}

#[test]
fn request_heads() {
    hold("request_head", request_head::check);
}

#[test]
fn response_heads() {
    hold("response_head", response_head::check);
}

#[test]
fn chunked_bodies() {
    hold("chunks", chunks::check);
}

#[test]
fn proxy_headers() {
    hold("proxy_header", proxy_header::check);
}

#[test]
fn journals() {
    hold("journal", journal::check);
}
