//! What no lint sees: lengths, stray files, dead references, traces of somebody's machine.
//!
//! The lists of exceptions are ratchets: an entry that is no longer needed, or could be smaller,
//! fails too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/source.rs"]
mod source;

const FILE_LINES_MAX: usize = 350;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that are longer, with their exact length.
const LONG_FILES: &[(&str, usize)] = &[];

/// Functions that are longer, as `file:name`, with their exact length.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// Everything that may stand at the top level.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".dockerignore",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "clippy.toml",
    "ctl",
    "deny.toml",
    "deploy",
    "docs",
    "engine",
    "protocol",
    "rustfmt.toml",
    "sim",
    "tests",
    "weir.toml",
];

/// Pages that the code refers to and that are still to be written.
const PROMISED: &[&str] = &[];

#[test]
fn files_are_short() {
    let lengths = rust_files().into_iter().map(|(path, text)| (path, text.lines().count()));
    let faults = ratchet(lengths, FILE_LINES_MAX, LONG_FILES);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn functions_are_short() {
    let lengths = rust_files().into_iter().flat_map(|(path, text)| {
        let functions = source::functions(&source::without_literals(&text));
        functions.into_iter().map(move |(name, lines)| (format!("{path}:{name}"), lines))
    });
    let faults = ratchet(lengths, FUNCTION_LINES_MAX, LONG_FUNCTIONS);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_top_level_holds_what_belongs_there() {
    let strays: BTreeSet<String> = files()
        .iter()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !TOP_LEVEL.contains(name))
        .map(str::to_owned)
        .collect();
    assert!(strays.is_empty(), "these do not belong at the top level: {strays:?}");
}

#[test]
fn references_lead_somewhere() {
    let (mut faults, mut dead) = (Vec::new(), BTreeSet::new());
    for path in files().iter().filter(|path| path.ends_with(".md") || path.ends_with(".rs")) {
        let Some(text) = read(path) else { continue };
        let references = if path.ends_with(".md") {
            [source::quoted_paths(&text), source::links(&text)].concat()
        } else {
            source::quoted_paths(&source::only_comments(&text))
        };
        for reference in references {
            if !leads_somewhere(path, &reference) {
                if !PROMISED.contains(&reference.as_str()) {
                    faults.push(format!("{path} refers to {reference}, which does not exist"));
                }
                dead.insert(reference);
            }
        }
    }
    for promised in PROMISED.iter().filter(|promised| !dead.contains(**promised)) {
        faults.push(format!("{promised} is there, or nobody refers to it: take it off PROMISED"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A link is relative to its page; a quoted path to the top level.
fn leads_somewhere(from: &str, reference: &str) -> bool {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    root().join(reference).exists() || root().join(folder).join(reference).exists()
}

#[test]
fn nothing_tells_of_the_machine_it_was_written_on() {
    // Put together here, so that this file does not find itself.
    let traces = [["/wo", "rk/"], ["/tmp/", "wt"], ["/tmp/", "weir-target"], ["/ro", "ot/"]];
    let faults: Vec<String> = files()
        .iter()
        .filter_map(|path| Some((path, read(path)?)))
        .flat_map(|(path, text)| {
            let found = traces.iter().map(|trace| trace.concat()).filter(|t| text.contains(t));
            found.map(|trace| format!("{path} has {trace}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_walk_and_git_agree_on_the_sources() {
    let Some(listed) = listed_by_git() else { return };
    let mut walked = Vec::new();
    walk(&root(), &mut walked);
    let sources = |paths: &[String]| -> BTreeSet<String> {
        paths.iter().filter(|path| path.ends_with(".rs")).cloned().collect()
    };
    assert_eq!(sources(&listed), sources(&walked));
    assert!(listed.contains(&"tests/tests/tidy.rs".to_owned()));
}

/// Faults of what is longer than `max`, held against the exceptions.
fn ratchet(
    lengths: impl Iterator<Item = (String, usize)>,
    max: usize,
    exceptions: &[(&str, usize)],
) -> Vec<String> {
    let mut open: BTreeSet<_> = exceptions.iter().map(|(name, _)| *name).collect();
    let mut faults = Vec::new();
    for (name, lines) in lengths.filter(|(_, lines)| *lines > max) {
        let excepted = exceptions.iter().find(|(own, _)| *own == name);
        match excepted.map(|(_, excepted)| *excepted) {
            None => faults.push(format!("{name} has {lines} lines, more than {max}")),
            Some(limit) if lines > limit => {
                faults.push(format!("{name} has grown from {limit} to {lines} lines"));
            }
            Some(limit) if lines < limit => {
                faults.push(format!("{name} has shrunk to {lines}: write that instead of {limit}"));
            }
            Some(_) => {}
        }
        open.remove(name.as_str());
    }
    faults.extend(open.iter().map(|name| format!("{name} is no exception any more")));
    faults
}

#[test]
fn the_ratchet_turns_one_way() {
    let faults = |lines, exceptions: &[(&str, usize)]| {
        ratchet([("a".to_owned(), lines)].into_iter(), 10, exceptions)
    };
    assert!(faults(10, &[]).is_empty());
    assert_eq!(faults(11, &[]), ["a has 11 lines, more than 10"]);
    assert!(faults(11, &[("a", 11)]).is_empty());
    assert_eq!(faults(12, &[("a", 11)]), ["a has grown from 11 to 12 lines"]);
    assert_eq!(faults(11, &[("a", 12)]), ["a has shrunk to 11: write that instead of 12"]);
    assert_eq!(faults(10, &[("a", 12)]), ["a is no exception any more"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace").to_owned()
}

fn rust_files() -> Vec<(String, String)> {
    let rust = files().into_iter().filter(|path| path.ends_with(".rs"));
    let read: Vec<_> = rust.filter_map(|path| read(&path).map(|text| (path, text))).collect();
    assert!(read.len() > 20, "the sources were not found");
    read
}

/// The text of a file; `None` when it is deleted but still listed, or not text.
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// Paths from the top level of everything that is or will be committed.
fn files() -> Vec<String> {
    listed_by_git().unwrap_or_else(|| {
        let mut found = Vec::new();
        walk(&root(), &mut found);
        found
    })
}

/// `None` without git or outside a repository, such as in an unpacked archive.
fn listed_by_git() -> Option<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let existing = |name: &&str| !name.is_empty() && root().join(name).exists();
    let names: Vec<String> = names.split('\0').filter(existing).map(str::to_owned).collect();
    (output.status.success() && !names.is_empty()).then_some(names)
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the sources").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        // A worktree's `.git` is a file; cargo marks its target folder as a cache.
        if name == ".git" || path.join("CACHEDIR.TAG").exists() {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else {
            let inside = path.strip_prefix(root()).expect("below the root");
            found.extend(inside.to_str().map(str::to_owned));
        }
    }
}
