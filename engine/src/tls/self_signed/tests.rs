use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::runtime::os;
use crate::tls::Certificate;

#[test]
fn it_loads_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("new/certs");
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let files = SelfSigned::write(&hosts, &out, 2, os::wall()).expect("writes");
    let mode = files.key.metadata().expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let loaded = Certificate::load(&files.certificate, &files.key).expect("loads");
    let later = |days: u64| UnixNanos(os::wall().0 + days * 86_400_000_000_000);
    assert!(!loaded.expired(later(1)) && loaded.expired(later(3)));
    let before = std::fs::read(&files.key).expect("reads");
    let again = SelfSigned::write(&hosts, &out, 2, os::wall());
    assert!(matches!(again, Err(SelfSignedError::Exists(_))), "{again:?}");
    std::fs::remove_file(&files.certificate).expect("removes");
    let again = SelfSigned::write(&hosts, &out, 2, os::wall());
    assert!(matches!(&again, Err(SelfSignedError::Exists(path)) if *path == files.key));
    assert_eq!(std::fs::read(&files.key).expect("reads"), before);
    assert!(!files.certificate.exists());
}

#[test]
fn a_host_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = ["na\u{ef}ve".to_owned()];
    let made = SelfSigned::write(&hosts, folder.path(), 2, os::wall());
    assert!(matches!(made, Err(SelfSignedError::Make(_))), "{made:?}");
}
