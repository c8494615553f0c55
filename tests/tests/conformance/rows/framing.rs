//! Where a request's body ends: RFC 9112 section 6.3, RFC 9110 section 8.6.

use crate::case::{Case::Request, Row, Sign, Word};

const PASSED: &[Word] = &[("passed", &[Sign::Ends("hello")])];

/// A length of 3 beside a chunked body.
const BOTH: &[Word] = &[
    ("chunked wins", &[Sign::Ends("\r\n\r\nhello")]),
    ("the length wins", &[Sign::Ends("\r\n\r\n5\r\n")]),
];

const LENGTHS: &[Word] = &[
    ("merged", &[Sign::Has("length: 5\r\n"), Sign::Lacks("5, 5"), Sign::Ends("\r\n\r\nhello")]),
    ("passed", &[Sign::Count(1)]),
];

/// For lengths and codings that say nothing to the recipient.
const COUNTED: &[Word] = &[("passed", &[Sign::Count(1)])];

macro_rules! length {
    ($value:expr) => {
        post!(concat!("Content-Length: ", $value, "\r\n"), "hello")
    };
}

macro_rules! coding {
    ($value:expr) => {
        post!(concat!("Transfer-Encoding: ", $value, "\r\n"), "5\r\nhello\r\n0\r\n\r\n")
    };
}

pub(crate) const ROWS: &[Row] = &[
    Row::new("a body by its length", "9112 6.2", "passed").words(PASSED).cases(&[
        Request(length!("5")),
        Request("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        Request("HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        Request("DELETE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        Request("OPTIONS /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
        Request("POST /a HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"),
    ]),
    Row::new("a chunked body", "9112 7.1", "passed").words(PASSED).cases(&[
        Request(coding!("chunked")),
        Request(coding!("CHUNKED")),
        Request(coding!(" \tchunked\t ")),
        Request("GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        Request("DELETE /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ]),
    Row::new("a POST that announces no body", "9112 6.3", "passed")
        .words(&[("passed", &[Sign::Starts("POST /a "), Sign::Ends("\r\n\r\n"), Sign::Count(1)])])
        .cases(&[Request(post!("", "")), Request(post!("Content-Length: 0\r\n", ""))]),
    Row::new("a body that looks like a request", "9112 11.2", "passed")
        .words(&[("passed", &[Sign::Count(1), Sign::Ends("\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")])])
        .cases(&[
            Request(post!("Content-Length: 26\r\n", "GET /smuggled HTTP/1.1\r\n\r\n")),
        ]),
    Row::new("`Content-Length` and `Transfer-Encoding`", "9112 6.3", "400").words(BOTH).cases(&[
        Request(post!("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        Request(post!("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "5\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("`Content-Length` and a coding that is not chunked", "9112 6.3", "400")
        .words(&[("passed", &[Sign::Count(1)])])
        .cases(&[
            Request(post!("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "hello")),
            Request(post!("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "hello")),
            Request(post!("Transfer-Encoding:\r\nContent-Length: 5\r\n", "hello")),
        ]),
    Row::new("`Content-Length` twice, or a list, equal", "9110 8.6", "400").words(LENGTHS).cases(&[
        Request(post!("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
        Request(length!("5, 5")),
        Request(length!("5,5")),
    ]),
    Row::new("`Content-Length` twice, or a list, different", "9112 6.3", "400")
        .words(LENGTHS)
        .cases(&[
            Request(post!("Content-Length: 5\r\nContent-Length: 0\r\n", "hello")),
            Request(post!("Content-Length: 0\r\nContent-Length: 5\r\n", "hello")),
            Request(length!("5, 6")),
        ]),
    Row::new("an empty element in a list of lengths", "9110 8.6", "400").words(LENGTHS).cases(&[
        Request(length!("5,")),
        Request(length!(",5")),
        Request(length!("5,,5")),
    ]),
    Row::new("a length that is no number", "9110 8.6", "400").words(COUNTED).cases(&[
        Request(length!("+5")),
        Request(length!("-5")),
        Request(length!("0x5")),
        Request(length!("5 5")),
        Request(length!("5.0")),
        Request(length!("5e0")),
        Request(length!("5;")),
        Request(length!("\"5\"")),
        Request(length!("\u{b2}")),
        Request(length!("five")),
    ]),
    Row::new("an empty length", "9110 8.6", "400").words(COUNTED).cases(&[
        Request(length!("")),
        Request(length!(" \t")),
    ]),
    Row::new("a length of more than 64 bits", "9110 8.6", "400").words(COUNTED).cases(&[
        Request(length!("18446744073709551616")),
        Request(length!("18446744073709551621")),
        Request(length!("99999999999999999999999999999999")),
    ]),
    Row::new("a length with zeros before it", "9110 8.6", "mended")
        .words(&[
            ("mended", &[Sign::Has("length: 5\r\n"), Sign::Ends("\r\n\r\nhello")]),
            ("passed", &[Sign::Has("05\r\n"), Sign::Ends("\r\n\r\nhello")]),
        ])
        .cases(&[Request(length!("005")), Request(length!("00000000000000000000000005"))]),
    Row::new("two `Transfer-Encoding` fields", "9112 6.1", "400").words(PASSED).cases(&[
        Request(post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        Request(post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        Request(post!("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        Request(post!("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("`chunked` twice, or not last", "9112 6.3", "400").words(PASSED).cases(&[
        Request(coding!("chunked, chunked")),
        Request(coding!("chunked, identity")),
        Request(coding!("chunked, gzip")),
    ]),
    Row::new("another coding alone", "9112 6.3", "400").words(COUNTED).cases(&[
        Request(coding!("identity")),
        Request(coding!("gzip")),
        Request(coding!("xchunked")),
        Request(coding!("chunkedx")),
    ]),
    Row::new("a coding that is none", "9112 7", "400").words(COUNTED).cases(&[
        Request(coding!("")),
        Request(coding!(",")),
        Request(coding!(", chunked")),
        Request(coding!("chunked,")),
        Request(coding!("\"chunked\"")),
        Request(coding!("chunked;q=1")),
        Request(coding!("chun ked")),
        Request(coding!("\x0bchunked")),
        Request(coding!("chunked\x0c")),
        Request(coding!("chunked\u{a0}")),
    ]),
    Row::new("`gzip, chunked`", "9112 6.1", "501").words(PASSED).cases(&[
        Request(coding!("gzip, chunked")),
        Request(coding!("deflate, gzip, chunked")),
        Request(coding!("identity, chunked")),
    ]),
    Row::new("`Transfer-Encoding` in HTTP/1.0", "9112 6.1", "400").words(PASSED).cases(&[
        Request(concat!(
            "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n"
        )),
        Request(concat!(
            "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n"
        )),
    ]),
    Row::new("`Transfer_Encoding`, `Content_Length`: the real ones to CGI and its kin", "", "400")
        .words(&[("dropped", &[Sign::Lacks("_")]), ("passed", &[Sign::Has("_")])])
        .cases(&[
            Request(get!("Transfer_Encoding: chunked\r\n")),
            Request(get!("Content_Length: 5\r\n")),
            Request(post!("Content-Length: 5\r\nTRANSFER_ENCODING: chunked\r\n", "hello")),
        ]),
    Row::new("`Expect: 100-continue` before a body that does not wait", "9110 10.1.1", "passed")
        .words(&[
            ("passed", &[Sign::Has("expect: 100-continue"), Sign::Ends("hello")]),
            ("dropped", &[Sign::Lacks("expect"), Sign::Ends("hello")]),
        ])
        .cases(&[Request(post!("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"))]),
];
