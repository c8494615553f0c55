//! The Host field: RFC 9112 section 3.2, RFC 9110 section 7.2.

use crate::case::{Case::Request, Row, Sign, Word};

macro_rules! host {
    ($lines:expr) => {
        concat!("GET /a HTTP/1.1\r\n", $lines, "\r\n")
    };
}

const COUNTED: &[Word] = &[("passed", &[Sign::Count(1)])];

const SEVERAL: &[Word] = &[
    ("merged", &[Sign::Has("\nhost: a\r\n"), Sign::Lacks("b\r\n"), Sign::Lacks("a\r\nhost: a")]),
    ("passed", &[Sign::Count(1)]),
];

pub(crate) const ROWS: &[Row] = &[
    Row::new("no `Host` in HTTP/1.1", "9112 3.2", "400")
        .words(COUNTED)
        .cases(&[Request(host!("")), Request(host!("X-Host: a\r\n"))]),
    Row::new("an empty `Host`", "9110 4.2.1", "400").words(COUNTED).cases(&[
        Request(host!("Host:\r\n")),
        Request(host!("Host: \t \r\n")),
        Request(host!("Host: :80\r\n")),
    ]),
    Row::new("two `Host` fields, equal", "9112 3.2", "400").words(SEVERAL).cases(&[
        Request(host!("Host: a\r\nHost: a\r\n")),
        Request(host!("Host: a\r\nX: 1\r\nhOST: a\r\n")),
        Request("GET /a HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    ]),
    Row::new("two `Host` fields that differ", "9112 3.2", "400")
        .words(SEVERAL)
        .cases(&[Request(host!("Host: a\r\nHost: b\r\n")), Request(host!("Host: a\r\nHost:\r\n"))]),
    Row::new("`Host: a, b`", "9112 3.2", "400")
        .words(COUNTED)
        .cases(&[Request(host!("Host: a, b\r\n")), Request(host!("Host: a,b\r\n"))]),
    Row::new("`Host: u@a`", "9110 7.2", "400")
        .words(COUNTED)
        .cases(&[Request(host!("Host: u@a\r\n")), Request(host!("Host: u:p@a\r\n"))]),
    Row::new("`/`, `?`, `#`, or a backslash in `Host`", "9112 3.2", "400").words(COUNTED).cases(&[
        Request(host!("Host: a/b\r\n")),
        Request(host!("Host: http://a\r\n")),
        Request(host!("Host: a?b\r\n")),
        Request(host!("Host: a#b\r\n")),
        Request(host!("Host: a\\b\r\n")),
    ]),
    Row::new("a space, a quote, `<`, `%` or a high byte in `Host`", "9112 3.2", "400")
        .words(COUNTED)
        .cases(&[
            Request(host!("Host: a b\r\n")),
            Request(host!("Host: \"a\"\r\n")),
            Request(host!("Host: <a>\r\n")),
            Request(host!("Host: a%2fb\r\n")),
            Request(host!("Host: \u{e9}\r\n")),
        ]),
    Row::new("an invalid port in `Host`", "3986 3.2.3", "400").words(COUNTED).cases(&[
        Request(host!("Host: a:x\r\n")),
        Request(host!("Host: a:-1\r\n")),
        Request(host!("Host: a:99999\r\n")),
        Request(host!("Host: a:80:80\r\n")),
    ]),
    Row::new("an IPv6 address in `Host` that is none", "3986 3.2.2", "400").words(COUNTED).cases(
        &[
            Request(host!("Host: [::1\r\n")),
            Request(host!("Host: [zz]\r\n")),
            Request(host!("Host: ::1\r\n")),
            Request(host!("Host: [::1]a\r\n")),
        ],
    ),
    Row::new("a name with capitals, an underscore or a dot at its end", "9110 4.2.3", "passed")
        .words(&[
            ("passed", &[Sign::Has("\nhost: A_b.c.\r\n")]),
            ("without the dot", &[Sign::Has("\nhost: a_b.c\r\n")]),
        ])
        .cases(&[Request(host!("Host: A_b.c.\r\n"))]),
    Row::new("an IPv6 address", "3986 3.2.2", "passed")
        .words(&[("passed", &[Sign::Has("\nhost: [2001:db8::1]\r\n")])])
        .cases(&[Request(host!("Host: [2001:db8::1]\r\n"))]),
    Row::new("a name longer than any can be", "3986 3.2.2", "passed")
        .words(COUNTED)
        .cases(&[Request(host!(concat!("Host: ", x10!(x10!("abcdefgh.")), "\r\n")))]),
];
