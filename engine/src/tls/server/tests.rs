//! Certificates by name, protocols and clients' certificates.

use rustls::pki_types::CertificateDer;

use super::super::testing::{Authority, build, shaken};
use super::super::{ClientTls, Tickets, describe};
use super::*;

/// The certificate that a client who asks for `name`, and believes anybody, is shown.
fn shown(server: &ServerTls, name: &str) -> CertificateDer<'static> {
    let config = crate::config::ClientTlsConfig {
        roots: None,
        server_name: Some(name.to_owned().try_into().expect("a name")),
        certificate: None,
    };
    let client = ClientTls::build(&config, std::iter::empty()).expect("builds");
    let (_, client) = shaken(server, &client, &[]).expect("shakes hands");
    client.session().peer_certificates().expect("shown")[0].clone()
}

#[test]
fn an_exact_name_goes_before_a_wildcard_and_the_first_serves_the_rest() {
    let authority = Authority::new();
    let first = authority.certify("first", &["first.example"]);
    let wild = authority.certify("wild", &["*.API.example"]);
    let exact = authority.certify("exact", &["one.api.example", "other.example"]);
    let certificates = vec![first.clone(), wild.clone(), exact.clone()];
    let server = build(&authority.server(certificates), &mut Tickets::default());
    for (name, expected) in [
        ("first.example", &first),
        ("one.api.example", &exact),
        ("ONE.api.example", &exact),
        ("two.api.example", &wild),
        ("other.example", &exact),
        // A wildcard is one label, and not none.
        ("a.b.api.example", &first),
        ("api.example", &first),
        ("unknown.example", &first),
        ("192.0.2.1", &first),
    ] {
        assert!(shown(&server, name) == expected.chain()[0], "{name}");
    }
}

#[test]
fn a_client_of_another_protocol_only_is_refused_and_one_of_none_is_served() {
    let authority = Authority::new();
    let own = authority.certify("server", &["127.0.0.1"]);
    let server = build(&authority.server(vec![own]), &mut Tickets::default());
    let offer = |protocols: &[&str]| {
        let mut client = authority.client(None);
        client.offer(protocols);
        shaken(&server, &client, &[])
            .map(|(server, _)| server.session().alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(offer(&["h2", "http/1.1"]).expect("one in common"), Some(b"http/1.1".to_vec()));
    assert_eq!(offer(&[]).expect("nothing to agree on"), None);
    let error = offer(&["h2"]).expect_err("nothing in common");
    assert!(describe(&error).contains("protocol"), "{}", describe(&error));
}

#[test]
fn clients_without_or_with_strange_certificates_by_mode() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let known = authority.client(Some(authority.certify("known", &[])));
    let unknown = authority.client(Some(stranger.certify("unknown", &[])));
    let nobody = authority.client(None);
    let expired = authority.certify_with("expired", &[], |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let expired = authority.client(Some(expired));
    for (mode, expected) in [
        (ClientAuth::None, [true, true, true, true]),
        (ClientAuth::Optional, [true, true, false, false]),
        (ClientAuth::Required, [true, false, false, false]),
    ] {
        let config = match mode {
            ClientAuth::None => authority.server(vec![authority.certify("server", &["127.0.0.1"])]),
            ClientAuth::Optional | ClientAuth::Required => authority.asking(mode),
        };
        let server = build(&config, &mut Tickets::default());
        let served = [&known, &nobody, &unknown, &expired]
            .map(|client| shaken(&server, client, &[]).is_ok());
        assert_eq!(served, expected, "{mode:?}");
    }
}
