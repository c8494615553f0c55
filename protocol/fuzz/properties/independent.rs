//! Readings of heads that share no code with Weir's: a strict one, straight from the RFCs, and
//! lenient ones, each making the choices of some recipient that is too kind. What Weir accepts or
//! writes must mean the same to all of them.
//!
//! Used by the fuzz targets, and by tests of what the gateway sends.

/// How a body is framed by the fields alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Absent,
    Length(u64),
    Chunked,
}

/// A head as somebody reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The three parts of the start line.
    pub(crate) start: [Vec<u8>; 3],
    /// Names in lower case, values without white space around them.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) framing: Framing,
    /// Bytes of the head.
    pub(crate) len: usize,
}

/// The choices in which recipients differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Of several lengths, or a list of them, the last counts; else the first.
    pub(crate) last_length: bool,
    /// `Content-Length` beats `Transfer-Encoding`.
    pub(crate) length_wins: bool,
    /// `_` in a name is `-`.
    pub(crate) underscores: bool,
    /// A lone CR ends a line as well.
    pub(crate) bare_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// All combinations of choices.
pub(crate) fn readings() -> impl Iterator<Item = Reading> {
    (0..16_u8).map(|bits| Reading {
        last_length: bits & 1 != 0,
        length_wins: bits & 2 != 0,
        underscores: bits & 4 != 0,
        bare_cr: bits & 8 != 0,
    })
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

fn trim_end(value: &[u8]) -> &[u8] {
    let last = value.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
    &value[..last.map_or(0, |last| last + 1)]
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// One head by RFC 9112: CRLF only, single spaces, tokens, no folding, one framing. `None` when it
/// is anything else.
pub(crate) fn strict(bytes: &[u8], kind: Kind) -> Option<Head> {
    let mut rest = bytes;
    while kind == Kind::Request && rest.starts_with(b"\r\n") {
        rest = &rest[2..];
    }
    let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
    let len = bytes.len() - rest.len() + end + 4;
    let mut lines = Vec::new();
    let mut text = &rest[..end];
    while let Some(at) = text.windows(2).position(|two| two == b"\r\n") {
        lines.push(&text[..at]);
        text = &text[at + 2..];
    }
    lines.push(text);
    if lines.iter().any(|line| line.contains(&b'\r') || line.contains(&b'\n')) {
        return None;
    }
    let mut parts = lines[0].splitn(3, |byte| *byte == b' ').map(<[u8]>::to_vec);
    let start = [parts.next()?, parts.next()?, parts.next().unwrap_or_default()];
    let mut fields = Vec::new();
    for line in &lines[1..] {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = match kind {
            Kind::Request => &line[..colon],
            // Section 5.1: to be removed.
            Kind::Response => trim_end(&line[..colon]),
        };
        let value = trim(&line[colon + 1..]);
        let control = |byte: &u8| *byte == 0x7f || (*byte < 0x20 && *byte != b'\t');
        if name.is_empty() || !name.iter().all(|byte| is_tchar(*byte)) || value.iter().any(control)
        {
            return None;
        }
        fields.push((String::from_utf8(name.to_ascii_lowercase()).ok()?, value.to_vec()));
    }
    if kind == Kind::Response {
        merge_lengths(&mut fields)?;
    }
    let framing = strict_framing(&fields)?;
    Some(Head { start, fields, framing, len })
}

/// RFC 9110 section 8.6: of an answer, a length that is repeated is one. `None` if they differ.
pub(crate) fn merge_lengths(fields: &mut Vec<(String, Vec<u8>)>) -> Option<()> {
    let mut lengths: Vec<Vec<u8>> = Vec::new();
    for (name, value) in fields.iter() {
        if name == "content-length" {
            lengths.extend(value.split(|byte| *byte == b',').map(|length| trim(length).to_vec()));
        }
    }
    let number = |text: &Vec<u8>| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    if lengths.iter().any(|length| number(length) != number(&lengths[0])) {
        return None;
    }
    let mut first = lengths.into_iter().next();
    fields.retain_mut(|(name, value)| {
        let is_length = name == "content-length";
        if let (true, Some(length)) = (is_length, &first) {
            value.clone_from(length);
        }
        !is_length || first.take().is_some()
    });
    Some(())
}

fn strict_framing(fields: &[(String, Vec<u8>)]) -> Option<Framing> {
    let of = |name: &str| -> Vec<&[u8]> {
        fields.iter().filter(|(n, _)| n == name).map(|(_, value)| &value[..]).collect()
    };
    match (&of("transfer-encoding")[..], &of("content-length")[..]) {
        ([], []) => Some(Framing::Absent),
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Some(Framing::Chunked),
        ([], [length]) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            Some(Framing::Length(std::str::from_utf8(length).ok()?.parse().ok()?))
        }
        _ => None,
    }
}

/// One line and what follows it, by its LF; a CR before it is not of the line.
fn lenient_line(bytes: &[u8], reading: Reading) -> Option<(&[u8], &[u8])> {
    let ends = |byte: &u8| *byte == b'\n' || (reading.bare_cr && *byte == b'\r');
    let at = bytes.iter().position(ends)?;
    let (mut line, mut rest) = (&bytes[..at], &bytes[at + 1..]);
    if bytes[at] == b'\r' {
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    while let [before @ .., b'\r'] = line {
        line = before;
    }
    Some((line, rest))
}

/// One head as kindly as anybody reads it: LF ends a line, folded lines are joined, white space is
/// trimmed wherever it stands, a line without a colon is passed over, the first number found in a
/// length is one, and `chunked` counts wherever it is mentioned. `None` if it never ends.
pub(crate) fn lenient(bytes: &[u8], reading: Reading) -> Option<Head> {
    let (mut line, mut rest) = lenient_line(bytes, reading)?;
    while trim(line).is_empty() {
        (line, rest) = lenient_line(rest, reading)?;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r');
    let mut words = line.splitn(3, blank).map(<[u8]>::to_vec);
    let start = [
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    ];
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    loop {
        (line, rest) = lenient_line(rest, reading)?;
        if line.is_empty() {
            break;
        }
        let folded = matches!(line[0], b' ' | b'\t');
        if let (true, Some((_, value))) = (folded, fields.last_mut()) {
            value.push(b' ');
            value.extend_from_slice(trim(line));
        } else if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let name = String::from_utf8_lossy(trim(&line[..colon])).to_ascii_lowercase();
            let name = if reading.underscores { name.replace('_', "-") } else { name };
            fields.push((name, trim(&line[colon + 1..]).to_vec()));
        }
    }
    let framing = lenient_framing(&fields, reading);
    Some(Head { start, fields, framing, len: bytes.len() - rest.len() })
}

fn lenient_framing(fields: &[(String, Vec<u8>)], reading: Reading) -> Framing {
    let of = |wanted: &'static str| {
        fields.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| &value[..])
    };
    let chunked = of("transfer-encoding")
        .any(|value| value.to_ascii_lowercase().windows(7).any(|window| window == b"chunked"));
    let mut lengths = of("content-length")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .filter_map(first_number);
    let length = if reading.last_length { lengths.next_back() } else { lengths.next() };
    match (chunked, length) {
        (true, Some(length)) if reading.length_wins => Framing::Length(length),
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Absent,
    }
}

/// As C's `strtoul` reads one: what follows the digits is passed over.
fn first_number(text: &[u8]) -> Option<u64> {
    let text = trim(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let mut seen = false;
    let number = digits.fold(0_u64, |number, digit| {
        seen = true;
        number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    });
    seen.then_some(number)
}
