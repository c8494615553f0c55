//! The dictionary: what the numbers and hashes of records stand for. A file of lines that only grows:
//!
//! ```text
//! <CRC32C of the rest, 8 hex digits> <kind> <number, hex> <text, as JSON>
//! ```
//!
//! Kinds are `route`, `tier`, `limit`, `key` and `user`; of the last two the number is the hash. A
//! number never changes its meaning: a damaged line is skipped, and what it named stays unnamed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{ApiKey, Config, PathPattern, RouteConfig};
use crate::slots::SlotTable;

/// The file's name.
pub(super) const NAMES: &str = "names";
/// Numbers of tiers and limits; all ones is for those without a number.
const SMALL_MAX: u64 = 254;
/// Numbers of routes.
const ROUTES_MAX: u64 = 65_534;

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Route,
    Tier,
    Limit,
    Key,
    User,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Route, Self::Tier, Self::Limit, Self::Key, Self::User];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Tier => "tier",
            Self::Limit => "limit",
            Self::Key => "key",
            Self::User => "user",
        }
    }
}

/// A dictionary as it was read.
#[derive(Debug, Default)]
pub struct Dictionary {
    texts: BTreeMap<(Kind, u64), String>,
    /// Lines that cannot be trusted.
    pub damaged: u64,
}

impl Dictionary {
    /// Reads the dictionary in `dir`; an empty one when there is none.
    pub fn read(dir: &Path) -> io::Result<Self> {
        match std::fs::read(dir.join(NAMES)) {
            Ok(bytes) => Ok(Self::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let mut dictionary = Self::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match parse_line(line) {
                Some((kind, number, text)) => {
                    dictionary.texts.insert((kind, number), text);
                }
                None => dictionary.damaged += 1,
            }
        }
        dictionary
    }

    pub fn get(&self, kind: Kind, number: u64) -> Option<&str> {
        self.texts.get(&(kind, number)).map(String::as_str)
    }

    /// All of one kind, in the order of their numbers.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (u64, &str)> {
        let range = self.texts.range((kind, 0)..=(kind, u64::MAX));
        range.map(|((_, number), text)| (*number, text.as_str()))
    }
}

fn parse_line(line: &[u8]) -> Option<(Kind, u64, String)> {
    let line = std::str::from_utf8(line).ok()?;
    let (crc, rest) = line.split_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(rest.as_bytes()) {
        return None;
    }
    let (kind, rest) = rest.split_once(' ')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    let (number, text) = rest.split_once(' ')?;
    Some((kind, u64::from_str_radix(number, 16).ok()?, serde_json::from_str(text).ok()?))
}

fn write_line(kind: Kind, number: u64, text: &str, out: &mut String) {
    let text = serde_json::Value::from(text);
    let rest = format!("{} {number:x} {text}", kind.name());
    let crc = crc32c::crc32c(rest.as_bytes());
    writeln!(out, "{crc:08x} {rest}").expect("a String takes every write");
}

/// The numbers of one configuration, by its own indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    pub routes: Box<[u16]>,
    pub tiers: Box<[u8]>,
    pub limits: Box<[u8]>,
    /// Of API keys: the hashes of their own names and of their users'.
    pub keys: Box<[(u64, u64)]>,
}

/// The dictionary as the engine extends it.
pub struct Names {
    dir: PathBuf,
    file: File,
    /// As this process knows it.
    bytes: u64,
    dictionary: Dictionary,
    /// By what is named.
    numbers: BTreeMap<(Kind, String), u64>,
    /// Of the kinds that are counted: the next number.
    next: [u64; 3],
}

