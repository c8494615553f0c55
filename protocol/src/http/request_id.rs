//! `X-Request-Id`: which of a client's is passed on, and how one of our own is written.

/// The longest that is passed on.
const CHARACTERS_MAX: usize = 128;

/// Characters of an id made by [`request_id`].
pub const REQUEST_ID_CHARACTERS: usize = 32;

/// Whether a client's id can stand in fields, logs and commands as it is: 1 to 128 letters,
/// digits and `-._~:+/=@`. Has room for UUIDs, ULIDs and base64; has none for quotes, separators
/// and whatever a shell or a query would act on.
#[must_use]
pub fn is_request_id(value: &[u8]) -> bool {
    let allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'+' | b'/' | b'=' | b'@')
    };
    (1..=CHARACTERS_MAX).contains(&value.len()) && value.iter().all(allowed)
}

/// 128 bits as hexadecimal digits.
#[must_use]
pub fn request_id(random: &[u8; 16]) -> [u8; REQUEST_ID_CHARACTERS] {
    let bits = u128::from_be_bytes(*random);
    let mut id = [0; REQUEST_ID_CHARACTERS];
    let (high, low) = id.split_at_mut(REQUEST_ID_CHARACTERS / 2);
    high.copy_from_slice(&hex(half(bits >> 64)));
    low.copy_from_slice(&hex(half(bits)));
    id
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn half(bits: u128) -> u64 {
    bits as u64
}

/// The digits of `word`, in lower case.
pub(super) fn hex(word: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    let (high, low) = digits.split_at_mut(8);
    high.copy_from_slice(&hex_of_half(word >> 32));
    low.copy_from_slice(&hex_of_half(word & 0xffff_ffff));
    digits
}

/// Eight digits at once: every nibble is moved into a byte of its own, then all become characters.
fn hex_of_half(half: u64) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut nibbles = (half | half << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & (EACH * 0x0f);
    // 1 where a nibble is 10 or more.
    let letters = ((nibbles + EACH * 6) >> 4) & EACH;
    let step = u64::from(b'a' - b'0' - 10);
    (nibbles + EACH * u64::from(b'0') + letters * step).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_that_are_passed_on() {
        for id in ["a", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "urn:uuid:f81d4fae-7dec-11d0", "YWJj+/=="] {
            assert!(is_request_id(id.as_bytes()), "{id}");
        }
        assert!(is_request_id(&[b'x'; 128]));
        assert!(!is_request_id(&[b'x'; 129]));
        for id in ["", "a b", "a,b", "a;b", "a\"b", "a\\b", "<a>", "$(a)", "a\tb", "a'b", "%00"] {
            assert!(!is_request_id(id.as_bytes()), "{id}");
        }
        assert!(!is_request_id(b"caf\xc3\xa9"));
    }

    #[test]
    fn digits_keep_their_order() {
        assert_eq!(&hex(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        let bytes = [0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a];
        assert_eq!(&request_id(&bytes), b"f000000000000000000000000000000a");
    }

    proptest! {
        #[test]
        fn ids_are_the_hexadecimal_form_and_would_be_passed_on(random: [u8; 16]) {
            let id = request_id(&random);
            let expected = format!("{:032x}", u128::from_be_bytes(random));
            prop_assert_eq!(&id[..], expected.as_bytes());
            prop_assert!(is_request_id(&id));
        }
    }
}
