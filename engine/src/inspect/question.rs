//! A question as the request that it asks about.

use weir_protocol::control::Question;
use weir_protocol::http::HeadScanner;

use crate::snapshot::Snapshot;

/// The head that a client would send. Without a host it is one of HTTP/1.0, which needs none.
///
/// # Errors
/// When a part of the question could not be a part of one head.
pub(super) fn head(question: &Question) -> Result<Vec<u8>, String> {
    let Question { method, path, host, headers, .. } = question;
    let fields = headers.iter().flat_map(|(name, value)| [name, value]);
    for text in [method, path].into_iter().chain(host).chain(fields) {
        if text.chars().any(char::is_control) {
            return Err(format!("{text:?} has a control character in it"));
        }
    }
    let version = if host.is_some() { "1.1" } else { "1.0" };
    let mut head = format!("{method} {path} HTTP/{version}\r\n");
    if let Some(host) = host {
        head += &format!("Host: {host}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    Ok(head.into_bytes())
}

/// Whether the head is within the limits; its status if not.
pub(super) fn scan(head: &[u8], snapshot: &Snapshot) -> Result<(), (u16, String)> {
    let found = HeadScanner::default().scan(head, &snapshot.head_limits);
    match found {
        Ok(Some(end)) if end == head.len() => Ok(()),
        Ok(_) => Err((400, "this is not one head".to_owned())),
        Err(error) => Err((error.status(), error.to_string())),
    }
}

/// The index of the listener that the question names; the first one but the control listener, if
/// it names none.
pub(super) fn listener(question: &Question, snapshot: &Snapshot) -> Result<usize, String> {
    let listeners = &snapshot.config.listeners;
    let Some(named) = &question.listener else {
        let first = listeners.iter().position(|listener| listener.name != crate::snapshot::CONTROL);
        return Ok(first.unwrap_or(0));
    };
    let found = listeners
        .iter()
        .position(|listener| listener.name == *named || listener.address.to_string() == *named);
    found.ok_or_else(|| {
        let names: Vec<_> = listeners.iter().map(|listener| listener.name.as_str()).collect();
        format!("no listener is called {named:?}; there are {}", names.join(", "))
    })
}
