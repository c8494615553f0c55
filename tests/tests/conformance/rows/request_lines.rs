//! Methods, versions and what stands between them: RFC 9112 sections 2 and 3.

use crate::case::{Case::Request, Row, Sign, Word};

const MENDED: &[Word] = &[("mended", &[Sign::Starts("GET /a HTTP/1.1\r\n")])];
const PASSED: &[Word] = &[("passed", &[Sign::Has(" /a HTTP/1.1\r\n")])];
const AS_1_1: &[Word] = &[("as 1.1", &[Sign::Starts("GET /a HTTP/1.1\r\n")])];

pub(crate) const ROWS: &[Row] = &[
    Row::new("a method that nobody has registered", "9110 9.1", "passed").words(PASSED).cases(&[
        Request(line!("PURGE /a HTTP/1.1")),
        Request(line!("M-SEARCH /a HTTP/1.1")),
        Request(line!("!#$%&'*+-.^_`|~ /a HTTP/1.1")),
    ]),
    Row::new("a method in small letters", "9110 9.1", "passed")
        .words(&[("passed", &[Sign::Starts("get /a HTTP/1.1\r\n")])])
        .cases(&[Request(line!("get /a HTTP/1.1"))]),
    Row::new("a method that is no token", "9112 3.1", "400").words(PASSED).cases(&[
        Request(line!("G@T /a HTTP/1.1")),
        Request(line!("G\u{e9}T /a HTTP/1.1")),
        Request(line!("\"GET\" /a HTTP/1.1")),
        Request(line!("(GET) /a HTTP/1.1")),
        Request(line!("GET: /a HTTP/1.1")),
        Request(line!("G\0T /a HTTP/1.1")),
        Request(line!("\x16\x03\x01\x02 /a HTTP/1.1")),
    ]),
    Row::new("several spaces in the request line, or one at its end", "9112 3", "400")
        .words(MENDED)
        .cases(&[
            Request(line!("GET  /a HTTP/1.1")),
            Request(line!("GET /a  HTTP/1.1")),
            Request(line!("GET /a HTTP/1.1 ")),
        ]),
    Row::new("a space before the method", "9112 2.2", "400")
        .words(MENDED)
        .cases(&[Request(line!(" GET /a HTTP/1.1")), Request(line!("\r\n GET /a HTTP/1.1"))]),
    Row::new("tabs in the request line", "9112 3", "400").words(MENDED).cases(&[
        Request(line!("GET\t/a HTTP/1.1")),
        Request(line!("GET /a\tHTTP/1.1")),
        Request(line!("GET\t/a\tHTTP/1.1")),
    ]),
    Row::new("vertical tabs, form feeds or bare CR in the request line", "9112 3", "400")
        .words(&[("passed", &[Sign::Count(1)])])
        .cases(&[
            Request(line!("GET\x0b/a HTTP/1.1")),
            Request(line!("GET\x0c/a\x0cHTTP/1.1")),
            Request(line!("GET\r/a HTTP/1.1")),
            Request(line!("GET /a\r HTTP/1.1")),
        ]),
    Row::new("empty lines before a request", "9112 2.2", "skipped")
        .words(&[("skipped", &[Sign::Starts("GET /a HTTP/1.1\r\n")])])
        .cases(&[
            Request(line!("\r\nGET /a HTTP/1.1")),
            Request(line!("\r\n\r\n\r\nGET /a HTTP/1.1")),
        ]),
    Row::new("an empty line before a request that a bare LF ends", "9112 2.2", "400")
        .words(&[("skipped", &[Sign::Starts("GET /a HTTP/1.1\r\n")])])
        .cases(&[Request(line!("\nGET /a HTTP/1.1")), Request(line!("\r\n\nGET /a HTTP/1.1"))]),
    Row::new("a request line without a version", "9112 2.3", "400")
        .words(&[("served as HTTP/0.9", &[Sign::Count(1)])])
        .cases(&[Request(line!("GET /a")), Request("GET /a\r\n\r\n")]),
    Row::new("a request line without a target", "9112 3", "400").words(PASSED).cases(&[
        Request(line!("GET HTTP/1.1")),
        Request(line!("GET  HTTP/1.1")),
        Request(line!("GET")),
    ]),
    Row::new("a version that is none", "9112 2.3", "400")
        .words(&[("as 1.1", &[Sign::Has("HTTP/1.1\r\n")]), ("passed", &[Sign::Count(1)])])
        .cases(&[
            Request(line!("GET /a http/1.1")),
            Request(line!("GET /a HTTP/1")),
            Request(line!("GET /a HTTP/1.")),
            Request(line!("GET /a HTTP/.1")),
            Request(line!("GET /a HTTP/1.10")),
            Request(line!("GET /a HTTP/01.1")),
            Request(line!("GET /a HTTP/1.1x")),
            Request(line!("GET /a HTTP/1,1")),
            Request(line!("GET /a HTTP 1.1")),
            Request(line!("GET /a HTTPS/1.1")),
            Request(line!("GET /a ICY/1.1")),
        ]),
    Row::new("HTTP/1.2 to HTTP/1.9", "9110 2.5", "as 1.1")
        .words(AS_1_1)
        .cases(&[Request(line!("GET /a HTTP/1.2")), Request(line!("GET /a HTTP/1.9"))]),
    Row::new("another major version", "9110 15.6.6", "505").words(AS_1_1).cases(&[
        Request(line!("GET /a HTTP/2.0")),
        Request(line!("GET /a HTTP/2.1")),
        Request(line!("GET /a HTTP/3.0")),
        Request(line!("GET /a HTTP/9.9")),
    ]),
    Row::new("HTTP/0.9, said in as many words", "9110 15.6.6", "505")
        .words(&[("as 1.1", &[Sign::Starts("GET /a HTTP/1.1\r\n")]), ("passed", &[Sign::Count(1)])])
        .cases(&[Request(line!("GET /a HTTP/0.9"))]),
    Row::new("the preface of HTTP/2", "9113 3.4", "505")
        .words(&[("passed", &[Sign::Count(1)])])
        .cases(&[Request("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]),
    Row::new("a TLS handshake", "9112 3", "400")
        .words(&[("passed", &[Sign::Count(1)])])
        .cases(&[Request("\x16\x03\x01\0\x05\x01\0\0\x01\x03\x03\r\n\r\n")]),
    Row::new("HTTP/1.0 without Host", "9112 3.2", "passed")
        .words(&[("passed", &[Sign::Starts("GET /a HTTP/1."), Sign::Count(1)])])
        .cases(&[Request("GET /a HTTP/1.0\r\n\r\n")]),
    Row::new("requests right behind one another", "9112 9.3.2", "answered in order")
        .words(&[(
            "answered in order",
            &[Sign::Count(3), Sign::Starts("GET /a "), Sign::Has("\r\n\r\nhelloGET /c ")],
        )])
        .cases(&[Request(concat!(
            "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "GET /c HTTP/1.1\r\nHost: a\r\n\r\n"
        ))]),
];
