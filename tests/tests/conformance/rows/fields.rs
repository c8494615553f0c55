//! Field lines of requests: RFC 9112 section 5, RFC 9110 section 5.

use crate::case::{Case::Request, Row, Sign, Word};

const MENDED: &[Word] = &[(
    "mended",
    &[Sign::Starts("GET /a HTTP/1.1\r\n"), Sign::Has("\r\n\r\n"), Sign::Lacks("1\nY")],
)];

/// Where the fault holds the word `odd`.
const ODD: &[Word] = &[("dropped", &[Sign::Lacks("odd")]), ("passed", &[Sign::Has("odd")])];

const FOLDED: &[Word] = &[
    ("joined", &[Sign::Has("X: a"), Sign::Lacks("\n b"), Sign::Lacks("\n\tb"), Sign::Has("b\r\n")]),
    ("passed", &[Sign::Count(1)]),
];

const COUNTED: &[Word] = &[("passed", &[Sign::Count(1)])];

pub(crate) const ROWS: &[Row] =
    &[
        Row::new("bare LF as a line's end", "9112 2.2", "400").words(MENDED).cases(&[
            Request("GET /a HTTP/1.1\nHost: a\n\n"),
            Request("GET /a HTTP/1.1\nHost: a\r\n\r\n"),
            Request(get!("X: 1\nY: 2\r\n")),
            Request("GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n\n"),
        ]),
        Row::new("bare CR", "9112 2.2", "400")
            .words(&[("passed", &[Sign::Has("a\rb")]), ("mended", &[Sign::Has("X: a")])])
            .cases(&[
                Request(get!("X: a\rb\r\n")),
                Request(get!("X: a\rb: c\r\n")),
                Request(get!("X: a\r\r\n")),
                Request(get!("\rX: a\r\n")),
            ]),
        Row::new("NUL in a value", "9110 5.5", "400")
            .words(&[("passed", &[Sign::Has("a\0b")])])
            .cases(&[Request(get!("X: a\0b\r\n"))]),
        Row::new("another control byte in a value", "9110 5.5", "400").words(ODD).cases(&[
            Request(get!("X: odd\x01\r\n")),
            Request(get!("X: odd\x0b\r\n")),
            Request(get!("X: odd\x1f\r\n")),
            Request(get!("X: odd\x7f\r\n")),
            Request(get!("X: \x08odd\r\n")),
        ]),
        Row::new("bytes over 0x7f in a value", "9110 5.5", "passed")
            .words(&[("passed", &[Sign::Has("\nX: \u{e9}\u{80}\u{ff}\r\n")])])
            .cases(&[Request(get!("X: \u{e9}\u{80}\u{ff}\r\n"))]),
        Row::new("white space around a value", "9112 5", "removed")
            .words(&[
                ("removed", &[Sign::Has("\nX: a\tb  c\r\n")]),
                ("passed", &[Sign::Has("a\tb  c")]),
            ])
            .cases(&[
                Request(get!("X:a\tb  c\r\n")),
                Request(get!("X: \t a\tb  c\r\n")),
                Request(get!("X: a\tb  c \t \r\n")),
            ]),
        Row::new("an empty value", "9110 5.5", "passed")
            .words(&[("passed", &[Sign::Has("\nX:")]), ("dropped", &[Sign::Lacks("\nX")])])
            .cases(&[Request(get!("X:\r\n")), Request(get!("X: \t\r\n"))]),
        Row::new("a field that occurs again", "9110 5.3", "passed in order")
            .words(&[("passed in order", &[Sign::Has("\nX: 1\r\nX: 2\r\n")])])
            .cases(&[Request(get!("X: 1\r\nX: 2\r\n"))]),
        Row::new("white space before a colon", "9112 5.1", "400").words(ODD).cases(&[
            Request(get!("X : odd\r\n")),
            Request(get!("X\t: odd\r\n")),
            Request("GET /a HTTP/1.1\r\nHost : odd\r\n\r\n"),
            Request(post!("Content-Length : 5\r\n", "hello")),
            Request(post!("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")),
        ]),
        Row::new("an empty name", "9110 5.1", "400")
            .words(ODD)
            .cases(&[Request(get!(": odd\r\n")), Request(get!(":\r\n"))]),
        Row::new("a name that is no token", "9110 5.1", "400").words(ODD).cases(&[
            Request(get!("X y: odd\r\n")),
            Request(get!("X(y): odd\r\n")),
            Request(get!("X@y: odd\r\n")),
            Request(get!("\"X\": odd\r\n")),
            Request(get!("X/y: odd\r\n")),
            Request(get!("X[y]: odd\r\n")),
            Request(get!("X\u{e9}: odd\r\n")),
            Request(get!("X\x01: odd\r\n")),
            Request(get!("X\x7f: odd\r\n")),
        ]),
        Row::new("NUL in a name", "9110 5.1", "400")
            .words(ODD)
            .cases(&[Request(get!("X\0: odd\r\n")), Request(get!("\0X: odd\r\n"))]),
        Row::new("a name of the odder bytes of tokens", "9110 5.6.2", "passed")
            .words(ODD)
            .cases(&[Request(get!("!#$%&'*+-.^`|~9: odd\r\n"))]),
        Row::new("a name with an underscore", "9110 5.1", "passed")
            .words(ODD)
            .cases(&[Request(get!("X_y: odd\r\n"))]),
        Row::new("a line without a colon", "9112 5", "400")
            .words(ODD)
            .cases(&[Request(get!("odd\r\n")), Request(get!("odd one\r\n"))]),
        Row::new("obs-fold", "9112 5.2", "400").words(FOLDED).cases(&[
            Request(get!("X: a\r\n b\r\n")),
            Request(get!("X: a\r\n\tb\r\n")),
            Request(get!("X: a\r\n \r\n b\r\n")),
        ]),
        Row::new("white space before the first field", "9112 2.2", "400").words(ODD).cases(&[
            Request("GET /a HTTP/1.1\r\n X: odd\r\nHost: a\r\n\r\n"),
            Request("GET /a HTTP/1.1\r\n\tX: odd\r\nHost: a\r\n\r\n"),
        ]),
        Row::new("110 fields", "6585 5", "431")
            .words(COUNTED)
            .cases(&[Request(get!(concat!(x10!(x10!("X: 1\r\n")), x10!("Y: 1\r\n"))))]),
        Row::new("a field of 20 kB", "6585 5", "431").words(COUNTED).cases(&[Request(get!(
            concat!("X: ", x10!(x10!(x10!("abcdefghijklmnopqrst"))), "\r\n")
        ))]),
        Row::new("a target of 9 kB", "9110 15.5.15", "414")
            .words(COUNTED)
            .cases(&[Request(line!(concat!("GET /", x10!(x10!(x10!("abcdefghi"))), " HTTP/1.1")))]),
    ];
