//! Chunked bodies of requests: RFC 9112 section 7.1.

use crate::case::{Case::Request, Row, Sign, Word};

const ACCEPTED: &[Word] = &[("accepted", &[Sign::Ends("\r\n\r\nhello")])];
const COUNTED: &[Word] = &[("accepted", &[Sign::Count(1)])];

/// Behind a body that ends with `hello`.
const TRAILERS: &[Word] =
    &[("dropped", &[Sign::Ends("\r\n\r\nhello")]), ("passed", &[Sign::Has("\r\n\r\nhello")])];

pub(crate) const ROWS: &[Row] = &[
    Row::new("chunks of whatever size", "9112 7.1", "accepted").words(ACCEPTED).cases(&[
        Request(chunked!("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")),
        Request(chunked!("05\r\nhello\r\n000\r\n\r\n")),
        Request(chunked!("1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n")),
    ]),
    Row::new("hexadecimal digits in either case", "9112 7.1", "accepted")
        .words(&[("accepted", &[Sign::Ends("\r\n\r\nabcdefghijklmnopqrstu")])])
        .cases(&[Request(chunked!("a\r\nabcdefghij\r\nB\r\nklmnopqrstu\r\n0\r\n\r\n"))]),
    Row::new("line ends and chunk sizes among the data", "9112 7.1", "accepted")
        .words(&[("accepted", &[Sign::Ends("\r\n\r\n\r\n0\r\n\r\n")])])
        .cases(&[Request(chunked!("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"))]),
    Row::new("a chunk size with `0x`, a sign or another byte", "9112 7.1", "400")
        .words(COUNTED)
        .cases(&[
            Request(chunked!("0x5\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("+5\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("-5\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("5g\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("5,\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("5\0\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("\u{b5}\r\nhello\r\n0\r\n\r\n")),
        ]),
    Row::new("no chunk size", "9112 7.1", "400").words(COUNTED).cases(&[
        Request(chunked!("\r\n5\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!(";a=b\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("hello\r\n0\r\n\r\n")),
    ]),
    Row::new("white space before a chunk size", "9112 7.1", "400").words(COUNTED).cases(&[
        Request(chunked!(" 5\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("\t5\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("white space behind a chunk size", "9112 7.1.1", "400").words(COUNTED).cases(&[
        Request(chunked!("5 \r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5\t\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("a chunk size that overflows", "9112 7.1", "400").words(COUNTED).cases(&[
        Request(chunked!("ffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("10000000000000005\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("more than 15 digits in a chunk size, most of them 0", "9112 7.1", "400")
        .words(ACCEPTED)
        .cases(&[Request(chunked!("00000000000000000000005\r\nhello\r\n0\r\n\r\n"))]),
    Row::new("a chunk that is longer than it says", "9112 7.1", "400").words(COUNTED).cases(&[
        Request(chunked!("5\r\nhello!\r\n0\r\n\r\n")),
        Request(chunked!("5\r\nhello0\r\n\r\n")),
    ]),
    Row::new("bare LF behind a chunk size", "9112 7.1", "400").words(ACCEPTED).cases(&[
        Request(chunked!("5\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\n\r\n")),
    ]),
    Row::new("bare LF behind a chunk's data", "9112 7.1", "400").words(COUNTED).cases(&[
        Request(chunked!("5\r\nhello\n0\r\n\r\n")),
        Request(chunked!("6\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("bare CR behind a chunk size or its data", "9112 7.1", "400").words(COUNTED).cases(&[
        Request(chunked!("5\rhello\r\n0\r\n\r\n")),
        Request(chunked!("5\r\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5\r\nhello\r0\r\n\r\n")),
    ]),
    Row::new("a chunk extension", "9112 7.1.1", "accepted").words(ACCEPTED).cases(&[
        Request(chunked!("5;a\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;a=b;c=d\r\nhello\r\n0;e\r\n\r\n")),
        Request(chunked!("5;a=\"b; \\\"c\"\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("white space in a chunk extension", "9112 7.1.1", "accepted").words(ACCEPTED).cases(
        &[
            Request(chunked!("5; a=b\r\nhello\r\n0\r\n\r\n")),
            Request(chunked!("5;a = b\r\nhello\r\n0\r\n\r\n")),
        ],
    ),
    Row::new("white space before a chunk extension", "9112 7.1.1", "accepted")
        .words(ACCEPTED)
        .cases(&[Request(chunked!("5 ;a=b\r\nhello\r\n0\r\n\r\n"))]),
    Row::new("a malformed chunk extension", "9112 7.1.1", "400").words(ACCEPTED).cases(&[
        Request(chunked!("5;\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;=b\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;a=\"b\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;a=b c\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("a control byte in a chunk extension", "9112 7.1.1", "400").words(ACCEPTED).cases(&[
        Request(chunked!("5;a\x01\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;a=\"\0\"\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("bare CR or LF in a chunk extension", "9112 7.1.1", "400").words(COUNTED).cases(&[
        Request(chunked!("5;a\nb\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;a\n\r\nhello\r\n0\r\n\r\n")),
        Request(chunked!("5;a\rb\r\nhello\r\n0\r\n\r\n")),
    ]),
    Row::new("a chunk extension of 300 bytes", "9112 7.1.1", "400").words(ACCEPTED).cases(&[
        Request(chunked!(concat!(
            "5;",
            x10!("abcdefghijklmnopqrstuvwxyzabcd"),
            "\r\nhello\r\n0\r\n\r\n"
        ))),
    ]),
    Row::new("a trailer", "9110 6.5", "passed").words(TRAILERS).cases(&[
        Request(chunked!("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More:\r\n\r\n")),
    ]),
    Row::new("a trailer that nobody may act on", "9110 6.5.1", "dropped").words(TRAILERS).cases(&[
        Request(chunked!("5\r\nhello\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nCookie: a=b\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")),
    ]),
    Row::new("framing or `Host` as a trailer", "9110 6.5.1", "400").words(TRAILERS).cases(&[
        Request(chunked!("5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nHost: b\r\n\r\n")),
    ]),
    Row::new("a malformed trailer", "9112 7.1.2", "400").words(TRAILERS).cases(&[
        Request(chunked!("5\r\nhello\r\n0\r\nX : 1\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nX y: 1\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nX\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n")),
        Request(chunked!("5\r\nhello\r\n0\r\nX: a\0b\r\n\r\n")),
    ]),
    Row::new("bare LF behind a trailer or the last line", "9112 7.1.2", "400")
        .words(TRAILERS)
        .cases(&[
            Request(chunked!("5\r\nhello\r\n0\r\nX: 1\n\r\n")),
            Request(chunked!("5\r\nhello\r\n0\r\n\n")),
        ]),
    Row::new("a chunked body without its last line", "9112 7.1", "400")
        .words(&[("the next request taken for trailers", &[Sign::Count(1)])])
        .cases(&[Request(chunked!("5\r\nhello\r\n0\r\n"))]),
];
