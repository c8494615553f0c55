//! Spellings of paths: RFC 3986 section 6.2.2.

use crate::case::{Case::Request, Row, Sign, Word};

const COUNTED: &[Word] = &[("passed", &[Sign::Count(1)])];

const DOTS: &[Word] = &[
    ("removed", &[Sign::Lacks("./"), Sign::Lacks("/. "), Sign::Lacks(".. "), Sign::Lacks("%2e")]),
    ("passed", &[Sign::Count(1)]),
];

pub(crate) const ROWS: &[Row] = &[
    Row::new("dot segments", "3986 5.2.4", "removed").words(DOTS).cases(&[
        Request(line!("GET /a/../b HTTP/1.1")),
        Request(line!("GET /a/./b HTTP/1.1")),
        Request(line!("GET /a/b/.. HTTP/1.1")),
        Request(line!("GET /a//../b HTTP/1.1")),
        Request(line!("GET http://a/b/../c HTTP/1.1")),
    ]),
    Row::new("dot segments in percent-encoding", "3986 6.2.2", "removed").words(DOTS).cases(&[
        Request(line!("GET /a/%2e%2e/b HTTP/1.1")),
        Request(line!("GET /a/.%2E/b HTTP/1.1")),
        Request(line!("GET /a/%2e/b HTTP/1.1")),
    ]),
    Row::new("dot segments above the root", "3986 5.2.4", "removed").words(DOTS).cases(&[
        Request(line!("GET /../b HTTP/1.1")),
        Request(line!("GET /a/../../b HTTP/1.1")),
        Request(line!("GET /%2e%2e/b HTTP/1.1")),
    ]),
    Row::new("dot segments beside encoded slashes", "3986 6.2.2", "400").words(COUNTED).cases(&[
        Request(line!("GET /a/..%2fb HTTP/1.1")),
        Request(line!("GET /a%2f../b HTTP/1.1")),
        Request(line!("GET /a%2F%2e%2e%2Fb HTTP/1.1")),
    ]),
    Row::new("dots that are no segment", "3986 3.3", "passed")
        .words(&[("passed", &[Sign::Starts("GET /.a/b../...c/a..b HTTP/1.1\r\n")])])
        .cases(&[Request(line!("GET /.a/b../...c/a..b HTTP/1.1"))]),
    Row::new("dot segments with parameters, which Java's servers remove", "3986 3.3", "400")
        .words(COUNTED)
        .cases(&[
            Request(line!("GET /a/..;x/b HTTP/1.1")),
            Request(line!("GET /a/..;/b HTTP/1.1")),
            Request(line!("GET /a/%2e%2e;x=y/b HTTP/1.1")),
        ]),
    Row::new("percent-encoding that is malformed", "3986 2.1", "400").words(COUNTED).cases(&[
        Request(line!("GET /%zz HTTP/1.1")),
        Request(line!("GET /% HTTP/1.1")),
        Request(line!("GET /a%4 HTTP/1.1")),
        Request(line!("GET /%u0041 HTTP/1.1")),
    ]),
    Row::new("an encoded NUL", "3986 7.3", "400")
        .words(COUNTED)
        .cases(&[Request(line!("GET /a%00 HTTP/1.1")), Request(line!("GET /a%00/../b HTTP/1.1"))]),
    Row::new("an encoded slash, letter, CRLF or high byte", "3986 2.4", "passed")
        .words(&[("passed", &[Sign::Starts("GET /a%2Fb/%61/%0d%0aX:%201/%c3%a9 HTTP/1.1\r\n")])])
        .cases(&[Request(line!("GET /a%2Fb/%61/%0d%0aX:%201/%c3%a9 HTTP/1.1"))]),
    Row::new("an encoding of an encoding", "3986 2.4", "passed")
        .words(&[("passed", &[Sign::Starts("GET /%252e%252e/%2500 HTTP/1.1\r\n")])])
        .cases(&[Request(line!("GET /%252e%252e/%2500 HTTP/1.1"))]),
    Row::new("empty segments", "3986 3.3", "passed")
        .words(&[("passed", &[Sign::Starts("GET //a///b// HTTP/1.1\r\n")])])
        .cases(&[Request(line!("GET //a///b// HTTP/1.1"))]),
    Row::new("a backslash", "3986 2", "encoded")
        .words(&[
            ("encoded", &[Sign::Starts("GET /a%5Cb HTTP/1.1\r\n")]),
            ("passed", &[Sign::Starts("GET /a\\b HTTP/1.1\r\n")]),
        ])
        .cases(&[Request(line!("GET /a\\b HTTP/1.1"))]),
    Row::new("dot segments beside backslashes", "3986 6.2.2", "400").words(COUNTED).cases(&[
        Request(line!("GET /a\\..\\b HTTP/1.1")),
        Request(line!("GET /a/..%5cb HTTP/1.1")),
    ]),
];
