//! The four forms of a target: RFC 9112 section 3.2.

use crate::case::{Case::Request, Row, Sign, Word};

const COUNTED: &[Word] = &[("passed", &[Sign::Count(1)])];

const FORMS: &[Word] = &[
    ("in origin form", &[Sign::Starts("GET /b?c HTTP/1.1\r\n"), Sign::Has("\nhost: a\r\n")]),
    ("passed", &[Sign::Has("GET http")]),
];

const ROOTS: &[Word] = &[
    ("in origin form", &[Sign::Starts("GET /"), Sign::Has("\nhost: a\r\n")]),
    ("passed", &[Sign::Has("GET http")]),
];

pub(crate) const ROWS: &[Row] = &[
    Row::new("an absolute target", "9112 3.2.2", "in origin form").words(FORMS).cases(&[
        Request(line!("GET http://a/b?c HTTP/1.1")),
        Request(line!("GET https://a/b?c HTTP/1.1")),
        Request(line!("GET HTTP://a/b?c HTTP/1.1")),
    ]),
    Row::new("one without a path", "9112 3.2.1", "in origin form").words(ROOTS).cases(&[
        Request(line!("GET http://a HTTP/1.1")),
        Request(line!("GET http://a?c HTTP/1.1")),
    ]),
    Row::new("one with another `Host`", "9112 3.2.2", "the target's counts")
        .words(&[
            ("the target's counts", &[Sign::Has("\nhost: b\r\n"), Sign::Lacks("host: a")]),
            ("the field's counts", &[Sign::Has("\nhost: a\r\n")]),
        ])
        .cases(&[Request(line!("GET http://b/c HTTP/1.1"))]),
    Row::new("one with a `Host` that is invalid, or without any", "9112 3.2", "400")
        .words(COUNTED)
        .cases(&[
            Request("GET http://a/b HTTP/1.1\r\nHost: a b\r\n\r\n"),
            Request("GET http://a/b HTTP/1.1\r\nHost:\r\n\r\n"),
            Request("GET http://a/b HTTP/1.1\r\n\r\n"),
        ]),
    Row::new("one without a host", "9110 4.2.1", "400").words(COUNTED).cases(&[
        Request(line!("GET http:///b HTTP/1.1")),
        Request(line!("GET http://:80/b HTTP/1.1")),
        Request(line!("GET http:/b HTTP/1.1")),
    ]),
    Row::new("one with user information", "9110 4.2.4", "400").words(COUNTED).cases(&[
        Request(line!("GET http://u@a/b HTTP/1.1")),
        Request(line!("GET http://u:p@a/b HTTP/1.1")),
    ]),
    Row::new("one with an invalid port", "3986 3.2.3", "400").words(COUNTED).cases(&[
        Request(line!("GET http://a:x/b HTTP/1.1")),
        Request(line!("GET http://a:99999/b HTTP/1.1")),
        Request(line!("GET http://a:80:80/b HTTP/1.1")),
    ]),
    Row::new("one with another scheme", "9110 4.2", "400").words(COUNTED).cases(&[
        Request(line!("GET ftp://a/b HTTP/1.1")),
        Request(line!("GET ws://a/b HTTP/1.1")),
        Request(line!("GET file:///etc/passwd HTTP/1.1")),
        Request(line!("GET javascript:alert(1) HTTP/1.1")),
    ]),
    Row::new("a target without a slash at its start", "9112 3.2.1", "400").words(COUNTED).cases(&[
        Request(line!("GET a HTTP/1.1")),
        Request(line!("GET ../a HTTP/1.1")),
        Request(line!("GET ?a HTTP/1.1")),
        Request(line!("GET @a/b HTTP/1.1")),
        Request(line!("GET \\a HTTP/1.1")),
    ]),
    Row::new("an authority for another method than CONNECT", "9112 3.2.3", "400")
        .words(COUNTED)
        .cases(&[Request(line!("GET a:80 HTTP/1.1")), Request(line!("POST [::1]:80 HTTP/1.1"))]),
    Row::new("`*` for another method than OPTIONS", "9112 3.2.4", "400")
        .words(COUNTED)
        .cases(&[Request(line!("GET * HTTP/1.1")), Request(line!("HEAD * HTTP/1.1"))]),
    Row::new("a space in a target", "9112 3.2", "400").words(COUNTED).cases(&[
        Request(line!("GET /a b HTTP/1.1")),
        Request(line!("GET /a?b c HTTP/1.1")),
        Request(line!("GET /a HTTP/1.1 HTTP/1.1")),
    ]),
    Row::new("a control byte in a target", "3986 2", "400").words(COUNTED).cases(&[
        Request(line!("GET /a\0b HTTP/1.1")),
        Request(line!("GET /a\x01b HTTP/1.1")),
        Request(line!("GET /a\x7fb HTTP/1.1")),
    ]),
    Row::new("`#` in a target", "9112 3.2", "400")
        .words(COUNTED)
        .cases(&[Request(line!("GET /a#b HTTP/1.1")), Request(line!("GET /a?b#c HTTP/1.1"))]),
    Row::new("a byte over 0x7f in a target", "3986 2", "400").words(COUNTED).cases(&[
        Request(line!("GET /\u{e9} HTTP/1.1")),
        Request(line!("GET /\u{c3}\u{a9} HTTP/1.1")),
        Request(line!("GET /a?\u{ff} HTTP/1.1")),
    ]),
    Row::new("other bytes that a target may not have, as browsers send them", "3986 2", "passed")
        .words(&[("passed", &[Sign::Starts("GET /{a}|\"b\"^<c>`?d={e}|\\ HTTP/1.1\r\n")])])
        .cases(&[Request(line!("GET /{a}|\"b\"^<c>`?d={e}|\\ HTTP/1.1"))]),
    Row::new("a query of whatever kind", "3986 3.4", "passed")
        .words(&[("passed", &[Sign::Starts("GET /a?"), Sign::Has("?b=/../c&d=%zz%00?e HTTP/1.1")])])
        .cases(&[Request(line!("GET /a?b=/../c&d=%zz%00?e HTTP/1.1"))]),
    Row::new("an empty query", "3986 6.2.3", "passed")
        .words(&[("passed", &[Sign::Starts("GET /a? HTTP/1.1\r\n")])])
        .cases(&[Request(line!("GET /a? HTTP/1.1"))]),
];
