//! Header fields and the ones that the gateway knows by name.

use std::ops::Range;

use arrayvec::ArrayVec;

/// Most fields that a head can have, whatever the configuration says.
pub const FIELDS_CAP: usize = 128;

/// Room for the fields of one head; a shard keeps one and lends it to each parse.
pub type FieldStore<'b> = ArrayVec<Field<'b>, FIELDS_CAP>;

/// One field line: `name` a token as it was sent, `value` without white space around it and
/// without control bytes but HTAB. Bytes over 0x7f may occur (RFC 9110 section 5.5, obs-text).
#[derive(Debug, Clone, Copy)]
pub struct Field<'b> {
    pub id: FieldId,
    pub name: &'b str,
    pub value: &'b [u8],
}

impl Field<'_> {
    /// Where in `head`, the one it was parsed from, its line stands, the line's end included; `None`
    /// where it was not written as `name: value`, with one space and none behind. Whoever copies
    /// such lines copies nothing that was not judged.
    #[inline]
    #[must_use]
    pub fn line(&self, head: &[u8]) -> Option<Range<usize>> {
        let origin = head.as_ptr() as usize;
        let start = (self.name.as_ptr() as usize).checked_sub(origin)?;
        let value = start + self.name.len() + 2;
        let end = value + self.value.len() + 2;
        let line = head.get(start..end)?;
        let plain = self.value.as_ptr() as usize == origin + value
            && line[self.name.len()..].starts_with(b": ")
            && line.ends_with(b"\r\n");
        plain.then_some(start..end)
    }
}

/// Declares [`FieldId`] and its look-up, names grouped by length, so that most are told apart by
/// that alone and the others are compared as words.
macro_rules! field_ids {
    ($($length:literal: $($id:ident $name:literal),+;)+) => {
        /// A field name that something in the gateway acts on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FieldId {
            $($(#[doc = concat!("`", $name, "`")] $id,)+)+
            /// A known name but for `_` in the place of `-`. CGI-like backends read both as one
            /// (RFC 3875 section 4.1.18), so a client could speak with the gateway's voice.
            Alias,
            /// Any other name.
            Other,
        }

        impl FieldId {
            /// What `name` is, in any case of letters.
            #[must_use]
            pub fn of(name: &[u8]) -> Self {
                match name.len() {
                    $($length => name.first_chunk::<$length>().map_or(Self::Other, |name| {
                        Self::pick(name, &[$((const { fold(&known::<$length>($name)) }, Self::$id)),+])
                    }),)+
                    _ => Self::Other,
                }
            }

            /// The name in lower case; `None` for [`Self::Alias`] and [`Self::Other`].
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $($(Self::$id => Some($name),)+)+
                    Self::Alias | Self::Other => None,
                }
            }
        }

        const KNOWN: &[(usize, &str, FieldId)] =
            &[$($(($length, $name, FieldId::$id)),+),+];
    };
}

field_ids! {
    2: Te "te";
    3: Age "age", Via "via";
    4: Date "date", Etag "etag", Host "host", Vary "vary";
    5: Range "range";
    6: Cookie "cookie", Expect "expect", Origin "origin", Pragma "pragma", Server "server";
    7: Expires "expires", Trailer "trailer", Upgrade "upgrade";
    8: IfMatch "if-match", IfRange "if-range", Location "location";
    9: ApiKey "x-api-key", Forwarded "forwarded", XRealIp "x-real-ip";
    10: Connection "connection", KeepAlive "keep-alive", SetCookie "set-cookie",
        Tracestate "tracestate";
    11: RetryAfter "retry-after", Traceparent "traceparent";
    12: ContentType "content-type", MaxForwards "max-forwards", XRequestId "x-request-id";
    13: Authorization "authorization", CacheControl "cache-control", ContentRange "content-range",
        IfNoneMatch "if-none-match";
    14: ContentLength "content-length", Http2Settings "http2-settings";
    15: XForwardedFor "x-forwarded-for";
    16: ContentEncoding "content-encoding", ProxyConnection "proxy-connection",
        WwwAuthenticate "www-authenticate", XForwardedHost "x-forwarded-host",
        XForwardedPort "x-forwarded-port";
    17: IfModifiedSince "if-modified-since", TransferEncoding "transfer-encoding",
        XForwardedProto "x-forwarded-proto";
    18: ProxyAuthenticate "proxy-authenticate";
    19: IfUnmodifiedSince "if-unmodified-since", ProxyAuthorization "proxy-authorization";
}

/// Which of the known names a head has, so that what is usually not there costs no search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u64);

const _: () = assert!((FieldId::Other as u32) < u64::BITS);

impl FieldSet {
    #[inline]
    pub(super) fn insert(&mut self, id: FieldId) {
        self.0 |= 1 << id as u32;
    }

