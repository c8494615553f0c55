//! Secrets from the file, the environment or a file of their own.
//!
//! Invariant: no fault quotes a secret, nor what may be one by mistake.

use std::fs::File;
use std::io::Read;

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::node::Node;
use super::Variable;

/// A secret is short; this bounds what a wrong path, such as that of a device, makes us read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The only one of `keys` that the table has; reports none and several.
pub(super) fn only_one<'d>(
    table: &mut Table<'d>,
    keys: &[&'static str],
    advice: &str,
) -> Option<(&'static str, Node<'d>)> {
    let mut found: Option<(&'static str, Node<'d>)> = None;
    for key in keys {
        let Some(node) = table.take(key) else { continue };
        match &found {
            None => found = Some((key, node)),
            Some((first, _)) => node.fault(format_args!("{first:?} is given too; keep one")),
        }
    }
    if found.is_none() {
        table.fault(advice.to_owned());
    }
    found
}

pub(super) fn from_variable(node: &Node<'_>, variable: Variable<'_>) -> Option<Vec<u8>> {
    let name = node.text()?;
    let part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    // What does not look like a variable's name may be the secret itself in the wrong place.
    let is_conventional = (1..=64).contains(&name.len()) && name.bytes().all(part);
    let shown = if is_conventional { name } else { "that this names" };
    // `std::env::var` answers for these what the system would: there is no such variable.
    let value = if name.is_empty() || name.contains(['=', '\0']) { None } else { variable(name) };
    match value {
        Some(value) if !value.is_empty() => Some(value.into_bytes()),
        Some(_) => {
            node.fault(format_args!("the environment variable {shown} is empty; give it a value"));
            None
        }
        None => {
            let advice = "set it before starting weir";
            node.fault(format_args!("the environment variable {shown} is not set; {advice}"));
            None
        }
    }
}

/// The file's bytes without the line end that editors add.
pub(super) fn from_file(node: &Node<'_>) -> Option<Vec<u8>> {
    let path = node.text()?;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = read {
        node.fault(format_args!("{} cannot be read: {error}", Quoted(path)));
        return None;
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Some(bytes)
}
