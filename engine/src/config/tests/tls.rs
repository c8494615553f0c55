//! `tls` of listeners and upstreams, with certificates made on the spot.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::super::*;
use super::{parse_with_least, right};
use crate::runtime::{UnixNanos, os};
use crate::tls::SelfSigned;

/// A folder with `a/` and `b/`, which have a certificate and its key each, and with files that are
/// something else.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a", "b"] {
            let hosts = [format!("{name}.example")];
            SelfSigned::write(&hosts, &folder.path().join(name), 2, os::wall()).expect("writes");
        }
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("empty.pem", "").expect("writes");
        let section = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        write("broken.pem", section).expect("writes");
        let section = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
        write("nonsense.pem", section).expect("writes");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// With `@` for the folder.
    fn fill_in(&self, text: &str) -> String {
        text.replace('@', self.path().to_str().expect("UTF-8"))
    }

    fn listener(&self, tls: &str) -> String {
        self.fill_in(&format!("[[listener]]\naddress = \"127.0.0.1:1\"\n{tls}"))
    }

    fn upstream(&self, tls: &str) -> String {
        let backend = "backend = [{ address = \"127.0.0.1:5001\" }]";
        self.fill_in(&format!("[[upstream]]\nname = \"secure\"\n{tls}\n{backend}"))
    }
}

/// The only fault of `text`.
#[track_caller]
fn fault(text: &str) -> String {
    let faults = parse_with_least(text).expect_err(text);
    assert_eq!(faults.list().len(), 1, "{faults}");
    faults.to_string()
}

const PAIR: &str = "certificate = \"@/a/cert.pem\", key = \"@/a/key.pem\"";

#[test]
fn a_listener_has_one_certificate_or_several_and_defaults() {
    let folder = Folder::new();
    assert_eq!(right("").listeners[0].tls, None);
    let tls = |keys: &str| {
        let config = right(&folder.listener(&format!("tls = {{ {keys} }}")));
        config.listeners[1].tls.clone().expect("tls")
    };
    let one = tls(PAIR);
    assert_eq!(one.certificates.len(), 1);
    assert_eq!(one.certificates[0].path(), folder.path().join("a/cert.pem"));
    assert_eq!((one.client_auth, one.client_ca.len()), (ClientAuth::None, 0));
    assert_eq!(one.min_version, TlsVersion::Tls12);
    assert_eq!(one.handshake_timeout, Duration::from_secs(10));
    assert_eq!(one, tls(PAIR), "the same files are equal");
    let second = "{ certificate = \"@/b/cert.pem\", key = \"@/b/key.pem\" }";
    let several = tls(&format!("certificates = [{{ {PAIR} }}, {second}]"));
    assert_eq!(several.certificates.len(), 2);
    let asking = tls(&format!(
        "{PAIR}, client_auth = \"required\", client_ca = \"@/b/cert.pem\", min_version = \"1.3\", \
         handshake_timeout = \"2s\""
    ));
    assert_eq!((asking.client_auth, asking.client_ca.len()), (ClientAuth::Required, 1));
    assert_eq!(asking.min_version, TlsVersion::Tls13);
    assert_eq!(asking.handshake_timeout, Duration::from_secs(2));
}

#[test]
fn the_control_listener_may_have_tls() {
    let folder = Folder::new();
    let text = format!("[control]\naddress = \"127.0.0.1:1\"\ntls = {{ {PAIR} }}");
    let config = right(&folder.fill_in(&text));
    assert!(config.listeners.last().is_some_and(|listener| listener.tls.is_some()));
    let fault = fault(&folder.fill_in(&format!("[control]\ntls = {{ {PAIR} }}")));
    assert!(fault.contains("10:7: \"tls\" in [control]: is of no use"), "{fault}");
}

