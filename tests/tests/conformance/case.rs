//! What a row of the table is made of.
//!
//! Texts stand for bytes, one for each character up to U+00FF, so that a case may hold any byte
//! and still be put together from literals.

/// One decision: some messages that call for it, and what becomes of them.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// The sections that decide; empty where no RFC does.
    pub(crate) rfc: &'static str,
    /// The word for what Weir must do with every case: a status, `closed`, or one of `words`.
    pub(crate) weir: &'static str,
    /// Words for what is passed on, the first that fits counting.
    pub(crate) words: &'static [Word],
    pub(crate) cases: &'static [Case],
}

pub(crate) type Word = (&'static str, &'static [Sign]);

/// What is looked for in a message that was passed on: its start line and fields as they came, an
/// empty line, its body as decoded, its trailers.
#[derive(Clone, Copy)]
pub(crate) enum Sign {
    /// Begins with it, letters in their case.
    Starts(&'static str),
    /// Has it somewhere, letters in any case.
    Has(&'static str),
    Lacks(&'static str),
    /// Ends with it.
    Ends(&'static str),
    /// So many messages, which were put together for the other signs.
    Count(usize),
    /// The connection broke off before its end.
    CutOff,
}

#[derive(Clone, Copy)]
pub(crate) enum Case {
    /// What a client sends.
    Request(&'static str),
    /// What a backend answers.
    Answer {
        /// The method of the request that is answered.
        to: &'static str,
        text: &'static str,
        /// Whether the backend closes behind it.
        closes: bool,
    },
}

impl Row {
    pub(crate) const fn new(what: &'static str, rfc: &'static str, weir: &'static str) -> Self {
        Self { what, rfc, weir, words: &[], cases: &[] }
    }

    pub(crate) const fn words(self, words: &'static [Word]) -> Self {
        Self { words, ..self }
    }

    pub(crate) const fn cases(self, cases: &'static [Case]) -> Self {
        Self { cases, ..self }
    }
}

impl Case {
    /// An answer to GET, behind which the backend waits.
    pub(crate) const fn answer(text: &'static str) -> Self {
        Self::Answer { to: "GET", text, closes: false }
    }

    /// An answer to GET, behind which the backend closes.
    pub(crate) const fn last_answer(text: &'static str) -> Self {
        Self::Answer { to: "GET", text, closes: true }
    }

    pub(crate) const fn answer_to(to: &'static str, text: &'static str) -> Self {
        Self::Answer { to, text, closes: false }
    }

    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Request(text) | Self::Answer { text, .. } => text,
        }
    }
}

/// The bytes that `text` stands for.
///
/// # Panics
/// When a character stands for none.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("a character below U+0100")).collect()
}

/// A GET with `$lines` behind its Host.
macro_rules! get {
    ($lines:expr) => {
        concat!("GET /a HTTP/1.1\r\nHost: a\r\n", $lines, "\r\n")
    };
}

/// A request line of its own.
macro_rules! line {
    ($line:expr) => {
        concat!($line, "\r\nHost: a\r\n\r\n")
    };
}

/// A POST with `$lines` behind its Host, and what follows its head.
macro_rules! post {
    ($lines:expr, $body:expr) => {
        concat!("POST /a HTTP/1.1\r\nHost: a\r\n", $lines, "\r\n", $body)
    };
}

/// A POST with a chunked body.
macro_rules! chunked {
    ($body:expr) => {
        concat!("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", $body)
    };
}

/// An answer 200 with `$lines`, and what follows its head.
macro_rules! ok {
    ($lines:expr, $body:expr) => {
        concat!("HTTP/1.1 200 OK\r\n", $lines, "\r\n", $body)
    };
}

/// `$text` ten times.
macro_rules! x10 {
    ($text:expr) => {
        concat!($text, $text, $text, $text, $text, $text, $text, $text, $text, $text)
    };
}
