use super::*;

fn framing(lines: &[(&'static str, &'static str)], version: Version) -> Result<Framing, HeadError> {
    let mut fields = FramingFields::default();
    for (name, value) in lines {
        let id = FieldId::of(name.as_bytes());
        fields.note(&Field { id, name, value: value.as_bytes() })?;
    }
    fields.resolve(version)
}

#[test]
fn lengths() {
    let length = |value| framing(&[("Content-Length", value)], Version::Http11);
    for (value, expected) in [("0", 0), ("10", 10), ("007", 7), ("18446744073709551615", u64::MAX)]
    {
        assert_eq!(length(value), Ok(Framing::Length(expected)), "{value}");
    }
    let refused = [
        "",
        "+1",
        "-1",
        "0x10",
        "1e3",
        "1.0",
        "1 0",
        "1,1",
        "5, 5",
        "5,",
        "\u{661}",
        "a",
        "18446744073709551616",
        "99999999999999999999999",
    ];
    for value in refused {
        assert_eq!(length(value), Err(HeadError::ContentLength), "{value}");
    }
}

#[test]
fn transfer_codings() {
    let coding = |value| framing(&[("Transfer-Encoding", value)], Version::Http11);
    for value in ["chunked", "Chunked", "CHUNKED"] {
        assert_eq!(coding(value), Ok(Framing::Chunked), "{value}");
    }
    for value in ["gzip, chunked", "x-foo,chunked", "gzip, deflate , chunked"] {
        assert_eq!(coding(value), Err(HeadError::UnknownTransferCoding), "{value}");
    }
    let refused = [
        "",
        "gzip",
        "identity",
        "xchunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "chunked,",
        ", chunked",
        "chunked;q=1",
        "chunked chunked",
        "\"chunked\"",
        "chun\u{212a}ed",
    ];
    for value in refused {
        assert_eq!(coding(value), Err(HeadError::TransferEncoding), "{value}");
    }
}

#[test]
fn combinations_that_smuggle() {
    let length = ("Content-Length", "5");
    let chunked = ("Transfer-Encoding", "chunked");
    let cases: &[(&[(&str, &str)], HeadError)] = &[
        (&[length, chunked], HeadError::BothFramings),
        (&[chunked, length], HeadError::BothFramings),
        (&[chunked, ("content-length", "0")], HeadError::BothFramings),
        (&[length, ("Transfer-Encoding", "identity")], HeadError::BothFramings),
        (&[length, length], HeadError::SeveralContentLengths),
        (&[length, ("CONTENT-LENGTH", "6")], HeadError::SeveralContentLengths),
        (&[chunked, chunked], HeadError::SeveralTransferEncodings),
        (&[chunked, ("transfer-encoding", "")], HeadError::SeveralTransferEncodings),
        (&[("Content_Length", "5")], HeadError::FramingAlias),
        (&[("TRANSFER_ENCODING", "chunked")], HeadError::FramingAlias),
    ];
    for (lines, expected) in cases {
        assert_eq!(framing(lines, Version::Http11), Err(*expected), "{lines:?}");
    }
}

#[test]
fn other_aliases_frame_nothing() {
    assert_eq!(framing(&[("X_Forwarded_For", "a")], Version::Http11), Ok(Framing::Absent));
}

#[test]
fn http_1_0_is_not_chunked() {
    let chunked = [("Transfer-Encoding", "chunked")];
    assert_eq!(framing(&chunked, Version::Http10), Err(HeadError::TransferEncodingInHttp10));
    assert_eq!(framing(&[("Content-Length", "5")], Version::Http10), Ok(Framing::Length(5)));
}
