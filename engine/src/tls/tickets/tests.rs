//! Who may resume, and as whom.

use rustls::{HandshakeKind, ProtocolVersion};

use super::super::testing::{Authority, Pipe, build, context, shaken};
use super::super::{ClientTls, ServerTls, TlsStream};
use super::*;
use crate::runtime::Stream;

/// Shakes hands, lets the tickets through, and says how it went at the server.
fn connect(server: &ServerTls, client: &ClientTls) -> (HandshakeKind, TlsStream<Pipe>) {
    let (mut near, mut far) = shaken(server, client, &[]).expect("they trust each other");
    assert!(near.poll_flush(&mut context()).is_ready());
    assert!(far.poll_read(&mut context(), &mut [0; 1]).is_pending());
    (near.session().handshake_kind().expect("it is over"), near)
}

#[test]
fn a_session_is_resumed_after_new_certificates_and_by_another_shard() {
    let authority = Authority::new();
    let mut tickets = Tickets::default();
    let server = |tickets: &mut Tickets| {
        let own = authority.certify("server", &["127.0.0.1"]);
        build(&authority.server(vec![own]), tickets)
    };
    let client = authority.client(None);
    let (first, renewed) = (server(&mut tickets), server(&mut tickets));
    let kind = connect(&first, &client).0;
    assert!(matches!(kind, HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest));
    for _ in 0..3 {
        assert_eq!(connect(&renewed, &client).0, HandshakeKind::Resumed);
    }
    let other = build(
        &authority.server(vec![authority.certify("o", &["127.0.0.1"])]),
        &mut Tickets::default(),
    );
    assert_ne!(connect(&other, &client).0, HandshakeKind::Resumed, "of another process");
}

#[test]
fn tls_1_2_sessions_are_resumed_too() {
    let authority = Authority::new();
    let mut tickets = Tickets::default();
    let own = authority.certify("server", &["127.0.0.1"]);
    let mut server = build(&authority.server(vec![own]), &mut tickets);
    let mut only = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS12])
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&server.config.cert_resolver));
    only.ticketer = Arc::clone(&server.config.ticketer);
    only.session_storage = Arc::clone(&server.config.session_storage);
    server.config = Arc::new(only);
    let client = authority.client(None);
    let kinds = [(); 3].map(|()| {
        let (kind, stream) = connect(&server, &client);
        assert_eq!(stream.session().protocol_version(), Some(ProtocolVersion::TLSv1_2));
        kind
    });
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
}

#[test]
fn a_resumed_session_has_its_clients_certificate() {
    let authority = Authority::new();
    let mut tickets = Tickets::default();
    let server = build(&authority.asking(ClientAuth::Required), &mut tickets);
    let own = authority.certify("client", &["client.example"]);
    let client = authority.client(Some(own.clone()));
    for resumed in [false, true, true] {
        let (kind, stream) = connect(&server, &client);
        assert_eq!(kind == HandshakeKind::Resumed, resumed);
        let shown = stream.session().peer_certificates().expect("it was asked for");
        assert_eq!(shown, own.chain());
    }
}

/// A ticket from before a stricter policy is worth nothing after it.
#[test]
fn another_policy_begins_with_new_keys() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let mut tickets = Tickets::default();
    let lenient = authority.asking(ClientAuth::Optional);
    let (own, client) = (lenient.certificates.clone(), authority.client(None));
    connect(&build(&lenient, &mut tickets), &client);
    assert_eq!(connect(&build(&lenient, &mut tickets), &client).0, HandshakeKind::Resumed);
    let required = ServerTlsConfig { client_auth: ClientAuth::Required, ..lenient.clone() };
    let error = shaken(&build(&required, &mut tickets), &client, &[]).err();
    assert!(error.is_some(), "a ticket of an anonymous session does for no certificate");
    let others = stranger.asking(ClientAuth::Optional).client_ca;
    let changed = [
        ServerTlsConfig { client_ca: others, ..lenient.clone() },
        ServerTlsConfig { min_version: TlsVersion::Tls13, ..lenient.clone() },
        authority.server(own),
    ];
    for config in changed {
        connect(&build(&lenient, &mut tickets), &client);
        assert_ne!(connect(&build(&config, &mut tickets), &client).0, HandshakeKind::Resumed);
    }
}

#[test]
fn listeners_do_not_share_keys() {
    let authority = Authority::new();
    let mut tickets = Tickets::default();
    let config = authority.server(vec![authority.certify("server", &["127.0.0.1"])]);
    let of = |name: &str, tickets: &mut Tickets| {
        ServerTls::build(name, &config, tickets).expect("builds")
    };
    let (one, other) = (of("one", &mut tickets), of("other", &mut tickets));
    let client = authority.client(None);
    connect(&one, &client);
    assert_ne!(connect(&other, &client).0, HandshakeKind::Resumed);
}
