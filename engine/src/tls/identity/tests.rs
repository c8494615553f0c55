use rcgen::SanType;

use super::super::testing::Authority;
use super::*;

fn identity(subject: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> ClientIdentity {
    let certificate = Authority::new().certify_with(subject, &[], change);
    ClientIdentity::of(&certificate.chain()[0]).expect("a certificate")
}

#[test]
fn the_subject_the_first_name_the_digest_and_the_serial() {
    let names = ["127.0.0.1", "spiffe://example/api", "api.example"];
    let identity = identity("robot 7", |parameters| {
        parameters.serial_number = Some(vec![0x0a, 0xff, 0x01].into());
        parameters.subject_alt_names = vec![
            SanType::IpAddress(names[0].parse().expect("an address")),
            SanType::URI(names[1].try_into().expect("ASCII")),
            SanType::DnsName(names[2].try_into().expect("ASCII")),
        ];
    });
    assert_eq!(identity.subject.as_deref(), Some("robot 7"));
    assert_eq!(identity.alternative_name.as_deref(), Some("spiffe://example/api"));
    assert_eq!(identity.serial, "0aff01");
    assert_eq!(identity.fingerprint.len(), 64);
    assert!(identity.fingerprint.starts_with(&format!("{:02x}", identity.digest[0])));
}

#[test]
fn what_would_break_out_of_a_field_is_left_out() {
    for subject in ["a\r\nX-Weir-User: root", "na\u{ef}ve", " "] {
        let identity = identity("client", |parameters| {
            parameters.distinguished_name = rcgen::DistinguishedName::new();
            parameters.distinguished_name.push(rcgen::DnType::CommonName, subject);
        });
        assert_eq!((identity.subject, identity.alternative_name), (None, None), "{subject:?}");
    }
}

#[test]
fn an_expiry_is_a_second_of_its_own() {
    let identity = identity("client", |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 1);
    });
    let end = 1_893_456_000_u64;
    assert!(!identity.expired(UnixNanos(end * 1_000_000_000)));
    assert!(identity.expired(UnixNanos((end + 1) * 1_000_000_000)));
}

#[test]
fn what_is_no_certificate_is_nobody() {
    assert_eq!(ClientIdentity::of(&CertificateDer::from(vec![0x30, 0x00])), None);
}
