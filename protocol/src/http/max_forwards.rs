//! How many more hops TRACE and OPTIONS may make: RFC 9110 section 7.6.2.

use super::{FieldId, RequestHead};

/// What `Max-Forwards` asks of the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hops {
    /// Nothing: the field is not there.
    Unlimited,
    /// The recipient answers itself.
    Last,
    /// The value to pass on: one less than was received.
    Left(u64),
}

/// The field is no decimal number, or there are several: nobody could tell which hop is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Max-Forwards is not one decimal number")]
pub struct HopsError;

impl RequestHead<'_, '_> {
    /// Asked for TRACE and OPTIONS; with any other method the field means nothing.
    ///
    /// # Errors
    /// [`HopsError`], which deserves a 400.
    pub fn hops(&self) -> Result<Hops, HopsError> {
        let mut values = self.get_all(FieldId::MaxForwards);
        let Some(value) = values.next() else { return Ok(Hops::Unlimited) };
        if values.next().is_some() || value.is_empty() {
            return Err(HopsError);
        }
        let mut hops = 0_u64;
        for digit in value {
            if !digit.is_ascii_digit() {
                return Err(HopsError);
            }
            // "The lesser of the received value decremented by one and the recipient's maximum".
            hops = hops.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        }
        Ok(hops.checked_sub(1).map_or(Hops::Last, Hops::Left))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FieldStore, HeadLimits, parse_request};
    use super::{Hops, HopsError};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 16_384, target_bytes: 8192, fields: 100 };

    #[test]
    fn one_decimal_number_is_counted_down() {
        let cases = [
            ("", Ok(Hops::Unlimited)),
            ("Max-Forwards: 0\r\n", Ok(Hops::Last)),
            ("Max-Forwards: 000\r\n", Ok(Hops::Last)),
            ("Max-Forwards: 1\r\n", Ok(Hops::Left(0))),
            ("max-forwards: 070\r\n", Ok(Hops::Left(69))),
            ("Max-Forwards: 99999999999999999999999\r\n", Ok(Hops::Left(u64::MAX - 1))),
            ("Max-Forwards:\r\n", Err(HopsError)),
            ("Max-Forwards: -1\r\n", Err(HopsError)),
            ("Max-Forwards: 1, 2\r\n", Err(HopsError)),
            ("Max-Forwards: 0x1\r\n", Err(HopsError)),
            ("Max-Forwards: 1\r\nMax-Forwards: 1\r\n", Err(HopsError)),
        ];
        for (lines, expected) in cases {
            let head = format!("TRACE / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let mut store = FieldStore::new();
            let head = parse_request(head.as_bytes(), &mut store, &LIMITS).expect(lines);
            assert_eq!(head.hops(), expected, "{lines}");
        }
    }
}
