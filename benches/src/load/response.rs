//! Reading the responses of one connection, strictly: anything but the expected 200 is an error.

/// Longest head taken, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Why a request counts as failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("status {0} instead of 200")]
    Status(u16),
    #[error("malformed response head")]
    Malformed,
    #[error("response head over {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    #[error("response without Content-Length")]
    NoLength,
    #[error("body of {got} bytes instead of {expected}")]
    WrongLength { got: usize, expected: usize },
    #[error("body differs from what the backend sent")]
    WrongBody,
    #[error("bytes that no request asked for")]
    Surplus,
    #[error("connection closed before the response was complete")]
    Closed,
    #[error("request could not be written at once")]
    Unwritten,
    #[error("socket error: {0}")]
    Socket(std::io::ErrorKind),
}

/// A complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whether the connection may carry another request (RFC 9112 section 9.3).
    pub keep_alive: bool,
}

/// Puts one response after another together from the pieces a socket delivers.
#[derive(Debug, Default)]
pub struct ResponseReader {
    /// The beginning of a head that has not arrived in full.
    partial: Vec<u8>,
    body: Option<BodyState>,
}

#[derive(Debug, Clone, Copy)]
struct BodyState {
    received: usize,
    keep_alive: bool,
}

impl ResponseReader {
    /// Takes the next piece; the answer when `bytes` completes it. Nothing may follow it, since
    /// the generator does not pipeline.
    pub fn feed(&mut self, bytes: &[u8], expected: &[u8]) -> Result<Option<Answer>, ResponseError> {
        if self.body.is_some() {
            return self.take_body(bytes, expected);
        }
        if self.partial.is_empty() {
            if let Some(end) = head_end(bytes) {
                self.take_head(&bytes[..end], expected)?;
                return self.take_body(&bytes[end..], expected);
            }
            self.partial.extend_from_slice(bytes);
        } else {
            self.partial.extend_from_slice(bytes);
            if let Some(end) = head_end(&self.partial) {
                let whole = std::mem::take(&mut self.partial);
                self.take_head(&whole[..end], expected)?;
                return self.take_body(&whole[end..], expected);
            }
        }
        if self.partial.len() > HEAD_BYTES_MAX {
            return Err(ResponseError::HeadTooLong);
        }
        Ok(None)
    }

    fn take_head(&mut self, head: &[u8], expected: &[u8]) -> Result<(), ResponseError> {
        let head = Head::parse(head)?;
        if head.status != 200 {
            return Err(ResponseError::Status(head.status));
        }
        let got = head.length.ok_or(ResponseError::NoLength)?;
        if got != expected.len() {
            return Err(ResponseError::WrongLength { got, expected: expected.len() });
        }
        self.body = Some(BodyState { received: 0, keep_alive: head.keep_alive });
        Ok(())
    }

    fn take_body(
        &mut self,
        bytes: &[u8],
        expected: &[u8],
    ) -> Result<Option<Answer>, ResponseError> {
        let Some(body) = self.body.as_mut() else {
            return Ok(None);
        };
        let rest = &expected[body.received..];
        if bytes.len() > rest.len() {
            return Err(ResponseError::Surplus);
        }
        if bytes != &rest[..bytes.len()] {
            return Err(ResponseError::WrongBody);
        }
        body.received += bytes.len();
        if body.received < expected.len() {
            return Ok(None);
        }
        let answer = Answer { keep_alive: body.keep_alive };
        self.body = None;
        Ok(Some(answer))
    }
}

/// The offset after the empty line that ends a head.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

#[derive(Debug)]
struct Head {
    status: u16,
    length: Option<usize>,
    keep_alive: bool,
}

