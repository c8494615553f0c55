//! Readings of chunked bodies that share no code with Weir's, as `independent.rs` has of heads.

/// A chunked body: its payload, and its length with everything. `None` while it has not ended, or
/// if no sense can be made of it. The strict reading takes CRLF only and sizes at once behind it;
/// the lenient one ends lines at LF and looks for the first digits.
pub(crate) fn chunked(bytes: &[u8], strictly: bool) -> Option<(Vec<u8>, usize)> {
    let mut payload = Vec::new();
    let mut rest = bytes;
    loop {
        let (line, after) = chunk_line(rest, strictly)?;
        let line = if strictly { line } else { trim(line) };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let tail = trim(&line[digits..]);
        if strictly && !(tail.is_empty() || tail.starts_with(b";")) {
            return None;
        }
        rest = after;
        if size == 0 {
            break;
        }
        payload.extend_from_slice(rest.get(..size)?);
        let (empty, after) = chunk_line(&rest[size..], strictly)?;
        if !empty.is_empty() {
            return None;
        }
        rest = after;
    }
    loop {
        let (line, after) = chunk_line(rest, strictly)?;
        rest = after;
        if line.is_empty() {
            return Some((payload, bytes.len() - rest.len()));
        }
    }
}

fn chunk_line(bytes: &[u8], strictly: bool) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = (&bytes[..at], &bytes[at + 1..]);
    match line {
        [before @ .., b'\r'] if !strictly || !before.contains(&b'\r') => Some((before, rest)),
        _ if strictly => None,
        line => Some((line, rest)),
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}
