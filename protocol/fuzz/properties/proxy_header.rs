//! Of any bytes: a header shows as soon as its last byte is there, means the same whatever
//! follows, and is written as it was read when it is written as Weir would.

use weir_protocol::proxy_protocol::{
    Command, Endpoints, Error, Header, Tlv, Transport, Version, kind, parse, write_v1, write_v2,
};

pub(crate) fn check(data: &[u8]) {
    let whole = parse(data);
    let settled = (0..=data.len()).find(|end| parse(&data[..*end]) != Ok(None));
    let Some(settled) = settled else {
        assert_eq!(whole, Ok(None));
        return;
    };
    assert_eq!(parse(&data[..settled]), whole, "more bytes changed its meaning");
    let Ok(Some((header, len))) = whole else { return };
    assert_eq!(len, settled);
    assert_eq!(header.source.is_some(), header.destination.is_some());
    match header.version {
        Version::V1 => check_line(&header),
        Version::V2 => check_binary(&data[..len], &header).expect("it had room before"),
    }
}

fn check_line(header: &Header<'_>) {
    let (Some(source), Some(destination)) = (header.source, header.destination) else { return };
    assert_eq!(source.is_ipv4(), destination.is_ipv4());
    let mut line = Vec::new();
    write_v1(&mut line, source, destination);
    // IPv6 addresses have several spellings, so only the meaning must be equal.
    assert_eq!(parse(&line), Ok(Some((*header, line.len()))));
}

fn check_binary(bytes: &[u8], header: &Header<'_>) -> Result<(), Error> {
    let endpoints = match (header.command, header.source, header.destination) {
        (Command::Proxy, Some(source), Some(destination)) => {
            Endpoints::Proxy { source, destination }
        }
        _ => return Ok(()),
    };
    let mut tlvs: Vec<Tlv<'_>> = header.tlvs.all.collect();
    // Weir's own checksum stands last.
    let checksum = tlvs.last().is_some_and(|tlv| tlv.kind == kind::CRC32C);
    if checksum {
        tlvs.pop();
    }
    let inner = tlvs.iter().any(|tlv| tlv.kind == kind::CRC32C);
    if inner || header.transport != Transport::Stream {
        return Ok(());
    }
    let mut written = Vec::new();
    write_v2(&mut written, endpoints, &tlvs, checksum)?;
    assert_eq!(written, bytes);
    Ok(())
}
