//! `[access]`, and `access` of a `[[route]]`: who is served at all.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use ipnet::IpNet;

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::network::network;
use super::super::node::Node;
use crate::access::{AccessList, Listing};

/// Networks of one table, those in its files included. Built, an IPv4 one takes some ten bytes, an
/// IPv6 one forty.
const NETWORKS_MAX: usize = 1_000_000;
/// What a million networks with comments need; this bounds what a wrong path makes us read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Faults told of one file. More are of one kind, usually: it is another sort of file.
const FILE_FAULTS_MAX: usize = 10;

/// `None` where the table says nothing that is not so without it.
pub(super) fn access(node: &Node<'_>) -> Option<Arc<AccessList>> {
    let mut table = node.table()?;
    let deny = networks(&mut table, "deny", "deny_file");
    let allow = networks(&mut table, "allow", "allow_file");
    let default = table.take("default");
    let unlisted = default.as_ref().and_then(|node| {
        node.choice(&[("allow", Listing::Unlisted), ("deny", Listing::Denied)], &[])
    });
    let unlisted = unlisted.unwrap_or(Listing::Unlisted);
    if let (Some(node), Listing::Denied, None) = (&default, unlisted, &allow) {
        node.fault(
            "\"deny\" serves only those that are allowed; name them with \"allow\" or \
             \"allow_file\"",
        );
    }
    let (deny, allow) = (deny.unwrap_or_default(), allow.unwrap_or_default());
    let too_many = deny.len() + allow.len() > NETWORKS_MAX;
    if too_many {
        table.fault(format!("the lists of one table hold {NETWORKS_MAX} networks at most"));
    }
    table.finish();
    let says_something = !deny.is_empty() || !allow.is_empty() || unlisted == Listing::Denied;
    (says_something && !too_many).then(|| Arc::new(AccessList::new(&deny, &allow, unlisted)))
}

/// What is listed in the table and in the file that it names; `None` when it has neither key.
fn networks(
    table: &mut Table<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<Vec<IpNet>> {
    let (inline, file) = (table.take(key), table.take(file_key));
    if inline.is_none() && file.is_none() {
        return None;
    }
    let items = inline.and_then(|node| node.list()).unwrap_or_default();
    let right = |item: &Node<'_>| item.scalar("a string", |text| Ok(network(text)?));
    let mut networks: Vec<IpNet> = items.iter().filter_map(right).collect();
    if let Some(node) = file {
        from_file(&node, &mut networks);
    }
    Some(networks)
}

/// Adds the networks of a file: one a line, `#` before comments, empty lines between.
fn from_file(node: &Node<'_>, networks: &mut Vec<IpNet>) {
    let Some(path) = node.text() else { return };
    let bytes = match read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return node.fault(format_args!("{} is larger than 64MiB", Quoted(path))),
        Err(error) => {
            return node.fault(format_args!("{} cannot be read: {error}", Quoted(path)));
        }
    };
    let mut faults = 0;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let content = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if content.is_empty() {
            continue;
        }
        match network(&String::from_utf8_lossy(content)) {
            Ok(network) => networks.push(network),
            Err(error) => {
                faults += 1;
                if faults <= FILE_FAULTS_MAX {
                    let line = index + 1;
                    node.fault(format_args!("{} line {line}: {error}", Quoted(path)));
                }
            }
        }
        if networks.len() > NETWORKS_MAX {
            // Told of the table, once.
            break;
        }
    }
    if faults > FILE_FAULTS_MAX {
        let more = faults - FILE_FAULTS_MAX;
        node.fault(format_args!("{} has {more} more such lines", Quoted(path)));
    }
}

/// The file's bytes; `None` when there are too many.
fn read(path: &str) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_BYTES_MAX);
    Ok(fits.then_some(bytes))
}
