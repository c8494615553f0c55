//! `tls` of `[[listener]]`, `[control]` and `[[upstream]]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::node::Node;
use super::super::{ClientAuth, ClientTlsConfig, ServerTlsConfig, TlsVersion};
use super::engine::TIMEOUT;
use crate::tls::{Certificate, CertificateError, load_authorities};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The table under `tls` of a listener.
pub(super) fn server(node: &Node<'_>) -> Option<ServerTlsConfig> {
    let mut table = node.table()?;
    let certificates = certificates(&mut table);
    let client_auth = table.take("client_auth").and_then(|node| {
        let words = [
            ("none", ClientAuth::None),
            ("optional", ClientAuth::Optional),
            ("required", ClientAuth::Required),
        ];
        node.choice(&words, &[])
    });
    let client_auth = client_auth.unwrap_or(ClientAuth::None);
    let given = table.take("client_ca");
    match (&given, client_auth) {
        (Some(node), ClientAuth::None) => {
            node.fault("is of no use without client_auth = \"optional\" or \"required\"");
        }
        (None, ClientAuth::Optional | ClientAuth::Required) => {
            table.fault(
                "client_auth needs \"client_ca\", the file of the authorities that sign client \
                 certificates"
                    .to_owned(),
            );
        }
        _ => {}
    }
    let versions = [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
    let min_version = table.take("min_version").and_then(|node| node.choice(&versions, &[]));
    let config = ServerTlsConfig {
        certificates,
        client_auth,
        client_ca: given.and_then(|node| authorities(&node)).unwrap_or_default(),
        min_version: min_version.unwrap_or(TlsVersion::Tls12),
        handshake_timeout: table
            .duration("handshake_timeout", TIMEOUT)
            .unwrap_or(HANDSHAKE_TIMEOUT),
    };
    table.finish();
    Some(config)
}

/// `certificate` with `key`, or `certificates`, a list of such pairs.
fn certificates(table: &mut Table<'_>) -> Vec<Certificate> {
    let several = table.take("certificates");
    let own = pair(table);
    match (several, own) {
        (None, None) => {
            table.fault(
                "tls has no certificate; add one, such as certificate = \"cert.pem\", key = \
                 \"key.pem\""
                    .to_owned(),
            );
            Vec::new()
        }
        (None, Some(own)) => own.into_iter().collect(),
        (Some(node), Some(_)) => {
            node.fault("\"certificate\" is given too; keep one of them");
            Vec::new()
        }
        (Some(node), None) => {
            let tables = node.tables();
            if node.is_list() && tables.is_empty() {
                node.fault("an empty list; add { certificate = \"cert.pem\", key = \"key.pem\" }");
            }
            tables.into_iter().filter_map(listed).collect()
        }
    }
}

fn listed(mut table: Table<'_>) -> Option<Certificate> {
    let own = pair(&mut table);
    if own.is_none() {
        table.fault("needs certificate = \"cert.pem\" and key = \"key.pem\"".to_owned());
    }
    table.finish();
    own.flatten()
}

/// `None` when neither key is there; `Some(None)` when the pair has a fault, which was reported.
fn pair(table: &mut Table<'_>) -> Option<Option<Certificate>> {
    let (certificate, key) = (table.take("certificate"), table.take("key"));
    match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(load(&certificate, &key)),
        (Some(certificate), None) => {
            certificate.fault("needs its \"key\" beside it");
            Some(None)
        }
        (None, Some(key)) => {
            key.fault("needs its \"certificate\" beside it");
            Some(None)
        }
    }
}

fn load(certificate: &Node<'_>, key: &Node<'_>) -> Option<Certificate> {
    let (certificate_path, key_path) = (certificate.text()?, key.text()?);
    match Certificate::load(Path::new(certificate_path), Path::new(key_path)) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            // One file may be both; the certificate is read first.
            let is_key = error.path() != Path::new(certificate_path);
            let node = if is_key { key } else { certificate };
            node.fault(format_args!("{error}{}", hint(&error)));
            None
        }
    }
}

fn hint(error: &CertificateError) -> &'static str {
    if error.is_missing() {
        "; for development, make one: weir cert self-signed --host localhost --out DIR"
    } else {
        ""
    }
}

fn authorities(node: &Node<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let path = node.text()?;
    let loaded = load_authorities(Path::new(path));
    let certificates = loaded.inspect_err(|error| node.fault(error)).ok()?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        if let Err(error) = store.add(certificate.clone()) {
            let path = Quoted(path);
            node.fault(format_args!("{path} has a certificate that is no authority: {error}"));
            return None;
        }
    }
    Some(certificates)
}

/// `tls` of an upstream: `true`, `false`, or a table.
pub(super) fn client(node: &Node<'_>) -> Option<ClientTlsConfig> {
    if node.is_boolean() {
        return node.boolean()?.then(|| ClientTlsConfig {
            roots: Some(system_roots(node)),
            server_name: None,
            certificate: None,
        });
    }
    let mut table = node.table()?;
    let verify = table.boolean("verify").unwrap_or(true);
    let ca = table.take("ca");
    let roots = match (&ca, verify) {
        (Some(ca), true) => Some(Arc::new(authorities(ca).unwrap_or_default())),
        (None, true) => Some(system_roots(node)),
        (Some(ca), false) => {
            ca.fault("is of no use with verify = false; remove one of them");
            None
        }
        (None, false) => None,
    };
    let config = ClientTlsConfig {
        roots,
        server_name: table.take("server_name").and_then(|node| server_name(&node)),
        certificate: pair(&mut table).flatten(),
    };
    table.finish();
    Some(config)
}

fn server_name(node: &Node<'_>) -> Option<ServerName<'static>> {
    let text = node.text()?;
    match ServerName::try_from(text.to_owned()) {
        Ok(name) => Some(name),
        Err(_) => {
            node.fault("must be a host name such as \"api.example.com\", or an IP address");
            None
        }
    }
}

fn system_roots(node: &Node<'_>) -> Arc<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        node.fault(
            "this system has no certificate authorities; name a file of them with ca = \"...\", \
             or set verify = false for a network that you trust",
        );
    }
    Arc::new(found)
}
