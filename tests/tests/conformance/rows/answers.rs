//! Heads that backends send: RFC 9112 sections 4 and 5.

use crate::case::{Case, Row, Sign, Word};

const fn answer(text: &'static str) -> Case {
    Case::answer(text)
}

/// Until close, so that a proxy that takes it for HTTP/0.9 need not wait.
const fn last(text: &'static str) -> Case {
    Case::last_answer(text)
}

macro_rules! status {
    ($line:expr) => {
        concat!($line, "\r\nContent-Length: 2\r\n\r\nok")
    };
}

const PASSED: &[Word] = &[("passed", &[Sign::Starts("HTTP/1.1 "), Sign::Ends("\r\n\r\nok")])];

const STATUS: &[Word] = &[("passed", &[Sign::Has("\r\n\r\n")])];

/// Where the fault holds the word `odd`.
const ODD: &[Word] = &[("removed", &[Sign::Lacks("odd")]), ("passed", &[Sign::Has("odd")])];

pub(crate) const ROWS: &[Row] = &[
    Row::new("a status line without a reason", "9112 4", "passed")
        .words(PASSED)
        .cases(&[answer(status!("HTTP/1.1 200 ")), answer(status!("HTTP/1.1 200"))]),
    Row::new("a reason of bytes over 0x7f", "9112 4", "replaced")
        .words(&[
            ("replaced", &[Sign::Starts("HTTP/1.1 200 OK\r\n"), Sign::Ends("ok")]),
            ("passed", &[Sign::Starts("HTTP/1.1 200 \u{e9}\r\n"), Sign::Ends("ok")]),
        ])
        .cases(&[answer(status!("HTTP/1.1 200 \u{e9}"))]),
    Row::new("a status that nobody has registered", "9110 15", "passed").words(PASSED).cases(&[
        answer(status!("HTTP/1.1 299 Odd")),
        answer(status!("HTTP/1.1 499 Odd")),
        answer(status!("HTTP/1.1 599 Odd")),
    ]),
    Row::new("a status of 099, 600 or 999", "9110 15", "502").words(STATUS).cases(&[
        last(status!("HTTP/1.1 099 Odd")),
        last(status!("HTTP/1.1 600 Odd")),
        last(status!("HTTP/1.1 999 Odd")),
        last(status!("HTTP/1.1 000 Odd")),
    ]),
    Row::new("a status that is no number of three digits", "9112 4", "502").words(STATUS).cases(&[
        last(status!("HTTP/1.1 20 OK")),
        last(status!("HTTP/1.1 2000 OK")),
        last(status!("HTTP/1.1 2x0 OK")),
        last(status!("HTTP/1.1 -20 OK")),
        last(status!("HTTP/1.1 OK")),
    ]),
    Row::new("several spaces or a tab in a status line", "9112 4", "502")
        .words(STATUS)
        .cases(&[last(status!("HTTP/1.1  200 OK")), last(status!("HTTP/1.1\t200 OK"))]),
    Row::new("a control byte in a reason", "9112 4", "502")
        .words(STATUS)
        .cases(&[last(status!("HTTP/1.1 200 O\x01K")), last(status!("HTTP/1.1 200 O\0K"))]),
    Row::new("an answer that says HTTP/1.2", "9110 2.5", "as 1.1")
        .words(&[("as 1.1", &[Sign::Starts("HTTP/1.1 200 "), Sign::Ends("\r\n\r\nok")])])
        .cases(&[answer(status!("HTTP/1.2 200 OK")), answer(status!("HTTP/1.9 200 OK"))]),
    Row::new("an answer of another major version", "9110 2.5", "502")
        .words(STATUS)
        .cases(&[last(status!("HTTP/2.0 200 OK")), last(status!("HTTP/0.9 200 OK"))]),
    Row::new("an answer of another protocol, or none", "9112 4", "502")
        .words(&[("taken for HTTP/0.9", &[Sign::Count(1)])])
        .cases(&[
            last(status!("ICY 200 OK")),
            last(status!("http/1.1 200 OK")),
            last(status!("HTTP/1 200 OK")),
            last("SSH-2.0-Odd\r\n\r\n"),
            last("\0\0\x12\x04\0\0\0\0\0"),
            last("hello"),
        ]),
    Row::new("an empty line before an answer", "9112 2.2", "502")
        .words(&[
            ("skipped", &[Sign::Starts("HTTP/1.1 200 "), Sign::Ends("\r\n\r\nok")]),
            ("taken for HTTP/0.9", &[Sign::Starts("\r\nHTTP/1.1 200 ")]),
        ])
        .cases(&[last(status!("\r\nHTTP/1.1 200 OK"))]),
    Row::new("bare LF in an answer", "9112 2.2", "502")
        .words(&[("mended", &[Sign::Has("HTTP/1.1 200 OK\r\n"), Sign::Ends("\r\n\r\nok")])])
        .cases(&[
            last("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
            last(ok!("X: 1\nContent-Length: 2\r\n", "ok")),
            last("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok"),
        ]),
    Row::new("bare CR in an answer", "9112 2.2", "502").words(PASSED).cases(&[
        last(ok!("X: a\rb\r\nContent-Length: 2\r\n", "ok")),
        last(ok!("X: a\r\r\nContent-Length: 2\r\n", "ok")),
    ]),
    Row::new("NUL in an answer's value", "9110 5.5", "502")
        .words(PASSED)
        .cases(&[last(ok!("X: a\0b\r\nContent-Length: 2\r\n", "ok"))]),
    Row::new("another control byte in an answer's value", "9110 5.5", "502").words(PASSED).cases(
        &[
            last(ok!("X: a\x01b\r\nContent-Length: 2\r\n", "ok")),
            last(ok!("X: a\x7fb\r\nContent-Length: 2\r\n", "ok")),
        ],
    ),
    Row::new("bytes over 0x7f in an answer's value", "9110 5.5", "passed")
        .words(&[("passed", &[Sign::Has("\nX: \u{e9}\u{80}\u{ff}\r\n"), Sign::Ends("ok")])])
        .cases(&[answer(ok!("X: \u{e9}\u{80}\u{ff}\r\nContent-Length: 2\r\n", "ok"))]),
    Row::new("white space before a colon in an answer", "9112 5.1", "mended")
        .words(&[
            ("mended", &[Sign::Has("\nX: 1\r\n"), Sign::Ends("\r\n\r\nok")]),
            ("dropped", &[Sign::Lacks("\nX"), Sign::Ends("\r\n\r\nok")]),
        ])
        .cases(&[
            answer(ok!("X : 1\r\nContent-Length: 2\r\n", "ok")),
            answer(ok!("X: 1\r\nContent-Length\t: 2\r\n", "ok")),
        ]),
    Row::new("obs-fold in an answer", "9112 5.2", "502")
        .words(&[
            ("joined", &[Sign::Has("X: a"), Sign::Lacks("\n b"), Sign::Lacks("\n\tb")]),
            ("passed", &[Sign::Count(1)]),
        ])
        .cases(&[
            last(ok!("X: a\r\n b\r\nContent-Length: 2\r\n", "ok")),
            last(ok!("X: a\r\n\tb\r\nContent-Length: 2\r\n", "ok")),
        ]),
    Row::new("a name in an answer that is empty or no token", "9110 5.1", "502").words(ODD).cases(
        &[
            last(ok!("X y: odd\r\nContent-Length: 2\r\n", "ok")),
            last(ok!("X(y): odd\r\nContent-Length: 2\r\n", "ok")),
            last(ok!(": odd\r\nContent-Length: 2\r\n", "ok")),
        ],
    ),
    Row::new("a line without a colon in an answer", "9112 5", "502")
        .words(ODD)
        .cases(&[last(ok!("odd\r\nContent-Length: 2\r\n", "ok"))]),
    Row::new("an answer's field that occurs again", "9110 5.3", "passed in order")
        .words(&[("passed in order", &[Sign::Has("\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")])])
        .cases(&[answer(ok!("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n", "ok"))]),
    Row::new("an unknown field that an answer's `Connection` names", "9110 7.6.1", "removed")
        .words(ODD)
        .cases(&[answer(ok!("Connection: X-A\r\nX-A: odd\r\nContent-Length: 2\r\n", "ok"))]),
    Row::new("`Keep-Alive`, `Proxy-Connection`, `Upgrade` in an answer", "9110 7.6.1", "removed")
        .words(ODD)
        .cases(&[
            answer(ok!("Keep-Alive: odd\r\nContent-Length: 2\r\n", "ok")),
            answer(ok!("Proxy-Connection: odd\r\nContent-Length: 2\r\n", "ok")),
            answer(ok!("Upgrade: odd\r\nConnection: upgrade\r\nContent-Length: 2\r\n", "ok")),
        ]),
    Row::new("no `Date`", "9110 6.6.1", "added")
        .words(&[("added", &[Sign::Has("\ndate: ")]), ("passed", &[Sign::Lacks("\ndate: ")])])
        .cases(&[answer(ok!("Content-Length: 2\r\n", "ok"))]),
    Row::new("an answer with 110 fields", "6585 5", "502").words(PASSED).cases(&[last(ok!(
        concat!("Content-Length: 2\r\n", x10!(x10!("X: 1\r\n")), x10!("Y: 1\r\n")),
        "ok"
    ))]),
    Row::new("an answer with a field of 20 kB", "6585 5", "502").words(PASSED).cases(&[last(ok!(
        concat!("Content-Length: 2\r\nX: ", x10!(x10!(x10!("abcdefghijklmnopqrst"))), "\r\n"),
        "ok"
    ))]),
];
