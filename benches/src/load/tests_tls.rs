//! The generator over TLS, against a server of one thread.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::tls::Identity;

const RUN: Duration = Duration::from_millis(200);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let folder = tempfile::tempdir().unwrap();
    identity.write_to(folder.path()).unwrap();
    let certificate = CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap();
    // HAProxy's file has both.
    let key = PrivateKeyDer::from_pem_file(folder.path().join("both.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
    Arc::new(config)
}

/// A server that answers every request on each of its connections, one after the other.
fn server(identity: &Identity) -> SocketAddr {
    let config = server_config(identity);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = StreamOwned::new(session, stream.unwrap());
            let mut scratch = [0; 1024];
            while tls.read(&mut scratch).is_ok_and(|count| count > 0) {
                tls.write_all(ANSWER).unwrap();
            }
        }
    });
    address
}

fn sample(resume: bool, reuse: Reuse) -> Sample {
    let identity = Identity::make().unwrap();
    let security = Security::Tls(identity.client(resume).unwrap());
    let target = Target { address: server(&identity), security, reuse, expected: b"hi".to_vec() };
    let sample = LoadGenerator::open(target, 1).unwrap().run(RUN, Pace::Closed).unwrap();
    assert_eq!(sample.first_failure, None);
    assert!(sample.answered > 2, "{} answered", sample.answered);
    sample
}

#[test]
fn keep_alive_connections_shake_hands_once() {
    assert_eq!(sample(true, Reuse::KeepAlive).resumed, 0);
}

#[test]
fn each_connection_but_the_first_resumes_when_it_may() {
    let sample_of = sample(true, Reuse::Never);
    assert_eq!(sample_of.resumed, sample_of.answered - 1);
    assert_eq!(sample(false, Reuse::Never).resumed, 0);
}

#[test]
fn idle_connections_over_tls_stay_open() {
    let identity = Identity::make().unwrap();
    let security = Security::Tls(identity.client(false).unwrap());
    let address = server(&identity);
    let target = Target { security, ..Target::plain(address, b"hi") };
    assert_eq!(IdleConnections::open(&target, 1).unwrap().alive(), 1);
}

#[test]
fn a_server_with_another_certificate_is_refused() {
    let (own, other) = (Identity::make().unwrap(), Identity::make().unwrap());
    let security = Security::Tls(own.client(false).unwrap());
    let target = Target { security, ..Target::plain(server(&other), b"hi") };
    assert!(IdleConnections::open(&target, 1).is_err());
}
