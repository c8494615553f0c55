//! `[access_log]`.

use std::path::PathBuf;

use super::super::AccessLog;
use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::node::Node;
use super::super::suggest::did_you_mean;

pub(super) fn access_log(table: Option<Table<'_>>) -> AccessLog {
    let Some(mut table) = table else { return AccessLog::Stdout };
    let output = table.take("output").and_then(|node| output(&node));
    table.not_yet(&["format", "rotate", "hash_addresses"]);
    table.finish();
    output.unwrap_or(AccessLog::Stdout)
}

fn output(node: &Node<'_>) -> Option<AccessLog> {
    match node.text()? {
        "stdout" => Some(AccessLog::Stdout),
        "off" => Some(AccessLog::Off),
        // A file must look like one, or a typing error would become a file's name.
        path if path.contains('/') && !path.contains('\0') => {
            Some(AccessLog::File(PathBuf::from(path)))
        }
        other => {
            let (quoted, hint) = (Quoted(other), did_you_mean(other, ["stdout", "off"]));
            node.fault(format_args!(
                "{quoted} must be \"stdout\", \"off\" or a path with a \"/\"{hint}"
            ));
            None
        }
    }
}
