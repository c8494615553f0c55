//! Fields that end here, and fields that only a trusted proxy may send: RFC 9110 section 7.6.1.

use crate::case::{Case::Request, Row, Sign, Word};

/// Where the field holds the word `odd`.
const ODD: &[Word] = &[("removed", &[Sign::Lacks("odd")]), ("passed", &[Sign::Has("odd")])];

const KEPT: &[Word] = &[("kept", &[Sign::Has("odd")]), ("removed", &[Sign::Lacks("odd")])];

pub(crate) const ROWS: &[Row] = &[
    Row::new("an unknown field that `Connection` names", "9110 7.6.1", "removed").words(ODD).cases(
        &[
            Request(get!("Connection: X-A\r\nX-A: odd\r\n")),
            Request(get!("X-A: odd\r\nConnection: close, x-a\r\n")),
            Request(get!("Connection: close\r\nX-A: odd\r\nConnection: ,,X-A,\r\n")),
        ],
    ),
    Row::new("a field for all recipients that `Connection` names", "9110 7.6.1", "kept")
        .words(KEPT)
        .cases(&[
            Request(get!("Connection: Authorization\r\nAuthorization: odd\r\n")),
            Request(get!("Connection: Cookie\r\nCookie: odd=1\r\n")),
            Request("GET /a HTTP/1.1\r\nHost: odd\r\nConnection: Host\r\n\r\n"),
        ]),
    Row::new("framing that `Connection` names", "9110 7.6.1", "kept")
        .words(&[("kept", &[Sign::Ends("\r\n\r\nhello")]), ("removed", &[Sign::Count(1)])])
        .cases(&[Request(post!("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"))]),
    Row::new("more than eight names in `Connection`", "9110 7.6.1", "400")
        .words(ODD)
        .cases(&[Request(get!("Connection: a1, a2, a3, a4, a5, a6, a7, a8, a9\r\nX: odd\r\n"))]),
    Row::new("names in `Connection` that are no tokens", "9110 7.6.1", "removed")
        .words(ODD)
        .cases(&[Request(get!("Connection: @odd, \"odd\"\r\n"))]),
    Row::new("`Keep-Alive`, `Proxy-Connection`", "9110 7.6.1", "removed")
        .words(ODD)
        .cases(&[Request(get!("Keep-Alive: odd\r\n")), Request(get!("Proxy-Connection: odd\r\n"))]),
    Row::new("`TE` other than `trailers`", "9110 10.1.4", "removed").words(ODD).cases(&[
        Request(get!("TE: odd\r\n")),
        Request(get!("Connection: TE\r\nTE: gzip;q=0.5, odd\r\n")),
    ]),
    Row::new("`TE: trailers`", "9110 10.1.4", "passed")
        .words(&[
            ("passed", &[Sign::Has("\nte: trailers\r\n")]),
            ("removed", &[Sign::Lacks("\nte:")]),
        ])
        .cases(&[Request(get!("Connection: TE\r\nTE: trailers\r\n"))]),
    Row::new("`X-Forwarded-*`, `Forwarded`, `X-Real-IP` of just anybody", "7239 8.1", "removed")
        .words(ODD)
        .cases(&[
            Request(get!("X-Forwarded-For: odd\r\n")),
            Request(get!("X-Forwarded-Host: odd\r\n")),
            Request(get!("X-Forwarded-Proto: odd\r\n")),
            Request(get!("Forwarded: for=odd\r\n")),
            Request(get!("X-Real-IP: odd\r\n")),
        ]),
    Row::new("`X_Forwarded_For`, which CGI takes for the other", "", "removed").words(ODD).cases(
        &[Request(get!("X_Forwarded_For: odd\r\n")), Request(get!("X-Forwarded_For: odd\r\n"))],
    ),
];