impl Head {
    /// `head` ends with the empty line.
    fn parse(head: &[u8]) -> Result<Self, ResponseError> {
        let head = std::str::from_utf8(head).map_err(|_| ResponseError::Malformed)?;
        let mut lines = head.split("\r\n");
        let (version, status) = parse_status_line(lines.next().unwrap_or_default())?;
        let mut parsed = Self { status, length: None, keep_alive: version == "HTTP/1.1" };
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(ResponseError::Malformed)?;
            parsed.take_field(name, value.trim_matches([' ', '\t']))?;
        }
        Ok(parsed)
    }

    fn take_field(&mut self, name: &str, value: &str) -> Result<(), ResponseError> {
        if name.eq_ignore_ascii_case("content-length") {
            // RFC 9110 section 8.6: digits only, and two lengths are an attack or a bug.
            if self.length.is_some() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(ResponseError::Malformed);
            }
            self.length = Some(value.parse().map_err(|_| ResponseError::Malformed)?);
        } else if name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(',').map(str::trim);
            self.keep_alive &= !options.any(|option| option.eq_ignore_ascii_case("close"));
        }
        Ok(())
    }
}

/// `HTTP/1.1 200 OK` into version and status (RFC 9112 section 4).
fn parse_status_line(line: &str) -> Result<(&str, u16), ResponseError> {
    let mut parts = line.splitn(3, ' ');
    let version = parts.next().unwrap_or_default();
    let status = parts.next().unwrap_or_default();
    let known = matches!(version, "HTTP/1.1" | "HTTP/1.0");
    if !known || status.len() != 3 || !status.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ResponseError::Malformed);
    }
    Ok((version, status.parse().map_err(|_| ResponseError::Malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"Hello, World!";
    const GOOD: &str =
        "HTTP/1.1 200 OK\r\ncontent-length: 13\r\nServer: x\r\nVia: a:b\r\n\r\nHello, World!";

    fn feed_whole(text: &str) -> Result<Option<Answer>, ResponseError> {
        ResponseReader::default().feed(text.as_bytes(), BODY)
    }

    #[test]
    fn every_pair_of_splits_gives_one_answer_at_the_last_byte() {
        for first in 1..GOOD.len() - 1 {
            for second in first + 1..GOOD.len() {
                let bytes = GOOD.as_bytes();
                let mut reader = ResponseReader::default();
                // The second pass shows that nothing of the first response is left behind.
                for _ in 0..2 {
                    assert_eq!(reader.feed(&bytes[..first], BODY), Ok(None));
                    assert_eq!(reader.feed(&bytes[first..second], BODY), Ok(None));
                    let end = reader.feed(&bytes[second..], BODY);
                    assert_eq!(end, Ok(Some(Answer { keep_alive: true })), "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn connection_options_decide_about_reuse() {
        let cases = [
            ("HTTP/1.1 200 OK", "Connection: keep-alive", true),
            ("HTTP/1.1 200", "Connection: Close", false),
            ("HTTP/1.1 200 OK", "connection: foo, close", false),
            ("HTTP/1.1 200 OK", "Connection: closed", true),
            ("HTTP/1.0 200 OK", "X-A: b", false),
        ];
        for (line, field, keep_alive) in cases {
            let text = format!("{line}\r\n{field}\r\nContent-Length: 13\r\n\r\nHello, World!");
            assert_eq!(feed_whole(&text), Ok(Some(Answer { keep_alive })), "{line} {field}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        use ResponseError as E;
        let wrong_length = E::WrongLength { got: 12, expected: 13 };
        let cases = [
            ("HTTP/1.1 503 Busy\r\nContent-Length: 13\r\n\r\n", E::Status(503)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", E::NoLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", wrong_length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, Wurld!", E::WrongBody),
            ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!H", E::Surplus),
            ("HTTP/1.1 200 OK\r\nContent-Length: +13\r\n\r\n", E::Malformed),
            ("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", E::Malformed),
            ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Length: 13\r\n\r\n", E::Malformed),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", E::Malformed),
            ("HTTP/2 200 OK\r\n\r\n", E::Malformed),
            ("HTTP/1.1 2000 OK\r\n\r\n", E::Malformed),
            ("HTTP/1.1 +20 OK\r\n\r\n", E::Malformed),
            ("\r\n\r\n", E::Malformed),
        ];
        for (text, fault) in cases {
            assert_eq!(feed_whole(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut reader = ResponseReader::default();
        let outcome = (0..HEAD_BYTES_MAX).find_map(|_| reader.feed(b"abcd", BODY).err());
        assert_eq!(outcome, Some(ResponseError::HeadTooLong));
    }
}
