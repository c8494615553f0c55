//! Problem documents (RFC 9457) and reason phrases.

/// The media type of [`Problem::write`]'s output.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused, for programs and people.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    pub status: u16,
    /// A URI that names the kind of problem, or `about:blank` when the status says it all.
    pub kind: &'a str,
    /// The same for each problem of a kind.
    pub title: &'a str,
    /// This occurrence, in a sentence; left out when empty.
    pub detail: &'a str,
    /// Extension members (RFC 9457 section 3.2): names of letters, digits, `-` and `_`, none of
    /// the standard ones.
    pub extra: &'a [(&'a str, Member<'a>)],
}

/// The value of an extension member.
#[derive(Debug, Clone, Copy)]
pub enum Member<'a> {
    Text(&'a str),
    Number(u64),
    Bool(bool),
    Texts(&'a [&'a str]),
}

impl Problem<'_> {
    /// Appends the document to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":");
        write_text(out, self.kind);
        out.extend_from_slice(b",\"title\":");
        write_text(out, self.title);
        out.extend_from_slice(b",\"status\":");
        write_number(out, u64::from(self.status));
        if !self.detail.is_empty() {
            out.extend_from_slice(b",\"detail\":");
            write_text(out, self.detail);
        }
        for (name, member) in self.extra {
            out.push(b',');
            write_text(out, name);
            out.push(b':');
            member.write(out);
        }
        out.push(b'}');
    }
}

impl Member<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_text(out, text),
            Self::Number(number) => write_number(out, *number),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Texts(texts) => {
                out.push(b'[');
                for (index, text) in texts.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_text(out, text);
                }
                out.push(b']');
            }
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// RFC 8259 section 7: quotes, backslashes and controls are escaped, the rest is UTF-8. `<` is
/// escaped too, so that a browser that sniffs finds no markup in an echoed value.
fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 | 0x7f | b'<' => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// The phrase for `status` in the registry that RFC 9110 section 16.2 keeps; empty for a status
/// that is not in it or is obsolete.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
