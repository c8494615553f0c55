//! Finds where a head ends while its bytes arrive.

use memchr::memchr2;

use super::{HeadError, HeadLimits};

/// What a start line holds beside its target: a method, a version, two spaces.
const START_LINE_OVERHEAD_BYTES: usize = 64;

/// Looks for the empty line behind a head, at each byte once: a sender that dribbles its head
/// costs no more than one that sends it whole.
///
/// Empty lines before the start line are skipped and belong to the head (RFC 9112 section 2.2).
#[derive(Debug, Default)]
pub struct HeadScanner {
    /// Everything before it was looked at.
    next: usize,
    line_start: usize,
    /// Lines that ended, without the leading empty ones.
    lines: usize,
}

impl HeadScanner {
    /// The end of the head in `buf`, just behind its CRLF CRLF, or `None` when it has not arrived.
    /// `buf` starts at the same byte each time and grows; what the result is does not depend on
    /// how it grew.
    ///
    /// # Errors
    /// A bare CR or LF, and each of `limits`, as soon as it shows.
    pub fn scan(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        while let Some(found) = memchr2(b'\r', b'\n', &buf[self.next..]) {
            let at = self.next + found;
            self.scan_limits(at, limits)?;
            // RFC 9112 section 2.2: a recipient may take a bare LF for a line's end; one that does
            // and one that does not read different messages, so neither is let through.
            if buf[at] == b'\n' {
                return Err(HeadError::BareLf);
            }
            match buf.get(at + 1) {
                Some(b'\n') => {}
                Some(_) => return Err(HeadError::BareCr),
                None => {
                    self.next = at;
                    return Ok(None);
                }
            }
            if let Some(end) = self.scan_line_end(at, limits)? {
                return Ok(Some(end));
            }
        }
        self.next = buf.len();
        self.scan_limits(self.next, limits)?;
        Ok(None)
    }

    /// Makes it ready for the next head.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes note of the line whose CRLF stands `at`.
    fn scan_line_end(
        &mut self,
        at: usize,
        limits: &HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        let empty = at == self.line_start;
        let end = at + 2;
        if end > limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        self.next = end;
        self.line_start = end;
        if empty {
            return Ok((self.lines > 0).then_some(end));
        }
        self.lines += 1;
        // The start line is a line too.
        if self.lines > limits.fields + 1 {
            return Err(HeadError::TooManyFields);
        }
        Ok(None)
    }

    /// Checks that the unfinished line may reach to `to`. Which limit was passed first decides the
    /// error, so that it is the same however the bytes were split.
    fn scan_limits(&self, to: usize, limits: &HeadLimits) -> Result<(), HeadError> {
        let line_end_max = self.line_start + limits.target_bytes + START_LINE_OVERHEAD_BYTES;
        if self.lines == 0 && line_end_max <= limits.head_bytes && to > line_end_max {
            return Err(HeadError::TargetTooLong);
        }
        if to > limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
