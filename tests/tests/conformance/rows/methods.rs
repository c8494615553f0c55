//! Methods and fields that ask something of the proxy itself: RFC 9110 sections 7.6.2, 7.8 and 9.3.

use crate::case::{Case::Request, Row, Sign, Word};

const COUNTED: &[Word] = &[("passed", &[Sign::Count(1)])];

/// Where the field holds the word `odd`.
const ODD: &[Word] = &[("removed", &[Sign::Lacks("odd")]), ("passed", &[Sign::Has("odd")])];

pub(crate) const ROWS: &[Row] = &[
    Row::new("CONNECT", "9110 9.3.6", "405").words(COUNTED).cases(&[
        Request("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        Request("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 5\r\n\r\nhello"),
        Request("CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]),
    Row::new("CONNECT to another form of target", "9112 3.2.3", "400").words(COUNTED).cases(&[
        Request(line!("CONNECT / HTTP/1.1")),
        Request(line!("CONNECT a HTTP/1.1")),
        Request(line!("CONNECT a:0 HTTP/1.1")),
        Request(line!("CONNECT a:99999 HTTP/1.1")),
        Request(line!("CONNECT u@a:443 HTTP/1.1")),
        Request(line!("CONNECT http://a:443/ HTTP/1.1")),
        Request(line!("CONNECT * HTTP/1.1")),
    ]),
    Row::new("TRACE", "9110 9.3.8", "405").words(COUNTED).cases(&[
        Request(line!("TRACE /a HTTP/1.1")),
        Request("TRACE /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"),
        Request("TRACE /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
    ]),
    Row::new("`OPTIONS *`", "9110 9.3.7", "200").words(COUNTED).cases(&[
        Request(line!("OPTIONS * HTTP/1.1")),
        Request(line!("OPTIONS http://a HTTP/1.1")),
    ]),
    Row::new("OPTIONS of a path", "9110 9.3.7", "passed")
        .words(&[("passed", &[Sign::Starts("OPTIONS /a HTTP/1.1\r\n")])])
        .cases(&[Request(line!("OPTIONS /a HTTP/1.1"))]),
    Row::new("OPTIONS with `Max-Forwards: 0`", "9110 7.6.2", "200")
        .words(COUNTED)
        .cases(&[Request("OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")]),
    Row::new("OPTIONS with `Max-Forwards: 7`", "9110 7.6.2", "counted down")
        .words(&[
            ("counted down", &[Sign::Has("\nmax-forwards: 6\r\n")]),
            ("passed", &[Sign::Has("\nmax-forwards: 7\r\n")]),
        ])
        .cases(&[Request("OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n")]),
    Row::new("OPTIONS with `Max-Forwards` that is no number, or twice", "9110 7.6.2", "400")
        .words(COUNTED)
        .cases(&[
            Request("OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: -1\r\n\r\n"),
            Request("OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n"),
            Request("OPTIONS /a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nMax-Forwards: 2\r\n\r\n"),
        ]),
    Row::new("`Max-Forwards` with another method", "9110 7.6.2", "passed")
        .words(&[("passed", &[Sign::Has("\nmax-forwards: 0\r\n")])])
        .cases(&[Request(get!("Max-Forwards: 0\r\n"))]),
    Row::new("`Upgrade: websocket`", "9110 7.8", "passed")
        .words(&[
            ("passed", &[Sign::Has("\nupgrade: websocket\r\n")]),
            ("removed", &[Sign::Lacks("upgrade")]),
        ])
        .cases(&[Request(get!(concat!(
            "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )))]),
    Row::new("`Upgrade` to a protocol that the route does not name", "9110 7.8", "removed")
        .words(ODD)
        .cases(&[Request(get!("Upgrade: odd/1\r\nConnection: upgrade\r\n"))]),
    Row::new("`Upgrade` without `Connection: upgrade`, or in HTTP/1.0", "9110 7.8", "removed")
        .words(ODD)
        .cases(&[
            Request(get!("Upgrade: odd\r\n")),
            Request("GET /a HTTP/1.0\r\nUpgrade: odd\r\nConnection: upgrade\r\n\r\n"),
        ]),
    Row::new("`Upgrade: h2c`, with its settings", "9113 3.1", "removed")
        .words(&[
            ("removed", &[Sign::Lacks("h2c"), Sign::Lacks("odd")]),
            ("the settings passed", &[Sign::Lacks("h2c")]),
            ("passed", &[Sign::Has("odd")]),
        ])
        .cases(&[Request(get!(
            "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: odd\r\n"
        ))]),
    Row::new("an unknown expectation", "9110 10.1.1", "removed")
        .words(ODD)
        .cases(&[Request(get!("Expect: odd\r\n"))]),
];