#[test]
fn faults_of_a_listener_name_their_place_and_their_file() {
    let folder = Folder::new();
    let cases = [
        ("{}", "11:7: tls has no certificate; add one"),
        ("{ certificate = \"@/a/cert.pem\" }", "\"certificate\" in [listener.tls]: needs its"),
        ("{ key = \"@/a/key.pem\" }", "\"key\" in [listener.tls]: needs its \"certificate\""),
        ("{ certificates = [] }", "an empty list; add"),
        ("{ certificates = [{}] }", "needs certificate = "),
        (
            "{ certificates = [], certificate = \"@/a/cert.pem\", key = \"@/a/key.pem\" }",
            "keep one",
        ),
        ("{ certificate = \"@/a/cert.pem\", key = \"@/b/key.pem\" }", "is the key of another"),
        ("{ certificate = \"@/a/none\", key = \"@/a/key.pem\" }", "weir cert self-signed"),
        ("{ certificate = \"@/a/cert.pem\", key = \"@/none\" }", "@/none cannot be read"),
        ("{ certificate = \"@/empty.pem\", key = \"@/a/key.pem\" }", "has no certificate in PEM"),
        ("{ certificate = \"@/broken.pem\", key = \"@/a/key.pem\" }", "section that is not PEM"),
        ("{ certificate = \"@/nonsense.pem\", key = \"@/a/key.pem\" }", "cannot be used"),
        ("{ certificate = \"@/a/cert.pem\", key = \"@/a/cert.pem\" }", "has no private key"),
        ("{ certificate = \"@/a\", key = \"@/a/key.pem\" }", "cannot be read"),
        ("{ @PAIR, client_auth = \"required\" }", "client_auth needs \"client_ca\""),
        ("{ @PAIR, client_ca = \"@/a/cert.pem\" }", "is of no use without client_auth"),
        ("{ @PAIR, client_auth = \"always\" }", "\"always\" must be \"none\""),
        ("{ @PAIR, client_auth = \"optional\", client_ca = \"@/empty.pem\" }", "no certificate"),
        ("{ @PAIR, client_auth = \"optional\", client_ca = \"@/nonsense.pem\" }", "no authority"),
        ("{ @PAIR, min_version = \"1.1\" }", "\"1.1\" must be \"1.2\" or \"1.3\""),
        ("{ @PAIR, handshake_timeout = \"0s\" }", "handshake_timeout"),
        ("{ @PAIR, ciphers = \"RC4\" }", "unknown key \"ciphers\" in [listener.tls]"),
        ("true", "must be a table"),
    ];
    for (tls, expected) in cases {
        let tls = format!("tls = {tls}").replace("@PAIR", PAIR);
        let fault = fault(&folder.listener(&tls));
        assert!(fault.starts_with("weir.toml:11:"), "{fault}");
        assert!(fault.contains(&folder.fill_in(expected)), "{fault} for {tls}");
        assert!(!fault.contains("hunter2") && !fault.contains("PRIVATE"), "{fault}");
    }
}

#[test]
fn an_upstream_verifies_unless_it_says_otherwise() {
    let folder = Folder::new();
    let tls = |line: &str| right(&folder.upstream(line)).upstreams[1].tls.clone();
    assert_eq!(tls(""), None);
    assert_eq!(tls("tls = false"), None);
    let own = tls("tls = { ca = \"@/b/cert.pem\", server_name = \"b.example\" }").expect("tls");
    assert_eq!(own.roots.map(|roots| roots.len()), Some(1));
    assert_eq!(own.server_name.map(|name| name.to_str().into_owned()), Some("b.example".into()));
    assert_eq!(own.certificate, None);
    let lax = tls(&format!("tls = {{ verify = false, {PAIR} }}")).expect("tls");
    assert!(lax.roots.is_none() && lax.certificate.is_some());
}

#[test]
fn faults_of_an_upstream_name_their_place() {
    let folder = Folder::new();
    let cases = [
        ("{ verify = false, ca = \"@/a/cert.pem\" }", "is of no use with verify = false"),
        ("{ ca = \"@/none\" }", "@/none cannot be read"),
        ("{ verify = false, server_name = \"-\u{1}-\" }", "must be a host name such as"),
        ("{ verify = false, certificate = \"@/a/cert.pem\" }", "needs its \"key\""),
        ("{ verify = false, sni = \"x\" }", "unknown key \"sni\" in [upstream.tls]"),
        ("1", "must be a table"),
    ];
    for (tls, expected) in cases {
        let text = folder.upstream(&format!("tls = {tls}"));
        let fault = fault(&text.replace('\u{1}', "\\u0001"));
        assert!(fault.starts_with("weir.toml:11:"), "{fault}");
        assert!(fault.contains(&folder.fill_in(expected)), "{fault}");
    }
}

#[test]
fn expired_certificates_are_told_of_and_not_refused() {
    let folder = Folder::new();
    let config = right(&folder.listener(&format!("tls = {{ {PAIR} }}")));
    assert_eq!(config.warnings(os::wall()), Vec::<String>::new());
    let later = UnixNanos(os::wall().0 + 3 * 86_400_000_000_000);
    let expected = format!("the certificate in {}/a/cert.pem has expired", folder.path().display());
    assert_eq!(config.warnings(later), [expected]);
}

#[test]
fn a_limit_may_count_certificates() {
    let config = right("[[limit]]\nname = \"a\"\nkey = \"certificate\"\nrate = \"2/10s\"\n");
    assert_eq!(config.limits[0].key, [LimitKey::Certificate]);
}