impl Names {
    /// The dictionary in `dir`, made where it is missing.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAMES);
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(&path)?;
        let bytes = std::fs::read(&path)?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            // A line that was cut off stays damaged, and alone.
            file.write_all(b"\n")?;
        }
        let dictionary = Dictionary::parse(&bytes);
        let mut next = [1; 3];
        let mut numbers = BTreeMap::new();
        for ((kind, number), text) in &dictionary.texts {
            numbers.insert((*kind, text.clone()), *number);
            if let Some(next) = next.get_mut(*kind as usize) {
                *next = number.saturating_add(1).max(*next);
            }
        }
        // Each damaged line may have been the one that gave away the next number.
        let next = next.map(|next| next + dictionary.damaged);
        let bytes = file.metadata()?.len();
        Ok(Self { dir: dir.to_owned(), file, bytes, dictionary, numbers, next })
    }

    pub(super) const fn damaged(&self) -> u64 {
        self.dictionary.damaged
    }

    /// The numbers of `config`; what is new is written first. When that fails, the new ones have
    /// none.
    pub fn number(&mut self, config: &Config, table: &SlotTable) -> (Numbers, io::Result<()>) {
        if let Err(error) = self.catch_up() {
            return (self.known(config, table), Err(error));
        }
        let mut lines = String::new();
        let before = self.numbers.clone();
        let numbers = self.number_with(config, table, &mut lines);
        if lines.is_empty() {
            return (numbers, Ok(()));
        }
        match self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.bytes += lines.len() as u64;
                (numbers, Ok(()))
            }
            Err(error) => {
                // Part of them may be there, which the next attempt looks at.
                self.numbers = before;
                self.bytes = 0;
                (self.known(config, table), Err(error))
            }
        }
    }

    /// Reads the dictionary again where somebody else has extended it: a successor that failed.
    fn catch_up(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() != self.bytes {
            *self = Self::open(&self.dir)?;
        }
        Ok(())
    }

    fn number_with(&mut self, config: &Config, table: &SlotTable, lines: &mut String) -> Numbers {
        let mut numbers = |kind, texts: &mut dyn Iterator<Item = String>| -> Vec<u64> {
            texts.map(|text| self.counted(kind, text, lines)).collect()
        };
        let routes = numbers(Kind::Route, &mut config.routes.iter().map(|r| route_text(config, r)));
        let tiers = numbers(Kind::Tier, &mut config.tiers.iter().map(|tier| tier.name.clone()));
        let limits = numbers(Kind::Limit, &mut config.limits.iter().map(|l| l.name.clone()));
        let keys = config.keys.iter().map(|key| {
            let hashes = subjects(key, table);
            let named = [(Kind::Key, &key.name), (Kind::User, &key.user)];
            for ((kind, name), hash) in named.into_iter().zip(hashes) {
                if self.numbers.insert((kind, name.clone()), hash) != Some(hash) {
                    write_line(kind, hash, name, lines);
                }
            }
            hashes.into()
        });
        let keys = keys.collect();
        Numbers { routes: wide(&routes), tiers: narrow(&tiers), limits: narrow(&limits), keys }
    }

    fn counted(&mut self, kind: Kind, text: String, lines: &mut String) -> u64 {
        let max = if kind == Kind::Route { ROUTES_MAX } else { SMALL_MAX };
        let next = &mut self.next[kind as usize];
        *self.numbers.entry((kind, text)).or_insert_with_key(|(_, text)| {
            if *next > max {
                return u64::MAX;
            }
            *next += 1;
            write_line(kind, *next - 1, text, lines);
            *next - 1
        })
    }

    /// The numbers of `config` that are in the dictionary.
    fn known(&self, config: &Config, table: &SlotTable) -> Numbers {
        let number = |kind, text: String| *self.numbers.get(&(kind, text)).unwrap_or(&u64::MAX);
        let routes = config.routes.iter().map(|r| number(Kind::Route, route_text(config, r)));
        let tiers = config.tiers.iter().map(|tier| number(Kind::Tier, tier.name.clone()));
        let limits = config.limits.iter().map(|limit| number(Kind::Limit, limit.name.clone()));
        Numbers {
            routes: wide(&routes.collect::<Vec<_>>()),
            tiers: narrow(&tiers.collect::<Vec<_>>()),
            limits: narrow(&limits.collect::<Vec<_>>()),
            // Hashes mean what they do, named or not.
            keys: config.keys.iter().map(|key| subjects(key, table).into()).collect(),
        }
    }
}

/// The hashes of a key's name and of its user's.
fn subjects(key: &ApiKey, table: &SlotTable) -> [u64; 2] {
    [(Kind::Key, &key.name), (Kind::User, &key.user)]
        .map(|(kind, name)| table.subject(&[kind.name().as_bytes(), name.as_bytes()]).as_u64())
}

fn wide(numbers: &[u64]) -> Box<[u16]> {
    numbers.iter().map(|number| u16::try_from(*number).unwrap_or(u16::MAX)).collect()
}

fn narrow(numbers: &[u64]) -> Box<[u8]> {
    numbers.iter().map(|number| u8::try_from(*number).unwrap_or(u8::MAX)).collect()
}

/// What makes a request take this route, as one text that stays the same while that does. Values of
/// fields may be secrets: a checksum stands for each.
pub fn route_text(config: &Config, route: &RouteConfig) -> String {
    let mut text = match route.listener {
        Some(listener) => format!("{} ", config.listeners[listener].name),
        None => String::new(),
    };
    text += route.host.as_deref().unwrap_or("*");
    match &route.path {
        PathPattern::Exact(path) => text += path,
        PathPattern::Prefix(path) => {
            text += path;
            text.push('*');
        }
    }
    let Some(conditions) = &route.conditions else { return text };
    if !conditions.methods.is_empty() {
        text.push(' ');
        text += &conditions.methods.join(",");
    }
    for header in &conditions.headers {
        text.push(' ');
        text += &header.name;
        if let Some(value) = &header.value {
            let _ = write!(text, "~{:08x}", crc32c::crc32c(value.as_bytes()));
        }
    }
    text
}
