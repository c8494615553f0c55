//! Which backends are believed.

use super::super::testing::{Authority, BACKEND, Pipe, build, context};
use std::task::Poll;

use super::super::{Certificate, Tickets, describe, load_authorities};
use super::*;

/// What a client, made by `client`, says of a server with `certificate`.
fn verdict(authority: &Authority, certificate: Certificate, client: &ClientTls) -> Option<String> {
    let server = build(&authority.server(vec![certificate]), &mut Tickets::default());
    let (near, far) = Pipe::pair(&[]);
    let mut server = TlsStream::accept(near, Arc::clone(&server.config)).expect("a server");
    let mut client = client.open(far, &BACKEND).expect("a client");
    for _ in 0..100 {
        let _ = server.poll_handshake(&mut context());
        match client.poll_handshake(&mut context()) {
            Poll::Ready(Ok(())) => return None,
            Poll::Ready(Err(error)) => return Some(describe(&error)),
            Poll::Pending => {}
        }
    }
    panic!("no verdict");
}

#[test]
fn a_backend_proves_its_address_or_the_name_that_is_configured() {
    let authority = Authority::new();
    let by_address = || authority.certify("address", &["127.0.0.1"]);
    let by_name = || authority.certify("name", &["api.example"]);
    let (address, name) = (authority.client(None), authority.client_for(Some("api.example"), None));
    assert_eq!(verdict(&authority, by_address(), &address), None);
    assert_eq!(verdict(&authority, by_name(), &name), None);
    for (certificate, client) in [(by_name(), &address), (by_address(), &name)] {
        let reason = verdict(&authority, certificate, client).expect("refused");
        assert!(reason.contains("not valid for name"), "{reason}");
    }
}

#[test]
fn expired_and_unknown_backends_are_refused_unless_nothing_is_verified() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.certify_with("expired", &["127.0.0.1"], |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let unknown = stranger.certify("unknown", &["127.0.0.1"]);
    let strict = authority.client(None);
    let reason = verdict(&authority, expired.clone(), &strict).expect("refused");
    assert!(reason.contains("expired"), "{reason}");
    let reason = verdict(&stranger, unknown.clone(), &strict).expect("refused");
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    let config = ClientTlsConfig { roots: None, server_name: None, certificate: None };
    let lax = ClientTls::build(&config, std::iter::empty()).expect("builds");
    assert_eq!(verdict(&authority, expired, &lax), None);
    assert_eq!(verdict(&stranger, unknown, &lax), None);
}

#[test]
fn a_tag_tells_terms_apart_and_not_snapshots() {
    let authority = Authority::new();
    let roots = || Some(Arc::new(load_authorities(&authority.path()).expect("reads")));
    let base = ClientTlsConfig { roots: roots(), server_name: None, certificate: None };
    assert_eq!(base.tag(), ClientTlsConfig { roots: roots(), ..base.clone() }.tag());
    let name = "api.example".to_owned().try_into().ok();
    let own = Some(authority.certify("own", &[]));
    let others = [
        ClientTlsConfig { roots: None, ..base.clone() },
        ClientTlsConfig { roots: Some(Arc::default()), ..base.clone() },
        ClientTlsConfig { server_name: name, ..base.clone() },
        ClientTlsConfig { certificate: own, ..base.clone() },
    ];
    let tags: std::collections::BTreeSet<_> =
        others.iter().chain([&base]).map(ClientTlsConfig::tag).collect();
    assert_eq!(tags.len(), 5);
}
