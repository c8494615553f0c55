//! Sessions with backends, kept for resumption by all shards without a lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};

use crossbeam::queue::ArrayQueue;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets kept for each name: as many connections as may be opened at once and be resumed.
const TICKETS_MAX: usize = 32;

/// What is known of each name; the names are fixed when the store is made, and others are not kept.
#[derive(Debug)]
pub(super) struct Sessions {
    servers: BTreeMap<String, Server>,
}

#[derive(Debug)]
struct Server {
    /// A [`NamedGroup`] by its number; zero, which is none, until the server has chosen.
    group: AtomicU16,
    /// TLS 1.2: the latest session, which many connections may resume.
    session: ArrayQueue<Tls12ClientSessionValue>,
    /// TLS 1.3: tickets, each for one connection (RFC 8446 appendix C.4).
    tickets: ArrayQueue<Tls13ClientSessionValue>,
}

impl Sessions {
    pub(super) fn new(names: impl IntoIterator<Item = ServerName<'static>>) -> Self {
        let server = || Server {
            group: AtomicU16::new(0),
            session: ArrayQueue::new(1),
            tickets: ArrayQueue::new(TICKETS_MAX),
        };
        let servers = names.into_iter().map(|name| (name.to_str().into_owned(), server()));
        Self { servers: servers.collect() }
    }

    fn server(&self, name: &ServerName<'_>) -> Option<&Server> {
        self.servers.get(name.to_str().as_ref())
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        if let Some(server) = self.server(&name) {
            // Relaxed, here and below: a hint guards no other memory.
            server.group.store(u16::from(group), Ordering::Relaxed);
        }
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        let group = self.server(name)?.group.load(Ordering::Relaxed);
        (group != 0).then(|| NamedGroup::from(group))
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if let Some(server) = self.server(&name) {
            server.session.force_push(value);
        }
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        // Borrowed for a moment: who asks meanwhile makes a full handshake.
        let server = self.server(name)?;
        let session = server.session.pop()?;
        // A newer one that came meanwhile stays.
        let _ = server.session.push(session.clone());
        Some(session)
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        if let Some(server) = self.server(name) {
            server.session.pop();
        }
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if let Some(server) = self.server(&name) {
            server.tickets.force_push(value);
        }
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.server(name)?.tickets.pop()
    }
}
