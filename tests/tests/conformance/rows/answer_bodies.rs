//! Interim answers and bodies that backends send: RFC 9110 section 15, RFC 9112 section 6.3.

use crate::case::{Case, Row, Sign, Word};

const fn answer(text: &'static str) -> Case {
    Case::answer(text)
}

const fn last(text: &'static str) -> Case {
    Case::last_answer(text)
}

const PASSED: &[Word] = &[("passed", &[Sign::Ends("\r\n\r\nhello")])];

/// The end of a body that is not there.
const CUT_OFF: &[Word] =
    &[("cut off", &[Sign::CutOff]), ("taken for whole", &[Sign::Starts("HTTP/1.1 200")])];

const NO_BODY: &[Word] = &[
    ("without the body", &[Sign::Lacks("hello"), Sign::Count(1)]),
    ("passed", &[Sign::Has("hello")]),
];

const LENGTHS: &[Word] = &[
    ("merged", &[Sign::Has("length: 5\r\n"), Sign::Lacks("5, 5"), Sign::Ends("\r\n\r\nhello")]),
    ("accepted", &[Sign::Has("\r\n\r\n")]),
];

pub(crate) const ROWS: &[Row] = &[
    Row::new("a body by its length, in chunks or until close", "9112 6.3", "passed")
        .words(PASSED)
        .cases(&[
            answer(ok!("Content-Length: 5\r\n", "hello")),
            answer(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
            last(ok!("", "hello")),
            last("HTTP/1.0 200 OK\r\n\r\nhello"),
            last("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ]),
    Row::new("an answer's trailers", "9110 6.5", "passed")
        .words(&[
            ("passed", &[Sign::Ends("helloX: 1\r\n")]),
            ("passed", &[Sign::Has("hellox: 1\r\n")]),
            ("dropped", &[Sign::Ends("hello")]),
        ])
        .cases(&[answer(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX: 1\r\n\r\n"))]),
    Row::new("an answer with both framings", "9112 6.3", "502")
        .words(&[
            ("chunked wins", &[Sign::Ends("\r\n\r\nhello")]),
            ("the length wins", &[Sign::Ends("\r\n\r\n5\r\n")]),
        ])
        .cases(&[
            last(ok!("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
            last(ok!("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ]),
    Row::new("an answer with two lengths, or a list, equal", "9110 8.6", "merged")
        .words(LENGTHS)
        .cases(&[
            answer(ok!("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")),
            answer(ok!("Content-Length: 5, 5\r\n", "hello")),
        ]),
    Row::new("an answer with two lengths, or a list, different", "9112 6.3", "502")
        .words(LENGTHS)
        .cases(&[
            last(ok!("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")),
            last(ok!("Content-Length: 5, 6\r\n", "hello!")),
        ]),
    Row::new("a length in an answer that is no number", "9112 6.3", "502").words(LENGTHS).cases(&[
        last(ok!("Content-Length: +5\r\n", "hello")),
        last(ok!("Content-Length: -5\r\n", "hello")),
        last(ok!("Content-Length: 0x5\r\n", "hello")),
        last(ok!("Content-Length: 5x\r\n", "hello")),
        last(ok!("Content-Length:\r\n", "hello")),
        last(ok!("Content-Length: 18446744073709551621\r\n", "hello")),
    ]),
    Row::new("`Transfer-Encoding` in an answer of HTTP/1.0", "9112 6.1", "502")
        .words(&[("accepted", &[Sign::Has("hello")])])
        .cases(&[last(concat!(
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n"
        ))]),
    Row::new("another coding than `chunked` in an answer", "9112 6.1", "502")
        .words(&[("accepted", &[Sign::Has("hello")])])
        .cases(&[
            last(ok!("Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
            last(ok!("Transfer-Encoding: gzip\r\n", "hello")),
            last(ok!("Transfer-Encoding: xchunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
        ]),
    Row::new("`chunked` twice in an answer", "9112 6.1", "502")
        .words(&[("accepted", &[Sign::Has("hello")])])
        .cases(&[
            last(ok!("Transfer-Encoding: chunked, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
            last(ok!(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\n"
            )),
        ]),
    Row::new("an answer that ends before its head does", "9112 8", "502")
        .words(&[("passed", &[Sign::Count(1)])])
        .cases(&[last(""), last("HTTP/1.1 200 OK\r\nContent-Le"), last("HTTP/1.1 200 OK\r\n")]),
    Row::new("an answer that ends before its length", "9112 8", "cut off").words(CUT_OFF).cases(&[
        last(ok!("Content-Length: 9\r\n", "hello")),
    ]),
    Row::new("an answer that ends before its last chunk", "9112 8", "cut off")
        .words(CUT_OFF)
        .cases(&[
            last(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n")),
            last(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhel")),
            last(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n")),
        ]),
    Row::new("a malformed chunk in an answer, right behind its head", "9112 7.1", "502").words(CUT_OFF).cases(&[
        last(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0x1\r\na\r\n0\r\n\r\n")),
        last(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello!\r\n0\r\n\r\n")),
        last(ok!("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n10000000000000001\r\na\r\n0\r\n\r\n")),
    ]),
    Row::new("bytes behind an answer", "9112 9.2", "dropped")
        .words(&[("dropped", &[Sign::Lacks("smuggled"), Sign::Ends("\r\n\r\nhello")])])
        .cases(&[
            answer(ok!("Content-Length: 5\r\n", "helloHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")),
            answer(ok!(
                "Transfer-Encoding: chunked\r\n",
                "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"
            )),
        ]),
    Row::new("an answer to HEAD", "9110 9.3.2", "passed with its length")
        .words(&[("passed with its length", &[Sign::Has("length: 5\r\n"), Sign::Ends("\r\n\r\n")])])
        .cases(&[
            Case::answer_to("HEAD", ok!("Content-Length: 5\r\n", "")),
            Case::answer_to("HEAD", ok!("Content-Length: 5\r\nContent-Length: 5\r\n", "")),
        ]),
    Row::new("an answer to HEAD with a body", "9112 6.3", "without the body").words(NO_BODY).cases(
        &[Case::answer_to("HEAD", ok!("Content-Length: 5\r\n", "hello"))],
    ),
    Row::new("304 with a length", "9110 8.6", "passed with its length")
        .words(&[("passed with its length", &[Sign::Has("length: 5\r\n"), Sign::Ends("\r\n\r\n")])])
        .cases(&[answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")]),
    Row::new("304 or 204 with a body", "9112 6.3", "without the body").words(NO_BODY).cases(&[
        answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"),
        answer("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        answer("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ]),
    Row::new("204 with a length", "9110 8.6", "without it")
        .words(&[
            ("without it", &[Sign::Lacks("content-length"), Sign::Ends("\r\n\r\n")]),
            ("passed", &[Sign::Has("content-length"), Sign::Ends("\r\n\r\n")]),
        ])
        .cases(&[answer("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")]),
    Row::new("205", "9110 15.3.6", "framed like any other")
        .words(&[("framed like any other", &[Sign::Starts("HTTP/1.1 205 "), Sign::Ends("\r\n\r\n")])])
        .cases(&[
            answer("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
            answer("HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ]),
    Row::new("an interim answer", "9110 15.2", "passed")
        .words(&[
            ("passed", &[Sign::Count(2), Sign::Starts("HTTP/1.1 10"), Sign::Ends("hello")]),
            ("taken for the last", &[Sign::Count(1), Sign::Starts("HTTP/1.1 10")]),
            ("dropped", &[Sign::Count(1), Sign::Ends("hello")]),
        ])
        .cases(&[
            answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            answer("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ]),
    Row::new("100 that nobody asked for", "9110 15.2.1", "dropped")
        .words(&[
            ("passed", &[Sign::Count(2), Sign::Starts("HTTP/1.1 100"), Sign::Ends("hello")]),
            ("taken for the last", &[Sign::Count(1), Sign::Starts("HTTP/1.1 100")]),
            ("dropped", &[Sign::Count(1), Sign::Ends("hello")]),
        ])
        .cases(&[answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")]),
    Row::new("101 that nobody asked for", "9110 7.8", "502")
        .words(&[("passed", &[Sign::Starts("HTTP/1.1 101")])])
        .cases(&[last("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")]),
];