    #[inline]
    #[must_use]
    pub fn contains(self, id: FieldId) -> bool {
        self.0 & (1 << id as u32) != 0
    }
}

impl FieldId {
    #[inline]
    fn pick<const N: usize>(name: &[u8; N], known: &[(Folded, Self)]) -> Self {
        let folded = fold(name);
        if let Some((_, id)) = known.iter().find(|(text, _)| *text == folded) {
            return *id;
        }
        let underscore = name.iter().fold(false, |found, byte| found | (*byte == b'_'));
        if underscore { Self::alias_or_other(name) } else { Self::Other }
    }

    #[cold]
    fn alias_or_other(name: &[u8]) -> Self {
        let alias = KNOWN.iter().any(|(_, text, _)| is_alias(name, text.as_bytes()));
        if alias { Self::Alias } else { Self::Other }
    }
}

/// A name of up to 24 bytes with its letters in lower case, as words.
type Folded = [u64; 3];

const fn fold<const N: usize>(name: &[u8; N]) -> Folded {
    let mut padded = [0; 24];
    padded.split_at_mut(N).0.copy_from_slice(name);
    let (words, _) = padded.as_chunks::<8>();
    [fold_word(words[0]), fold_word(words[1]), fold_word(words[2])]
}

/// Sets bit 5 where bit 6 is set: that makes upper-case letters lower-case ones, and nothing else
/// a character of a known name.
const fn fold_word(bytes: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(bytes);
    word | (word & 0x4040_4040_4040_4040) >> 1
}

/// A name of [`FieldId`]'s list. Does not compile where its length is not the one it stands under.
const fn known<const N: usize>(text: &str) -> [u8; N] {
    assert!(text.len() == N);
    *text.as_bytes().first_chunk().expect("as long as that")
}

/// Whether two names of one length are the same to a reader that takes `_` for `-`.
pub(super) fn is_alias(name: &[u8], known: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().map(plain).eq(known.iter().copied())
}

/// Fields under this prefix tell backends who is calling.
const RESERVED_PREFIX: &[u8] = b"x-weir-";

/// What proxies tell of a client, whatever comes behind it: `-Prefix`, `-Ssl`, `-Scheme`.
const FORWARDED_PREFIX: &[u8] = b"x-forwarded-";

/// Whether no client may say `name`: `X-Weir-…`, also with underscores, which CGI-like backends
/// read as hyphens; and `Proxy`, of which they make the variable `HTTP_PROXY`, where programs look
/// for a proxy of their own.
#[must_use]
pub fn is_reserved(name: &[u8]) -> bool {
    begins_with(name, RESERVED_PREFIX) || name.eq_ignore_ascii_case(b"proxy")
}

/// Whether only a trusted proxy may say `name`: `X-Forwarded-…`, also with underscores.
#[must_use]
pub fn is_x_forwarded(name: &[u8]) -> bool {
    begins_with(name, FORWARDED_PREFIX)
}

fn begins_with(name: &[u8], known: &[u8]) -> bool {
    // The first letter, which is no hyphen, spares most names the comparison.
    name.first().is_some_and(|letter| letter.to_ascii_lowercase() == known[0])
        && name.get(..known.len()).is_some_and(|prefix| is_alias(prefix, known))
}

/// The first value of `id`.
pub(super) fn first<'b>(fields: &[Field<'b>], id: FieldId) -> Option<&'b [u8]> {
    all(fields, id).next()
}

/// Every value of `id`, in the order sent.
pub(super) fn all<'b, 's>(
    fields: &'s [Field<'b>],
    id: FieldId,
) -> impl Iterator<Item = &'b [u8]> + use<'b, 's> {
    fields.iter().filter(move |field| field.id == id).map(|field| field.value)
}

/// The first value of the field `name`, in any case of letters.
pub(super) fn named<'b>(fields: &[Field<'b>], name: &str) -> Option<&'b [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// The elements of a comma-separated list without white space around them; empty ones are left
/// out (RFC 9110 section 5.6.1.2). Not for lists whose elements may hold quoted strings.
pub fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// `value` without spaces and tabs at its ends (RFC 9110 section 5.6.3).
pub(super) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether `text` can name a field or a method (RFC 9110 section 5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    token(text.as_bytes()).is_some()
}

/// Whether `text` can be a field's value as it stands: visible ASCII, with spaces and tabs between
/// (RFC 9110 section 5.5; what it only tolerates is left out).
#[must_use]
pub fn is_field_value(text: &str) -> bool {
    trim_ows(text.as_bytes()).len() == text.len()
        && text.bytes().all(|byte| byte.is_ascii() && is_value_byte(byte))
}

/// `value` as text when it is a token (RFC 9110 section 5.6.2).
pub(super) fn token(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    (!value.is_empty() && value.iter().copied().all(is_token_byte)).then_some(text)
}

pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether a field value may hold `byte` (RFC 9110 section 5.5).
pub(super) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests;
